"""Random matrices of given properties, and how far from exact results may be."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}


def generator(*words: Any) -> np.random.Generator:
    """Random numbers that depend on words alone."""
    return np.random.default_rng(abs(hash_of(" ".join(map(str, words)))))


def hash_of(text: str) -> int:
    """A number from a text, the same in each process."""
    return int.from_bytes(text.encode()[-64:], "little") % 2**63


def orthogonal(random: np.random.Generator, batch: tuple[int, ...], n: int) -> Array:
    """Matrices with orthonormal columns."""
    return np.asarray(np.linalg.qr(random.normal(size=(*batch, n, n)))[0])


def conditioned(
    random: np.random.Generator, shape: tuple[int, ...], condition: float = 100.0
) -> Array:
    """Matrices whose singular values fall evenly from 1 to 1 / condition."""
    *batch, m, n = shape
    count = min(m, n)
    values = np.geomspace(1, 1 / condition, count) if count else np.zeros(0)
    u, v = orthogonal(random, tuple(batch), m), orthogonal(random, tuple(batch), n)
    return u[..., :count] * values @ np.swapaxes(v[..., :count], -1, -2)


def positive(random: np.random.Generator, shape: tuple[int, ...], condition: float = 100) -> Array:
    """Symmetric matrices whose eigenvalues fall from 1 to 1 / condition."""
    q = orthogonal(random, shape[:-2], shape[-1])
    values = np.geomspace(1, 1 / condition, shape[-1]) if shape[-1] else np.zeros(0)
    found = q * values @ np.swapaxes(q, -1, -2)
    return (found + np.swapaxes(found, -1, -2)) / 2


def symmetric(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Symmetric matrices."""
    x = random.normal(size=shape)
    return x + np.swapaxes(x, -1, -2)


def turned(x: Array) -> Array:
    """Each matrix transposed."""
    return np.swapaxes(x, -1, -2)


def largest(x: Array) -> float:
    """The largest absolute value, 0 of nothing."""
    return float(np.max(np.abs(x), initial=0))


def assert_orthonormal(x: Array, epsilon: float, what: str) -> None:
    """The columns of each matrix are orthonormal up to rounding."""
    length = max(x.shape[-2:], default=1)
    error = largest(turned(x) @ x - np.eye(x.shape[-1]))
    assert error <= 8 * max(length, 1) * epsilon, f"{what}: not orthonormal by {error}"


def assert_equal_matrices(got: Array, want: Array, epsilon: float, what: str) -> None:
    """A product of factors is what it should be, up to the rounding of sums of its length."""
    assert got.shape == want.shape, what
    error, size = largest(got - want), max(largest(want), 1e-30)
    assert error <= 8 * max(*want.shape[-2:], 1) * epsilon * size, f"{what}: wrong by {error}"
