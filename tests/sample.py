"""What a sample of an operator is: operands' shapes, attributes, where it is smooth, how exact."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.types import DType, TensorType, import_ml_dtypes

Array = np.ndarray[Any, Any]
Shape = tuple[Size, ...]
Attrs = Mapping[str, Any]

N, B = dim.symbol("n"), dim.symbol("b")

KINDS = {
    "any": ("bool", "int", "uint", "float", "complex"),
    "real": ("bool", "int", "uint", "float"),
    "numeric": ("int", "uint", "float", "complex"),
    "number": ("int", "uint", "float"),
    "inexact": ("float", "complex"),
    "complex": ("complex",),
    "bits": ("bool", "int", "uint"),
    "integer": ("int", "uint"),
    "float": ("float",),
    "bool": ("bool",),
}


@dataclass(frozen=True)
class Sample:
    """One application of an operator: the shapes of its operands, and its attributes.

    dtypes gives the dtype of operands that do not follow the one under test.
    """

    shapes: tuple[Shape, ...]
    attrs: Attrs = field(default_factory=dict)
    dtypes: Mapping[int, DType] = field(default_factory=dict)

    def types(self, dtype: DType) -> list[TensorType]:
        """The types of the operands where `dtype` is under test."""
        shapes = enumerate(self.shapes)
        return [TensorType(self.dtypes.get(place, dtype), shape) for place, shape in shapes]

    @property
    def is_symbolic(self) -> bool:
        """Whether a size is decided by each call."""
        return any(not isinstance(size, int) for shape in self.shapes for size in shape)


@dataclass(frozen=True)
class Row:
    """What the tests know of an operator.

    accepts is a key of `KINDS`; refused are samples that its type rule must not let through.
    ulp is its error in units in the last place of float32 and float64 (0: exact, or rounded as in
    NumPy); where it is None the error grows with the operands, and `scale` says how.
    interval is where operands are drawn from for values. smooth is that for derivatives (None:
    there are none), smooth_second that of operands after the first where it differs.
    complex_error is that of the result of complex operands beside its magnitude, in units of
    epsilon (0: each part is exact). without names dtypes of these kinds that it refuses.
    signed_zero: a zero of the result has NumPy's sign. formulas: in 16 bits, how many operations
    are rounded one by one. choose draws operands that no interval describes; those
    at the places `ordered` are sorted along their last axis.
    own_dtype: the result depends on what the dtype can hold, so that no wider one tells it.
    """

    accepts: str
    samples: tuple[Sample, ...]
    refused: tuple[Sample, ...] = ()
    ulp: float | None = 0.0
    interval: tuple[float, float] = (-3, 3)
    smooth: tuple[float, float] | None = (-2, 2)
    smooth_second: tuple[float, float] | None = None
    signed_zero: bool = True
    formulas: int = 1
    scale: Callable[..., Array] | None = None
    choose: Callable[[np.random.Generator, TensorType, int], Array | None] | None = None
    ordered: tuple[int, ...] = ()
    elementwise: bool = False
    own_dtype: bool = False
    complex_error: float = 0.0
    without: tuple[str, ...] = ()


# --- values ---------------------------------------------------------------------------------------


def seed_of(*words: Any) -> int:
    """A seed that depends on words alone."""
    return zlib.crc32(" ".join(map(str, words)).encode())


def numbers(shape: Shape) -> tuple[int, ...]:
    """A shape without symbols."""
    assert all(isinstance(size, int) for size in shape), shape
    return tuple(int(size) for size in shape)  # type: ignore[arg-type]


def bind(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A shape with its symbols filled in."""
    return tuple(dim.evaluate(size, sizes) for size in shape)


def draw(random: np.random.Generator, tensor: TensorType, interval: tuple[float, float]) -> Array:
    """Random elements of a type without symbols: floats from an interval, integers small.

    Both parts of complex numbers are from the interval.
    """
    shape, dtype = numbers(tensor.shape), tensor.dtype
    if dtype.kind == "bool":
        return random.integers(0, 2, shape).astype(np.bool_)
    if dtype.is_integer:
        low = 0 if dtype.kind == "uint" else -9
        return random.integers(low, 10, shape).astype(dtype.numpy)
    drawn = np.asarray(random.uniform(*interval, shape))
    if dtype.is_complex:
        drawn = drawn + 1j * random.uniform(*interval, shape)
    return drawn.astype(dtype.numpy)


def operands(
    row: Row, types: Sequence[TensorType], random: np.random.Generator, smooth: bool = False
) -> list[Array]:
    """Random operands of an operator."""
    result = []
    for place, tensor in enumerate(types):
        chosen = row.choose(random, tensor, place) if row.choose else None
        if smooth and tensor.dtype.is_inexact:
            where = row.smooth_second if place and row.smooth_second else row.smooth
            assert where is not None
            chosen = draw(random, tensor, where)
        result.append(draw(random, tensor, row.interval) if chosen is None else chosen)
    return in_order(row, result)


def in_order(row: Row, arrays: Sequence[Array]) -> list[Array]:
    """Operands, of which those that must be are sorted along their last axis."""
    pairs = enumerate(arrays)
    return [sorted_rows(array) if place in row.ordered else array for place, array in pairs]


def sorted_rows(array: Array) -> Array:
    """An array sorted along its last axis; NumPy knows where NaN belongs in float64."""
    wide = array.astype(np.float64) if array.dtype.kind in "fV" else array
    return np.sort(wide).astype(array.dtype)


def bound_types(sample: Sample, dtype: DType, sizes: Mapping[str, int]) -> list[TensorType]:
    """The operands' types with symbols filled in."""
    return [TensorType(t.dtype, bind(t.shape, sizes)) for t in sample.types(dtype)]


def special_values(dtype: DType) -> Array:
    """The values that formulas go wrong at."""
    if dtype.kind == "bool":
        return np.array([False, True])
    if dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        near = {info.min, info.min + 1, 0, 1, 2, 3, info.max // 2, info.max - 1, info.max}
        return np.array(sorted(near | ({-1, -2} if info.min else set())), dtype.numpy)
    if dtype.is_complex:
        real, imaginary = all_pairs([special_values(dtype.part)] * 2)
        found = real.astype(dtype.numpy)
        found.imag = imaginary  # a sum would make NaN of an infinity
        return found
    limits = (import_ml_dtypes() if dtype.name == "bfloat16" else np).finfo(dtype.numpy)
    positive = [0, limits.smallest_subnormal, limits.tiny, 0.5, 1, 1.5, 2, 2.5, 3, 100,
                limits.max, np.inf, np.nan]  # fmt: skip
    return np.array([s * float(v) for v in positive for s in (1, -1)]).astype(dtype.numpy)


def largest(dtype: DType) -> float:
    """The largest finite number of a float dtype."""
    values = special_values(dtype).astype(np.float64)
    return float(np.max(values[np.isfinite(values)]))


def all_pairs(values: Sequence[Array]) -> list[Array]:
    """Operands whose values meet in every combination."""
    return [grid.reshape(-1) for grid in np.meshgrid(*values, indexing="ij")]


# --- the same elements, otherwise in memory ------------------------------------------------------


def every_second(array: Array) -> Array:
    """The same elements with gaps between them."""
    return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array


def column_major(array: Array) -> Array:
    """The same elements with the first axis innermost."""
    return np.asfortranarray(array) if array.ndim else array


def reversed_view(array: Array) -> Array:
    """The same elements with negative strides."""
    return np.flip(np.flip(array).copy()) if array.ndim else array
