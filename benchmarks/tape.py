"""Reverse-mode differentiation over NumPy in float64: what results and training are checked with.

It shares no code with any contender. A value remembers what it was made from and how a slope of
it becomes slopes of those; `slopes` runs that backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray[Any, Any]
Back = Callable[[Array], Sequence[Array]]


class Value:
    """An array, the values that it was computed from, and the way back to them."""

    def __init__(self, array: Any, sources: Sequence[Value] = (), back: Back | None = None) -> None:
        self.array = np.asarray(array, np.float64)
        self.sources, self.back = tuple(sources), back

    def __add__(self, other: Any) -> Value:
        return pair(self, other, np.add, lambda g, a, b: (g, g))

    def __sub__(self, other: Any) -> Value:
        return pair(self, other, np.subtract, lambda g, a, b: (g, -g))

    def __mul__(self, other: Any) -> Value:
        return pair(self, other, np.multiply, lambda g, a, b: (g * b, g * a))

    def __truediv__(self, other: Any) -> Value:
        return pair(self, other, np.divide, lambda g, a, b: (g / b, -g * a / b**2))

    def __matmul__(self, other: Value) -> Value:
        return pair(self, other, np.matmul, lambda g, a, b: (g @ turned(b), turned(a) @ g))

    def __getitem__(self, key: Any) -> Value:
        """The elements at a key that names none of them twice."""

        def back(g: Array) -> Sequence[Array]:
            whole = np.zeros_like(self.array)
            whole[key] = g
            return (whole,)

        return Value(self.array[key], [self], back)

    def reshape(self, *shape: int) -> Value:
        """The same numbers in another shape."""
        old = self.array.shape
        return Value(self.array.reshape(shape), [self], lambda g: (g.reshape(old),))

    def permute(self, *axes: int) -> Value:
        """The axes in another order."""
        return Value(self.array.transpose(axes), [self], lambda g: (g.transpose(np.argsort(axes)),))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Value:
        """The sum over axes, or over all."""
        axes = tuple(range(self.array.ndim)) if axis is None else axis
        total = self.array.sum(axes, keepdims=keepdims)

        def back(g: Array) -> Sequence[Array]:
            wide = g if keepdims else np.expand_dims(g, axes)
            return (np.broadcast_to(wide, self.array.shape),)

        return Value(total, [self], back)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Value:
        """The mean over axes, or over all."""
        total = self.sum(axis, keepdims)
        return total * (total.array.size / self.array.size)


def turned(a: Array) -> Array:
    """The transposes of matrices."""
    return a.swapaxes(-1, -2)


def as_value(x: Any) -> Value:
    """A value, or a constant as one."""
    return x if isinstance(x, Value) else Value(x)


def pair(
    x: Value, other: Any, function: Any, back: Callable[[Array, Array, Array], Sequence[Array]]
) -> Value:
    """A function of two values that broadcast to one another."""
    y = as_value(other)

    def both(g: Array) -> Sequence[Array]:
        slopes = back(g, x.array, y.array)
        return [shrunk(slope, v.array) for slope, v in zip(slopes, (x, y), strict=True)]

    return Value(function(x.array, y.array), [x, y], both)


def shrunk(slope: Array, like: Array) -> Array:
    """The sum of a slope over the axes along which its operand was broadcast."""
    slope = slope.sum(tuple(range(slope.ndim - like.ndim)))
    axes = tuple(at for at, size in enumerate(like.shape) if size == 1)
    return slope.sum(axes, keepdims=True).reshape(like.shape)


def exp(x: Value) -> Value:
    """The exponential."""
    y = np.exp(x.array)
    return Value(y, [x], lambda g: (g * y,))


def log(x: Value) -> Value:
    """The natural logarithm."""
    return Value(np.log(x.array), [x], lambda g: (g / x.array,))


def sqrt(x: Value) -> Value:
    """The square root."""
    y = np.sqrt(x.array)
    return Value(y, [x], lambda g: (g / (2 * y),))


def tanh(x: Value) -> Value:
    """The hyperbolic tangent."""
    y = np.tanh(x.array)
    return Value(y, [x], lambda g: (g * (1 - y * y),))


def sigmoid(x: Value) -> Value:
    """1 / (1 + exp(-x)), without overflow."""
    return tanh(x * 0.5) * 0.5 + 0.5


def relu(x: Value) -> Value:
    """The larger of x and 0."""
    return Value(np.maximum(x.array, 0), [x], lambda g: (g * (x.array > 0),))


def highest(x: Value, axis: int) -> Array:
    """The maximum along an axis, kept, as a constant: what is safe to take off before exp."""
    return x.array.max(axis, keepdims=True)


def convolution(x: Value, w: Value, stride: int, padding: int, groups: int = 1) -> Value:
    """The cross-correlation of images [N, C, H, W] with kernels [K, C / groups, taps, taps]."""
    n, (kernels, channels, taps, _) = x.array.shape[0], w.array.shape
    margin = [(0, 0), (0, 0), (padding, padding), (padding, padding)]

    def windows(images: Array) -> Array:
        """The windows of images, [groups, N, H, W, C / groups * taps * taps]."""
        cut = sliding_window_view(np.pad(images, margin), (taps, taps), (2, 3))
        cut = cut[:, :, ::stride, ::stride]
        parts = cut.reshape(n, groups, channels, *cut.shape[2:])
        return parts.transpose(1, 0, 3, 4, 2, 5, 6).reshape(groups, n, *cut.shape[2:4], -1)

    rows = windows(x.array)
    height, width = rows.shape[2:4]
    flat = rows.reshape(groups, n * height * width, -1)
    matrix = w.array.reshape(groups, kernels // groups, -1)
    y = (flat @ turned(matrix)).reshape(groups, n, height, width, -1)
    del rows, flat

    def back(g: Array) -> Sequence[Array]:
        parts = g.reshape(n, groups, kernels // groups, height * width)
        outer = parts.transpose(1, 0, 3, 2).reshape(groups, n * height * width, -1)
        flat = windows(x.array).reshape(groups, n * height * width, -1)
        dw = (turned(outer) @ flat).reshape(w.array.shape)
        del flat
        slopes = (outer @ matrix).reshape(groups, n, height, width, channels, taps, taps)
        return scattered(slopes, x.array.shape, stride, padding), dw

    return Value(y.transpose(1, 0, 4, 2, 3).reshape(n, kernels, height, width), [x, w], back)


def scattered(slopes: Array, shape: tuple[int, ...], stride: int, padding: int) -> Array:
    """The slopes of windows, [groups, N, H, W, C / groups, taps, taps], added up in the images."""
    groups, n, height, width, channels, taps, _ = slopes.shape
    image = np.zeros((n, groups, channels, shape[2] + 2 * padding, shape[3] + 2 * padding))
    for i in range(taps):
        for j in range(taps):
            rows = slice(i, i + stride * (height - 1) + 1, stride)
            columns = slice(j, j + stride * (width - 1) + 1, stride)
            image[..., rows, columns] += slopes[..., i, j].transpose(1, 0, 4, 2, 3)
    inner = image.reshape(n, groups * channels, *image.shape[3:])
    return inner[:, :, padding : padding + shape[2], padding : padding + shape[3]]


def max_pool(x: Value, taps: int, stride: int, padding: int = 0) -> Value:
    """The largest element of each square window; the slope goes to the first of several."""
    margin = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    padded = np.pad(x.array, margin, constant_values=-np.inf)
    cut = sliding_window_view(padded, (taps, taps), (2, 3))[:, :, ::stride, ::stride]
    flat = cut.reshape(*cut.shape[:4], -1)
    place = flat.argmax(-1)

    def back(g: Array) -> Sequence[Array]:
        spread = np.zeros((1, g.shape[0], *g.shape[2:], g.shape[1], taps * taps))
        chosen = place.transpose(0, 2, 3, 1)[None, ..., None]
        np.put_along_axis(spread, chosen, g.transpose(0, 2, 3, 1)[None, ..., None], -1)
        slopes = spread.reshape(*spread.shape[:-1], taps, taps)
        return (scattered(slopes, x.array.shape, stride, padding),)

    return Value(np.take_along_axis(flat, place[..., None], -1)[..., 0], [x], back)


def slopes(of: Value, to: Sequence[Value], start: Array | None = None) -> list[Array]:
    """The gradients of a value, or of its product with `start`, with respect to others."""
    found = {id(of): np.ones_like(of.array) if start is None else start}
    for value in reversed(ordered(of)):
        if value.back is not None and id(value) in found:
            results = value.back(found.pop(id(value)))
            for source, slope in zip(value.sources, results, strict=True):
                before = found.get(id(source))
                found[id(source)] = slope if before is None else before + slope
    return [found.get(id(value), np.zeros_like(value.array)) for value in to]


def ordered(last: Value) -> list[Value]:
    """All values that one was computed from, each after its sources."""
    done: dict[int, Value] = {}
    waiting = [last]
    while waiting:
        value = waiting[-1]
        missing = [source for source in value.sources if id(source) not in done]
        if missing:
            waiting.extend(missing)
        else:
            done.setdefault(id(waiting.pop()), value)
    return list(done.values())
