"""Scans: values against loops in NumPy, one native call, text, memory, and what is refused."""

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.dim import atom
from graphc.ir.graph import Graph
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.ir.program import CallKernel, Repeat
from graphc.passes.fuse import fuse
from graphc.passes.lower import lower

RANDOM = np.random.default_rng(0)
LENGTHS = (0, 1, 2, 7)

every_device = pytest.mark.parametrize("device", ["cpu", "reference"])
both_ways = pytest.mark.parametrize("reverse", [False, True])


def normal(*shape: int) -> Any:
    """Random numbers of a shape."""
    return RANDOM.normal(size=shape)


# --- values --------------------------------------------------------------------------------------


@every_device
@both_ways
def test_scan_equals_the_loop(device: str, reverse: bool) -> None:
    h, w = gx.input("h", ("b", 3), "float64"), gx.input("w", (3, 3), "float64")
    xs = gx.input("xs", ("n", "b", 3), "float64")
    last, ys = gx.scan(
        lambda h, x: (gx.tanh(h @ w + x), {"h": h, "twice": 2 * x}), h, xs, reverse=reverse
    )
    step = gx.compile([h, xs, w], [last, ys["h"], ys["twice"]], device=device)
    for n in LENGTHS:
        start, rows, matrix = normal(2, 3), normal(n, 2, 3), normal(3, 3)
        state, seen = start, np.zeros((n, 2, 3))
        for t in reversed(range(n)) if reverse else range(n):
            seen[t] = state
            state = np.tanh(state @ matrix + rows[t])
        got = step(start, rows, matrix)
        for one, expected in zip(got, (state, seen, 2 * rows), strict=True):
            np.testing.assert_allclose(one, expected, rtol=1e-12)


@every_device
def test_carries_and_sequences_are_structures(device: str) -> None:
    xs, ks = gx.input("xs", ("n", 2), "float32"), gx.input("ks", ("n",), "int64")

    def step(carry: Any, x: Any) -> Any:
        total = {"sum": carry["sum"] + x[0] * gx.cast(x[1], "float32"), "count": carry["count"] + 1}
        return total, (carry["count"], [total["sum"]])

    init = {"sum": gx.zeros((2,), "float32"), "count": gx.constant(0)}
    last, (counts, [sums]) = gx.scan(step, init, (xs, ks))
    compiled = gx.compile([xs, ks], [last["sum"], last["count"], counts, sums], device=device)
    rows, factors = normal(4, 2).astype("float32"), np.array([1, 0, 2, -1])
    total = np.cumsum(rows * factors[:, None].astype("float32"), axis=0)
    got = compiled(rows, factors)
    np.testing.assert_allclose(got[0], total[-1], rtol=1e-6)
    np.testing.assert_array_equal(got[1], 4)
    np.testing.assert_array_equal(got[2], np.arange(4))
    np.testing.assert_allclose(got[3], total, rtol=1e-6)


@every_device
@pytest.mark.parametrize("options", [{"unroll": 3}, {"checkpoint": 3}, {"truncate": 2}])
@both_ways
def test_options_do_not_change_values(device: str, options: Any, reverse: bool) -> None:
    x0, xs = gx.input("x0", (), "float64"), gx.input("xs", ("n",), "float64")

    def step(c: Any, x: Any) -> Any:
        return gx.sin(c) + x, c * x

    plain = gx.scan(step, x0, xs, reverse=reverse)
    other = gx.scan(step, x0, xs, reverse=reverse, **options)
    compiled = gx.compile([x0, xs], [*plain, *other], device=device)
    for n in (0, 1, 3, 8):
        got = compiled(0.3, normal(n))
        np.testing.assert_allclose(got[2], got[0], rtol=1e-14)
        np.testing.assert_allclose(got[3], got[1], rtol=1e-14)


@every_device
def test_scan_in_scan(device: str) -> None:
    xs = gx.input("xs", ("n", "m"), "float64")

    def row(total: Any, x: Any) -> Any:
        return gx.scan(lambda c, element: (c * 0.5 + element, c), total, x)

    last, ys = gx.scan(row, gx.constant(1.0), xs)
    compiled = gx.compile(xs, [last, ys], device=device)
    for shape in ((3, 4), (0, 4), (3, 0), (1, 1)):
        values, c = normal(*shape), 1.0
        seen = np.zeros(shape)
        for i in range(shape[0]):
            for j in range(shape[1]):
                seen[i, j] = c
                c = c * 0.5 + values[i, j]
        got = compiled(values)
        np.testing.assert_allclose(got[0], c, rtol=1e-12)
        np.testing.assert_allclose(got[1], seen, rtol=1e-12)


