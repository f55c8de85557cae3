"""One element from those in a window that slides along each axis: their sum or the largest.

The attributes `window`, `strides`, `low`, `high` and `dilation` have a number for each axis of the
operand; axes that are not pooled have a window of 1. Padding is 0 for a sum and below every number
for a maximum. Taps of a window are numbered in row-major order.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Dim, Size, product
from graphc.ir.node import Node, apply
from graphc.ir.op import Op, Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import REAL_NUMBERS, TensorType, as_dtype, int32, row_major_strides
from graphc.ops.kinds import Linear, Shifted
from graphc.ops.rules import accumulator, check_kind, widen
from graphc.ops.windows import (
    Sliding,
    guarded,
    lay_out,
    meetings,
    number,
    seen_by,
    take_back,
    tap_loops,
    tap_slices,
    windows_of,
)

Sizes: TypeAlias = tuple[Size, ...]
Windows: TypeAlias = Sequence[Sliding]


class Pooling(Shifted):
    """An operator whose attributes have a number for each axis of the elements."""

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The windows, and one tap that passes along the batch."""
        first = {"low": 0, "high": 0, "shape": size}
        return {name: (first.get(name, 1), *values) for name, values in attrs.items()}


@register
class WindowSum(Pooling, Linear):
    """The sum of each window's elements, with x_dilation - 1 zeros between neighbours of x."""

    name = "window_sum"
    depends_on_sizes = True

    def infer(self, x: TensorType, **attrs: Any) -> TensorType:
        """The operand's dtype; sizes are how many windows fit along each axis."""
        check_kind(x.dtype, REAL_NUMBERS)
        return TensorType(x.dtype, counts(slide(x.shape, attrs)))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The sum over the taps."""
        windows = slide(node.inputs[0].shape, node.attrs)
        met = meetings(windows, index, read)
        return reduced("sum", met.loops, guarded(met.guard, read(0, met.places, met.guard), 0))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """To each element the sum of the gradients of the windows that saw it."""
        windows = slide(node.inputs[0].shape, node.attrs)
        return [apply("window_sum", gradient, **attributes([v.backward() for v in windows]))]

    def reference(self, x: Any, **attrs: Any) -> Any:
        """One addition for each tap, with all that it sees."""
        windows = slide(x.shape, attrs)
        total = np.zeros(known(counts(windows)), widen(x).dtype)
        for _, seen in taps_of(lay_out(widen(x), windows, 0), windows):
            total += seen
        return total.astype(x.dtype)


@register
class WindowMax(Pooling):
    """The largest element of each window; NaN if there is one.

    A window that sees only padding gives the lowest number of the dtype (-inf for floats). The
    gradient goes to the first tap that has the largest element, or the first NaN.
    """

    name = "window_max"
    depends_on_sizes = True

    def infer(self, x: TensorType, **attrs: Any) -> TensorType:
        """The operand's dtype; sizes are how many windows fit along each axis."""
        check_kind(x.dtype, REAL_NUMBERS)
        return TensorType(x.dtype, counts(slide(x.shape, attrs)))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The maximum over the taps."""
        windows = slide(node.inputs[0].shape, node.attrs)
        taps = tap_loops(windows, read)
        places, guard = seen_by(windows, index, taps)
        return reduced("max", taps, guarded(guard, read(0, places, guard), node.dtype.limits[0]))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """To the chosen tap of each window its gradient."""
        shape = node.inputs[0].shape
        return [apply("window_scatter", gradient, chosen(node), shape=shape, **node.attrs)]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The tangent at the chosen tap of each window."""
        if tangents[0] is None:
            return None
        return apply("window_gather", tangents[0], chosen(node), **node.attrs)

    def reference(self, x: Any, **attrs: Any) -> Any:
        """numpy.maximum with all that each tap sees."""
        windows, bottom = slide(x.shape, attrs), as_dtype(x.dtype).limits[0]
        result = np.full(known(counts(windows)), bottom, widen(x).dtype)
        for _, seen in taps_of(lay_out(widen(x), windows, bottom), windows):
            result = np.maximum(result, seen)
        return result.astype(x.dtype)


