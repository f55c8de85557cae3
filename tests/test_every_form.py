"""Every simplification that is a function, and every stable form of a sum: both sides evaluated.

Each has one example, a graph that it applies to; a form without an example fails.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply
from graphc.lang.creation import input
from graphc.lang.exponential import exp, log
from graphc.lang.movement import broadcast_to, concat, flip, pad, permute_dims, reshape
from graphc.lang.operands import broadcast_node, constant
from graphc.lang.reduction import all, any, max, min, prod, sum
from graphc.passes import simplify_movement as movement
from graphc.passes import simplify_reductions as reductions
from graphc.passes import stabilise_sums as sums
from graphc.passes.differentiate import grad
from graphc.passes.fold_constants import fold, fold_constants, fold_splats
from graphc.passes.remove_duplicates import remove_duplicates
from graphc.passes.simplify import merge_casts, simplify, spread_constant
from graphc.passes.stabilise import stabilise
from graphc.runtime.reference.evaluate import evaluate

Array = np.ndarray[Any, Any]
Example = tuple[Callable[[Node], Node | None], Callable[[Node], Node]]


def rows(x: Node) -> Node:
    """A row from the first column, repeated: x is (3, 4), the result (5, 3)."""
    return broadcast_node(x[:, 0], (5, 3))


def fill(x: Node, shape: tuple[int, ...]) -> Node:
    """One element of x, repeated over a shape."""
    return broadcast_node(x[0, 0], shape)


def softmax(x: Node) -> Node:
    """The naive form, along the last axis; the sum is repeated by one broadcast."""
    e = exp(x)
    return e / apply("broadcast", sum(e, 1), shape=x.shape, axes=(0,))


def slope(x: Node) -> Node:
    """The gradient of the naive softmax's logarithm along a direction, simplified."""
    slope: Node = grad(sum(log(softmax(x)) * WEIGHTS), x)
    return passed(slope, x, simplify)


WEIGHTS = np.linspace(-1.0, 1.0, 12).reshape(3, 4)