@every_device
def test_fori_loop_and_map(device: str) -> None:
    x = gx.input("x", ("n", 3), "float64")
    power = gx.fori_loop(2, 6, lambda i, v: v * gx.cast(i, "float64"), x)
    squares = gx.map(lambda row: gx.sum(row * row), x)
    compiled = gx.compile(
        x, [power, squares, gx.fori_loop(3, 1, lambda i, v: v + 1, x)], device=device
    )
    values = normal(4, 3)
    got = compiled(values)
    np.testing.assert_allclose(got[0], values * 120)
    np.testing.assert_allclose(got[1], (values**2).sum(1))
    np.testing.assert_array_equal(got[2], values)


@every_device
def test_bounds_of_a_fori_loop_may_be_data_or_below_zero(device: str) -> None:
    x, n, m = gx.input("x", (), "float64"), gx.input("n", (), "int32"), gx.input("m", (), "int64")
    wide = gx.input("wide", ("length",), "float64")
    bounds = [(0, n), (m, n), (m, "length"), ("length", 7), (-5, -2), (2, -1)]

    def body(i: Any, v: Any) -> Any:
        return gx.sin(v) * x + gx.cast(i, "float64")

    values = [gx.fori_loop(*pair, body, x) for pair in bounds]
    slopes = [gx.grad(value, x) for value in values]
    step = gx.compile([x, n, m, wide], [*values, *slopes], device=device)
    for last, begin in ((3, 1), (1, 3), (5, -2)):
        got = step(0.7, np.int32(last), begin, np.ones(4))
        known = {n: last, m: begin, "length": 4}
        for place, pair in enumerate(bounds):
            v, slope = 0.7, 1.0
            for i in range(*(known.get(bound, bound) for bound in pair)):
                v, slope = np.sin(v) * 0.7 + i, np.cos(v) * slope * 0.7 + np.sin(v)
            np.testing.assert_allclose(got[place], v)
            np.testing.assert_allclose(got[place + len(bounds)], slope)


@every_device
def test_parts_of_sequences_are_sequences(device: str) -> None:
    x = gx.input("x", ("n", 3), "float64")
    total, seen = gx.scan(lambda c, row: (c + row[0] * row[1], c), x[0] * 0, (x[1:], x[:-1]))
    odd, _ = gx.scan(lambda c, e: (c + e, ()), gx.constant(0.0), gx.reshape(x, (-1,))[1::2])
    step = gx.compile(x, [total, seen, odd], device=device)
    for n in (1, 2, 5):
        values = normal(n, 3)
        got = step(values)
        np.testing.assert_allclose(got[0], (values[1:] * values[:-1]).sum(0), atol=1e-14)
        assert got[1].shape == (n - 1, 3)
        np.testing.assert_allclose(got[2], values.reshape(-1)[1::2].sum(), atol=1e-14)


def test_a_part_of_symbolic_size_is_copied_unless_steps_read_it() -> None:
    x = gx.input("x", ("n", 3), "float32")
    last, _ = gx.scan(lambda c, row: (c + row * x[1], ()), x[0], x[2:])
    value = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(
        gx.compile(x, last)(value), value[0] + (value[2] + value[3]) * value[1]
    )


def test_a_part_along_the_first_axis_is_not_copied() -> None:
    x = gx.input("x", ("n", 3), "float32")
    last, _ = gx.scan(lambda c, row: (c + row, ()), gx.zeros((3,), "float32"), x[2:])
    (loop,) = (s for s in gx.compile(x, last).program.steps if isinstance(s, Repeat))
    assert ("x", 3 * atom(loop.variable) + 6) in [p for call in loop.steps for p in call.places]


@every_device
def test_what_passes_through_and_what_stands_twice(device: str) -> None:
    a, b = gx.input("a", (3,), "float64"), gx.input("b", (3,), "float64")
    xs = gx.input("xs", (5, 3), "float64")
    (p, q), (r, s, t) = gx.scan(lambda c, x: ((c[1], c[0]), (x, c[0], c[0])), (a, b), xs)
    compiled = gx.compile([a, b, xs], [p, q, r, s, t], device=device)
    one, two, rows = normal(3), normal(3), normal(5, 3)
    got = compiled(one, two, rows)
    np.testing.assert_array_equal(got[0], two)
    np.testing.assert_array_equal(got[1], one)
    np.testing.assert_array_equal(got[2], rows)
    np.testing.assert_array_equal(got[3], np.stack([one, two, one, two, one]))
    np.testing.assert_array_equal(got[4], got[3])