def chosen(node: Node) -> Node:
    """The tap at which each window of a window_max has its largest element."""
    return apply("window_argmax", node.inputs[0], node, **node.attrs)


class Choice(Op):
    """The number of a window's tap; it has no derivative."""

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """Nothing: a position does not change by degrees."""
        return [None] * len(node.inputs)

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """Zero, for the same reason."""
        return None


@register
class WindowArgMax(Pooling, Choice):
    """The first tap of each window of x that sees the maximum y, which window_max has found.

    Where y is NaN it is the first NaN, and where the window sees only padding the number of taps.
    """

    name = "window_argmax"

    def infer(self, x: TensorType, y: TensorType, **attrs: Any) -> TensorType:
        """int32 with the sizes of y, which must be the type of x's maximum."""
        check_kind(x.dtype, REAL_NUMBERS)
        expected = TensorType(x.dtype, counts(slide(x.shape, attrs)))
        if y != expected:
            raise TypeRuleError(f"the maximum of {x} in these windows is {expected}, not {y}")
        return TensorType(int32, y.shape)

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The least number of a tap that sees the maximum."""
        windows = slide(node.inputs[0].shape, node.attrs)
        taps = tap_loops(windows, read)
        places, guard = seen_by(windows, index, taps)
        value = read(0, places, guard)
        found = scalar.call("equal", value, read(1, index))
        if value.dtype.is_float:
            found = found | scalar.call("not_equal", value, value)
        found = found if guard is None else guard & found
        none = scalar.cast(scalar.index(product(node.attrs["window"])), int32)
        return reduced("min", taps, scalar.where(found, numbered(windows, taps), none))

    def reference(self, x: Any, y: Any, **attrs: Any) -> Any:
        """Each tap that sees the maximum puts its number, the first one last."""
        windows = slide(x.shape, attrs)
        laid = taps_of(lay_out(x, windows, 0), windows)
        inside = taps_of(lay_out(np.ones(x.shape, np.bool_), windows, False), windows)
        result = np.full(y.shape, product(attrs["window"]), np.int32)
        for (tap, seen), (_, there) in reversed(list(zip(laid, inside, strict=True))):
            result[there & ((seen == y) | np.not_equal(seen, seen))] = tap
        return result


@register
class WindowGather(Pooling, Linear):
    """The element that one tap of each window sees: the second operand has its number (int32).

    0 where the tap sees padding or the number is out of range.
    """

    name = "window_gather"

    def infer(self, x: TensorType, taps: TensorType, **attrs: Any) -> TensorType:
        """The operand's dtype in the shape of the taps: how many windows fit along each axis."""
        check_kind(x.dtype, REAL_NUMBERS)
        check_taps(taps, counts(slide(x.shape, attrs)))
        return TensorType(x.dtype, taps.shape)

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The sum over all taps of which one counts: unlike a load at it, that runs in vectors."""
        windows = slide(node.inputs[0].shape, node.attrs)
        taps = tap_loops(windows, read)
        places, guard = seen_by(windows, index, taps)
        counts = scalar.call("equal", read(1, index), numbered(windows, taps))
        counts = counts if guard is None else guard & counts
        return reduced("sum", taps, scalar.where(counts, read(0, places, guard), 0))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """To the tap of each window its gradient."""
        (x, taps), attrs = node.inputs, node.attrs
        return [apply("window_scatter", gradient, taps, shape=x.shape, **attrs), None]

    def reference(self, x: Any, taps: Any, **attrs: Any) -> Any:
        """What each tap sees, copied where it is the one."""
        windows = slide(x.shape, attrs)
        result = np.zeros(taps.shape, x.dtype)
        for tap, seen in taps_of(lay_out(x, windows, 0), windows):
            np.copyto(result, seen, where=taps == tap)
        return result


@register
class WindowScatter(Pooling, Linear):
    """The transpose of window_gather: each window's element to what one of its taps sees.

    `shape` is that of the result; what arrives at one place from several windows is added up.
    """

    name = "window_scatter"

    def infer(self, x: TensorType, taps: TensorType, **attrs: Any) -> TensorType:
        """The operand's dtype in the given shape, whose windows x and the taps belong to."""
        check_kind(x.dtype, REAL_NUMBERS)
        shape = attrs["shape"]
        expected = counts(slide(shape, attrs))
        check_taps(taps, expected)
        if x.shape != expected:
            raise TypeRuleError(f"{x} must have an element for each tap of {taps}")
        return TensorType(x.dtype, shape)

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The sum over the windows that see this element of those whose tap is at it."""
        windows = slide(node.shape, node.attrs)
        turned = [window.backward() for window in windows]
        met = meetings(turned, index, read)
        guard, places = met.guard, met.places
        taps = [w.taps - 1 - tap for w, tap in zip(windows, met.taps, strict=True)]
        counts = scalar.call("equal", read(1, places, guard), numbered(windows, taps))
        counts = counts if guard is None else guard & counts
        return reduced("sum", met.loops, scalar.where(counts, read(0, places, guard), 0))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """To each window the gradient that its tap sees."""
        attrs = {name: value for name, value in node.attrs.items() if name != "shape"}
        return [apply("window_gather", gradient, node.inputs[1], **attrs), None]

    def reference(self, x: Any, taps: Any, **attrs: Any) -> Any:
        """Added into what each tap sees, where it is the one."""
        windows = slide(attrs["shape"], attrs)
        wide = widen(x)
        laid = lay_out(np.zeros(attrs["shape"], wide.dtype), windows, 0)
        for tap, seen in taps_of(laid, windows):
            np.add(seen, wide, out=seen, where=taps == tap)  # a view: this adds into `laid`
        return take_back(laid, windows).astype(x.dtype)


def check_taps(taps: TensorType, shape: Sizes) -> None:
    """TypeRuleError unless there is the number of a tap for each window."""
    if taps != TensorType(int32, shape):
        raise TypeRuleError(f"needs a tap for each window, {TensorType(int32, shape)}, not {taps}")


def slide(shape: Sizes, attrs: Mapping[str, Any]) -> tuple[Sliding, ...]:
    """The window along each axis of an operand of a shape."""
    names = ["window", "strides", "low", "high", "dilation"]
    names += ["x_dilation"] if "x_dilation" in attrs else []
    if any(isinstance(taps, int) and taps < 1 for taps in attrs["window"]):
        raise TypeRuleError(f"a window needs a tap along each axis: {attrs['window']}")
    return windows_of(shape, *(attrs[name] for name in names))


def attributes(windows: Windows) -> dict[str, Any]:
    """The attributes of a window_sum with the windows along each axis."""
    return {
        "window": tuple(window.taps for window in windows),
        "strides": tuple(window.stride for window in windows),
        "low": tuple(window.low for window in windows),
        "high": tuple(window.high for window in windows),
        "dilation": tuple(window.dilation for window in windows),
        "x_dilation": tuple(window.spacing for window in windows),
    }


def counts(windows: Windows) -> Sizes:
    """How many windows fit along each axis."""
    return tuple(window.count for window in windows)


def numbered(windows: Windows, taps: Sequence[Size]) -> Scalar:
    """The number of a tap in row-major order, as int32."""
    strides = row_major_strides(tuple(window.taps for window in windows))
    places = (tap * stride for tap, stride in zip(taps, strides, strict=True))
    return scalar.cast(scalar.index(functools.reduce(operator.add, places, 0)), int32)


def reduced(kind: str, taps: Sequence[Size], body: Scalar) -> Scalar:
    """The reduction over the taps that take a loop, in the accumulator's dtype, rounded once."""
    loops = tuple(tap for tap in taps if isinstance(tap, Dim))
    wide = accumulator(body.dtype)
    if not loops:
        return body
    return scalar.cast(scalar.Reduce(wide, kind, loops, scalar.cast(body, wide)), body.dtype)


def taps_of(laid: Any, windows: Windows) -> list[tuple[int, Any]]:
    """Each tap's number, and a view of what it sees of an array that was laid out."""
    shape = [number(window.taps) for window in windows]
    return [(place, laid[tap_slices(windows, tap)]) for place, tap in enumerate(np.ndindex(*shape))]


def known(sizes: Sizes) -> tuple[int, ...]:
    """A shape whose sizes are numbers, as all are where NumPy computes."""
    return tuple(number(size) for size in sizes)
