"""Products of a small constant matrix with a tile of scalars, written with few operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from graphc.ir import scalar
from graphc.ir.kernel_writer import KernelWriter
from graphc.ir.scalar import Scalar

Row: TypeAlias = tuple[float, ...]
Matrix: TypeAlias = tuple[Row, ...]


def transposed(matrix: Matrix) -> Matrix:
    """The matrix with rows and columns exchanged."""
    return tuple(zip(*matrix, strict=True))


def two_sided(
    kernel: KernelWriter, matrix: Matrix, tile: Sequence[Sequence[Scalar]]
) -> list[Scalar]:
    """T d T^T in row-major order."""
    columns = [product(kernel, matrix, column) for column in zip(*tile, strict=True)]
    return [value for row in zip(*columns, strict=True) for value in product(kernel, matrix, row)]


def product(kernel: KernelWriter, matrix: Matrix, values: Sequence[Scalar]) -> list[Scalar]:
    """The matrix times a vector, each element under a name.

    Rows that differ only in the signs of some factors, as those of points x and -x do, are the
    sum and the difference of two parts.
    """
    values = [kernel.let(value) for value in values]
    results: list[Scalar] = []
    while len(results) < len(matrix):
        row, *rest = matrix[len(results) :]
        if rest and is_mirrored(row, rest[0]):
            pairs = list(zip(row, rest[0], strict=True))
            even = combination(kernel, [a if a == b else 0 for a, b in pairs], values)
            odd = combination(kernel, [a if a != b else 0 for a, b in pairs], values)
            results += [kernel.let(even + odd), kernel.let(even - odd)]
        else:
            results.append(combination(kernel, row, values))
    return results


def is_mirrored(row: Row, other: Row) -> bool:
    """Whether two rows are the sum and the difference of two parts, neither of them empty."""
    signs = {a == b for a, b in zip(row, other, strict=True) if a or b}
    return len(signs) == 2 and all(abs(a) == abs(b) for a, b in zip(row, other, strict=True))


def combination(kernel: KernelWriter, row: Sequence[float], values: Sequence[Scalar]) -> Scalar:
    """The sum of the values times their factors, those of 1 first; zero where all factors are."""
    terms = [(factor, value) for factor, value in zip(row, values, strict=True) if factor]
    total: Scalar | None = None
    for factor, value in sorted(terms, key=lambda term: term[0] != 1):
        constant = scalar.const(value.dtype, factor)
        if total is None:
            total = value if factor == 1 else value * constant
        else:
            total = total + value if factor == 1 else scalar.call("fma", value, constant, total)
    return kernel.let(scalar.const(values[0].dtype, 0) if total is None else total)
