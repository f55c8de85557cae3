"""Householder's reflections: 1 - factor v v^T, where v begins with a 1."""

from __future__ import annotations

from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.scalar import Scalar


def reflector(
    kernel: KernelWriter, v: Array, factors: Array, place: tuple[Size, Size], first: Size
) -> Scalar:
    """Make of a row of v, from its element `first` on, the reflection onto the first axis.

    place is the batch and the row. Returns the element that is left of it, with the sign that
    cancels nothing. A row with nothing behind its first element is left alone: the factor is 0.
    It is scaled by its largest element, so that no square overflows.
    """
    length = v.shape[-1] - first
    largest = kernel.accumulator("max", v.dtype)
    with kernel.loop("serial", length) as i:
        largest.accumulate(scalar.call("abs", v[*place, first + i]))
    usual = (largest.value > 0.0) & (largest.value < float("inf"))
    scale = kernel.let(scalar.where(usual, largest.value, 1.0))
    behind = kernel.accumulator("sum", v.dtype)
    with kernel.loop("serial", length - 1) as i:
        x = v[*place, first + 1 + i] / scale
        behind.accumulate(x * x)
    head = kernel.let(v[*place, first] / scale)
    norm = scalar.call("sqrt", scalar.call("fma", head, head, behind.value))
    nothing = kernel.let(scalar.call("equal", behind.value, 0.0))
    rest = kernel.let(scalar.where(nothing, head, -scalar.call("copysign", norm, head)))
    divisor = kernel.let(scalar.where(nothing, 1.0, (head - rest) * scale))
    factors[place] = scalar.where(nothing, 0.0, (rest - head) / rest)
    with kernel.loop("parallel", length - 1) as i:
        at = first + 1 + i
        v[*place, at] = v[*place, at] / divisor
    v[*place, first] = scalar.const(v.dtype, 1.0)
    return kernel.let(rest * scale)


def reflect(
    kernel: KernelWriter,
    w: Array,
    v: Array,
    factors: Array,
    products: Array,
    place: tuple[Size, Size],
    corner: tuple[Size, Size],
) -> None:
    """Apply the reflection in a row of v to the rows and columns of a matrix from a corner on."""
    b, c = place
    row, column = corner
    _, rows, columns = w.shape
    factor = kernel.let(factors[place])
    with kernel.loop("parallel", columns - column) as j:
        total = kernel.accumulator("sum", w.dtype)
        with kernel.loop("serial", rows - row) as i:
            total.accumulate(v[b, c, row + i] * w[b, row + i, column + j])
        products[b, j] = total.value * factor
    with kernel.nest("parallel", (rows - row, columns - column)) as (i, j):
        at = (b, row + i, column + j)
        w[at] = scalar.call("fma", -v[b, c, row + i], products[b, j], w[at])
