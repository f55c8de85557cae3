"""Systems of equations, and inverses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.errors import GraphError, shown
from graphc.ir.dim import product
from graphc.ir.node import Node, apply
from graphc.ir.rules import Parts, Rules
from graphc.lang.creation import eye
from graphc.lang.movement import expand_dims, matrix_transpose, moveaxis, reshape, squeeze
from graphc.lang.operands import ArrayLike, broadcast_node, broadcast_shapes
from graphc.lang.selection import stop_gradient
from graphc.linalg.arguments import results, square, system
from graphc.ops.matrices import solve_triangle


def solve(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The x with x1 x = x2, for matrices x1 (..., n, n) and x2 (n,) or (..., n, k).

    Leading axes broadcast. A singular matrix gives infinities and NaN, as elimination does.
    GraphError where shapes do not fit.
    """
    a, b = system(square(x1, "solve"), x2, "solve")
    return on_columns(a, b, lambda one, columns: with_factors(one, factors(one), columns))


def inv(x: ArrayLike, /) -> Node:
    """The inverses of matrices (..., n, n); infinities and NaN for singular ones."""
    a = square(x, "inv")
    return inverse(a, factors(a))


def solve_triangular(
    a: ArrayLike,
    b: ArrayLike,
    /,
    *,
    lower: bool = False,
    transpose: bool = False,
    unit_diagonal: bool = False,
) -> Node:
    """The x with T x = b, where T is the upper or lower triangle of a, or its transpose.

    a is (..., n, n), b is (n,) or (..., n, k), and leading axes broadcast; the other triangle is
    not read, and with `unit_diagonal` neither is the diagonal, which is taken for ones. A 0 on it
    gives infinities and NaN. GraphError where shapes do not fit.
    """
    left, right = system(square(a, "solve_triangular"), b, "solve_triangular")

    def substitute(one: Node, columns: Node) -> Node:
        return solve_triangle(
            one,
            columns,
            lower=bool(lower),
            transpose=bool(transpose),
            unit_diagonal=bool(unit_diagonal),
        )

    return on_columns(left, right, substitute)


def cho_solve(c_and_lower: tuple[ArrayLike, bool], b: ArrayLike, /) -> Node:
    """The x with A x = b from Cholesky's factor of A: (L, True) or (U, False), as in SciPy.

    GraphError unless the factor comes with its triangle in a tuple.
    """
    if not isinstance(c_and_lower, tuple) or len(c_and_lower) != 2:
        raise GraphError(
            f"cho_solve: the first argument is a tuple, (L, True) or (U, False), "
            f"not {shown(c_and_lower)}"
        )
    c, lower = c_and_lower
    half = solve_triangular(c, b, lower=lower, transpose=not lower)
    return solve_triangular(c, half, lower=lower, transpose=lower)


# --- shapes --------------------------------------------------------------------------------------


def on_columns(a: Node, b: Node, find: Callable[[Node, Node], Node]) -> Node:
    """What `find` makes of matrices and right-hand sides (..., n, k) with the same leading axes.

    A vector is one column. For a single matrix all columns there are stand side by side.
    """
    if b.ndim == 1:
        return squeeze(on_columns(a, expand_dims(b, -1), find), -1)
    if a.ndim == 2 and b.ndim > 2:
        first = moveaxis(b, -2, 0)
        wide = find(a, reshape(first, (b.shape[-2], product(first.shape[1:]))))
        return moveaxis(reshape(wide, first.shape), 0, -2)
    batch = broadcast_shapes([a.shape[:-2], b.shape[:-2]], [a, b])
    return find(*(broadcast_node(x, (*batch, *x.shape[-2:])) for x in (a, b)))


# --- elimination, and the derivatives of its solutions -------------------------------------------


def factors(a: Node) -> list[Node]:
    """L and U in one matrix, the order of rows and its inverse: as constants for derivatives."""
    packed, _, rows, places = results("lu", a)
    return [stop_gradient(packed), rows, places]


def with_factors(a: Node, lu: Sequence[Node], b: Node, transpose: bool = False) -> Node:
    """A^-1 b, or A^-T b, from the factors of A; its derivative is by A itself.

    So it is that of the solution, not of the steps that lead there.
    """
    found = substituted(lu, b, transpose)
    rules = TRANSPOSED if transpose else PLAIN
    return apply("custom_gradient", found, a, *lu, b, rules=rules, outputs=1, index=0)


def substituted(lu: Sequence[Node], b: Node, transpose: bool) -> Node:
    """U^-1 L^-1 P b, or P^T L^-T U^-T b."""
    packed, rows, places = lu
    if not transpose:
        b = apply("permute_rows", b, rows, places)
    for lower in (not transpose, transpose):
        b = solve_triangle(packed, b, lower=lower, transpose=transpose, unit_diagonal=lower)
    return apply("permute_rows", b, places, rows) if transpose else b


def inverse(a: Node, lu: Sequence[Node]) -> Node:
    """The inverse from the factors."""
    return with_factors(a, lu, broadcast_node(eye(a.shape[-1], dtype=a.dtype), a.shape))


def pull_back(
    inputs: Sequence[Node], outputs: Sequence[Node], gradients: Parts, transpose: bool
) -> Parts:
    """With h = A^-T gradient: h by b, and -h x^T by A; of A^T the transpose."""
    a, *lu, _ = inputs
    (x,), (gradient,) = outputs, gradients
    assert gradient is not None
    h = with_factors(a, lu, gradient, not transpose)
    left, right = (x, h) if transpose else (h, x)
    return [-apply("matmul", left, matrix_transpose(right)), None, None, None, h]


def push_forward(
    inputs: Sequence[Node], outputs: Sequence[Node], tangents: Parts, transpose: bool
) -> Parts:
    """A^-1 (tangent of b - tangent of A times x)."""
    a, *lu, _ = inputs
    by_a, *_, by_b = tangents
    assert by_a is not None
    assert by_b is not None
    moved = apply("matmul", matrix_transpose(by_a) if transpose else by_a, outputs[0])
    return [with_factors(a, lu, by_b - moved, transpose)]


def rules_for_solve(name: str, transpose: bool) -> Rules:
    """The rules of one direction; they are those of a batch too."""
    rules = Rules(
        name,
        lambda inputs, outputs, given: pull_back(inputs, outputs, given, transpose),
        lambda inputs, outputs, given: push_forward(inputs, outputs, given, transpose),
        lambda: rules,
    )
    return rules


PLAIN = rules_for_solve("solve", False)
TRANSPOSED = rules_for_solve("solve_transposed", True)
