"""Sorting one row in a kernel: by digits where it is long, by counting where it is short.

A long row is sorted digit by digit, the lowest first (Knuth: The Art of Computer Programming,
volume 3, 5.2.5): a pass knows how often every digit occurs, hence where each element goes. That
takes linear time and no branch that a processor must guess, and equal elements keep their order. In
a short row every element counts those that come before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.ir import scalar
from graphc.ir.dim import Dim, Size
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.scalar import Scalar
from graphc.ir.types import DType, TensorType, as_dtype, int64

DIGIT = 8
"""Bits of a digit: with 256 values, the counters and the places they tell of stay in cache."""
SHORT = 128
"""Rows up to this length have their elements count each other; counters would cost more."""
LANES = 16
"""How many elements are cleared, copied or counted side by side."""


def key_dtype(dtype: DType) -> DType:
    """The unsigned integers that order a dtype."""
    return as_dtype(f"uint{dtype.bytes * 8}")


def order_key(x: Scalar, descending: bool) -> Scalar:
    """An unsigned integer for each value, in the order of the values; NaN is the last in any case.

    0 and -0 have the same. Negative floats fall as their bits rise, so those are turned around.
    """
    dtype = key_dtype(x.dtype)
    if not x.dtype.is_float:
        key = scalar.cast(x, dtype) if x.dtype.kind == "bool" else scalar.bitcast(x, dtype)
        key = key ^ scalar.const(dtype, 2 ** (dtype.bits - 1)) if x.dtype.kind == "int" else key
        return ~key if descending else key
    sign, last = 2 ** (dtype.bits - 1), 2**dtype.bits - 1
    bits = scalar.bitcast(scalar.where(scalar.call("equal", x, 0.0), 0.0, x), dtype)
    key = scalar.where(bits >= sign, ~bits, bits | scalar.const(dtype, sign))
    return scalar.where(scalar.call("equal", x, x), ~key if descending else key, last)


def room(groups: Size, count: Size, keys: DType, results: DType) -> Sequence[TensorType]:
    """Memory for each group of rows: two places for keys and results in turn, and counters."""
    places = [TensorType(dtype, (groups, 2, count)) for dtype in (keys, results)]
    digits = 0 if isinstance(count, int) and count <= SHORT else keys.bits // DIGIT
    return [*places, TensorType(int64, (groups, digits, 2**DIGIT))]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `count` elements to sort, in the room of a group.

    Its keys and what they bring along are in the first place of each; `put` takes what has been
    brought to its place in the sorted row.
    """

    kernel: KernelWriter
    group: Size
    count: Size
    moved: Sequence[Array]
    counters: Array
    put: Callable[[Size, Scalar], None]

    def sort(self) -> None:
        """Sort the row; its length decides how, when the program runs if it must."""
        if isinstance(self.count, int):
            (self.sort_short if self.count <= SHORT else self.sort_long)()
            return
        kernel = self.kernel
        is_short = kernel.let(scalar.call("less_equal", scalar.index(self.count), SHORT))
        with kernel.when(is_short):
            self.sort_short()
        with kernel.when(~is_short):
            self.sort_long()

    # --- long rows ---------------------------------------------------------------------------

    def sort_long(self) -> None:
        """Sort by one digit after another; one that is the same everywhere needs no pass."""
        kernel, (keys, values) = self.kernel, self.moved
        self.count_digits()
        place = kernel.accumulator("last", int64)
        with kernel.loop("serial", self.counters.shape[1]) as number:
            first = self.digit(keys[self.group, 0, 0], number)
            same = self.counters[self.group, number, first]
            with kernel.when(scalar.call("less", same, scalar.index(self.count))):
                now = kernel.bind(place.value)
                self.add_up(number)
                self.distribute(number, now)
                place.accumulate(scalar.index(1 - now))
        last = kernel.bind(place.value)
        with kernel.loop("vector", self.count, LANES) as k:
            self.put(k, values[self.group, last, k])

    def digit(self, key: Scalar, number: Size) -> Dim:
        """A digit of a key, 0 being the lowest."""
        shift = scalar.cast(scalar.index(number * DIGIT), key.dtype)
        return self.kernel.bind(scalar.cast((key >> shift) & (2**DIGIT - 1), int64))

    def count_digits(self) -> None:
        """How often each digit occurs in the keys."""
        kernel, (keys, _) = self.kernel, self.moved
        digits = keys.dtype.bits // DIGIT
        flat = self.counters.reshape(self.counters.shape[0], digits * 2**DIGIT)
        with kernel.loop("vector", digits * 2**DIGIT, LANES) as place:
            flat[self.group, place] = scalar.const(int64, 0)
        with kernel.loop("serial", self.count) as k:
            key = kernel.let(keys[self.group, 0, k])
            for number in range(digits):
                at = (self.group, number, self.digit(key, number))
                self.counters[at] = self.counters[at] + 1

    def add_up(self, number: Size) -> None:
        """Make the counts of a digit where the first element with each value goes."""
        kernel = self.kernel
        total = kernel.accumulator("last", int64)
        with kernel.loop("serial", 2**DIGIT) as value:
            count = kernel.let(self.counters[self.group, number, value])
            self.counters[self.group, number, value] = total.value
            total.accumulate(total.value + count)

    def distribute(self, number: Size, now: Size) -> None:
        """Move every element to where its digit says, in the other place."""
        kernel = self.kernel
        with kernel.loop("serial", self.count) as k:
            values = [kernel.let(array[self.group, now, k]) for array in self.moved]
            at = (self.group, number, self.digit(values[0], number))
            target = kernel.bind(self.counters[at])
            self.counters[at] = scalar.index(target + 1)
            for array, value in zip(self.moved, values, strict=True):
                array[self.group, 1 - now, target] = value

    # --- short rows --------------------------------------------------------------------------

    def sort_short(self) -> None:
        """Put every element behind those that come before it."""
        with self.kernel.loop("serial", self.count) as k:
            self.put(self.rank(k), self.moved[1][self.group, 0, k])

    def rank(self, k: Size) -> Dim:
        """How many keys come before the k-th: lower ones, and equal ones on its left."""
        kernel, (keys, _) = self.kernel, self.moved
        key = kernel.let(keys[self.group, 0, k])
        before = kernel.accumulator("sum", keys.dtype)
        for start, length, function in ((0, k, "less_equal"), (k + 1, self.count - 1 - k, "less")):
            with kernel.loop("vector", length, LANES) as other:
                is_before = scalar.call(function, keys[self.group, 0, start + other], key)
                before.accumulate(scalar.cast(is_before, keys.dtype))
        return kernel.bind(scalar.cast(before.value, int64))
