"""vmap of loops and branches: equal to a loop over the examples, or refused in words."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sample import Array

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.passes.batch import vmap
from graphc.passes.differentiate import grad, jvp
from graphc.passes.merge_loops import merge_loops

EXAMPLES, STEPS = 3, 5
FLAGS = [flags for flags in itertools.product((True, False), repeat=3) if any(flags)]
Function = Callable[..., Any]


def arrays_for(flags: tuple[bool, ...], *shapes: tuple[int, ...]) -> list[Array]:
    """Random arrays, with examples in front where the flags say so."""
    random = np.random.default_rng(7)
    pairs = zip(shapes, flags, strict=True)
    return [random.normal(size=(EXAMPLES, *s) if flag else s) for s, flag in pairs]


def compare(
    function: Function,
    arrays: list[Array],
    flags: tuple[bool, ...],
    devices: tuple[str, ...] = ("cpu", "reference"),
) -> None:
    """A function on a batch, of fixed and of symbolic size, against the loop over examples."""
    one = [
        gx.input(f"y{k}", a.shape[1:] if flag else a.shape, a.dtype.name)
        for k, (a, flag) in enumerate(zip(arrays, flags, strict=True))
    ]
    single = gx.compile(one, function(*one))
    rows = [
        single(*(a[k] if f else a for a, f in zip(arrays, flags, strict=True)))
        for k in range(EXAMPLES)
    ]
    for size in (EXAMPLES, "examples"):
        xs = [
            gx.input(f"x{k}", (size, *a.shape[1:]) if flag else a.shape, a.dtype.name)
            for k, (a, flag) in enumerate(zip(arrays, flags, strict=True))
        ]
        whole = vmap(function, [0 if flag else None for flag in flags])(*xs)
        for device in devices:
            got = gx.compile(xs, whole, device=device)(*arrays)
            for place, result in enumerate(got):
                want = np.stack([row[place] for row in rows])
                np.testing.assert_allclose(result, want, rtol=1e-12, atol=1e-13)


def recurrence(reverse: bool) -> Function:
    """A scan of a carry, a sequence and a constant, with a counter that all examples share."""

    def function(start: Node, xs: Node, w: Node) -> Any:
        def step(carry: Any, x: Node) -> Any:
            h, zero, count = carry
            h = gx.tanh(w @ h + x * gx.cast(count, "float64"))
            return (h, zero + x, count + 1), (h * 2, x, count)

        zero = gx.zeros((2,), "float64")
        (h, total, count), (hs, again, counts) = gx.scan(
            step, (start, zero, gx.constant(1, "int64")), xs, reverse=reverse
        )
        return h, total, count, hs, again, counts

    return function


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("flags", FLAGS)
def test_a_scan(flags: tuple[bool, ...], reverse: bool) -> None:
    compare(recurrence(reverse), arrays_for(flags, (2,), (STEPS, 2), (2, 2)), flags)


def loss_of(start: Node, xs: Node, w: Node) -> Node:
    """A scalar by way of all results."""
    h, total, _, hs, _, _ = recurrence(False)(start, xs, w)
    return gx.sum(h * total) + gx.sum(gx.square(hs))


@pytest.mark.parametrize("flags", FLAGS)
def test_gradients_of_a_scan(flags: tuple[bool, ...]) -> None:
    arrays = arrays_for(flags, (2,), (STEPS, 2), (2, 2))
    compare(lambda *x: grad(loss_of(*x), list(x)), arrays, flags)
    compare(lambda *x: [jvp(loss_of(*x), x[1], x[1] * 2)], arrays, flags)


def test_the_gradient_of_a_batch_is_the_batch_of_gradients() -> None:
    flags = (True, True, False)
    arrays = arrays_for(flags, (2,), (STEPS, 2), (2, 2))
    xs = [gx.input(f"x{k}", array.shape, "float64") for k, array in enumerate(arrays)]
    axes = [0, 0, None]
    each = vmap(lambda *x: grad(loss_of(*x), x[2]), axes)(*xs)
    whole = grad(gx.sum(vmap(loss_of, axes)(*xs)), xs[2])
    got, want = gx.compile(xs, [gx.sum(each, axis=0), whole])(*arrays)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_a_scan_in_a_scan_and_a_batch_in_a_batch() -> None:
    def function(x: Node, y: Node) -> Any:
        inner = lambda c, v: gx.scan(lambda d, u: (d * u + v, d), c, y)  # noqa: E731
        return [gx.scan(inner, x[0], x)[1]]

    for flags in ((True, True), (True, False), (False, True)):
        compare(function, arrays_for(flags, (4,), (3,)), flags)
    nested = lambda x, y: [vmap(lambda v: gx.scan(lambda c, u: (c * v + u, c), v, y)[1])(x)]  # noqa: E731
    compare(nested, arrays_for((True, True), (4,), (3,)), (True, True))


def branch(p: Node, x: Node, y: Node) -> Any:
    """A choice with a result that one arm takes from x, one from y, and one from neither."""
    return gx.cond(
        p[0] > 0,
        lambda x, y: (gx.sqrt(x * x + 1) * y, gx.sum(x), gx.zeros((), "float64")),
        lambda x, y: (y - 1, gx.sum(y), gx.ones((), "float64")),
        x,
        y,
    )


@pytest.mark.parametrize("flags", FLAGS)
def test_a_cond_of_either_kind(flags: tuple[bool, ...]) -> None:
    for sign in (1, -1):
        p, x, y = arrays_for(flags, (1,), (2,), (2,))
        arrays = [sign * p, x, y]
        compare(branch, arrays, flags)
        compare(lambda *v: grad(gx.sum(branch(*v)[0]), [v[1], v[2]]), arrays, flags)


def test_a_shared_condition_stays_a_branch() -> None:
    p, x = gx.input("p", (1,), "float64"), gx.input("x", (EXAMPLES, 2), "float64")
    shared = vmap(lambda v: branch(p, v, v)[0])(x)
    assert shared.inputs[0].op.name == "cond"
    each = vmap(lambda v: branch(v, v, v)[0])(x)
    assert each.op.name == "where"


def doubled(x: Node, bound: Node) -> Any:
    """x doubled as often as a count fits below a bound."""

    def step(state: Any) -> Any:
        return state[0] * 2, state[1] + 1.0

    return gx.while_loop(lambda state: state[1] < bound, step, (x, gx.constant(0.0, "float64")))


def test_a_while_loop_whose_condition_all_share() -> None:
    arrays = [np.arange(6.0).reshape(EXAMPLES, 2), np.array(4.5)]
    compare(doubled, arrays, (True, False))


def ending_apart(x: Node, bound: Node, w: Node) -> Any:
    """A loop whose number of steps depends on all operands, with a counter."""

    def step(state: Any) -> Any:
        v, count, total = state
        return v * 1.5 + gx.sqrt(v * v) @ w, count + 1, total + v[0]

    last, count, total = gx.while_loop(
        lambda state: gx.sum(state[0] ** 2) < gx.exp(bound),
        step,
        (x, gx.constant(0), gx.constant(0.0)),
        checkpoints=2,
    )
    return gx.sum(last) + total, count


def operands_apart(flags: tuple[bool, ...]) -> list[Array]:
    """Operands for which examples take none, one and several steps."""
    x = np.array([[0.1, 0.2], [3.0, 4.0], [1.0, -0.5]])
    bound = np.array([2.5, 1.0, 4.0])
    w = np.array([[0.1, 0.2], [0.3, 0.1]]) * np.array([1.0, 1.5, 2.0])[:, None, None]
    return [a if flag else a[0] for a, flag in zip((x, bound, w), flags, strict=True)]


@pytest.mark.parametrize("flags", FLAGS)
def test_a_while_loop_ends_for_each_example_by_itself(flags: tuple[bool, ...]) -> None:
    compare(ending_apart, operands_apart(flags), flags)


@pytest.mark.parametrize("flags", FLAGS[3:5])
def test_derivatives_of_loops_that_end_apart(flags: tuple[bool, ...]) -> None:
    def derivatives(*operands: Node) -> Any:
        loss = ending_apart(*operands)[0]
        return [*grad(loss, list(operands)), jvp(loss, [operands[0]], [operands[0] * 2])]

    compare(derivatives, operands_apart(flags), flags)


def test_second_derivatives_of_loops_that_end_apart() -> None:
    def derivatives(*operands: Node) -> Any:
        first = grad(ending_apart(*operands)[0], list(operands))
        return grad(gx.sum(first[0] ** 2) + gx.sum(first[2] ** 2), list(operands))

    flags = (True, False, False)
    compare(derivatives, operands_apart(flags), flags, ("reference",))


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_gradients_of_a_batch_that_ends_apart(device: str) -> None:
    flags = (True, True, False)
    arrays = operands_apart(flags)
    xs = [gx.input(f"x{k}", array.shape, "float64") for k, array in enumerate(arrays)]
    loss = lambda *x: ending_apart(*x)[0]  # noqa: E731
    axes = [0, 0, None]
    each = vmap(lambda *x: grad(loss(*x), list(x)), axes)(*xs)
    whole = grad(gx.sum(vmap(loss, axes)(*xs)), xs)
    size = lambda parts: sum((gx.sum(part**2) for part in parts), gx.constant(0.0))  # noqa: E731
    again = grad(size([each[0], each[1], gx.sum(each[2], axis=0)]), xs)
    outputs = [[each[0], each[1], gx.sum(each[2], axis=0)], whole, again, grad(size(whole), xs)]
    got = gx.compile(xs, outputs, device=device)(*arrays)
    for one, other in zip((*got[0], *got[2]), (*got[1], *got[3]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_batch_of_batches_that_end_apart() -> None:
    def function(x: Node, bounds: Node) -> Any:
        w = gx.constant(np.full((2, 2), 0.2))
        inner = lambda b: grad(ending_apart(x, b, w)[0], x)  # noqa: E731
        return [vmap(inner)(bounds)]

    arrays = [np.array([[0.1, 0.2], [3.0, 4.0], [1.0, -0.5]]), np.array([1.0, 3.0, 2.0, 5.0])]
    compare(function, arrays, (True, False))


def test_loops_that_end_apart_inside_loops_and_around_them() -> None:
    def inside(x: Node, bound: Node) -> Any:
        step = lambda c, e: (gx.while_loop(lambda v: v < bound, lambda v: v * 2 + e, c), c)  # noqa: E731
        last, seen = gx.scan(step, gx.exp(x[0]), gx.exp(x))
        return [last, seen, grad(last, x)]

    def around(x: Node, bound: Node) -> Any:
        step = lambda c: gx.scan(lambda d, e: (d + e * c, ()), c, gx.exp(x))[0]  # noqa: E731
        last = gx.while_loop(lambda v: v < gx.exp(bound), step, gx.exp(x[0]))
        return [last, grad(last, x)]

    for flags in ((True, False), (False, True)):
        for function in (inside, around):
            compare(function, arrays_for(flags, (3,), ()), flags, ("reference",))


def test_examples_that_have_ended_make_no_nan() -> None:
    def descent(x: Node, w: Node) -> Node:
        step = lambda v: v - (gx.log(v - 0.45) + 4.0) @ w  # noqa: E731
        return gx.sum(gx.while_loop(lambda v: gx.min(v) > 0.5, step, x))

    rows = np.array([[1.0, 2.0], [-1.0, 3.0], [0.6, 0.7], [0.46, 5.0], [3.0, np.inf]])
    matrix = np.array([[0.1, 0.02], [0.03, 0.05]])
    x, xs, w = (gx.input(name, s, "float64") for name, s in
                (("x", (2,)), ("xs", (5, 2)), ("w", (2, 2))))  # fmt: skip
    single = gx.compile([x, w], [descent(x, w), *grad(descent(x, w), [x, w])])
    want = [single(row, matrix) for row in rows[:4]]
    whole = vmap(descent, (0, None))(xs[:4], w)
    size = gx.sum(whole)
    first = grad(size, [xs, w])
    outputs = [whole, *first, jvp(whole, [xs, w], [xs * 0 + 1, w]), grad(gx.sum(first[1] ** 2), w)]
    for device in ("cpu", "reference"):
        got = gx.compile([xs, w], outputs, device=device)(np.where(rows < 9, rows, 0.0), matrix)
        np.testing.assert_allclose(got[0], [row[0] for row in want])
        np.testing.assert_allclose(got[1][:4], [row[1] for row in want])
        np.testing.assert_allclose(got[2], sum(row[2] for row in want))
        assert all(np.isfinite(array).all() for array in got)


def test_a_batch_of_none_takes_no_step() -> None:
    for size in (0, "examples"):
        xs = gx.input("xs", (size, 2), "float64")
        out = vmap(lambda x: gx.while_loop(lambda v: gx.sum(v) < 9, lambda v: v + 1, x))(xs)
        for device in ("cpu", "reference"):
            got = gx.compile(xs, [out, grad(gx.sum(out), xs)], device=device)(np.zeros((0, 2)))
            assert [array.shape for array in got] == [(0, 2), (0, 2)]


def test_the_batch_of_a_gradient_shares_the_forward_loop() -> None:
    arrays = arrays_for((True,) * 3, (2,), (STEPS, 2), (2, 2))
    xs = [gx.input(f"x{k}", array.shape, "float64") for k, array in enumerate(arrays)]

    def function(*x: Node) -> Any:
        loss = loss_of(*x)
        return [loss, grad(loss, x[2])]

    outputs = vmap(function)(*xs)
    merged = merge_loops(Graph(tuple(xs), tuple(outputs)))
    assert sum(node.op.name == "scan" for node in merged.walk()) == 2
