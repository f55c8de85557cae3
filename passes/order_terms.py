"""Order of terms: in which order those of a contraction are brought, so that slices are alike.

A convolution adds up over channels and taps. Sixteen of its terms one after another are of other
taps in each slice, and each element that is brought would be looked for by divisions: of which tap
it is, and whether that sees the image. So channels are taken as many at a time as a slice has
terms, and the taps stand between:

    for serial %c < 64 {              for serial %c_part < 4 {
      for serial %tap < 9 {             for serial %tap < 9 {
        accumulate %s ... %c              for serial %c < 16 {
      }                                     accumulate %s ... 16*%c_part + %c } } }
    }

The terms of a slice then are of one tap, which is the same for all threads, and a tap finds in
caches what the one before it has read. The order follows from the sizes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import For, loop, variable
from graphc.ir.scalar import Load, Scalar
from graphc.passes.contraction import Contraction, moved

NEAR = 32
"""Elements from one to the next, at most, that are read side by side in hardly more lines of memory
than are read again for other terms soon after."""


def in_even_slices(found: Contraction, depth: int) -> Contraction:
    """The contraction with its terms in an order of which so many at a time are alike.

    They stay in theirs where they are, or where no other order is and reads what is near in memory.
    """
    at = innermost(found, depth)
    return found if at is None else split(found, at, depth)


def innermost(found: Contraction, depth: int) -> int | None:
    """Which of the loops over terms is to have its iterations in slices; None if all stay."""
    if are_even(found.depth, depth):
        return None
    fitting = (
        at
        for at, whole in enumerate(found.depth)
        if is_multiple(whole.limit, depth) and is_near(found, whole)
    )
    return next(fitting, None)


def split(found: Contraction, at: int, depth: int) -> Contraction:
    """The contraction with one of its loops of terms in parts, and these innermost."""
    whole = found.depth[at]
    name = whole.variable.name
    parts = loop(f"{name}_part", dim.floor_divide(whole.limit, depth), "serial", ())
    inner = loop(name, depth, "serial", ())
    place = {name: variable(parts) * depth + variable(inner)}
    return replace(
        found,
        depth=(*found.depth[:at], parts, *found.depth[at + 1 :], inner),
        left=moved(found.left, place),
        right=moved(found.right, place),
    )


def are_even(loops: Sequence[For], depth: int) -> bool:
    """Whether each slice of so many terms is whole iterations of a loop, or a part of one."""
    for each in reversed(loops):
        if is_multiple(each.limit, depth):
            return True
        if not isinstance(each.limit, int) or not each.limit or depth % each.limit:
            return False
        depth //= each.limit
    return True


def is_multiple(limit: Size, depth: int) -> bool:
    """Whether a number of iterations is known and makes whole slices."""
    return isinstance(limit, int) and limit > 0 and limit % depth == 0


def is_near(found: Contraction, terms: For) -> bool:
    """Whether both factors have elements near one another, for these terms or for results."""
    sides = ((found.left, found.rows[-1]), (found.right, found.columns[-1]))
    return all(is_one_near(factor, (terms, results)) for factor, results in sides)


def is_one_near(factor: Scalar, loops: Sequence[For]) -> bool:
    """Whether what a factor loads is near one another along one of some loops."""
    offsets = [part.offset for part in scalar.walk([factor]) if isinstance(part, Load)]
    return all(any(0 < apart(offset, each) <= NEAR for each in loops) for offset in offsets)


def apart(offset: Size, along: For) -> int:
    """How many elements lie from one iteration of a loop to the next; 0 where that differs."""
    step = dim.coefficient(offset, along.variable.name)
    return abs(step) if isinstance(step, int) else 0