@every_device
def test_a_variable_is_updated_by_a_scan(device: str) -> None:
    w = gx.variable(np.ones(3), name="w")
    xs = gx.input("xs", ("n", 3), "float64")
    last, _ = gx.scan(lambda c, x: (c + x * gx.sum(w), ()), w, xs)
    step = gx.compile(xs, gx.sum(w), updates={w: last}, device=device)
    rows = normal(4, 3)
    assert step(rows) == 3.0
    np.testing.assert_allclose(w.value, 1 + 3 * rows.sum(0))


@every_device
@pytest.mark.parametrize("reverse", [False, True])
def test_a_variable_is_updated_by_what_a_scan_stacks(device: str, reverse: bool) -> None:
    c, w = gx.input("c", (2,), "float64"), gx.variable(np.zeros((3, 2)), name="w")
    last, rows = gx.scan(lambda s, _: (s * 2, s), c, length=3, reverse=reverse)
    step = gx.compile(c, last, updates={w: rows}, device=device)
    np.testing.assert_array_equal(step(np.array([1.0, 3.0])), [8, 24])
    powers = np.array([[1.0, 3.0], [2, 6], [4, 12]])
    np.testing.assert_array_equal(w.value, powers[::-1] if reverse else powers)


@every_device
def test_a_batch_of_loops_without_steps_reads_products(device: str) -> None:
    c, x = gx.input("c", (2, 3, 3), "float64"), gx.input("x", (2, 1, 3, 3), "float64")
    w = gx.variable(normal(3, 3))

    def made(unroll: int) -> Any:
        def loop(c: Any, x: Any) -> Any:
            step = lambda c, x: (x * 0.5, gx.tanh(c @ w))  # noqa: E731
            return gx.scan(step, c, x, unroll=unroll, reverse=True)

        last, rows = gx.vmap(loop)(c, x)
        loss = gx.sum(gx.sin(last) * last) + gx.sum(gx.sin(rows + 1) * rows)
        return gx.compile([c, x], [last, rows, *gx.grad(loss, [c, x, w])], device=device)

    given = normal(2, 3, 3), normal(2, 1, 3, 3)
    for one, three in zip(made(1)(*given), made(3)(*given), strict=True):
        np.testing.assert_allclose(three, one)


# --- how it runs ---------------------------------------------------------------------------------


def accumulate() -> tuple[Any, Any, Any]:
    """A small scan: its two inputs, and its results."""
    x0, xs = gx.input("x0", (4,), "float32"), gx.input("xs", ("n", 4), "float32")
    return x0, xs, gx.scan(lambda c, x: (gx.exp(c) + x, c * 2.0), x0, xs)


def test_a_scan_is_one_native_loop() -> None:
    x0, xs, results = accumulate()
    program = gx.compile([x0, xs], list(results)).program
    (loop,) = (step for step in program.steps if isinstance(step, Repeat))
    assert str(loop.variable.limit) == "n"
    assert all(isinstance(step, CallKernel) for step in loop.steps)


def test_what_does_not_change_is_computed_before_the_loop() -> None:
    w, xs = gx.input("w", (4, 4), "float32"), gx.input("xs", ("n", 4), "float32")
    last, _ = gx.scan(lambda c, x: (c @ gx.exp(w.T) + x, ()), xs[0], xs)
    (scan,) = (node for node in Graph((w, xs), (last,)).walk() if node.op.name == "scan")
    inside = {node.op.name for node in scan.attrs["body"].walk()}
    assert "exp" not in inside
    assert "permute_dims" not in inside


def test_programs_with_loops_are_read_as_they_are_written() -> None:
    x0, xs, results = accumulate()
    graph = Graph((x0, xs), tuple(results))
    for what in (graph, fuse(graph), lower(fuse(graph)), gx.compile([x0, xs], results).program):
        text = print_text(what)
        assert print_text(parse(text)) == text
    assert "repeat %i0 < n {" in print_text(lower(fuse(graph)))


def test_temporaries_of_a_step_share_memory() -> None:
    xs = gx.input("xs", (100, 1000), "float32")

    def step(c: Any, x: Any) -> Any:
        for _ in range(6):
            c = c - gx.max(c) + x
        return c, ()

    last, _ = gx.scan(step, xs[0], xs)
    assert gx.compile(xs, last).memory().arena <= 5 * 4096


