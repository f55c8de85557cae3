"""Implicit QL steps on symmetric tridiagonal matrices."""

from __future__ import annotations

from graphc.ir import scalar
from graphc.ir.dim import Dim, Size
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.scalar import Scalar
from graphc.ir.types import int64

STEPS = 30
"""Steps for each eigenvalue; two are usual."""


def solve_tridiagonal(kernel: KernelWriter, d: Array, e: Array, z: Array, b: Size) -> Scalar:
    """Make the diagonal d the eigenvalues, and turn the rows of z into eigenvectors.

    e stands beside the diagonal; elements are at most about 1. Eigenvalues are found from the
    first on: a step runs on the rows from there to the next negligible element of e. Returns
    whether all were found.
    """
    n = d.shape[-1]
    found = kernel.accumulator("last", int64)
    with kernel.loop("serial", (STEPS + 1) * n), kernel.when(found.value < scalar.index(n)):
        first = kernel.bind(found.value)
        nearest = kernel.accumulator("min", int64)
        with kernel.loop("serial", n - 1 - first) as i:
            here = scalar.index(first + i)
            small = is_negligible(d, e, (b, first + i), (b, first + i + 1))
            nearest.accumulate(scalar.where(small, here, scalar.index(n - 1)))
        last = kernel.bind(scalar.call("minimum", nearest.value, scalar.index(n - 1)))
        alone = scalar.call("equal", scalar.index(last), scalar.index(first))
        with kernel.when(~alone):
            step(kernel, (d, e, z), b, first, last)
        found.accumulate(scalar.index(first) + scalar.cast(alone, int64))
    return found.value >= scalar.index(n)


def is_negligible(d: Array, e: Array, here: tuple[Size, Size], there: tuple[Size, Size]) -> Scalar:
    """Whether an element beside the diagonal is lost in rounding."""
    epsilon = d.dtype.epsilon
    size = scalar.call("abs", d[here]) + scalar.call("abs", d[there])
    return scalar.call("abs", e[here]) <= epsilon * size + epsilon * epsilon


def step(
    kernel: KernelWriter, arrays: tuple[Array, Array, Array], b: Size, first: Dim, last: Dim
) -> None:
    """One QL step on the rows from first to last: rotations that chase an element upwards."""
    d, e, z = arrays
    g, sine, cosine, p = (kernel.accumulator("last", d.dtype) for _ in range(4))
    g.accumulate(kernel.let(d[b, last] - shift(kernel, d, e, b, first)))
    for total in (sine, cosine):
        total.accumulate(scalar.const(d.dtype, 1.0))
    with kernel.loop("serial", last - first) as count:
        i = last - 1 - count
        across = kernel.let(sine.value * e[b, i])
        behind = kernel.let(cosine.value * e[b, i])
        length = kernel.let(
            scalar.call("sqrt", scalar.call("fma", across, across, g.value * g.value))
        )
        e[b, i + 1] = length
        nothing = kernel.let(scalar.call("equal", length, 0.0))
        s = kernel.let(scalar.where(nothing, 0.0, across / length))
        c = kernel.let(scalar.where(nothing, 1.0, g.value / length))
        base = kernel.let(d[b, i + 1] - p.value)
        r = kernel.let((d[b, i] - base) * s + 2.0 * c * behind)
        d[b, i + 1] = scalar.call("fma", s, r, base)
        p.accumulate(s * r)
        g.accumulate(c * r - behind)
        sine.accumulate(s)
        cosine.accumulate(c)
        rotate(kernel, z, (b, i), (b, i + 1), c, s)
    d[b, first] = d[b, first] - p.value
    e[b, first] = g.value
    e[b, last] = scalar.const(d.dtype, 0.0)


def shift(kernel: KernelWriter, d: Array, e: Array, b: Size, first: Dim) -> Scalar:
    """The eigenvalue of the first two rows that is nearer to the first element of the diagonal."""
    beside = kernel.let(e[b, first])
    half = kernel.let((d[b, first + 1] - d[b, first]) / (2.0 * beside))
    root = scalar.call("sqrt", scalar.call("fma", half, half, 1.0))
    return d[b, first] - beside / (half + scalar.call("copysign", root, half))


def rotate(
    kernel: KernelWriter,
    z: Array,
    one: tuple[Size, Size],
    two: tuple[Size, Size],
    c: Scalar,
    s: Scalar,
) -> None:
    """Turn two rows: c one - s two, s one + c two."""
    with kernel.loop("parallel", z.shape[-1]) as j:
        x, y = kernel.let(z[*one, j]), kernel.let(z[*two, j])
        z[*two, j] = scalar.call("fma", s, x, c * y)
        z[*one, j] = scalar.call("fma", c, x, -(s * y))
