"""The error function's kin in plain NumPy, as precise as its widest dtype is.

Clear rather than fast: what operators give as their references, and tests compare devices with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def widest(x: Array) -> Array:
    """An array in the widest dtype there is: 80 bits on x86-64."""
    return (x.astype(np.float64) if x.dtype.itemsize < 4 else x).astype(np.longdouble)


def gaussian(x: Array, factor: float) -> Array:
    """exp(factor * x * x) for a power of 2, where the rounding of the square does not count."""
    bounded = np.clip(x, -200, 200)
    high = bounded.astype(np.float32).astype(x.dtype)
    return np.asarray(
        np.exp(factor * high * high) * np.exp(factor * (bounded - high) * (bounded + high))
    )


def root_pi(x: Array) -> Any:
    """sqrt(pi) in an array's dtype."""
    return 2 * np.sqrt(np.arctan(x.dtype.type(1)))


def erf_series(x: Array) -> Array:
    """2 / sqrt(pi) e^-x² (x + 2/3 x³ + 4/15 x⁵ + ...), for |x| below 1."""
    term = total = x
    for n in range(1, 26):
        term = term * (2 * x * x / (2 * n + 1))
        total = total + term
    return np.asarray(2 / root_pi(x) * total * np.exp(-x * x))


def erfcx_positive(x: Array) -> Array:
    """exp(x²) erfc(x) for x >= 0.

    Its integral by the trapezoidal rule, with the term for the pole that the rule passes: Matta
    and Reichel (Mathematics of Computation 25, 1971). Near 0 that cancels, and erf serves.
    """
    h, pi = x.dtype.type(0.45), root_pi(x) ** 2
    safe = np.maximum(x, 0.5)
    total = h / pi / safe
    for n in range(1, 17):
        square = (n * h) ** 2
        total = total + 2 * h / pi * np.exp(-square) / (square / safe + safe)
    close = np.minimum(safe, pi / h)
    pole = 2 * gaussian(close, 1) / -np.expm1(2 * pi / h * close)
    near = gaussian(np.minimum(x, 1), 1) * (1 - erf_series(np.minimum(x, 1)))
    return np.asarray(np.where(x < 0.5, near, total + np.where(safe < pi / h, pole, 0)))


def erfcx(x: Array) -> Array:
    """exp(x²) erfc(x)."""
    small = erfcx_positive(np.abs(x))
    return np.where(x < 0, 2 * gaussian(x, 1) - small, small)


def erfc(x: Array) -> Array:
    """1 - erf(x)."""
    tail = gaussian(x, -1) * erfcx_positive(np.abs(x))
    return np.where(x < 0, 2 - tail, tail)


def ndtr(x: Array) -> Array:
    """The normal distribution: erfc(-x / sqrt(2)) / 2."""
    root = np.sqrt(x.dtype.type(0.5))
    tail = gaussian(x, -0.5) * erfcx_positive(np.abs(x) * root) / 2
    return np.asarray(np.where(x < 0, tail, 1 - tail))


def log_ndtr(x: Array) -> Array:
    """log(ndtr(x)), without underflow."""
    root = np.sqrt(x.dtype.type(0.5))
    low = np.log(erfcx_positive(np.abs(np.minimum(x, 0)) * root) / 2) - x * x / 2
    return np.where(x < -1, low, np.log1p(-ndtr(-x)))


def inverse(near: Array, tail: Array) -> Array:
    """The y >= 0 with erf(y) = near and erfc(y) = tail, for numbers that add up to 1.

    Newton's method, on erf for near <= 1/2 and on log(erfc) beyond.
    """
    small = np.minimum(near, 0.5)
    y = small * root_pi(near) / 2
    for _ in range(5):
        y = y + (small - erf_series(y)) * gaussian(y, 1) * root_pi(near) / 2
    wanted = np.log(np.minimum(tail, 0.5))
    z = np.sqrt(-wanted)
    for _ in range(8):
        scaled = erfcx_positive(z)
        z = z + (np.log(scaled) - z * z - wanted) * scaled * root_pi(near) / 2
    return np.where(near <= 0.5, y, np.where(tail == 0, np.inf, z))


def erfinv(x: Array) -> Array:
    """The y with erf(y) = x; NaN beyond -1 and 1."""
    a = np.abs(x)
    return np.where(a <= 1, np.copysign(inverse(np.minimum(a, 1), 1 - np.minimum(a, 1)), x), np.nan)


def erfcinv(x: Array) -> Array:
    """The y with erfc(y) = x; NaN below 0 and above 2."""
    tail = np.clip(np.where(x <= 1, x, 2 - x), 0, 1)
    y = np.where(x <= 1, 1, -1) * inverse(1 - tail, tail)
    return np.where((x >= 0) & (x <= 2), y, np.nan)
