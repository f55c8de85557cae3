"""The transform of real sequences, and the real sequence of a transform, along the last axis.

Of a real sequence of n elements the first n // 2 + 1 frequencies say all: the others are their
conjugates in reverse order. An even n takes one transform of half the length, whose elements are
pairs of neighbours.
"""

from __future__ import annotations

import numpy as np

from graphc.fft.dft import dft, inverse_dft, unit_circle
from graphc.ir.dim import Size
from graphc.ir.node import Node, apply
from graphc.ir.types import DType, int64
from graphc.lang.comparison import equal
from graphc.lang.complex_numbers import complex, conj, imag, real
from graphc.lang.logic import logical_or
from graphc.lang.movement import concat, flip, reshape, stack
from graphc.lang.operands import constant
from graphc.lang.selection import where
from graphc.lang.sizes import size_value


def real_dft(x: Node) -> Node:
    """The first n // 2 + 1 frequencies of a real sequence."""
    n = x.shape[-1]
    if not isinstance(n, int) or n % 2:
        return dft(complex(x, 0))[..., : n // 2 + 1]
    half = dft(complex(x[..., ::2], x[..., 1::2]))
    half = concat([half, half[..., :1]], -1)
    mirrored = conj(flip(half, -1))
    even, odd = 0.5 * (half + mirrored), -0.5j * (half - mirrored)
    return even + odd * half_turn(n, half.dtype)


def half_turn(n: int, dtype: DType) -> Node:
    """exp(-2 pi i k / n) for k from 0 to n / 2."""
    return constant(unit_circle(np.arange(n // 2 + 1), n), dtype)


def inverse_real_dft(x: Node, n: Size) -> Node:
    """The real sequence of n elements whose first n // 2 + 1 frequencies are given, times n.

    What cannot be part of a real sequence's, the imaginary part of frequency 0 and of n / 2, is
    left out.
    """
    if not isinstance(n, int) or n % 2:
        mirrored = conj(flip(x[..., 1 : (n + 1) // 2], -1))
        return real(inverse_dft(concat([x, mirrored], -1)))
    known = without_ends(x, n)
    mirrored = conj(flip(known, -1))
    odd = (known - mirrored) * conj(half_turn(n, x.dtype))
    half = inverse_dft((known + mirrored + 1j * odd)[..., : n // 2])
    return reshape(stack([real(half), imag(half)], -1), (*x.shape[:-1], n))


def without_ends(x: Node, n: Size) -> Node:
    """Frequencies 0 to n / 2 without the imaginary parts of the first and the last."""
    places = apply("iota", shape=x.shape, axis=x.ndim - 1, dtype=int64)
    ends = logical_or(equal(places, 0), equal(places, size_value(n // 2, int64)))
    return complex(real(x), where(ends, 0, imag(x)))
