"""What words of linear algebra ask of their arguments, with messages in the user's terms."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.graph import items_of
from graphc.ir.node import Node, apply, describe
from graphc.ir.types import float32, float64
from graphc.lang.operands import ArrayLike, as_node, same_dtype, to_float


def floats(x: ArrayLike, what: str) -> Node:
    """A node of float32 or float64, made of integers too; GraphError for narrower floats."""
    return checked_dtype(to_float(as_node(x)), what)


def checked_dtype(node: Node, what: str) -> Node:
    """The node itself; GraphError unless it is of float32 or float64."""
    if node.dtype.is_complex:
        raise GraphError(f"{what}: takes real matrices, this is {node.type}{describe([node])}")
    if node.dtype not in (float32, float64):
        raise GraphError(
            f"{what}: takes float32 or float64, this is {node.type}: cast it{describe([node])}"
        )
    return node


def matrices(x: ArrayLike, what: str) -> Node:
    """Matrices (..., m, n) of floats; GraphError for fewer axes."""
    node = floats(x, what)
    if node.ndim < 2:
        raise GraphError(
            f"{what}: takes matrices (..., m, n), this is {node.type}{describe([node])}"
        )
    return node


def square(x: ArrayLike, what: str) -> Node:
    """Square matrices (..., n, n) of floats; GraphError for others."""
    node = matrices(x, what)
    if node.shape[-1] != node.shape[-2]:
        raise GraphError(
            f"{what}: takes square matrices (..., n, n), this is {node.type}{describe([node])}"
        )
    return node


def system(a: ArrayLike, b: ArrayLike, what: str) -> tuple[Node, Node]:
    """Matrices (..., m, n) and right-hand sides (m,) or (..., m, k), of one dtype.

    GraphError where they do not fit.
    """
    left, right = (to_float(node) for node in same_dtype(a, b))
    left, right = matrices(left, what), checked_dtype(right, what)
    rows = right.shape[-1 if right.ndim == 1 else -2 :][:1]
    if rows != left.shape[-2:-1]:
        raise GraphError(
            f"{what}: {left.type} has {left.shape[-2]} rows and {right.type} does not: right-hand "
            f"sides are (m,) or (..., m, k) for matrices (..., m, n){describe([left, right])}"
        )
    return left, right


def results(name: str, x: Node, **attrs: bool) -> list[Node]:
    """The results of an operator that has several."""
    return items_of(apply(name, x, **attrs))
