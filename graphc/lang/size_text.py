"""Sizes as text: "batch", "2*n + 1", "n // 4", and whatever sizes are printed as."""

from __future__ import annotations

import ast
from collections.abc import Callable

from graphc.ir.dim import FUNCTIONS, Size, floor_divide, remainder, symbol

OPERATORS: dict[type[ast.operator], Callable[[Size, Size], Size]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.FloorDiv: floor_divide,
    ast.Mod: remainder,
}
DIVISIONS = (floor_divide, remainder)


def read_size(text: str) -> Size:
    """The size that a text says, in Python's notation; ValueError where it says none."""
    try:
        return size_of(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(text) from None


def size_of(part: ast.expr) -> Size:
    """The size of a part of a text."""
    if isinstance(part, ast.Name) and part.id.isascii() and not part.id.startswith("_"):
        return symbol(part.id)
    if isinstance(part, ast.Constant) and type(part.value) is int:
        return part.value
    if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub):
        return -size_of(part.operand)
    if isinstance(part, ast.BinOp) and type(part.op) in OPERATORS:
        return combine(OPERATORS[type(part.op)], part.left, part.right)
    if isinstance(part, ast.Call) and len(part.args) == 2 and not part.keywords:
        return combine(function_of(part.func), *part.args)
    raise ValueError(ast.unparse(part))


def function_of(part: ast.expr) -> Callable[[Size, Size], Size]:
    """The function that a name in front of parentheses means; ValueError where there is none."""
    if isinstance(part, ast.Name) and part.id in FUNCTIONS:
        return FUNCTIONS[part.id]
    raise ValueError(ast.unparse(part))


def combine(function: Callable[[Size, Size], Size], left: ast.expr, right: ast.expr) -> Size:
    """A function of two sizes; ValueError for a division by 0."""
    divisor = size_of(right)
    if function in DIVISIONS and divisor == 0:
        raise ValueError("division by 0")
    return function(size_of(left), divisor)
