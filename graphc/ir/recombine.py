"""recombine: quotients and remainders of one size, put together again as the size."""

from __future__ import annotations

from graphc.ir.dim import DimCall, Size, atom, polynomial, terms_of


def recombine(size: Size) -> Size:
    """The size with c*b*floor_divide(a, b) + c*remainder(a, b) put together again as c*a."""
    for monomial, factor in terms_of(size):
        for position, a in enumerate(monomial):
            if isinstance(a, DimCall) and a.function == "remainder":
                others = polynomial([(monomial[:position] + monomial[position + 1 :], factor)])
                quotient = atom(DimCall("floor_divide", a.left, a.right)) * a.right * others
                if has_terms(size, quotient):
                    rest = size - quotient - polynomial([(monomial, factor)])
                    return recombine(rest + others * a.left)
    return size


def has_terms(size: Size, part: Size) -> bool:
    """Whether every term of a part stands in a size with the same coefficient."""
    terms = dict(terms_of(size))
    return all(terms.get(monomial) == factor for monomial, factor in terms_of(part))
