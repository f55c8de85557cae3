"""Whether a size is surely a multiple of a number, whatever its symbols stand for."""

from __future__ import annotations

from graphc.ir import dim
from graphc.ir.dim import Atom, DimCall, Size


def is_multiple(size: Size, number: int) -> bool:
    """Whether a size is surely a multiple of a number: all of its terms are."""
    return all(
        factor % number == 0 or any(is_of_multiples(atom, number) for atom in monomial)
        for monomial, factor in dim.terms_of(size)
    )


def is_of_multiples(atom: Atom, number: int) -> bool:
    """Whether a part of a size is the smaller or larger of two multiples of a number."""
    if not isinstance(atom, DimCall) or atom.function not in ("minimum", "maximum"):
        return False
    return is_multiple(atom.left, number) and is_multiple(atom.right, number)
