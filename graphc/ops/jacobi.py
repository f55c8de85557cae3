"""Rows of a matrix made orthogonal by rotations of pairs, and completed to a basis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

from graphc.ir import scalar
from graphc.ir.dim import Dim, Size, maximum, minimum
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.scalar import Scalar
from graphc.ir.types import DType, bool_, float32, float64

Quad: TypeAlias = tuple[Scalar, Scalar, Scalar, Scalar]

SWEEPS = 30
"""Rounds over all pairs; fewer than ten are usual."""
SHORTEST = {float32: 2.0**-126, float64: 2.0**-1022}
"""The smallest normal numbers."""
BLOCK = 4
"""Rows of a block; two blocks of some hundreds of columns stay in the nearest cache."""


def least_square(dtype: DType) -> float:
    """Squares of lengths below this may have lost digits: such rows count as 0."""
    return SHORTEST[dtype] / dtype.epsilon


def orthogonalise(kernel: KernelWriter, w: Array, turns: Array, b: Size) -> Scalar:
    """Turn the rows of w in pairs until all are orthogonal, and the rows of `turns` likewise.

    Returns whether a whole sweep has found nothing to turn. The longer of two rows becomes the
    first, which saves sweeps (de Rijk, 1989).
    """
    count = turns.shape[1]
    done = kernel.accumulator("last", bool_)
    with kernel.loop("serial", SWEEPS), kernel.when(~done.value):
        changed = kernel.accumulator("any", bool_)
        with pairs(kernel, count) as (p, q):
            wide, needed, new = rotation(kernel, w, (b, p), (b, q))
            changed.accumulate(wide)
            with kernel.when(needed):
                for array in (w, turns):
                    turn(kernel, array, (b, p), (b, q), new)
        done.accumulate(~changed.value)
    return done.value


@contextmanager
def pairs(kernel: KernelWriter, count: Size) -> Iterator[tuple[Size, Size]]:
    """Loops over all pairs of rows p < q, block by block, so that rows stay in a near cache."""
    blocks = (count + BLOCK - 1) // BLOCK
    with ExitStack() as stack:
        one = stack.enter_context(kernel.loop("serial", blocks))
        two = one + stack.enter_context(kernel.loop("serial", blocks - one))
        height = minimum(BLOCK, count - one * BLOCK)
        p = one * BLOCK + stack.enter_context(kernel.loop("serial", height))
        first, last = maximum(p + 1, two * BLOCK), minimum(two * BLOCK + BLOCK, count)
        q = first + stack.enter_context(kernel.loop("serial", maximum(last - first, 0)))
        yield p, q


def rotation(
    kernel: KernelWriter, w: Array, one: tuple[Size, Size], two: tuple[Size, Size]
) -> tuple[Scalar, Scalar, Quad]:
    """Whether two rows are far from orthogonal, whether to do anything, and what makes them so.

    That is a two by two matrix, row by row. Where the second row is the longer one it also makes
    the two change places.
    """
    dtype, length = w.dtype, w.shape[-1]
    first, second, across = (kernel.accumulator("sum", dtype) for _ in range(3))
    with kernel.loop("serial", length) as i:
        x, y = w[*one, i], w[*two, i]
        first.accumulate(x * x)
        second.accumulate(y * y)
        across.accumulate(x * y)
    root = scalar.call("sqrt", scalar.cast(scalar.index(length), dtype))
    lengths = scalar.call("sqrt", first.value) * scalar.call("sqrt", second.value)
    small = scalar.call("minimum", first.value, second.value) <= least_square(dtype)
    far = scalar.call("abs", across.value) > dtype.epsilon * root * lengths
    wide = kernel.let(far & ~small)
    cotangent = kernel.let((second.value - first.value) / (2.0 * across.value))
    size = scalar.call("abs", cotangent)
    hypotenuse = scalar.call("sqrt", scalar.call("fma", size, size, 1.0))
    tangent = kernel.let(scalar.call("copysign", 1.0 / (size + hypotenuse), cotangent))
    cosine = 1.0 / scalar.call("sqrt", scalar.call("fma", tangent, tangent, 1.0))
    c = kernel.let(scalar.where(wide, cosine, 1.0))
    s = kernel.let(scalar.where(wide, cosine * tangent, 0.0))
    swapped = kernel.let(second.value > first.value)
    low, high = (c, -s), (s, c)
    pairs = zip(high + low, low + high, strict=True)
    a, b, d, e = (kernel.let(scalar.where(swapped, one, other)) for one, other in pairs)
    return wide, wide | swapped, (a, b, d, e)


def turn(
    kernel: KernelWriter, w: Array, one: tuple[Size, Size], two: tuple[Size, Size], new: Quad
) -> None:
    """Replace two rows by their products with a two by two matrix."""
    with kernel.loop("parallel", w.shape[-1]) as i:
        x, y = kernel.let(w[*one, i]), kernel.let(w[*two, i])
        w[*one, i] = scalar.call("fma", new[0], x, new[1] * y)
        w[*two, i] = scalar.call("fma", new[2], x, new[3] * y)


def normalise(
    kernel: KernelWriter, w: Array, lengths: Array, count: tuple[Size, Size], good: Scalar
) -> None:
    """Divide the first rows by their lengths, which are kept; what has none, and the rest, is 0.

    count is the batch and how many rows there are. Where they are not good, all become 0.
    """
    b, rows = count
    with kernel.loop("parallel", w.shape[1]) as p:
        given = kernel.let(scalar.call("less", scalar.index(p), scalar.index(rows)) & good)
        square = kernel.accumulator("sum", w.dtype)
        with kernel.loop("serial", w.shape[2]) as i:
            x = w.where(given, (b, p, i))
            square.accumulate(x * x)
        length = kernel.let(scalar.call("sqrt", square.value))
        lengths[b, p] = length
        long = kernel.let(square.value > least_square(w.dtype))
        with kernel.loop("parallel", w.shape[2]) as i:
            w[b, p, i] = scalar.where(long, w.where(long, (b, p, i)) / length, 0.0)


def complete(kernel: KernelWriter, w: Array, lengths: Array, filled: Array, b: Size) -> None:
    """Put orthonormal rows into those that are 0.

    Each begins as the axis that the others have least of (`filled` has how much), so that more
    than enough of it is left when they are subtracted, twice against rounding.
    """
    _, rows, length = w.shape
    with kernel.loop("parallel", length) as i:
        total = kernel.accumulator("sum", w.dtype)
        with kernel.loop("serial", rows) as p:
            total.accumulate(w[b, p, i] * w[b, p, i])
        filled[b, i] = total.value
    with kernel.loop("serial", rows) as p:
        short = lengths[b, p] * lengths[b, p] <= least_square(w.dtype)
        with kernel.when(short):
            add_row(kernel, w, filled, (b, p))


def add_row(kernel: KernelWriter, w: Array, filled: Array, row: tuple[Size, Size]) -> None:
    """Make of a row of zeros one that is orthogonal to all others."""
    b, p = row
    _, rows, length = w.shape
    least = kernel.accumulator("argmin", w.dtype)
    with kernel.loop("serial", length) as i:
        least.accumulate(filled[b, i], i)
    axis: Dim = kernel.bind(scalar.index(least.index))
    w[*row, axis] = scalar.const(w.dtype, 1.0)
    with kernel.loop("serial", 2), kernel.loop("serial", rows) as q:
        across = kernel.accumulator("sum", w.dtype)
        other = kernel.let(scalar.call("not_equal", scalar.index(p), scalar.index(q)))
        with kernel.loop("serial", length) as i:
            across.accumulate(w[b, q, i] * w[*row, i])
        part = kernel.let(scalar.where(other, across.value, 0.0))
        with kernel.loop("parallel", length) as i:
            w[*row, i] = w[*row, i] - part * w[b, q, i]
    square = kernel.accumulator("sum", w.dtype)
    with kernel.loop("serial", length) as i:
        square.accumulate(w[*row, i] * w[*row, i])
    norm = kernel.let(scalar.call("sqrt", square.value))
    with kernel.loop("parallel", length) as i:
        x = kernel.let(w[*row, i] / norm)
        w[*row, i] = x
        filled[b, i] = filled[b, i] + x * x
