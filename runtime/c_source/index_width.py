"""How wide a kernel's indices are: 32 bits where its sizes prove that nothing is larger.

A GPU adds and multiplies integers of 64 bits in several steps each; an offset costs more than the
access it is for.
"""

from __future__ import annotations

from graphc.ir import dim
from graphc.ir.dim import Atom, DimCall, Size, terms_of
from graphc.ir.kernel import Kernel, sizes, statements

NARROW, WIDE = "int", "int64_t"
MOST = 1 << 30
"""What an index may come to; a loop's last step and the last block's threads stay below 2**31."""


def index_word(kernel: Kernel, threads: Size) -> str:
    """The type of the loop variables of a kernel that so many threads run."""
    inside = {size for statement in statements(kernel.body) for size in sizes(statement)}
    return NARROW if all(is_small(size) for size in (threads, *inside)) else WIDE


def is_small(size: Size) -> bool:
    """Whether a size is small, and so is all that is added up and multiplied on the way to it."""
    most = most_of(size)
    return most is not None and most < MOST


def most_of(size: Size) -> int | None:
    """The sum of what the terms of a size may be, without their signs; None where one is unknown.

    What an int64 value of the kernel is added to is computed in 64 bits anyway.
    """
    total = 0
    for monomial, factor in terms_of(size):
        part = abs(factor)
        for atom in monomial:
            most = most_of_atom(atom)
            if most is None:
                return None
            part *= most
        total += part
    return total


def most_of_atom(atom: Atom) -> int | None:
    """The most that a factor may be, and that is computed for it."""
    if isinstance(atom, DimCall):
        left, right = most_of(atom.left), most_of(atom.right)
        return None if left is None or right is None else max(left, right)
    if atom.kind == "value":
        return 1
    if atom.kind == "size" or atom.limit is None:
        return None
    most = dim.upper_bound(atom.limit)
    return most if isinstance(most, int) else None
