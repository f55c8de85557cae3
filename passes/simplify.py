"""Simplify by algebra: rules of numbers in one table, forms of movement and reductions beside it.

A rule gives every element the same bits, NaN and infinity included. The exceptions are listed:
`SIGN_OF_ZERO` may turn -0.0 into 0.0 or back, and `LAST_BIT` may round a power otherwise. So
x * 0 -> 0 and x - x -> 0 hold for integers alone, and x ** 0.5 is a square root only where x is
surely not negative, since -inf ** 0.5 is inf.
"""
# ruff: noqa: PLR0124 (rules do compare a thing with itself)

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.ir.literal import Literal
from graphc.ir.node import Node, apply
from graphc.ir.types import ANY_REAL, INTEGERS
from graphc.lang.arithmetic import abs, maximum, minimum, negative, relu, rsqrt, sqrt
from graphc.lang.logic import logical_and, logical_not, logical_or, logical_xor
from graphc.lang.operands import constant
from graphc.lang.selection import where
from graphc.lang.trigonometric import cos, cosh
from graphc.passes.fold_constants import fold_splats, folded
from graphc.passes.guards import divides_exactly, holds_all, is_known, is_nonnegative
from graphc.passes.rule import BOOL, FLOATS, Rule, RuleTable
from graphc.passes.simplify_movement import simplify_movement
from graphc.passes.simplify_reductions import simplify_reductions
from graphc.passes.splat import fill
from graphc.passes.sweep import sweep


def simplify(graph: Graph) -> Graph:
    """Apply rules of algebra, and drop or merge movements and reductions, to a fixpoint."""
    return sweep(graph, CHANGES, "simplify")


def raised(x: Node, exponent: float) -> Node:
    """x to a known power, as the operator: the language writes x ** 2 as x * x at once."""
    return apply("power", x, fill(constant(exponent, x.dtype), x.shape))


BITS = BOOL + INTEGERS
SIGNED = ("int", "float")

