"""DType and TensorType: what an element is, and what a whole array is."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir.dim import Size, product


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """The type of one element; there is one object for each, which tables find by identity.

    kind is "bool", "int", "uint", "float" or "complex"; bits is its width in registers (1 for
    bool, both parts for complex); short is its name in the text form.
    """

    name: str
    short: str
    kind: str
    bits: int

    def __reduce__(self) -> tuple[Any, ...]:
        return as_dtype, (self.name,)

    @property
    def bytes(self) -> int:
        """Bytes of one element in memory."""
        return max(self.bits // 8, 1)

    @property
    def is_float(self) -> bool:
        """Whether this is a real floating-point type."""
        return self.kind == "float"

    @property
    def is_complex(self) -> bool:
        """Whether this is a complex floating-point type."""
        return self.kind == "complex"

    @property
    def is_inexact(self) -> bool:
        """Whether this is a floating-point type, real or complex: what has derivatives."""
        return self.kind in INEXACT

    @property
    def part(self) -> DType:
        """The dtype of the real and of the imaginary part; a real dtype is its own."""
        return PARTS.get(self, self)

    @property
    def is_integer(self) -> bool:
        """Whether this is a signed or unsigned integer type."""
        return self.kind in INTEGERS

    @property
    def precision(self) -> int:
        """Bits of a float's significand, the leading one included; of complex numbers, a part's."""
        return PRECISIONS[self.part.name]

    @property
    def epsilon(self) -> float:
        """The distance from 1 to the next number of a float dtype."""
        return 2.0 ** (1 - self.precision)

    @property
    def largest(self) -> float:
        """The largest finite number of a float dtype."""
        return (2 - self.epsilon) * 2.0 ** EXPONENTS[self.name]

    @property
    def smallest_normal(self) -> float:
        """The smallest positive number of full precision of a float dtype."""
        return 2.0 ** (1 - EXPONENTS[self.name])

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest number of a real dtype: infinities for floats."""
        if self.is_float:
            return -math.inf, math.inf
        half = 2 ** (self.bits - 1)
        return (-half, half - 1) if self.kind == "int" else (0, 2 * half - 1)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype (bfloat16's comes from ml_dtypes; ImportError says so if missing)."""
        scalar = import_ml_dtypes().bfloat16 if self.name == "bfloat16" else self.name
        found: np.dtype[Any] = np.dtype(scalar)
        return found

    def __str__(self) -> str:
        return self.short


def import_ml_dtypes() -> Any:
    """The optional module that gives NumPy bfloat16, or an ImportError that says how to get it."""
    try:
        return importlib.import_module("ml_dtypes")
    except ImportError as error:
        raise ImportError(
            "bfloat16 arrays need the package ml_dtypes: pip install 'graphc-compiler[bfloat16]'"
        ) from error


bool_ = DType("bool", "bool", "bool", 1)
int8, int16, int32, int64 = (DType(f"int{b}", f"i{b}", "int", b) for b in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (DType(f"uint{b}", f"u{b}", "uint", b) for b in (8, 16, 32, 64))
float16 = DType("float16", "f16", "float", 16)
bfloat16 = DType("bfloat16", "bf16", "float", 16)
float32 = DType("float32", "f32", "float", 32)
float64 = DType("float64", "f64", "float", 64)
complex64 = DType("complex64", "c64", "complex", 64)
complex128 = DType("complex128", "c128", "complex", 128)

DTYPES: tuple[DType, ...] = (
    bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64,
    float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip
REAL_DTYPES = tuple(dtype for dtype in DTYPES if not dtype.is_complex)
"""What kernels compute with: complex numbers are taken apart before."""
PARTS = {complex64: float32, complex128: float64}
COMPLEX_OF = {part: whole for whole, part in PARTS.items()}
"""The complex dtype whose parts are of a dtype."""
PRECISIONS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
# The largest power of two that a float dtype has.
EXPONENTS = {"float16": 15, "bfloat16": 127, "float32": 127, "float64": 1023}
BY_NAME = {d.name: d for d in DTYPES}
BY_SHORT = {d.short: d for d in DTYPES}

INTEGERS: tuple[str, ...] = ("int", "uint")
REAL_NUMBERS = (*INTEGERS, "float")
NUMBERS = (*REAL_NUMBERS, "complex")
INEXACT = ("float", "complex")
ANY_REAL = ("bool", *REAL_NUMBERS)
ANY = ("bool", *NUMBERS)
"""Kinds of dtypes, as operators and rules take them together."""

DTypeLike: TypeAlias = DType | str | type | np.dtype[Any]


def as_dtype(value: DTypeLike) -> DType:
    """The DType for a name ("float32"), a NumPy dtype or type, or a type of Python: bool, int...

    Raises TypeRuleError for anything else.
    """
    if isinstance(value, DType):
        return value
    name = value if isinstance(value, str) else dtype_name(value)
    if name not in BY_NAME:
        right = (
            "its .dtype is" if hasattr(value, "dtype") else f"the dtypes are {', '.join(BY_NAME)}"
        )
        raise TypeRuleError(f"{value!r} is not a dtype; {right}")
    return BY_NAME[name]


def how_to_convert(source: np.dtype[Any], target: DType) -> str:
    """What a user can do about an array of another dtype, for a message."""
    if source.kind == "c" and not target.is_complex:
        return "take its real part with .real"
    return f"convert it with .astype({target.name!r})"


def dtype_name(value: type | np.dtype[Any]) -> str:
    """NumPy's name for a type, or its text where NumPy knows none."""
    try:
        return "None" if value is None else np.dtype(value).name  # NumPy takes None for float64
    except (TypeError, ValueError):
        return str(value)


def promote(left: DType, right: DType) -> DType:
    """The type that holds both: the Array API's table, and NumPy's where that leaves it open.

    bfloat16 promotes with integers as float16 does, and with float16 to float32.
    """
    if left == right:
        return left
    if {left, right} == {bfloat16, float16}:
        return float32
    for one, other in ((left, right), (right, left)):
        if one == bfloat16:
            through = promote(float16, other)
            return bfloat16 if through == float16 else through
    return BY_NAME[np.promote_types(left.numpy, right.numpy).name]


@dataclass(frozen=True, slots=True)
class TensorType:
    """The type of an array: its element type and its shape (integers and symbolic sizes)."""

    dtype: DType
    shape: tuple[Size, ...]

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """The number of elements."""
        return product(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class TupleType:
    """The type of a node with several results."""

    items: tuple[TensorType, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


Type: TypeAlias = TensorType | TupleType


def row_major_strides(shape: tuple[Size, ...]) -> tuple[Size, ...]:
    """Elements to step over for each axis of a contiguous array in row-major order."""
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))


def show_shape(shape: tuple[Size, ...]) -> str:
    """A shape as a user writes it: (batch, 784), (3,), ()."""
    inner = ", ".join(map(str, shape))
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
