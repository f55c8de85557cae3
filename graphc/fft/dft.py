"""The discrete Fourier transform along the last axis, written in the language.

A size with small prime factors is transformed by the method of J. W. Cooley and J. W. Tukey (1965)
in the order of T. G. Stockham, which needs no reordering: each stage is a product by a small
matrix, and one by factors on the unit circle ("twiddles"). Other sizes go through L. I. Bluestein's
(1970): a convolution by a chirp, done by transforms of a power of two. All constants are computed
in NumPy's longest float, from angles reduced by integer arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.dim import Size, product
from graphc.ir.node import Node
from graphc.ir.types import DType, float64, int64
from graphc.lang.arithmetic import remainder
from graphc.lang.complex_numbers import complex, conj
from graphc.lang.creation import positions
from graphc.lang.linear_algebra import matmul
from graphc.lang.movement import pad, permute_dims, reshape
from graphc.lang.operands import constant, to_node_dtype
from graphc.lang.sizes import size_value
from graphc.lang.trigonometric import cos, sin

LARGEST_RADIX = 16
"""Of a stage that combines several prime factors."""
LARGEST_PRIME = 97
"""Of a stage that is one prime factor; Bluestein's method is faster for larger ones."""

Array = np.ndarray[Any, Any]


def dft(x: Node) -> Node:
    """The sum over j of x[j] exp(-2 pi i j k / n) for each k, along the last axis."""
    n = x.shape[-1]
    if not isinstance(n, int):
        return direct(x)
    if n < 2:
        return x
    sizes = radices(n)
    rows = reshape(x, (product(x.shape[:-1]), n))
    return reshape(bluestein(rows, n) if sizes is None else staged(rows, sizes), x.shape)


def inverse_dft(x: Node) -> Node:
    """The same with exp(+2 pi i j k / n), without a factor of 1/n."""
    return conj(dft(conj(x)))


# --- small factors -------------------------------------------------------------------------------


def staged(rows: Node, sizes: list[int]) -> Node:
    """The transform of rows whose length is the product of the sizes, a stage for each."""
    count, rest = rows.shape
    assert isinstance(rest, int)
    done = 1
    for radix in sizes:
        rest //= radix
        matrix = constant(unit_circle(products(radix, radix), radix), rows.dtype)
        table = reshape(rows, (count, radix, rest, done))
        if done == 1:  # the new digits are the only ones: a tall product
            digits = matmul(permute_dims(reshape(table, (count, radix, rest)), (0, 2, 1)), matrix)
        else:
            digits = matmul(matrix, permute_dims(table, (0, 2, 1, 3)))
        digits = reshape(digits, (count, rest, radix, done))
        rows = digits * twiddles(rest, radix, rows.dtype) if rest > 1 else digits
        done *= radix
    return reshape(rows, (count, done))


def twiddles(rest: int, radix: int, dtype: DType) -> Node:
    """The factors between a stage and the next ones, for each place that is left and new digit."""
    return constant(unit_circle(products(rest, radix), rest * radix)[:, :, None], dtype)


def products(rows: int, columns: int) -> Array:
    """j * k for each row j and column k."""
    return np.outer(np.arange(rows), np.arange(columns))


def unit_circle(numerators: Array, denominator: int) -> Array:
    """exp(-2 pi i numerator / denominator), with angles reduced exactly before they are rounded.

    What is left of an angle beside the nearest quarter turn is at most an eighth turn.
    """
    places = numerators % denominator
    quarters = (8 * places + denominator) // (2 * denominator)
    rest = np.asarray(4 * places - quarters * denominator, np.longdouble) / denominator
    angle = rest * 2 * np.arctan(np.longdouble(1))
    turns = np.array([1, -1j, -1, 1j])[quarters % 4]
    return np.asarray(turns * (np.cos(angle) - 1j * np.sin(angle)))


def radices(n: int) -> list[int] | None:
    """The sizes of the stages, whose product is n; None where a prime factor is too large.

    As few stages as the limit allows, and these as equal as the factors let them be.
    """
    factors = prime_factors(n)
    if factors[-1] > LARGEST_PRIME:
        return None
    stages = max(1, math.ceil(math.log(n) / math.log(LARGEST_RADIX) - 1e-9))
    while True:
        sizes = spread(factors, stages)
        if max(sizes) <= max(LARGEST_RADIX, factors[-1]):
            return sorted(sizes, reverse=True)
        stages += 1


def prime_factors(n: int) -> list[int]:
    """The prime factors of a number above 1, rising."""
    factors, divisor = [], 2
    while divisor * divisor <= n:
        while n % divisor == 0:
            factors.append(divisor)
            n //= divisor
        divisor += 1
    return [*factors, n] if n > 1 else factors


def spread(factors: list[int], count: int) -> list[int]:
    """Products of the factors in so many groups, each factor in the smallest group so far."""
    groups = [1] * count
    for factor in reversed(factors):
        smallest = groups.index(min(groups))
        groups[smallest] *= factor
    return [size for size in groups if size > 1]


# --- other sizes ---------------------------------------------------------------------------------


def bluestein(rows: Node, n: int) -> Node:
    """The transform as a convolution: 2jk = j**2 + k**2 - (k - j)**2."""
    length = 1 << (2 * n - 2).bit_length()
    chirp = unit_circle(np.arange(n) ** 2 % (2 * n), 2 * n)
    wave = constant(chirp, rows.dtype)
    kernel = np.zeros(length, chirp.dtype)
    kernel[:n] = chirp.conj()
    kernel[length - n + 1 :] = chirp.conj()[:0:-1]
    spectrum = constant(np.fft.fft(kernel) / length, rows.dtype)
    padded = pad(rows * wave, ((0, 0), (0, length - n)))
    return inverse_dft(dft(padded) * spectrum)[:, :n] * wave


def direct(x: Node) -> Node:
    """The transform of a length that each call decides: a product by the whole matrix."""
    n = x.shape[-1]
    return matmul(x, matrix_of(n, x.dtype))


def matrix_of(n: Size, dtype: DType) -> Node:
    """exp(-2 pi i j k / n) for each j and k."""
    j, k = positions((n, n))
    turns = to_node_dtype(remainder(j * k, size_value(n, int64)), float64)
    angle = turns * (2 * math.pi) / size_value(n, float64)
    return to_node_dtype(complex(cos(angle), -sin(angle)), dtype)