ARITHMETIC = (
    Rule("x - 0", lambda x: x - 0, lambda x: x),
    Rule("x + -0", lambda x: x + -0.0, lambda x: x, kinds=FLOATS),
    Rule("x * 1", lambda x: x * 1, lambda x: x),
    Rule("x / 1", lambda x: x / 1, lambda x: x, kinds=FLOATS),
    Rule("x // 1", lambda x: x // 1, lambda x: x, kinds=INTEGERS),
    Rule("x % 1", lambda x: x % 1, lambda x: 0, kinds=INTEGERS),
    Rule("x * 0", lambda x: x * 0, lambda x: 0, kinds=INTEGERS),
    Rule("x - x", lambda x: x - x, lambda x: 0, kinds=INTEGERS),
    Rule("x / c", lambda x, c: x / c, lambda x, c: x * folded(1 / c),
         where=lambda x, c: divides_exactly(c), kinds=FLOATS),
    Rule("(x + a) + b", lambda x, a, b: (x + a) + b, lambda x, a, b: x + folded(a + b),
         where=lambda x, a, b: is_known(a, b), kinds=INTEGERS),
    Rule("(x - a) + b", lambda x, a, b: (x - a) + b, lambda x, a, b: x + folded(b - a),
         where=lambda x, a, b: is_known(a, b), kinds=INTEGERS),
    Rule("(x + a) - b", lambda x, a, b: (x + a) - b, lambda x, a, b: x + folded(a - b),
         where=lambda x, a, b: is_known(a, b), kinds=INTEGERS),
    Rule("(x - a) - b", lambda x, a, b: (x - a) - b, lambda x, a, b: x - folded(a + b),
         where=lambda x, a, b: is_known(a, b), kinds=INTEGERS),
    Rule("(x * a) * b", lambda x, a, b: (x * a) * b, lambda x, a, b: x * folded(a * b),
         where=lambda x, a, b: is_known(a, b), kinds=INTEGERS),
    Rule("maximum(x, x)", lambda x: maximum(x, x), lambda x: x),
    Rule("minimum(x, x)", lambda x: minimum(x, x), lambda x: x),
    Rule("relu(relu(x))", lambda x: relu(relu(x)), relu),
    Rule("relu(x)", relu, lambda x: x, where=is_nonnegative, kinds=FLOATS),
    Rule("abs(x)", abs, lambda x: x, where=is_nonnegative, kinds=FLOATS),
    Rule("abs(unsigned)", abs, lambda x: x, kinds=("uint",)),
    Rule("abs(abs(x))", lambda x: abs(abs(x)), abs),
)  # fmt: skip

SIGNS = (
    Rule("--x", lambda x: negative(negative(x)), lambda x: x),
    Rule("x * -1", lambda x: x * -1, lambda x: -x, kinds=SIGNED),
    Rule("x / -1", lambda x: x / -1, lambda x: -x, kinds=FLOATS),
    Rule("x + -y", lambda x, y: x + -y, lambda x, y: x - y),
    Rule("x - -y", lambda x, y: x - -y, lambda x, y: x + y),
    Rule("-x * -y", lambda x, y: -x * -y, lambda x, y: x * y),
    Rule("-x / -y", lambda x, y: -x / -y, lambda x, y: x / y, kinds=FLOATS),
    Rule("-x * y", lambda x, y: -x * y, lambda x, y: -(x * y)),
    Rule("-x / y", lambda x, y: -x / y, lambda x, y: -(x / y), kinds=FLOATS),
    Rule("x / -y", lambda x, y: x / -y, lambda x, y: -(x / y), kinds=FLOATS),
    Rule("-(x * c)", lambda x, c: -(x * c), lambda x, c: x * folded(-c),
         where=lambda x, c: is_known(c)),
    Rule("-(x / c)", lambda x, c: -(x / c), lambda x, c: x / folded(-c),
         where=lambda x, c: is_known(c), kinds=FLOATS),
    Rule("-(c / x)", lambda x, c: -(c / x), lambda x, c: folded(-c) / x,
         where=lambda x, c: is_known(c), kinds=FLOATS),
    Rule("abs(-x)", lambda x: abs(-x), abs, kinds=SIGNED),
    Rule("cos(-x)", lambda x: cos(-x), cos, kinds=FLOATS),
    Rule("cosh(-x)", lambda x: cosh(-x), cosh, kinds=FLOATS),
)  # fmt: skip

POWERS = (
    Rule("x ** 0", lambda x: raised(x, 0), lambda x: 1),
    Rule("x ** 1", lambda x: raised(x, 1), lambda x: x),
)
LAST_BIT = (
    Rule("x ** 2", lambda x: raised(x, 2), lambda x: x * x),
    Rule("x ** 3", lambda x: raised(x, 3), lambda x: x * x * x),
    Rule("x ** -1", lambda x: raised(x, -1), lambda x: 1 / x, kinds=FLOATS),
    Rule("x ** 0.5", lambda x: raised(x, 0.5), sqrt, where=is_nonnegative, kinds=FLOATS),
    Rule("x ** -0.5", lambda x: raised(x, -0.5), rsqrt, where=is_nonnegative, kinds=FLOATS),
)
"""Rules that are exact for integers and may round floats otherwise in the last bit."""

SIGN_OF_ZERO = (
    # Gradients add zeros everywhere, so the price of keeping -0.0 + 0.0 apart would be high.
    Rule("x + 0", lambda x: x + 0, lambda x: x),
    Rule("0 - x", lambda x: 0 - x, lambda x: -x),
    Rule("-(x - y)", lambda x, y: -(x - y), lambda x, y: y - x),
)
"""Rules that may give 0.0 where -0.0 was, or the other way round."""

CHOICES = (
    Rule("where(c, x, x)", lambda c, x: where(c, x, x), lambda c, x: x,
         kinds=ANY_REAL, conditions=("c",)),
    Rule("where(true, x, y)", lambda x, y: where(True, x, y), lambda x, y: x, kinds=ANY_REAL),
    Rule("where(false, x, y)", lambda x, y: where(False, x, y), lambda x, y: y, kinds=ANY_REAL),
    Rule("where(not c, x, y)", lambda c, x, y: where(logical_not(c), x, y),
         lambda c, x, y: where(c, y, x), kinds=ANY_REAL, conditions=("c",)),
    Rule("where(c, where(c, x, y), z)", lambda c, x, y, z: where(c, where(c, x, y), z),
         lambda c, x, y, z: where(c, x, z), kinds=ANY_REAL, conditions=("c",)),
    Rule("where(c, x, where(c, y, z))", lambda c, x, y, z: where(c, x, where(c, y, z)),
         lambda c, x, y, z: where(c, x, z), kinds=ANY_REAL, conditions=("c",)),
    Rule("where(c, true, false)", lambda c: where(c, True, False), lambda c: c, kinds=BOOL),
    Rule("where(c, false, true)", lambda c: where(c, False, True), logical_not, kinds=BOOL),
)  # fmt: skip

LOGIC = (
    Rule("not not x", lambda x: logical_not(logical_not(x)), lambda x: x, kinds=BOOL),
    Rule("x and x", lambda x: logical_and(x, x), lambda x: x, kinds=BOOL),
    Rule("x and true", lambda x: logical_and(x, True), lambda x: x, kinds=BOOL),
    Rule("x and false", lambda x: logical_and(x, False), lambda x: False, kinds=BOOL),
    Rule("x or x", lambda x: logical_or(x, x), lambda x: x, kinds=BOOL),
    Rule("x or true", lambda x: logical_or(x, True), lambda x: True, kinds=BOOL),
    Rule("x or false", lambda x: logical_or(x, False), lambda x: x, kinds=BOOL),
    Rule("x xor x", lambda x: logical_xor(x, x), lambda x: False, kinds=BOOL),
    Rule("x xor true", lambda x: logical_xor(x, True), logical_not, kinds=BOOL),
    Rule("x xor false", lambda x: logical_xor(x, False), lambda x: x, kinds=BOOL),
    Rule("~~x", lambda x: ~~x, lambda x: x, kinds=BITS),
    Rule("x & x", lambda x: x & x, lambda x: x, kinds=BITS),
    Rule("x & 0", lambda x: x & 0, lambda x: 0, kinds=INTEGERS),
    Rule("x & -1", lambda x: x & -1, lambda x: x, kinds=("int",)),
    Rule("x | x", lambda x: x | x, lambda x: x, kinds=BITS),
    Rule("x | 0", lambda x: x | 0, lambda x: x, kinds=INTEGERS),
    Rule("x ^ x", lambda x: x ^ x, lambda x: 0, kinds=INTEGERS),
    Rule("x ^ 0", lambda x: x ^ 0, lambda x: x, kinds=INTEGERS),
    Rule("x << 0", lambda x: x << 0, lambda x: x, kinds=INTEGERS),
    Rule("x >> 0", lambda x: x >> 0, lambda x: x, kinds=INTEGERS),
)

COMPARISONS = (
    Rule("x == x", lambda x: x == x, lambda x: True, kinds=BITS),
    Rule("x != x", lambda x: x != x, lambda x: False, kinds=BITS),
    Rule("x < x", lambda x: x < x, lambda x: False),
    Rule("x > x", lambda x: x > x, lambda x: False),
    Rule("x <= x", lambda x: x <= x, lambda x: True, kinds=INTEGERS),
    Rule("x >= x", lambda x: x >= x, lambda x: True, kinds=INTEGERS),
    Rule("not x == y", lambda x, y: logical_not(x == y), lambda x, y: x != y, kinds=ANY_REAL),
    Rule("not x != y", lambda x, y: logical_not(x != y), lambda x, y: x == y, kinds=ANY_REAL),
    Rule("not x < y", lambda x, y: logical_not(x < y), lambda x, y: x >= y, kinds=INTEGERS),
    Rule("not x > y", lambda x, y: logical_not(x > y), lambda x, y: x <= y, kinds=INTEGERS),
    Rule("not x <= y", lambda x, y: logical_not(x <= y), lambda x, y: x > y, kinds=INTEGERS),
    Rule("not x >= y", lambda x, y: logical_not(x >= y), lambda x, y: x < y, kinds=INTEGERS),
)

RULES = (
    *ARITHMETIC, *SIGNS, *POWERS, *LAST_BIT, *SIGN_OF_ZERO, *CHOICES, *LOGIC, *COMPARISONS,
)  # fmt: skip


def merge_casts(node: Node) -> Node | None:
    """cast(cast(x)) -> cast(x), where the first loses nothing or the second loses as much."""
    if node.op.name != "cast":
        return None
    (inner,), dtype = node.inputs, node.dtype
    if inner.dtype == dtype:
        return inner
    if inner.op.name != "cast":
        return None
    (x,), middle = inner.inputs, inner.dtype
    integers = x.dtype.is_integer and dtype.is_integer
    wraps = integers and middle.is_integer and dtype.bits <= middle.bits
    if not holds_all(x.dtype, middle) and not wraps:
        return None
    if integers and not middle.is_integer and not holds_all(x.dtype, dtype):
        return None  # of a float too large an integer is the largest one, of another integer a part
    return x if x.dtype == dtype else apply("cast", x, dtype=dtype)


def spread_constant(node: Node) -> Node | None:
    """A constant array of equal elements -> one element, repeated."""
    if node.op.name != "constant" or not node.shape:
        return None
    array = node.attrs["value"].array.reshape(-1)
    # The last element is looked at first: most arrays that differ at all differ there.
    if not array.size or array[:1].tobytes() != array[-1:].tobytes():
        return None
    if array.tobytes() != array[:1].tobytes() * array.size:
        return None
    return fill(apply("constant", value=Literal(array[0], node.dtype)), node.shape)


CHANGES = (
    fold_splats,
    RuleTable(RULES).rewrite,
    merge_casts,
    spread_constant,
    simplify_movement,
    simplify_reductions,
)
