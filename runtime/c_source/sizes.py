"""Sizes and offsets as expressions of 64-bit integers."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir import dim
from graphc.ir.dim import Atom, DimCall, Size, Symbol, terms_of

Need = Callable[[str], str]
"""Asks for a helper function by name, and gives the name it has."""
Naming = Callable[[Symbol], str]
"""The identifier of a symbol."""


def size_text(size: Size, naming: Naming, need: Need) -> str:
    """A size as an expression; sums stand in parentheses."""
    terms = [term_text(monomial, factor, naming, need) for monomial, factor in terms_of(size)]
    if not terms:
        return "0"
    text = terms[0]
    for term in terms[1:]:
        text += f" - {term[1:]}" if term.startswith("-") else f" + {term}"
    return f"({text})" if len(terms) > 1 or text.startswith("-") else text


def term_text(monomial: tuple[Atom, ...], factor: int, naming: Naming, need: Need) -> str:
    """A product of a number and atoms, the number first; large numbers are 64 bits wide."""
    atoms = [atom_text(atom, naming, need) for atom in monomial]
    if abs(factor) == 1 and atoms:
        return "-" * (factor < 0) + "*".join(atoms)
    return "*".join([str(factor), *atoms])


def atom_text(atom: Atom, naming: Naming, need: Need) -> str:
    """A symbol, or a call of a function of two sizes."""
    if isinstance(atom, Symbol):
        return naming(atom)
    left, right = (size_text(side, naming, need) for side in (atom.left, atom.right))
    if sign := plain_division(atom):
        return f"({left}{sign}{right})"
    return f"{need(f'{atom.function}_int64')}({left}, {right})"


def plain_division(call: DimCall) -> str:
    """The sign of C's own division where it rounds down as well; "" where it may not."""
    divisor = call.right
    if not isinstance(divisor, int) or divisor <= 0 or not dim.is_nonnegative(call.left):
        return ""
    return {"floor_divide": " / ", "remainder": " % "}.get(call.function, "")


def bare(text: str) -> str:
    """An expression without the parentheses around all of it."""
    if not text.startswith("(") or not text.endswith(")"):
        return text
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and at < len(text) - 1:
            return text
    return text[1:-1]


def operand(text: str) -> str:
    """An expression that may stand beside any operator: in parentheses, if it has one itself."""
    depth = 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if depth == 0 and character in " *":
            return f"({text})"
    return text
