"""What eigenvalues and singular values share: scaling, order, and differences of values."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.node import Node, say
from graphc.ir.scalar import Scalar
from graphc.ir.types import int64
from graphc.lang.sizes import size_value
from graphc.lang.windows import Window, cut

# --- loops ---------------------------------------------------------------------------------------


def largest_of(kernel: KernelWriter, a: Array, b: Size) -> Scalar:
    """The largest absolute value of a matrix; NaN where one is."""
    largest = kernel.accumulator("max", a.dtype)
    _, rows, columns = a.shape
    with kernel.loop("serial", rows) as i, kernel.loop("serial", columns) as j:
        largest.accumulate(scalar.call("abs", a[b, i, j]))
    return kernel.let(largest.value)


def scale_of(kernel: KernelWriter, largest: Scalar) -> Scalar:
    """What to divide a matrix by so that no product of its elements overflows or underflows."""
    usual = (largest > 0.0) & (largest < float("inf"))
    return kernel.let(scalar.where(usual, largest, 1.0))


def sort_places(
    kernel: KernelWriter,
    values: Array,
    places: Array,
    b: Size,
    precedes: Callable[[Scalar, Scalar], Scalar],
) -> None:
    """Write where each value stands in order; of equal ones the first comes first."""
    n = values.shape[-1]
    with kernel.loop("parallel", n) as p:
        before = kernel.accumulator("sum", int64)
        with kernel.loop("serial", n) as q:
            here, there = values[b, p], values[b, q]
            earlier = scalar.call("less", scalar.index(q), scalar.index(p))
            tie = scalar.call("equal", here, there) & earlier
            before.accumulate(scalar.cast(precedes(there, here) | tie, int64))
        places[b, p] = before.value


# --- in the language -----------------------------------------------------------------------------


def columns(x: Node, first: Size, count: Size) -> Node:
    """Some columns of each matrix: from which one on, and how many."""
    whole: list[Window] = [(0, size, 1) for size in x.shape[:-1]]
    return cut(x, [*whole, (first, count, 1)])


def inverse_differences(values: Node) -> Node:
    """1 / (value j - value i) at (i, j); 0 where they differ by no more than rounding may.

    That is n times the spacing of floats at the largest of them.
    """
    gaps = say("expand_dims", values, -2) - say("expand_dims", values, -1)
    size = say("max", say("abs", values), axis=-1, keepdims=True) if values.shape[-1] != 0 else 0.0
    least = size * size_value(values.shape[-1], values.dtype) * values.dtype.epsilon
    least = say("expand_dims", say("stop_gradient", least), -1)
    apart = say("abs", gaps) > least
    return say("where", apart, 1 / say("where", apart, gaps, 1), 0)


def inverse_or_zero(x: Node) -> Node:
    """1 / x; 0 where x is 0."""
    found: Node = say("where", x == 0, 0, 1 / say("where", x == 0, 1, x))
    return found
