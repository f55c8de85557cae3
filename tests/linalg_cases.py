"""Functions of `gx.linalg` whose results leave no sign or basis open, and where they are smooth."""

import importlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matrices import Array, conditioned, positive, symmetric

import graphc as gx
from graphc.ir import dim
from graphc.ir.node import Node

Make = Callable[[np.random.Generator, int], list[Array]]


@dataclass(frozen=True)
class Function:
    """A function of nodes, operands of about a size, and the same in the words of PyTorch.

    condition says how much larger errors of results may be than those of operands.
    """

    name: str
    call: Callable[..., Any]
    make: Make
    torch: Callable[..., Any] | None = None
    condition: float = 100.0


def matrix(random: np.random.Generator, n: int) -> list[Array]:
    """Two square matrices whose condition is 100."""
    return [conditioned(random, (2, n, n))]


def tall(random: np.random.Generator, n: int) -> list[Array]:
    """Matrices with more rows than columns."""
    return [conditioned(random, (2, n + 2, n))]


def wide(random: np.random.Generator, n: int) -> list[Array]:
    """Matrices with more columns than rows."""
    return [conditioned(random, (2, n, n + 2))]


def definite(random: np.random.Generator, n: int) -> list[Array]:
    """Symmetric positive definite matrices."""
    return [positive(random, (2, n, n))]


def even(random: np.random.Generator, n: int) -> list[Array]:
    """Symmetric matrices with eigenvalues apart from each other."""
    q = np.linalg.qr(random.normal(size=(2, n, n)))[0]
    return [q * (np.arange(n) - n / 3) @ np.swapaxes(q, -1, -2)]


def system(random: np.random.Generator, n: int) -> list[Array]:
    """Matrices and right-hand sides."""
    return [conditioned(random, (2, n, n)), random.normal(size=(2, n, 3))]


def shared(random: np.random.Generator, n: int) -> list[Array]:
    """One matrix, and a batch of right-hand sides."""
    return [conditioned(random, (n, n)), random.normal(size=(2, n, 3))]


def vector(random: np.random.Generator, n: int) -> list[Array]:
    """Matrices and one vector."""
    return [conditioned(random, (2, n, n)), random.normal(size=n)]


def triangle(random: np.random.Generator, n: int) -> list[Array]:
    """Matrices with good triangles, and right-hand sides."""
    return [random.normal(size=(2, n, n)) / n + np.eye(n), random.normal(size=(2, n, 3))]


def least(random: np.random.Generator, n: int) -> list[Array]:
    """A tall matrix and right-hand sides."""
    return [conditioned(random, (n + 2, n)), random.normal(size=(n + 2, 2))]


def chain(random: np.random.Generator, n: int) -> list[Array]:
    """Factors of a long product."""
    sizes = (n, 2, n + 1, 3, n)
    return [random.normal(size=pair) for pair in itertools.pairwise(sizes)]


def part(x: Any) -> Any:
    """The symmetric part, for PyTorch's functions, which read one triangle."""
    return (x + x.mT) / 2


def projector(x: Any) -> Any:
    """On the space of the three smallest eigenvalues."""
    v = gx.linalg.eigh(x).eigenvectors[..., :3]
    return v @ gx.matrix_transpose(v)


def polar(x: Any) -> Any:
    """The orthogonal factor U V^T."""
    u, _, vh = gx.linalg.svd(x, full_matrices=False)
    return u @ vh


def null_space(x: Any) -> Any:
    """The projector on what no column of tall matrices has a part in."""
    u = gx.linalg.svd(x).U[..., x.shape[-1] :]
    return u @ gx.matrix_transpose(u)


def triangular(lower: bool, transpose: bool, unit: bool) -> Function:
    """A triangular system."""

    def in_torch(t: Any, b: Any) -> Any:
        kind = {"upper": lower == transpose, "unitriangular": unit}
        return torch_linalg("solve_triangular", **kind)(t.mT if transpose else t, b)

    return Function(
        f"solve_triangular_{lower:d}{transpose:d}{unit:d}",
        lambda t, b: gx.linalg.solve_triangular(
            t, b, lower=lower, transpose=transpose, unit_diagonal=unit
        ),
        triangle,
        in_torch,
    )


