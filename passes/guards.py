"""What rules ask of the nodes they have matched, before they rewrite."""

from __future__ import annotations

from math import frexp, inf

from graphc.ir.node import Node
from graphc.ir.types import DType
from graphc.passes.splat import splat

DEEPEST = 8
"""How many operators a question about a sign follows: beyond, the answer is no."""


def is_known(*nodes: Node) -> bool:
    """Whether each node is one known number everywhere."""
    return all(splat(node) is not None for node in nodes)


def divides_exactly(divisor: Node) -> bool:
    """Whether dividing by it equals multiplying by its reciprocal: a power of two, not extreme."""
    value = splat(divisor)
    if value is None or not value.dtype.is_float:
        return False
    fraction, exponent = frexp(float(value.array))
    largest = {16: 14, 32: 126, 64: 1022}[value.dtype.bits]
    return abs(fraction) == 0.5 and abs(exponent - 1) <= largest


def is_nonnegative(node: Node) -> bool:
    """Whether every element is surely at least +0 (or NaN)."""
    if node.op.name == "multiply":
        return node.inputs[0] is node.inputs[1]
    return node.op.name in {"abs", "exp", "sigmoid", "softplus", "cosh"}


def is_positive(node: Node, depth: int = DEEPEST) -> bool:
    """Whether every element is above 0 if computed without rounding or overflow, of finite numbers.

    A sum over an axis of symbolic size counts, though it is 0 where that turns out empty.
    """
    name, value = node.op.name, splat(node)
    if value is not None:
        return bool(0 < value.array < inf)
    if name in {"sum", "max", "min"} and is_empty(node):
        return False
    if name in {"exp", "sigmoid", "softplus", "cosh"}:
        return True
    return depth > 0 and name in KEEP_POSITIVE and all(
        is_positive(operand, depth - 1) for operand in node.inputs
    )  # fmt: skip


def is_empty(node: Node) -> bool:
    """Whether a reduction surely has nothing to reduce."""
    return any(node.inputs[0].shape[axis] == 0 for axis in node.attrs["axes"])


KEEP_POSITIVE = frozenset({
    "add", "multiply", "divide", "sqrt", "rsqrt", "maximum", "minimum", "abs",
    "sum", "prod", "max", "min",
    "broadcast", "reshape", "permute_dims", "slice", "flip", "concat",
})  # fmt: skip
"""Operators whose result is positive where all operands are."""


def holds_all(dtype: DType, wide: DType) -> bool:
    """Whether every number of a dtype stands exactly in another."""
    if dtype == wide or dtype.kind == "bool":
        return True
    if dtype.is_complex or wide.is_complex:
        return wide.is_complex and holds_all(dtype.part, wide.part)
    if dtype.is_float:
        # The two 16-bit floats differ in range and precision, and neither holds the other.
        return wide.is_float and dtype.bits < wide.bits
    if wide.is_float:
        return dtype.bits - (dtype.kind == "int") <= wide.precision
    return dtype.bits < wide.bits and (dtype.kind == "uint" or wide.kind == "int")
