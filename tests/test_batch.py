"""vmap: equal to a loop over the examples, for every operator and for derivatives."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from sample import Array, Sample, bound_types, operands, seed_of
from samples import SAMPLES, accepted, attrs_for

import graphc as gx
from graphc.ir import dim
from graphc.ir.node import Node, apply
from graphc.ir.types import DType, TensorType
from graphc.passes.batch import vmap
from graphc.passes.differentiate import grad, jvp

EXAMPLES = 2
SIZES = {"n": 4, "b": 2}
WITH_OPERANDS = sorted(name for name, row in SAMPLES.items() if row.samples[0].shapes)
WITHOUT = sorted(set(SAMPLES) - set(WITH_OPERANDS))
SMOOTH = [n for n in WITH_OPERANDS if SAMPLES[n].smooth and gx.float64 in accepted(n)]

Flags = tuple[bool, ...]


def choices(count: int) -> Iterator[Flags]:
    """Every choice of the operands that differ along a batch: all of them first, never none."""
    return (flags for flags in itertools.product((True, False), repeat=count) if any(flags))


class Batched:
    """An operator on a sample: inputs, with a batch axis where the flags say so, and arrays."""

    def __init__(
        self, name: str, sample: Sample, flags: Flags, dtype: DType, prefix: str, size: Any
    ) -> None:
        self.name, self.flags = name, flags
        self.attrs = attrs_for(SAMPLES[name], sample, dtype)
        pairs = zip(sample.types(dtype), flags, strict=True)
        self.inputs = [
            gx.input(f"{prefix}_{place}", (size, *t.shape) if flag else t.shape, t.dtype)
            for place, (t, flag) in enumerate(pairs)
        ]
        random = np.random.default_rng(seed_of("batch", name, sample.shapes, flags))
        types = [
            TensorType(t.dtype, (EXAMPLES, *t.shape) if flag else t.shape)
            for t, flag in zip(bound_types(sample, dtype, SIZES), flags, strict=True)
        ]
        smooth = bool(SAMPLES[name].smooth) and dtype == gx.float64
        self.arrays = operands(SAMPLES[name], types, random, smooth)

    @property
    def in_axes(self) -> list[int | None]:
        """0 for the operands with a batch axis."""
        return [0 if flag else None for flag in self.flags]

    def __call__(self, *nodes: Node) -> Node:
        """The operator applied to one example."""
        return apply(self.name, *nodes, **self.attrs)

    def example(self, place: int) -> list[Node]:
        """The operands of one example."""
        pairs = zip(self.inputs, self.flags, strict=True)
        return [node[place] if flag else node for node, flag in pairs]


def compare(
    cases: Sequence[Batched],
    on_batch: Callable[[Batched], Sequence[Node]],
    on_one: Callable[[Batched, list[Node]], Sequence[Node]],
) -> None:
    """Both ways to each case's results in one step on the cpu: they must agree."""
    inputs = [node for case in cases for node in case.inputs]
    arrays = [array for case in cases for array in case.arrays]
    whole = [list(on_batch(case)) for case in cases]
    loop = [[on_one(case, case.example(k)) for k in range(EXAMPLES)] for case in cases]
    with np.errstate(all="ignore"):
        got, want = gx.compile(inputs, (whole, loop))(*arrays)
    for case, results, rows in zip(cases, got, want, strict=True):
        for place, result in enumerate(results):
            stacked = np.stack([row[place] for row in rows])
            assert_equal(result, stacked, f"{case.name} {case.inputs} {case.attrs}")


def assert_equal(got: Array, want: Array, what: str) -> None:
    """Equal, but for the order in which long sums are added up."""
    assert got.dtype == want.dtype
    if got.dtype.kind in "fc":
        scale = np.max(np.abs(want), initial=1, where=np.isfinite(want))
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13 * scale, err_msg=what)
    else:
        np.testing.assert_array_equal(got, want, what)


def batches(name: str, size: Any = EXAMPLES) -> list[Batched]:
    """Every sample of an operator, with every choice of operands that differ along the batch.

    Elementwise operators treat all shapes alike: their samples take turns in the choices.
    """
    floats = gx.float64 in accepted(name)
    dtype = gx.float64 if floats else accepted(name)[-1]
    found = []
    for number, sample in enumerate(SAMPLES[name].samples):
        all_flags = list(choices(len(sample.shapes)))
        if SAMPLES[name].elementwise or name == "where":
            all_flags = [all_flags[number % len(all_flags)]]
        for place, flags in enumerate(all_flags):
            found.append(Batched(name, sample, flags, dtype, f"x{number}_{place}", size))
    return found


