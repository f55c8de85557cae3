"""Derivatives of singular values and vectors: Townsend, Differentiating the SVD (2016).

P is 1 / (value j - value i) and Q is 1 / (value j + value i), and 0 where rounding may have made
the difference: then vectors have no derivatives, and what depends on their spaces alone, as U V^T,
has the right one. The columns that make U and V square are a basis of what is left, which turns no
further than it must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.node import Node, say
from graphc.ops.matrices import added, turned
from graphc.ops.spectra import columns, inverse_differences, inverse_or_zero


@dataclass(frozen=True, slots=True)
class Side:
    """Vectors of one side as columns: those of values, and the others, if there are any."""

    own: Node
    rest: Node | None

    def outward(self, x: Node) -> Node:
        """What of some columns is not in the space of the own ones."""
        return x - product(self.own, product(turned(self.own), x))


def side(vectors: Node, values: Node) -> Side:
    """The columns of U or V, parted."""
    count = values.shape[-1]
    if vectors.shape[-1] == count:
        return Side(vectors, None)
    rest = columns(vectors, count, vectors.shape[-1] - count)
    return Side(columns(vectors, 0, count), rest)


def pull_back_svd(u: Node, values: Node, v: Node, gradients: Sequence[Node | None]) -> Node:
    """U (diag(gradient of values) + P * (A + B) / 2 + Q * (A - B) / 2) V^T, and what leads out.

    A = U^T gradient of U less its transpose, B the same of V. u and v may be square; gradients are
    by U, by the values and by V.
    """
    by_u, by_values, by_v = gradients
    left, right = side(u, values), side(v, values)
    inner, outer = [], []
    if by_values is not None:
        inner.append(row(by_values) * say("eye", values.shape[-1], dtype=values.dtype))
    if by_u is not None:
        turning, leading = pull_side(left, right, values, by_u)
        inner.append(turning * factors(values, 1))
        outer.append(leading)
    if by_v is not None:
        turning, leading = pull_side(right, left, values, by_v)
        inner.append(turning * factors(values, -1))
        outer.append(turned(leading))
    if inner:
        outer.append(product(product(left.own, added(inner)), turned(right.own)))
    return added(outer)


def pull_side(one: Side, other: Side, values: Node, gradient: Node) -> tuple[Node, Node]:
    """What turns the own vectors of a side among themselves, and what leads out of their space."""
    count, across = values.shape[-1], turned(other.own * row(inverse_or_zero(values)))
    own = gradient if one.rest is None else columns(gradient, 0, count)
    leading = product(one.outward(own), across)
    if one.rest is not None:
        rest = columns(gradient, count, one.rest.shape[-1])
        back = product(turned(rest), one.own)
        leading = leading - product(one.rest, product(back, across))
    return skew(product(turned(one.own), own)), leading


def push_forward_svd(u: Node, values: Node, v: Node, tangent: Node) -> tuple[Node, Node, Node]:
    """With M = U^T tangent V: U (P * S + Q * A), the diagonal of M, and V (P * S - Q * A).

    S is half of M plus its transpose, A half of M less it. To the vectors what leads out of their
    space is added.
    """
    left, right = side(u, values), side(v, values)
    inner = product(product(turned(left.own), tangent), right.own)
    even = inverse_differences(values) * (0.5 * (inner + turned(inner)))
    odd = inverse_sums(values) * (0.5 * skew(inner))
    by_u = push_side(left, right, values, tangent, even + odd)
    by_v = push_side(right, left, values, turned(tangent), even - odd)
    return by_u, say("diagonal", inner), by_v


def push_side(one: Side, other: Side, values: Node, tangent: Node, turning: Node) -> Node:
    """The tangent of all vectors of a side."""
    across = other.own * row(inverse_or_zero(values))
    moved = product(one.own, turning) + one.outward(product(tangent, across))
    if one.rest is None:
        return moved
    back = product(turned(across), product(turned(tangent), one.rest))
    found: Node = say("concat", (moved, -product(one.own, back)), axis=-1)
    return found


def product(x: Node, y: Node) -> Node:
    """The product of matrices."""
    found: Node = say("matmul", x, y)
    return found


def row(values: Node) -> Node:
    """A vector as a factor of columns."""
    found: Node = say("expand_dims", values, -2)
    return found


def skew(x: Node) -> Node:
    """Each matrix less its transpose."""
    return x - turned(x)


def factors(values: Node, sign: int) -> Node:
    """Half of P, plus or less half of Q."""
    return 0.5 * (inverse_differences(values) + sign * inverse_sums(values))


def inverse_sums(values: Node) -> Node:
    """1 / (value i + value j); 0 where both are 0."""
    return inverse_or_zero(row(values) + say("expand_dims", values, -1))