def torch_linalg(name: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
    """A function of torch.linalg by name; only tests marked `oracle` call it."""

    def call(*operands: Any) -> Any:
        found = getattr(importlib.import_module("torch").linalg, name)
        return found(*operands, *arguments, **options)

    return call


SYMBOLIC = 8
"""A size that stands for any other."""


def nodes(results: Any) -> list[Node]:
    """One or several results as a list."""
    return list(results) if isinstance(results, list | tuple) else [results]


def inputs_for(arrays: Sequence[Array], symbolic: bool = False, prefix: str = "x") -> list[Node]:
    """Inputs of the arrays' shapes; of symbolic ones for those sizes that are SYMBOLIC."""
    result = []
    for k, array in enumerate(arrays):
        n = dim.symbol("n")
        names = {SYMBOLIC: n, SYMBOLIC + 2: n + 2} if symbolic else {}
        shape = [names.get(size, size) for size in array.shape]
        result.append(gx.input(f"{prefix}{k}", shape, array.dtype.name))
    return result


L = gx.linalg
FUNCTIONS = [
    Function("cholesky", L.cholesky, definite, lambda x: torch_linalg("cholesky")(part(x))),
    Function(
        "cholesky_upper",
        lambda x: L.cholesky(x, upper=True),
        definite,
        lambda x: torch_linalg("cholesky")(part(x)).mT,
    ),
    *(triangular(*map(bool, bits)) for bits in np.ndindex(2, 2, 2)),
    Function("solve", L.solve, system, torch_linalg("solve")),
    Function("solve_shared", L.solve, shared, torch_linalg("solve")),
    Function(
        "solve_vector",
        L.solve,
        vector,
        lambda a, b: torch_linalg("solve")(a, b.expand(a.shape[:-1])[..., None])[..., 0],
    ),
    Function(
        "cho_solve",
        lambda a, b: L.cho_solve((L.cholesky(a), True), b),
        lambda random, n: [*definite(random, n), random.normal(size=(2, n, 2))],
        lambda a, b: torch_linalg("solve")(part(a), b),
    ),
    Function("inv", L.inv, matrix, torch_linalg("inv"), 1e4),
    Function("det", L.det, matrix, torch_linalg("det")),
    Function("logabsdet", lambda x: L.slogdet(x).logabsdet, matrix,
             lambda x: torch_linalg("slogdet")(x)[1]),
    Function("lu", lambda x: L.lu(x)[1:], matrix, lambda x: torch_linalg("lu")(x)[1:], 1e4),
    Function("qr", L.qr, tall, torch_linalg("qr"), 1e4),
    Function("qr_square", L.qr, matrix, torch_linalg("qr"), 1e4),
    Function("qr_complete", lambda x: L.qr(x, mode="complete"), matrix, torch_linalg("qr"), 1e4),
    Function("qr_wide", L.qr, wide, None, 1e4),
    Function("eigvalsh", L.eigvalsh, even, lambda x: torch_linalg("eigvalsh")(part(x))),
    Function(
        "eigh",
        lambda x: [gx.square(found) for found in L.eigh(x)],
        even,
        lambda x: [found**2 for found in torch_linalg("eigh")(part(x))],
    ),
    Function("projector", projector, even),
    Function("svdvals", L.svdvals, tall, torch_linalg("svdvals"), 1e4),
    Function(
        "svd",
        lambda x: [gx.square(found) for found in L.svd(x, full_matrices=False)],
        wide,
        lambda x: [found**2 for found in torch_linalg("svd", full_matrices=False)(x)],
        1e5,
    ),
    Function("polar", polar, tall, None, 1e5),
    Function("null_space", null_space, tall, None, 1e4),
    Function("pinv", L.pinv, tall, torch_linalg("pinv"), 1e4),
    Function("pinv_wide", L.pinv, wide, torch_linalg("pinv"), 1e4),
    Function("lstsq", lambda a, b: L.lstsq(a, b)[:2], least,
             lambda a, b: [torch_linalg("pinv")(a) @ b,
                           ((a @ (torch_linalg("pinv")(a) @ b) - b) ** 2).sum(-2)], 1e4),
    Function("expm", L.expm, lambda random, n: [3 * symmetric(random, (2, n, n)) / n],
             torch_linalg("matrix_exp")),
    Function("matrix_power", lambda x: L.matrix_power(x, 5), matrix,
             torch_linalg("matrix_power", 5)),
    Function("matrix_power_inverse", lambda x: L.matrix_power(x, -2), matrix,
             torch_linalg("matrix_power", -2), 1e6),
    Function("multi_dot", lambda *x: L.multi_dot(x), chain,
             lambda *x: torch_linalg("multi_dot")(x)),
    *(
        Function(f"norm_{ord_}", lambda x, ord_=ord_: L.matrix_norm(x, ord=ord_), tall,
                 torch_linalg("matrix_norm", ord_), 1e4)
        for ord_ in ("nuc", 2, -2)
    ),
]  # fmt: skip
