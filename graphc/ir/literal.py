"""Literal: an array as a value that can be compared and hashed."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.placement import aligned_copy
from graphc.ir.types import DType, TensorType, as_dtype


class Literal:
    """An immutable contiguous array, equal to another when type and bits are equal."""

    __slots__ = ("_hash", "array", "dtype")

    def __init__(self, array: Any, dtype: DType | None = None) -> None:
        """Copy an array-like; dtype defaults to the array's own (TypeRuleError if unknown).

        ValueError where complex numbers are to become real.
        """
        if dtype is not None and not dtype.is_complex and np.iscomplexobj(array):
            raise ValueError(f"a complex number does not become {dtype.name}: take its real part")
        with np.errstate(over="ignore"):  # too large for the dtype is infinity, as in NumPy
            converted = np.asarray(array, None if dtype is None else dtype.numpy)
        self.array = aligned_copy(converted)
        self.array.setflags(write=False)
        self.dtype = as_dtype(self.array.dtype)
        self._hash: int | None = None

    @property
    def type(self) -> TensorType:
        """Its dtype and shape."""
        return TensorType(self.dtype, tuple(map(int, self.array.shape)))

    def __hash__(self) -> int:
        if self._hash is None:  # most large arrays are never asked
            self._hash = hash((self.dtype, self.array.shape, self.array.tobytes()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Literal)
            and hash(self) == hash(other)
            and self.type == other.type
            and self.array.tobytes() == other.array.tobytes()
        )

    def __repr__(self) -> str:
        return f"Literal({self.type})"
