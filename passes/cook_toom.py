"""Matrices of fast convolution: the algorithm of Toom and Cook for some results of a few taps.

A product of polynomials is known from its values at as many points as it has coefficients; infinity
may be one, and the value there is the leading coefficient. Transposed, this gives results
A^T ((G g) * (B^T d)) of taps g that slide over elements d, with one multiplication for each point.
Such algorithms are named after Winograd; see Lavin and Gray, Fast algorithms for convolutional
neural networks (2016).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from graphc.ops.tile_formulas import Matrix

Coefficients: TypeAlias = list[Fraction]
"""Those of a polynomial, from the constant on."""


@dataclass(frozen=True, slots=True)
class FastConvolution:
    """The maps of elements (B^T), of taps (G) and of their products (A^T), in one dimension."""

    elements: Matrix
    taps: Matrix
    results: Matrix


def fast_convolution(points: Sequence[Fraction], taps: int) -> FastConvolution:
    """The algorithm that evaluates at the points and at infinity.

    n points give n + 2 - taps results at once, of n + 1 elements.
    """
    others = [[other for other in points if other != point] for point in points]
    scales = [value_of(polynomial_of(rest), p) for rest, p in zip(others, points, strict=True)]
    values = powers(points, taps)
    scaled = [
        [power / scale for power in row]
        for row, scale in zip(values, [*scales, Fraction(1)], strict=True)
    ]
    basis = [[*polynomial_of(rest), Fraction(0)] for rest in others]
    results = zip(*powers(points, len(points) + 2 - taps), strict=True)
    return FastConvolution(
        rounded([*basis, polynomial_of(points)]), rounded(scaled), rounded(results)
    )


def polynomial_of(roots: Iterable[Fraction]) -> Coefficients:
    """The product of (x - root) over the roots."""
    result = [Fraction(1)]
    for root in roots:
        moved = [Fraction(0), *result]
        result = [a - root * b for a, b in zip(moved, [*result, Fraction(0)], strict=True)]
    return result


def value_of(polynomial: Coefficients, x: Fraction) -> Fraction:
    """The polynomial's value at a point."""
    return sum((factor * x**k for k, factor in enumerate(polynomial)), Fraction(0))


def powers(points: Sequence[Fraction], count: int) -> list[Coefficients]:
    """What takes so many coefficients to values: rows of powers of each point, and infinity's."""
    infinity = [Fraction(int(k == count - 1)) for k in range(count)]
    return [*([point**k for k in range(count)] for point in points), infinity]


def rounded(rows: Iterable[Iterable[Fraction]]) -> Matrix:
    """The matrix in floats."""
    return tuple(tuple(map(float, row)) for row in rows)
