"""How large a constant may become: small, or not much larger than what it comes from."""

import numpy as np

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.passes.fold_constants import MOST_ELEMENTS, MOST_GROWTH, fold_constants

LARGE = MOST_ELEMENTS + 1


def is_folded(node: Node) -> bool:
    """Whether the pass makes a constant of a node."""
    (found,) = fold_constants(Graph((), (node,))).outputs
    return found.op.name == "constant"


def test_a_large_constant_gives_others() -> None:
    many = gx.constant(np.arange(LARGE, dtype=np.float32))
    assert is_folded(gx.flip(many))
    assert is_folded(gx.concat([many] * MOST_GROWTH))


def test_nothing_else_becomes_large() -> None:
    many = gx.constant(np.arange(LARGE, dtype=np.float32))
    few = gx.constant(np.arange(LARGE // 1000, dtype=np.float32))
    assert not is_folded(gx.concat([many] * (MOST_GROWTH + 1)))
    assert not is_folded(gx.concat([few] * 2000))
    assert not is_folded(gx.concat([gx.zeros((LARGE,)), gx.ones((LARGE,))]))


def test_nothing_along_an_axis_of_symbolic_size_stays() -> None:
    x = gx.input("x", (3, "s", 0), "float32")
    ones = gx.ones_like(x)
    words = [
        gx.cumulative_sum(ones, axis=0),
        gx.prod(ones, axis=0),
        gx.matrix_transpose(ones) @ ones,
    ]
    found = gx.compile([x], words)(np.ones((3, 4, 0), np.float32))
    assert [array.shape for array in found] == [(3, 4, 0), (4, 0), (3, 0, 0)]