@pytest.mark.parametrize("name", WITH_OPERANDS)
def test_a_batch_equals_the_loop(name: str) -> None:
    compare(
        batches(name),
        lambda case: [vmap(case, in_axes=case.in_axes)(*case.inputs)],
        lambda case, nodes: [case(*nodes)],
    )


@pytest.mark.parametrize("name", WITH_OPERANDS)
def test_a_batch_of_symbolic_size_equals_the_loop(name: str) -> None:
    compare(
        batches(name, "examples")[:6],
        lambda case: [vmap(case, in_axes=case.in_axes)(*case.inputs)],
        lambda case, nodes: [case(*nodes)],
    )


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_of_a_batch_equal_the_loop(name: str) -> None:
    cases = [case for case in batches(name) if has_gradient(case)]

    def gradients(case: Batched, nodes: Sequence[Node]) -> Any:
        smooth = [node for node in nodes if node.dtype.is_float]
        return grad(gx.real(gx.sum(case(*nodes) * 0.5)), smooth)

    compare(
        cases,
        lambda case: vmap(lambda *x: gradients(case, x), in_axes=case.in_axes)(*case.inputs),
        gradients,
    )


def has_gradient(case: Batched) -> bool:
    """Whether the operator has a gradient by its floats: a conversion to integers has none."""
    attr = case.attrs.get("dtype", gx.float64)
    return bool(attr.is_float)


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_operands_is_the_same_for_all(name: str) -> None:
    x = gx.input("x", ("n",), "float64")
    for sample in SAMPLES[name].samples:
        node = apply(name, **attrs_for(SAMPLES[name], sample, gx.float64))
        batch = vmap(lambda _, node=node: node)(x)
        got, want = gx.compile([x], [batch, node])(np.zeros(SIZES["n"]))
        np.testing.assert_array_equal(got, np.broadcast_to(want, (SIZES["n"], *want.shape)))


# --- axes and structures -------------------------------------------------------------------------

X = np.arange(24.0).reshape(2, 3, 4)
Y = np.linspace(-1, 1, 12).reshape(3, 4)


def run(nodes: Mapping[Node, Array], outputs: Any) -> Any:
    """Outputs on the cpu."""
    return gx.compile(list(nodes), outputs)(*nodes.values())


def inputs(*arrays: Array) -> dict[Node, Array]:
    """An input for each array."""
    return {gx.input(f"x{k}", a.shape, "float64"): a for k, a in enumerate(arrays)}


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_the_batch_axis_stands_anywhere(axis: int) -> None:
    given = inputs(X)
    (x,) = given
    got = run(given, vmap(lambda v: v - gx.max(v), axis, axis)(x))
    others = tuple(a for a in range(3) if a != axis % 3)
    np.testing.assert_array_equal(got, X - X.max(axis=others, keepdims=True))


def test_axes_follow_the_structure_of_the_arguments() -> None:
    given = inputs(X, Y, Y[0])
    x, y, z = given

    def f(parts: Any, scale: Node) -> Any:
        return {"dot": gx.sum(parts["a"] @ parts["b"][0]), "scale": scale * 2, "a": parts["a"]}

    arguments = ({"a": x, "b": [z, y]}, y[0, 0])
    axes = ({"a": 1, "b": [None, 0]}, None)
    got = run(given, vmap(f, axes, {"dot": 0, "scale": None, "a": 2})(*arguments))
    np.testing.assert_allclose(got["dot"], np.einsum("ijk,k->j", X, Y[0]))
    assert got["scale"] == 2 * Y[0, 0]
    np.testing.assert_array_equal(got["a"], np.moveaxis(X, 1, 2))


def test_a_part_of_the_axes_serves_a_whole_part_of_the_arguments() -> None:
    given = inputs(X, X + 1, Y)
    x, x1, y = given
    got = run(given, vmap(lambda pair, v: pair[0] * pair[1] - v, (0, None))((x, x1), y))
    np.testing.assert_array_equal(got, X * (X + 1) - Y)


