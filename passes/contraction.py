"""Contractions: sums of products of which each factor serves many results.

In `out[b, i, j] = sum_k x[b, i, k] * w[b, k, j]` the loop over i is one of rows: only the first
factor differs in it. The loop over j is one of columns, and b is in both factors: a loop over
separate products. There may be several loops of each kind. So a product of matrices, a convolution
(its columns are examples and places, its sum is over channels and taps) and what einsum writes are
the same to a device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphc.ir import dim, scalar
from graphc.ir.dim import Size, product
from graphc.ir.kernel import Accumulate, Accumulator, For, Let, Statement, Store, substitute
from graphc.ir.scalar import Call, Index, Load, Ref, Scalar
from graphc.passes.loop_nests import perfect
from graphc.passes.partial_tiles import is_zero_of_zeros


@dataclass(frozen=True, slots=True)
class Contraction:
    """Loops around the sum of a product, by what they do, each kind in the order of the nest.

    left is the factor that differs by row, right the one by column; values that they are made of
    stand in them. before are the values named ahead of the sum, after what is made of it.
    """

    separate: tuple[For, ...]
    rows: tuple[For, ...]
    columns: tuple[For, ...]
    depth: tuple[For, ...]
    left: Scalar
    right: Scalar
    sum: Accumulator
    before: tuple[Let, ...]
    after: tuple[Statement, ...]

    def count(self, loops: Iterable[For]) -> Size:
        """How many iterations loops have."""
        return product(loop.limit for loop in loops)


def contraction_of(nest: For) -> Contraction | None:
    """The contraction that a nest of parallel loops is, None where it is something else."""
    loops, inside = perfect(nest)
    found = parts_of(inside)
    if found is None or any(dim.variables(loop.limit) for loop in loops):
        return None
    before, total, reduction, after = found
    depth, lets, last = reduction
    factors = factors_of(last, total, (*before, *lets))
    if factors is None:
        return None
    used = [names_in(factor) for factor in factors]
    if loops[-1].variable.name in used[0] - used[1]:
        factors, used = factors[::-1], used[::-1]
    (left, right), (by_row, by_column) = factors, used
    rows = tuple(loop for loop in loops if loop.variable.name in by_row - by_column)
    columns = tuple(loop for loop in loops if loop.variable.name in by_column - by_row)
    separate = tuple(loop for loop in loops if loop not in (*rows, *columns))
    together = all(variables_in(loop.limit) <= names(separate) for loop in depth)
    if not rows or not columns or not together:
        return None
    return Contraction(separate, rows, columns, depth, left, right, total, before, after)


Reduction = tuple[tuple[For, ...], tuple[Let, ...], Accumulate]
"""The loops of a reduction, the values named in them, and what the innermost accumulates."""


def parts_of(
    inside: tuple[Statement, ...],
) -> tuple[tuple[Let, ...], Accumulator, Reduction, tuple[Statement, ...]] | None:
    """Values, a sum, the reduction that fills it, and values and stores; None for anything else."""
    at = next((n for n, s in enumerate(inside) if isinstance(s, For)), None)
    if at is None:
        return None
    first, after = inside[:at], inside[at + 1 :]
    before = tuple(s for s in first if isinstance(s, Let))
    sums = [s for s in first if isinstance(s, Accumulator)]
    if len(sums) != 1 or len(before) + 1 != len(first) or sums[0].kind != "sum":
        return None
    if not all(isinstance(s, Let | Store) for s in after):
        return None
    outermost = inside[at]
    assert isinstance(outermost, For)
    reduction = reduction_of(outermost)
    return None if reduction is None else (before, sums[0], reduction, after)


def reduction_of(loop: For) -> Reduction | None:
    """Serial loops in one another around one accumulation, and the values between."""
    loops, lets = [loop], []
    while loops[-1].kind == "serial" and loops[-1].body:
        *first, last = loops[-1].body
        lets += [s for s in first if isinstance(s, Let)]
        if any(not isinstance(s, Let) for s in first):
            return None
        if isinstance(last, Accumulate):
            return tuple(loops), tuple(lets), last
        if not isinstance(last, For):
            return None
        loops.append(last)
    return None


def factors_of(
    statement: Accumulate, total: Accumulator, lets: Iterable[Let]
) -> tuple[Scalar, Scalar] | None:
    """The factors of the product that a sum adds up, with the values in them written out."""
    known: dict[str, Scalar] = {}
    for let in lets:
        known[let.name] = written_out(let.value, known)
    condition, value = scalar.term(written_out(statement.value, known))
    if statement.name != total.name or not isinstance(value, Call) or value.function != "multiply":
        return None
    left, right = value.arguments
    if condition is not None and is_range_of(condition, left):
        left = zero_outside(condition, left)
    elif condition is not None and is_range_of(condition, right):
        right = zero_outside(condition, right)
    elif condition is not None:
        return None
    is_complete = all(is_known(part) for part in scalar.walk((left, right)))
    return (left, right) if is_complete else None


def is_range_of(condition: Scalar, factor: Scalar) -> bool:
    """Whether a condition only says where a factor has elements, as of padding in a convolution.

    A product that is left out elsewhere may as well be one with zero (`graphc.ops.convolution`).
    """
    guards = (part.guard for part in scalar.walk([factor]) if isinstance(part, Load))
    return any(conjuncts(condition) <= conjuncts(guard) for guard in guards if guard is not None)


def conjuncts(condition: Scalar) -> set[Scalar]:
    """The conditions that all hold where one does."""
    found: set[Scalar] = set()
    pending = [condition]
    while pending:
        part = pending.pop()
        if isinstance(part, Call) and part.function == "bitwise_and":
            pending += part.arguments
        else:
            found.add(part)
    return found


def zero_outside(condition: Scalar, factor: Scalar) -> Scalar:
    """A factor that is zero where a condition does not hold."""
    return factor if is_zero_of_zeros(factor) else scalar.where(condition, factor, 0)


def written_out(value: Scalar, known: Mapping[str, Scalar]) -> Scalar:
    """A formula with what named values stand for in place of their names."""
    return scalar.rebuild(
        value, lambda part: known.get(part.name) if isinstance(part, Ref) else None
    )


def moved(value: Scalar, indices: Mapping[str, Size]) -> Scalar:
    """A formula with loop variables replaced."""
    (statement,) = substitute((Let("moved", value),), dict(indices))
    assert isinstance(statement, Let)
    return statement.value


def is_known(part: Scalar) -> bool:
    """Whether a part of a formula follows from loop variables and memory, no name in between."""
    kinds = {symbol.kind for symbol in dim.variables(place_of(part))}
    return not isinstance(part, Ref) and "value" not in kinds


def place_of(part: Scalar) -> Size:
    """The size that stands in a part of a formula itself."""
    if isinstance(part, Load):
        return part.offset
    return part.value if isinstance(part, Index) else 0


def names_in(value: Scalar) -> set[str]:
    """The loop variables that a formula depends on."""
    return {name for part in scalar.walk([value]) for name in variables_in(place_of(part))}


def variables_in(size: Size) -> set[str]:
    """The names of the variables in a size."""
    return {symbol.name for symbol in dim.variables(size)}


def names(loops: Iterable[For]) -> set[str]:
    """The variables of loops."""
    return {loop.variable.name for loop in loops}