EXAMPLES: dict[str, Example] = {
    "operate_before_broadcast": (movement.operate_before_broadcast, lambda x: exp(rows(x))),
    "operate_before_broadcast, two": (
        movement.operate_before_broadcast, lambda x: rows(x) + rows(exp(x)),
    ),
    "operate_before_broadcast, with a number": (
        movement.operate_before_broadcast, lambda x: rows(x) * 2,
    ),
    "operate_before_reshape": (
        movement.operate_before_reshape, lambda x: reshape(x, (3, 1, 4)) * 2,
    ),
    "move_before_fill": (movement.move_before_fill, lambda x: fill(x, (6, 2))[1:4, ::-1]),
    "drop_same_shape": (
        movement.drop_same_shape, lambda x: apply("reshape", x, shape=x.shape),
    ),
    "merge_reshapes": (movement.merge_reshapes, lambda x: reshape(reshape(x, (2, 6)), (4, 3))),
    "merge_broadcasts": (
        movement.merge_broadcasts, lambda x: broadcast_node(rows(x), (2, 5, 3)),
    ),
    "broadcast_without_ones": (
        movement.broadcast_without_ones,
        lambda x: apply("broadcast", reshape(x, (3, 1, 4)), shape=(3, 1, 2, 4), axes=(0, 1, 3)),
    ),
    "drop_permutation": (
        movement.drop_permutation, lambda x: apply("permute_dims", x, axes=(0, 1)),
    ),
    "merge_permutations": (
        movement.merge_permutations,
        lambda x: permute_dims(permute_dims(reshape(x, (3, 2, 2)), (1, 2, 0)), (0, 2, 1)),
    ),
    "permute_before_broadcast": (
        movement.permute_before_broadcast,
        lambda x: permute_dims(broadcast_to(x, (5, 3, 4)), (2, 0, 1)),
    ),
    "drop_flip": (movement.drop_flip, lambda x: flip(reshape(x, (3, 1, 4)), 1)),
    "merge_flips": (movement.merge_flips, lambda x: flip(flip(x), 0)),
    "drop_slice": (
        movement.drop_slice,
        lambda x: apply("slice", x, starts=(0, 0), sizes=(3, 4), steps=(1, 1)),
    ),
    "merge_slices": (movement.merge_slices, lambda x: x[::-1, 1:][1:, ::2]),
    "unpad": (movement.unpad, lambda x: pad(x, ((1, 2), (3, 0)))[1:4, 3:]),
    "drop_pad": (
        movement.drop_pad,
        lambda x: apply("pad", x, low=(0, 0), high=(0, 0), interior=(0, 0)),
    ),
    "pad_zeros": (
        movement.pad_zeros,
        lambda x: apply(
            "pad", broadcast_node(constant(0.0), (2,)), low=(1,), high=(1,), interior=(2,)
        ),
    ),
    "drop_empty_pieces": (movement.drop_empty_pieces, lambda x: concat([x[:0], x, x[:0]])),
    "join_fills": (movement.join_fills, lambda x: concat([fill(x, (2, 3)), fill(x, (4, 3))])),
    "reduce_without_ones": (
        reductions.reduce_without_ones, lambda x: sum(reshape(x, (3, 1, 4)), (1, 2)),
    ),
    "reduce_without_ones, all of them": (
        reductions.reduce_without_ones, lambda x: max(reshape(x, (3, 1, 4)), 1),
    ),
    "merge_reductions": (
        reductions.merge_reductions, lambda x: sum(sum(reshape(x, (3, 2, 2)), 1), 1),
    ),
    "merge_reductions, product": (reductions.merge_reductions, lambda x: prod(prod(x, 0), 0)),
    "sum_before_broadcast": (reductions.sum_before_broadcast, lambda x: sum(rows(x), 0)),
    "sum_before_broadcast, and more": (
        reductions.sum_before_broadcast, lambda x: sum(broadcast_node(x, (2, 3, 4)), (0, 2)),
    ),
    "pick_before_broadcast": (reductions.pick_before_broadcast, lambda x: min(rows(x))),
    "pick_before_broadcast, any": (
        reductions.pick_before_broadcast, lambda x: any(broadcast_node(x[:, 0] > 0, (5, 3))),
    ),
    "pick_before_broadcast, all": (
        reductions.pick_before_broadcast, lambda x: all(broadcast_node(x[:, 0] > 0, (5, 3)), 0),
    ),
    "merge_casts": (
        merge_casts, lambda x: x.astype("int8").astype("float32").astype("float64"),
    ),
    "merge_casts, there and back": (
        merge_casts, lambda x: x.astype("int8").astype("int64").astype("int8"),
    ),
    "merge_casts, modular": (
        merge_casts, lambda x: (x * 1e9).astype("int64").astype("int16").astype("uint8"),
    ),
    "spread_constant": (spread_constant, lambda x: constant(np.full((2, 3), -0.0))),
    "fold": (fold, lambda x: sum(constant(WEIGHTS), 1)),
    "fold_splats": (fold_splats, lambda x: exp(broadcast_node(constant(2.0), (2, 3)))),
    "shift_log_of_sum": (sums.shift_log_of_sum, lambda x: log(sum(exp(x), 1))),
    "shift_softmax": (sums.shift_softmax, softmax),
    "split_log_of_softmax": (sums.split_log_of_softmax, lambda x: log(softmax(x))),
    "cancel_sum": (sums.cancel_sum, slope),
}  # fmt: skip
"""For each form (the word before a comma) a graph on x, which is (3, 4)."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_form_keeps_the_value(name: str) -> None:
    form, example = EXAMPLES[name]
    x = input("x", (3, 4), "float64")
    before = example(x)
    after = form(before)
    assert after is not None
    assert after is not before
    assert after.type == before.type
    values = {x: np.random.default_rng(0).normal(size=(3, 4))}
    left, right = evaluate(Graph((x,), (before, after)), values)
    assert left.dtype == right.dtype
    np.testing.assert_allclose(right, left, rtol=1e-12, atol=1e-15)


def test_every_form_has_an_example() -> None:
    tables = (movement.FORMS.values(), reductions.FORMS.values(), [sums.FORMS])
    forms = {form.__name__ for table in tables for listed in table for form in listed}
    assert forms <= {name.partition(",")[0] for name in EXAMPLES}


EXTREME = np.array([[1e3, -1e3, 0.0, 999.0], [-2e3, -2e3, -2001.0, -3e3], [0.1, 0.2, 0.3, 0.4]])


def passed(node: Node, x: Node, *passes: Callable[[Graph], Graph]) -> Node:
    """The node after passes."""
    graph = Graph((x,), (node,))
    for change in passes:
        graph = change(graph)
    return graph.outputs[0]


def value(node: Node, x: Node, array: Array) -> Array:
    """The value of a node."""
    (result,) = evaluate(Graph((x,), (node,)), {x: array})
    return np.asarray(result)


def true_softmax(x: Array) -> Array:
    """The softmax along the last axis, shifted."""
    e = np.exp(x - x.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


STABLE = (simplify, stabilise, fold_constants, simplify, remove_duplicates)


@pytest.mark.parametrize("keepdims", [False, True])
def test_a_naive_logsumexp_comes_out_stable(keepdims: bool) -> None:
    x = input("x", (3, 4), "float64")
    naive = log(sum(exp(x), axis=1, keepdims=keepdims))
    top = EXTREME.max(1)
    truth = np.log(np.exp(EXTREME - top[:, None]).sum(1)) + top
    stable = value(passed(naive, x, *STABLE), x, EXTREME)
    np.testing.assert_allclose(stable.reshape(3), truth, rtol=1e-12)
    assert not np.all(np.isfinite(value(naive, x, EXTREME)))


def test_the_gradient_of_a_naive_logsumexp_is_the_softmax() -> None:
    x = input("x", (3, 4), "float64")
    slope = grad(sum(log(sum(exp(x), axis=1))), x)
    stable = value(passed(slope, x, *STABLE), x, EXTREME)
    np.testing.assert_allclose(stable, true_softmax(EXTREME), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("shifted", [False, True])
def test_the_gradient_of_a_naive_cross_entropy_is_stable(shifted: bool) -> None:
    x = input("x", (3, 4), "float64")
    e = exp(x - max(x, axis=1, keepdims=True)) if shifted else exp(x)
    loss = -sum(np.eye(3, 4) * log(e / sum(e, axis=1, keepdims=True)))
    stable = value(passed(grad(loss, x), x, *STABLE), x, EXTREME)
    np.testing.assert_allclose(stable, true_softmax(EXTREME) - np.eye(3, 4), atol=1e-12)
    naive = value(grad(loss, x), x, EXTREME)
    assert not np.all(np.isfinite(naive))


def test_the_gradient_of_a_naive_binary_cross_entropy_is_stable() -> None:
    x = input("x", (3, 4), "float64")
    t = np.arange(12).reshape(3, 4) % 2.0
    p = 1 / (1 + exp(-x))
    loss = -sum(t * log(p) + (1 - t) * log(1 - p))
    stable = value(passed(grad(loss, x), x, *STABLE), x, EXTREME)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(stable, 1 / (1 + np.exp(-EXTREME)) - t, atol=1e-12)
    assert not np.all(np.isfinite(value(grad(loss, x), x, EXTREME)))


def test_the_gradient_of_a_naive_softplus_is_stable() -> None:
    x = input("x", (3, 4), "float64")
    slope = grad(sum(log(1 + exp(x))), x)
    stable = value(passed(slope, x, *STABLE), x, EXTREME)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(stable, 1 / (1 + np.exp(-EXTREME)), atol=1e-12)
    assert not np.all(np.isfinite(value(slope, x, EXTREME)))
