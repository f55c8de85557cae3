"""The operators on matrices: attributes, random operands, and what must hold of results.

Signs and bases that a result leaves open are not compared: a product of the factors must be the
operand, factors must be triangular or orthonormal, values must be in order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matrices import (
    Array,
    assert_equal_matrices,
    assert_orthonormal,
    largest,
    positive,
    symmetric,
    turned,
)

Check = Callable[[list[Array], list[Array], Mapping[str, Any], float], None]


@dataclass(frozen=True)
class Case:
    """An operator: its attributes, random operands of a shape, and what must hold of results."""

    name: str
    make: Callable[[np.random.Generator, tuple[int, ...]], list[Array]]
    check: Check
    attrs: Mapping[str, Any] = field(default_factory=dict)
    square: bool = True

    @property
    def title(self) -> str:
        """The operator and its attributes as a word."""
        return "-".join([self.name, *(key for key, value in self.attrs.items() if value)])


# --- what must hold ------------------------------------------------------------------------------


def check_cholesky(
    operands: list[Array], results: list[Array], attrs: Mapping[str, Any], epsilon: float
) -> None:
    (x,), (u,) = operands, results
    assert np.array_equal(u, np.triu(u))
    assert (np.diagonal(u, axis1=-2, axis2=-1) > 0).all()
    assert_equal_matrices(turned(u) @ u, x, epsilon, "U^T U")


def check_triangular(
    operands: list[Array], results: list[Array], attrs: Mapping[str, Any], epsilon: float
) -> None:
    (t, b), (x,) = operands, results
    t = np.tril(t) if attrs["lower"] else np.triu(t)
    if attrs["unit_diagonal"]:
        t = t - t * np.eye(t.shape[-1]) + np.eye(t.shape[-1])
    t = turned(t) if attrs["transpose"] else t
    # Higham, Accuracy and stability of numerical algorithms, theorem 8.5: backward stable by rows.
    allowed = (t.shape[-1] + 1) * epsilon * (np.abs(t) @ np.abs(x))
    assert (np.abs(t @ x - b) <= allowed + 1e-300).all()


def check_lu(
    operands: list[Array], results: list[Array], attrs: Mapping[str, Any], epsilon: float
) -> None:
    (x,), (packed, pivots, rows, places) = operands, results
    m, n = x.shape[-2:]
    count = min(m, n)
    lower = np.tril(packed[..., :count], -1) + np.eye(m, count)
    assert largest(lower) <= 1
    moved = np.take_along_axis(x, rows[..., None], axis=-2)
    assert_equal_matrices(lower @ np.triu(packed[..., :count, :]), moved, 4 * epsilon, "L U")
    assert np.array_equal(np.argsort(rows, -1), places)
    order = np.broadcast_to(np.arange(m), rows.shape).copy()
    for place in np.ndindex(rows.shape[:-1]):
        for step, pivot in enumerate(pivots[place]):
            order[place][[step, pivot]] = order[place][[pivot, step]]
    assert np.array_equal(order, rows)


def check_qr(
    operands: list[Array], results: list[Array], attrs: Mapping[str, Any], epsilon: float
) -> None:
    (x,), (q, r) = operands, results
    assert np.array_equal(r, np.triu(r))
    assert_orthonormal(q, epsilon, "Q")
    assert_equal_matrices(q @ r, x, epsilon, "Q R")
    want = np.linalg.qr(x, "complete" if attrs["complete"] else "reduced")
    assert (q.shape, r.shape) == (want[0].shape, want[1].shape)


def check_eigh(
    operands: list[Array], results: list[Array], attrs: Mapping[str, Any], epsilon: float
) -> None:
    (x,), (values, vectors) = operands, results
    n = x.shape[-1]
    assert_orthonormal(vectors, epsilon, "eigenvectors")
    assert_equal_matrices(vectors * values[..., None, :] @ turned(vectors), x, epsilon, "V D V^T")
    assert (np.diff(values) >= 0).all()
    assert largest(values - np.linalg.eigvalsh(x)) <= 8 * n * epsilon * largest(x) * n
    if n:
        at = np.argmax(np.abs(vectors), axis=-2)[..., None, :]
        assert (np.take_along_axis(vectors, at, -2) > 0).all()


def check_svd(
    operands: list[Array], results: list[Array], attrs: Mapping[str, Any], epsilon: float
) -> None:
    (x,), (u, values, vt) = operands, results
    count = min(x.shape[-2:])
    for part in (u, turned(vt)):
        assert_orthonormal(part, epsilon, "singular vectors")
    product = u[..., :count] * values[..., None, :] @ vt[..., :count, :]
    assert_equal_matrices(product, x, epsilon, "U S V^T")
    assert (np.diff(values) <= 0).all()
    assert (values >= 0).all()
    want = np.linalg.svd(x, full_matrices=attrs["full_matrices"])
    assert (u.shape, vt.shape) == (want[0].shape, want[2].shape)
    assert largest(values - want[1]) <= 8 * max(x.shape[-2:]) * epsilon * largest(want[1])


def triangular_operands(random: np.random.Generator, shape: tuple[int, ...]) -> list[Array]:
    """Triangles with large diagonals, and right-hand sides."""
    n = shape[-1]
    columns = random.normal(size=(*shape[:-1], int(random.integers(1, 20))))
    return [random.normal(size=shape) / max(n, 1) + np.eye(n), columns]


CASES = [
    Case("cholesky", lambda random, shape: [positive(random, shape)], check_cholesky),
    *(
        Case(
            "triangular_solve",
            triangular_operands,
            check_triangular,
            {"lower": lower, "transpose": transpose, "unit_diagonal": unit},
        )
        for lower in (False, True)
        for transpose in (False, True)
        for unit in (False, True)
    ),
    Case("lu", lambda random, shape: [random.normal(size=shape)], check_lu, square=False),
    *(
        Case("qr", lambda random, shape: [random.normal(size=shape)], check_qr,
             {"complete": complete}, square=False)
        for complete in (False, True)
    ),
    Case("eigh", lambda random, shape: [symmetric(random, shape)], check_eigh),
    *(
        Case("svd", lambda random, shape: [random.normal(size=shape)], check_svd,
             {"full_matrices": full}, square=False)
        for full in (False, True)
    ),
]  # fmt: skip