# --- what is refused -----------------------------------------------------------------------------

X = gx.input("x", (3,), "float32")
XS = gx.input("xs", ("n", 3), "float32")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gx.scan(lambda c, x: (gx.sum(c), x), X, XS), r"begins as f32\[3\].*f32\[\]"),
        (lambda: gx.scan(lambda c, x: (gx.cast(c, "float64"), x), X, XS), "f32.*f64"),
        (lambda: gx.scan(lambda c, x: c, X, XS), r"must return \(carry, y\)"),
        (lambda: gx.scan(lambda c, x: ((c, c), x), X, XS), "same structure as init"),
        (lambda: gx.scan(lambda c, x: (c, "y"), X, XS), "must be a node or an array, not 'y'"),
        (lambda: gx.scan(lambda c, x: (c, x), X, (XS, X)), "lengths differ: n and 3"),
        (lambda: gx.scan(lambda c, x: (c, x), X, XS, length=4), "lengths differ: n and 4"),
        (lambda: gx.scan(lambda c, x: (c, x), X, gx.sum(X)), "must have a first axis"),
        (lambda: gx.scan(lambda c, x: (c, ()), X), "give sequences or a length"),
        (
            lambda: gx.scan(lambda c, x: (c, x), X, XS, unroll=0),
            "unroll must be an integer above 0",
        ),
        (lambda: gx.scan(lambda c, x: (c, x), X, XS, truncate=1.5), "truncate must be"),
        (lambda: gx.scan(lambda c, x: (c, x), X, XS, checkpoint="sqrt"), "needs a length"),
        (
            lambda: gx.fori_loop(X, 3, lambda i, v: v, X),
            "start must be one integer, not f",
        ),
    ],
)
def test_refusals_name_what_is_wrong(make: Any, message: str) -> None:
    with pytest.raises(gx.GraphError, match=message) as error:
        make()
    assert error.value.where is not None
    assert error.value.where.file == __file__


def test_a_size_that_only_a_length_needs_must_be_decided() -> None:
    last, _ = gx.scan(lambda c, _: (c + 1, ()), X, length="steps")
    with pytest.raises(gx.GraphError, match="no input decides the size 'steps'"):
        gx.compile(X, last)


# --- time and memory -----------------------------------------------------------------------------


def lstm(length: int, checkpoint: Any = None) -> tuple[list[Any], list[Any]]:
    """The inputs of a loss over an LSTM cell, and the loss with its gradients."""
    xs = gx.input("xs", (length, 1, 32), "float32")
    shapes = {"w": (32, 128), "u": (32, 128), "b": (128,)}
    w, u, b = (gx.input(name, shape, "float32") for name, shape in shapes.items())

    def step(carry: Any, x: Any) -> Any:
        h, c = carry
        z = x @ w + h @ u + b
        i, f, g, o = (z[:, 32 * k : 32 * (k + 1)] for k in range(4))
        c = gx.sigmoid(f) * c + gx.sigmoid(i) * gx.tanh(g)
        return (gx.sigmoid(o) * gx.tanh(c), c), ()

    zero = gx.zeros((1, 32), "float32")
    (h, _), _ = gx.scan(step, (zero, zero), xs, checkpoint=checkpoint)
    loss = gx.sum(h * h)
    return [xs, w, u, b], [loss, *gx.grad(loss, [w, u, b])]


def test_a_long_lstm_compiles_to_as_little_as_a_short_one() -> None:
    short, long = (gx.compile(*lstm(n)).program for n in (1_000, 10_000))
    assert len(long.calls) < 40
    assert len(str(long)) < 1.2 * len(str(short))


def test_memory_with_checkpoints_grows_as_the_root_of_the_length() -> None:
    arenas = [gx.compile(*lstm(n, "sqrt")).memory().arena for n in (1000, 4000, 16_000)]
    assert arenas[2] - arenas[1] < 2.2 * (arenas[1] - arenas[0])
    assert arenas[2] < 1.5 * arenas[0]
    assert gx.compile(*lstm(16_000)).memory().arena > 10 * arenas[2]


def test_a_loop_of_several_results_that_is_the_same_in_every_step():
    x = gx.input("x", (4,), "float32")
    _, stacked = gx.scan(
        lambda c, _: (c, gx.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + c), (0, c))),
        x,
        length=5,
    )
    counts, sums = gx.compile([x], stacked)(np.ones(4, np.float32))
    assert counts.tolist() == [3] * 5
    assert np.array_equal(sums, np.full((5, 4), 4, np.float32))
