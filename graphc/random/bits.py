"""Random bits, and the uniform numbers made of them."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.node import Node
from graphc.ir.types import DType, DTypeLike, float32, float64, uint32
from graphc.lang.comparison import isfinite
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    broadcast_node,
    broadcast_shapes,
    to_dtype,
    to_node_dtype,
)
from graphc.lang.selection import stop_gradient, where
from graphc.lang.sizes import ShapeLike, to_shape
from graphc.random.keys import key_words
from graphc.random.threefry import joined, words_for


def bits(key: ArrayLike, shape: ShapeLike = (), dtype: DTypeLike = uint32) -> Node:
    """Random bits: an array of an unsigned integer dtype in which every value is equally likely."""
    kind = to_dtype(dtype)
    if kind.kind != "uint":
        raise GraphError(f"bits: the dtype must be an unsigned integer, not {kind.name}")
    return bits_of(key, to_shape(shape, "bits"), kind.bits, "bits")


def bits_of(key: ArrayLike, shape: tuple[Size, ...], width: int, what: str) -> Node:
    """Random bits in the unsigned integer of a width.

    An element has a block of its own, two words: 64 bits are both, fewer are of their sum
    without carry. Half a block is wasted, and no element needs its neighbour's.
    """
    words = words_for(key_words(key, what), shape)
    whole = joined(words) if width == 64 else words[0] ^ words[1]
    return to_node_dtype(whole, to_dtype(f"uint{width}"))


def to_float_dtype(dtype: DTypeLike, what: str) -> DType:
    """A floating-point dtype; GraphError for another."""
    kind = to_dtype(dtype)
    if not kind.is_float:
        raise GraphError(f"{what}: the dtype must be a floating-point one, not {kind.name}")
    return kind


def to_integer_dtype(dtype: DTypeLike, what: str) -> DType:
    """A dtype of integers; GraphError for another."""
    kind = to_dtype(dtype)
    if not kind.is_integer:
        raise GraphError(f"{what}: the dtype must be an integer, not {kind.name}")
    return kind


def fraction(key: ArrayLike, shape: tuple[Size, ...], dtype: DType, what: str) -> Node:
    """Multiples of 2**-p in [0, 1), all equally likely; p is the precision of the dtype.

    Converting p random bits and scaling them is exact, so that 1 is never reached by rounding.
    """
    width = 64 if dtype == float64 else 32
    whole = bits_of(key, shape, width, what) >> (width - dtype.precision)
    return to_node_dtype(whole, dtype) * 2.0**-dtype.precision


def positive_fraction(word: Node, width: int, dtype: DType) -> Node:
    """(word + 1/2) / 2**width in (0, 1], rounded: small numbers keep all their precision.

    That is what logarithms and tails need, which multiples of 2**-24 would cut off at 5 sigma.
    """
    return (to_node_dtype(word, dtype) + 0.5) * 2.0**-width


def inner_dtype(dtype: DType) -> DType:
    """The dtype in which formulas for a dtype are computed."""
    return float32 if dtype.bits == 16 else dtype


def uniform(
    key: ArrayLike,
    shape: ShapeLike = (),
    dtype: DTypeLike = float32,
    low: ArrayLike = 0.0,
    high: ArrayLike = 1.0,
) -> Node:
    """Numbers equally likely anywhere in [low, high), which must broadcast to the shape.

    low + (high - low) * k / 2**p with p random bits, the precision of the dtype. Where the sum
    would round to high it is low, so that high never occurs. Where high - low is beyond the dtype,
    low and high are weighted instead. Gradients flow to both. GraphError for numbers of which high
    is not above low, or that the dtype does not hold.
    """
    kind, sizes = to_float_dtype(dtype, "uniform"), to_shape(shape, "uniform")
    unit = fraction(key, sizes, kind, "uniform")
    if isinstance(low, int | float) and isinstance(high, int | float):
        if not low < high:
            raise GraphError(f"uniform: low must be below high, not {low} and {high}")
        if low < -kind.largest or high > kind.largest:
            raise GraphError(f"uniform: {low} and {high} are not both numbers of {kind.name}")
        if (low, high) == (0, 1):
            return unit
    bottom, top = (parameter(value, kind, sizes, "uniform") for value in (low, high))
    width = top - bottom
    scaled = where(isfinite(width), bottom + width * unit, bottom * (1 - unit) + top * unit)
    return where(scaled < top, scaled, bottom)


def parameter(value: ArrayLike, dtype: DType, shape: tuple[Size, ...], what: str) -> Node:
    """A parameter of a distribution in a dtype and a shape; GraphError where it does not fit."""
    node = as_node(value, dtype)
    if broadcast_shapes([node.shape, shape], [node]) != shape:
        raise GraphError(f"{what}: a parameter is {node.type}, which is larger than the shape")
    return broadcast_node(to_node_dtype(node, dtype), shape)


def parameters(
    values: Sequence[ArrayLike], shape: ShapeLike | None, dtype: DType, what: str
) -> list[Node]:
    """Parameters as constants in a dtype and a shape, which defaults to what they broadcast to."""
    nodes = [as_node(value, dtype) for value in values]
    common = broadcast_shapes([node.shape for node in nodes], nodes)
    sizes = common if shape is None else to_shape(shape, what)
    return [stop_gradient(parameter(node, dtype, sizes, what)) for node in nodes]
