"""Polynomials evaluated with fused multiply-adds.

Where a comment at a table says *minimax*, the coefficients come from Remez's exchange algorithm in
160-bit arithmetic, for the error and interval named: the first ones were rounded to the format and
the others fitted again, and the error given is that of the rounded polynomial.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir import scalar
from graphc.ir.scalar import Scalar
from graphc.passes.math.floating import fma


def horner(x: Scalar, coefficients: Sequence[float]) -> Scalar:
    """c0 + c1 x + c2 x² + ..., from the highest coefficient down.

    One fma a coefficient and the smallest rounding error: the last step dominates.
    """
    result = scalar.const(x.dtype, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = fma(result, x, coefficient)
    return result
