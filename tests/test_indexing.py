"""x[key] and x.at[key] with arrays of integers, against NumPy, on random keys and on edges."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from random_keys import Array, RandomKey, random_key

import graphc as gx
from graphc.ir.node import Node
from graphc.passes.differentiate import grad

GROUPS, KEYS = 8, 42
"""Steps that are compiled, and keys in each."""
EVERY = {"add": np.add, "multiply": np.multiply, "max": np.maximum, "min": np.minimum}


def random_keys(group: int, count: int) -> list[RandomKey]:
    """Keys that depend on the group alone."""
    random = np.random.default_rng(group)
    return [random_key(random) for _ in range(count)]


class Group:
    """Keys of arrays in one step: for each an input, its indices, and values of both."""

    def __init__(self, keys: Sequence[RandomKey], seed: int) -> None:
        self.keys, self.random = keys, np.random.default_rng(seed)
        self.arrays = [self.random.normal(size=key.shape) for key in keys]
        self.x = [gx.input(f"x{n}", a.shape, a.dtype) for n, a in enumerate(self.arrays)]
        self.indices = [
            [gx.input(f"i{n}_{k}", a.shape, a.dtype) for k, a in enumerate(key.arrays)]
            for n, key in enumerate(keys)
        ]
        self.values = [self.random.normal(size=a[key.key].shape) for a, key in self.pairs]

    @property
    def pairs(self) -> list[tuple[Array, RandomKey]]:
        """Each array with its key."""
        return list(zip(self.arrays, self.keys, strict=True))

    def selected(self) -> list[Any]:
        """x.at[key] of each input, with its own indices."""
        parts = zip(self.x, self.keys, self.indices, strict=True)
        return [x.at[key.with_inputs(nodes)] for x, key, nodes in parts]

    def run(self, outputs: Sequence[Node]) -> list[Array]:
        """Nodes of each key in one step on the cpu."""
        inputs = [*self.x, *(node for nodes in self.indices for node in nodes)]
        arrays = [*self.arrays, *(a for key in self.keys for a in key.arrays)]
        results: list[Array] = gx.compile(inputs, list(outputs))(*arrays)
        return results


# --- random keys ---------------------------------------------------------------------------------


def test_random_keys_mix_everything() -> None:
    keys = [key.key for group in range(GROUPS) for key in random_keys(group, KEYS)]
    kinds = [{type(item) for item in key} for key in keys]
    assert len(keys) > 300
    for kind in (int, slice, type(None), type(...), np.ndarray):
        mixed = sum(kind in found and len(found) > 1 for found in kinds)
        assert mixed > 50, kind
    assert sum(sum(isinstance(item, np.ndarray) for item in key) > 1 for key in keys) > 50


@pytest.mark.parametrize("number", range(GROUPS))
def test_elements(number: int) -> None:
    group = Group(random_keys(number, KEYS), number)
    results = group.run([part.get() for part in group.selected()])
    for (array, key), got in zip(group.pairs, results, strict=True):
        np.testing.assert_array_equal(got, array[key.key], f"{key}", strict=True)


@pytest.mark.parametrize("kind", ["set", *EVERY])
def test_updates(kind: str) -> None:
    group = Group(random_keys(len(kind), KEYS // 2), 7)
    pairs = zip(group.selected(), group.values, strict=True)
    results = group.run([getattr(part, kind)(values) for part, values in pairs])
    for (array, key), values, got in zip(group.pairs, group.values, results, strict=True):
        want = array.copy()
        if kind == "set":
            want[key.key] = values
        else:
            EVERY[kind].at(want, key.key, values)
        np.testing.assert_allclose(got, want, 1e-12, 1e-300, err_msg=f"{key}")


def test_gradients_go_where_the_elements_came_from() -> None:
    group = Group(random_keys(99, KEYS), 5)
    pairs = zip(group.selected(), group.values, strict=True)
    totals = [gx.sum(part.get() * values) for part, values in pairs]
    results = group.run([grad(total, x) for total, x in zip(totals, group.x, strict=True)])
    for (array, key), values, got in zip(group.pairs, group.values, results, strict=True):
        want = np.zeros_like(array)
        np.add.at(want, key.key, values)
        np.testing.assert_allclose(got, want, 1e-12, 1e-300, err_msg=f"{key}")


def test_gradients_of_set_go_to_what_is_there_in_the_end() -> None:
    group = Group(random_keys(98, KEYS // 2), 6)
    given = [gx.constant(values) for values in group.values]
    totals = [gx.sum(part.set(v) * a) + gx.sum(part.node * 0) for part, v, a
              in zip(group.selected(), given, group.arrays, strict=True)]  # fmt: skip
    nodes = [grad(total, [x, v]) for total, x, v in zip(totals, group.x, given, strict=True)]
    results = group.run([node for pair in nodes for node in pair])
    for number, ((array, key), values) in enumerate(zip(group.pairs, group.values, strict=True)):
        owner = np.full(array.shape, -1)
        owner[key.key] = np.arange(values.size).reshape(values.shape)
        by_x, by_values = results[2 * number : 2 * number + 2]
        np.testing.assert_array_equal(by_x, np.where(owner < 0, array, 0))
        last = owner[key.key] == np.arange(values.size).reshape(values.shape)
        np.testing.assert_array_equal(by_values, np.where(last, array[key.key], 0))


# --- known indices and masks ---------------------------------------------------------------------

X = np.arange(24.0).reshape(2, 3, 4)
x = gx.input("x", (2, 3, 4), "float64")


@pytest.mark.parametrize(
    "key",
    [
        [0, 1, -1],
        (slice(None), [[2], [0]]),
        ([], slice(1)),
        np.array(1),
        (np.int8(1), ..., np.array([3, -4])),
        X[0] > 5,
        (slice(None), X[0] > 5),
        (X[:, 0, 0] > 3, slice(None), [True, False, True, False]),
        (..., [False] * 4),
        (X > 7.5),
        ((0, 1), (2, 0)),
    ],
    ids=str,
)
def test_known_indices(key: Any) -> None:
    if isinstance(key, np.ndarray) and key.dtype == bool and key.ndim == 2:
        key = (0, key)
    got, changed = gx.compile([x], [x[key], x.at[key].set(0.5)])(X)
    want = X.copy()
    want[key] = 0.5
    np.testing.assert_array_equal(got, X[key], strict=True)
    np.testing.assert_array_equal(changed, want)


# --- indices out of range ------------------------------------------------------------------------

EXTREME = [np.iinfo(np.int64).min, -(2**40), -6, -5, -1, 0, 4, 5, 127, 128, 2**31, 2**63 - 1]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"])
def test_indices_beyond_any_range_touch_nothing(dtype: str) -> None:
    """Memory around the arrays stays as it is: the inputs and outputs of one step lie close."""
    info = np.iinfo(dtype)
    places = np.array([p for p in [*EXTREME, 2**64 - 1] if info.min <= p <= info.max], dtype)
    random = np.random.default_rng(3)
    places = np.concatenate([places, random.integers(info.min, info.max, 40, dtype)])
    table = gx.input("table", (5, 3), "float32")
    index = gx.input("index", (len(places),), dtype)
    one = gx.input("one", (), dtype)
    array = random.normal(size=(5, 3)).astype("float32")
    new = random.normal(size=(len(places), 3)).astype("float32")
    outputs = [
        table[index],
        table[index, 1],
        table.at[index].set(new),
        table.at[index, 2].add(new[:, 2]),
        table[one],
        table.at[one].set(1),
        gx.dynamic_slice(table, (one, one), (2, 2)),
        gx.dynamic_update_slice(table, new[:2, :2], (one, one)),
        grad(gx.sum(table[index] * new), table),
    ]
    step = gx.compile([table, index, one], outputs)
    counted = [int(p) + (5 if p < 0 else 0) for p in places]
    inside = [k for k, place in enumerate(counted) if 0 <= place < 5]
    at = [counted[k] for k in inside]
    taken = np.full((len(places), 3), np.nan, "float32")
    taken[inside] = array[at]
    put, added, total = array.copy(), array.copy(), np.zeros_like(array)
    put[at] = new[inside]
    np.add.at(added, (at, 2), new[inside, 2])
    np.add.at(total, at, new[inside])
    for number, place in enumerate(places):
        got = step(array, places, place)
        for found, want in zip(got, (taken, taken[:, 1], put, added, taken[number]), strict=False):
            np.testing.assert_allclose(found, want, 1e-6, 1e-6)
        np.testing.assert_allclose(got[-1], total, 1e-5, 1e-5)
        assert (got[5] != array).any(axis=1).sum() == (number in inside)
        window, replaced = np.full((2, 2), np.nan, "float32"), array.copy()
        for a, b in np.ndindex(2, 2):
            row, column = counted[number] + a, int(place) + (3 if place < 0 else 0) + b
            if 0 <= row < 5 and 0 <= column < 3:
                window[a, b], replaced[row, column] = array[row, column], new[a, b]
        np.testing.assert_array_equal(got[6], window)
        np.testing.assert_array_equal(got[7], replaced)


# --- sizes that each call decides ----------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 1, 6])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_symbolic_sizes(rows: int, count: int) -> None:
    table, index = gx.input("t", ("rows", 3), "float64"), gx.input("i", ("count",), "int32")
    outputs = [table[index], table[1:, [0, 2]], table.at[index].add(1), table.at[1:, 0].set(9),
               gx.segment_sum(table, table[:, 0].astype("int64"), 4),
               grad(gx.sum(gx.square(table[index])), table)]  # fmt: skip
    random = np.random.default_rng(rows)
    a, i = random.uniform(0, 4, (rows, 3)), random.integers(-8, 8, count).astype("int32")
    got = gx.compile([table, index], outputs)(a, i)
    valid = (i >= -rows) & (i < rows)
    taken, added, total, segments = np.full((count, 3), np.nan), a.copy(), 0 * a, np.zeros((4, 3))
    taken[valid] = a[i[valid]]
    np.add.at(added, i[valid], 1)
    np.add.at(total, i[valid], 2 * taken[valid])
    np.add.at(segments, a[:, 0].astype(int), a)
    nine = a.copy()
    nine[1:, 0] = 9
    for found, want in zip(got, (taken, a[1:, [0, 2]], added, nine, segments, total), strict=True):
        np.testing.assert_allclose(found, want, 1e-12, 1e-300)


# --- vmap ----------------------------------------------------------------------------------------


def test_vmap_of_keys_with_different_places() -> None:
    table, index = gx.input("t", (3, 5, 2), "float64"), gx.input("i", (3, 4), "int64")

    def step(row: Node, places: Node) -> tuple[Node, Node, Node]:
        new = row.at[places].add(row[places] * 2)
        return row[places, 1], new, grad(gx.sum(new * new), row)

    random = np.random.default_rng(0)
    a, i = random.normal(size=(3, 5, 2)), random.integers(-5, 5, (3, 4))
    whole = gx.compile([table, index], gx.vmap(step)(table, index))(a, i)
    alone = gx.input("t", (5, 2), "float64"), gx.input("i", (4,), "int64")
    one = gx.compile(list(alone), step(*alone))
    for number in range(3):
        for got, want in zip(whole, one(a[number], i[number]), strict=True):
            np.testing.assert_allclose(got[number], want, 1e-12)