def test_other_arguments_and_results_need_not_be_nodes() -> None:
    given = inputs(Y)
    (y,) = given
    got = run(given, vmap(lambda v, power: [v**power, 2.0], (0, None))(y, 3))
    np.testing.assert_allclose(got[0], Y**3)
    np.testing.assert_array_equal(got[1], [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(run(given, vmap(lambda v: v + 1)(Y) + y), Y + 1 + Y)


def test_nodes_from_outside_are_the_same_for_all() -> None:
    given = inputs(X, Y)
    x, y = given
    got = run(given, vmap(lambda v: gx.exp(y) * v)(x))
    np.testing.assert_allclose(got, np.exp(Y) * X, rtol=1e-14)


# --- composition ---------------------------------------------------------------------------------


def test_vmap_of_vmap() -> None:
    given = inputs(X, Y)
    x, y = given
    pairs = vmap(vmap(lambda a, b: gx.sum(a * b), (None, 0)), (0, None))
    got = run(given, pairs(x[0], y))
    np.testing.assert_allclose(got, X[0] @ Y.T)


def test_an_outer_example_is_seen_by_the_inner_function() -> None:
    given = inputs(Y)
    (y,) = given
    got = run(given, vmap(lambda a: vmap(lambda b: gx.sum(a * b))(y))(y))
    np.testing.assert_allclose(got, Y @ Y.T)


def test_gradients_for_each_example() -> None:
    given = inputs(Y, Y[0])
    x, w = given

    def loss(row: Node) -> Node:
        return gx.square(gx.tanh(row) @ w)

    each = vmap(lambda row: grad(loss(row), [w, row]))(x)
    together = grad(gx.sum(vmap(loss)(x)), [w, x])
    (by_w, by_x), (sum_w, all_x) = run(given, (each, together))
    assert by_w.shape == (3, 4)
    np.testing.assert_allclose(by_w.sum(0), sum_w)
    np.testing.assert_allclose(by_x, all_x)


def test_forward_mode_of_a_batch_and_a_batch_of_forward_mode() -> None:
    given = inputs(Y, np.cos(Y))
    x, t = given

    def f(row: Node) -> Node:
        return gx.softmax(row) * row[0]

    inside = vmap(lambda row, along: jvp(f(row), row, along))(x, t)
    outside = jvp(vmap(f)(x), x, t)
    got, want = run(given, (inside, outside))
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_one_compilation_serves_batches_of_every_size() -> None:
    x = gx.input("x", ("batch", 4), "float64")
    step = gx.compile([x], vmap(lambda row: grad(gx.logsumexp(row), row))(x))
    for count in (0, 1, 3, 17):
        rows = np.random.default_rng(count).normal(size=(count, 4))
        want = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
        np.testing.assert_allclose(step(rows), want, rtol=1e-13)


def test_a_matrix_that_all_share_makes_one_product() -> None:
    x, w = gx.input("x", ("batch", 5, 3), "float32"), gx.input("w", (3, 4), "float32")
    assert vmap(lambda v: v @ w)(x).inputs[0].shape == (5 * dim.symbol("batch"), 4)
    turned = vmap(lambda v: gx.matrix_transpose(w) @ gx.matrix_transpose(v))(x)
    assert turned.inputs[0].inputs[0].shape == (5 * dim.symbol("batch"), 4)


def test_a_deep_graph() -> None:
    given = inputs(Y)
    (y,) = given

    def deep(v: Node) -> Node:
        for _ in range(3000):
            v = v + 1
        return v

    assert vmap(deep)(y).shape == (3, 4)


# --- refusals ------------------------------------------------------------------------------------

x3, x4 = gx.input("x3", (3, 2), "float32"), gx.input("x4", (4, 2), "float32")
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "axis": (lambda: vmap(gx.exp, 2)(x3), "vmap: axis 2 is out of range for 2 axes"),
    "scalar": (lambda: vmap(gx.exp)(1.0), "vmap: axis 0 is out of range for 0 axes"),
    "sizes": (
        lambda: vmap(gx.add)(x3, x4),
        "vmap: one argument holds 3 examples\n  made at ",
    ),
    "none": (lambda: vmap(gx.exp, None)(x3), "vmap: no argument holds examples"),
    "count": (lambda: vmap(gx.add, (0,))(x3, x3), "vmap: in_axes (0,) does not fit"),
    "leaf": (lambda: vmap(gx.exp, ((0, 1),))(x3), "vmap: in_axes (0, 1) does not fit"),
    "word": (lambda: vmap(gx.exp, "rows")(x3), "vmap: in_axes 'rows' does not fit"),
    "out": (lambda: vmap(gx.exp, 0, (0, 0))(x3), "vmap: out_axes (0, 0) does not fit"),
    "out axis": (lambda: vmap(gx.sum, 0, 1)(x3), "vmap: axis 1 is out of range for 1 axes"),
    "differs": (
        lambda: vmap(gx.exp, 0, None)(x3),
        "vmap: out_axes is None for a result that differs from example to example",
    ),
    "inside": (lambda: vmap(lambda v: v @ x3)(x3), "matmul: shapes (2,) and (3, 2) do not"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_message(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(gx.GraphError) as caught:
        build()
    assert message in str(caught.value)
    assert "test_batch.py" in str(caught.value), "the user's line is missing"
