"""Random well-typed graphs for `test_random_graphs.py`: the words they are made of.

A case is made from a number alone; see `random_builder.py` for how it grows.
"""

from typing import Any, ClassVar

import numpy as np
from random_builder import Builder, RandomGraph, RefusedError

import graphc as gx
from graphc.ir.dim import Size
from graphc.ir.node import Node, say

UNARY = {
    "exp": (-4, 3), "expm1": (-4, 3), "log": (0.1, 60), "log1p": (-0.8, 60), "sqrt": (0.05, 60),
    "rsqrt": (0.1, 60), "square": (-7, 7), "reciprocal": (0.2, 60), "sin": (-9, 9),
    "cos": (-9, 9), "tan": (-1.2, 1.2), "tanh": (-5, 5), "sigmoid": (-9, 9), "erf": (-4, 4),
    "softplus": (-20, 20), "sinh": (-3, 3), "cosh": (-3, 3), "asinh": (-9, 9), "atan": (-9, 9),
    "asin": (-0.9, 0.9), "acos": (-0.9, 0.9), "acosh": (1.2, 60), "atanh": (-0.9, 0.9),
    "relu": (-60, 60), "abs": (-60, 60), "negative": (-60, 60), "sign": (-60, 60),
    "floor": (-60, 60), "round": (-60, 60), "log2": (0.1, 60), "ceil": (-60, 60),
    "trunc": (-60, 60),
}  # fmt: skip
"""Where each function of one operand is tame."""
BINARY = [
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "atan2", "hypot", "logaddexp",
    "remainder", "copysign", "floor_divide",
]  # fmt: skip
BINARY_WEIGHTS = np.array([8, 6, 8, 4, 3, 3, 1, 1, 1, 1, 1, 1]) / 38
REDUCTIONS = ["sum", "mean", "max", "min", "prod", "var", "std", "logsumexp"]
REDUCTION_WEIGHTS = np.array([6, 4, 3, 2, 1, 2, 1, 2]) / 21
INTEGER = ["add", "subtract", "multiply", "maximum", "minimum", "bitwise_and", "bitwise_xor"]


class RandomWords(Builder):
    """A method for each kind of word, which makes one over nodes that there are."""

    words: ClassVar[dict[str, int]] = {
        "unary": 18, "binary": 24, "with_number": 8, "reduction": 11, "softmax": 4, "matmul": 8,
        "order": 4, "form": 5, "part": 5, "around": 3, "joined": 4, "repeated": 2, "choice": 4,
        "relation": 2, "taken": 3, "integer": 3, "converted": 4,
    }  # fmt: skip

    def unary(self) -> Node:
        """A function of one operand."""
        x = self.recent(self.floats)
        least, most = (
            np.min(self.values[x], initial=np.inf),
            np.max(self.values[x], initial=-np.inf),
        )
        tamed = [name for name, (low, high) in UNARY.items() if low <= least and most <= high]
        return say(self.pick(tamed), x)

    def binary(self) -> Node:
        """A function of two operands that broadcast."""
        x = self.recent(self.floats)
        y = self.partner(x)
        pair = (x, y) if self.chance(0.5) else (y, x)
        return say(str(self.random.choice(BINARY, p=BINARY_WEIGHTS)), *pair)

    def partner(self, x: Node) -> Node:
        """An operand that broadcasts with another: a node, or a constant."""
        fitting = [y for y in self.floats if fits(x.shape, y.shape)]
        if self.chance(0.75):
            return self.recent(fitting)
        rank = int(self.random.integers(0, x.ndim + 1))
        sizes = [
            s if isinstance(s, int) and self.chance(0.7) else 1 for s in x.shape[x.ndim - rank :]
        ]
        return gx.constant(self.array(tuple(sizes)), x.dtype)

    def with_number(self) -> Node:
        """Arithmetic with a Python number."""
        x, c = self.recent(self.floats), self.number()
        makers = [lambda: x + c, lambda: c - x, lambda: x * c, lambda: x / 3, lambda: x**2,
                  lambda: gx.clip(x, -abs(c) - 0.1, 1.7), lambda: gx.power(abs(x) + 0.5, c),
                  lambda: 2 / (x * x + 1), lambda: x**3]  # fmt: skip
        return self.pick(makers)()

    def reduction(self) -> Node:
        """A reduction over some axes or all."""
        x, name = self.filled(self.floats), str(self.random.choice(REDUCTIONS, p=REDUCTION_WEIGHTS))
        axes = None if self.chance(0.2) else self.axes(x)
        return say(name, x, axis=axes, keepdims=self.chance(0.5))

    def softmax(self) -> Node:
        """A normalization along an axis."""
        x = self.filled(self.floats)
        return self.pick([gx.softmax, gx.log_softmax])(x, axis=self.axis(x))

    def matmul(self) -> Node:
        """A product with a node that fits, a transpose, or a constant."""
        x = self.recent([n for n in self.floats if n.ndim])
        fitting = [y for y in self.floats if multiplies(x.shape, y.shape)]
        if fitting and self.chance(0.6):
            return x @ self.pick(fitting)
        if x.ndim > 1 and self.chance(0.5):
            return x @ x.mT
        if not isinstance(x.shape[-1], int):
            raise RefusedError
        return x @ gx.constant(self.array((x.shape[-1], int(self.random.integers(1, 6)))), x.dtype)

    def order(self) -> Node:
        """Axes in another order."""
        x = self.recent([n for n in self.floats if n.ndim > 1])
        return gx.permute_dims(x, [int(a) for a in self.random.permutation(x.ndim)])

    def form(self) -> Node:
        """Another shape."""
        x = self.recent([n for n in self.floats if n.ndim])
        at = int(self.random.integers(0, x.ndim))
        makers = [lambda: gx.reshape(x, -1), lambda: gx.expand_dims(x, at), lambda: gx.squeeze(x),
                  lambda: gx.reshape(x, (*x.shape[:at], 1, -1)) if at == x.ndim - 1 else x,
                  lambda: gx.reshape(x, (-1, *x.shape[2:])),
                  lambda: gx.broadcast_to(x, (2, *x.shape))]  # fmt: skip
        return self.pick(makers)()

    def part(self) -> Node:
        """A slice with steps, or elements in reverse order."""
        x = self.recent([n for n in self.floats if n.ndim])
        if self.chance(0.3):
            return gx.flip(x, self.axes(x))
        key: list[Any] = []
        for size in x.shape:
            start = int(self.random.integers(0, max(1, self.extent(size) - 1)))
            step = int(self.random.choice([1, 1, 2, 3]))
            parts = [
                slice(None),
                slice(start, None, step),
                slice(None, None, -step),
                slice(-2, None),
                slice(None, -1),
                slice(None, start + 1),
            ]
            key.append(self.pick(parts))
        return x[tuple(key)]

    def around(self) -> Node:
        """Padding."""
        x = self.recent([n for n in self.floats if n.ndim])
        widths = [(int(a), int(b)) for a, b in self.random.integers(0, 3, (x.ndim, 2))]
        return gx.pad(x, widths, self.pick([0, 0, 1.5]))

    def joined(self) -> Node:
        """Parts one after another, or stacked."""
        x = self.recent([n for n in self.floats if n.ndim])
        at = int(self.random.integers(0, x.ndim))
        same = [y for y in self.floats if joins(x.shape, y.shape, at)]
        y = self.recent(same)
        if x.shape == y.shape and self.chance(0.3):
            return gx.stack([x, y], axis=at)
        return gx.concat([x, y, x] if self.chance(0.2) else [x, y], axis=at)

    def repeated(self) -> Node:
        """Elements several times, or moved round."""
        x = self.recent([n for n in self.floats if n.ndim])
        at = self.axis(x)
        if self.chance(0.5):
            return self.pick([gx.repeat, lambda x, n, axis: gx.tile(x, n)])(x, 2, axis=at)
        if not isinstance(x.shape[at], int):
            raise RefusedError
        return gx.roll(x, int(self.random.integers(-2, 3)), axis=at)

    def choice(self) -> Node:
        """Elements of one or the other."""
        x = self.recent(self.floats)
        condition = self.pick(self.bools) if self.bools and self.chance(0.5) else x > self.number()
        y = self.partner(x)
        if not (fits(x.shape, condition.shape) and fits(y.shape, condition.shape)):
            raise RefusedError
        return gx.where(condition, x, y)

    def relation(self) -> Node:
        """A comparison, or logic over earlier ones."""
        if self.bools and self.chance(0.4):
            x = self.recent(self.bools)
            y = self.pick([b for b in self.bools if fits(x.shape, b.shape)])
            makers = [lambda: gx.logical_and(x, y), lambda: gx.logical_or(x, y), lambda: ~x,
                      lambda: gx.any(x, axis=self.axes(x)), lambda: gx.all(x)]  # fmt: skip
            return self.pick(makers)()
        a = self.recent(self.floats)
        return self.pick([gx.less, gx.greater, gx.less_equal, gx.not_equal])(a, self.partner(a))

    def taken(self) -> Node:
        """Elements along an axis by index, or an array that differs at them."""
        x = self.filled([n for n in self.floats if n.ndim])
        at = self.axis(x)
        shape = [1] * x.ndim
        shape[at] = int(self.random.integers(1, 4))
        size = self.extent(x.shape[at])
        if size < 1:
            raise RefusedError
        indices = self.random.integers(-size, size, shape)
        if self.chance(0.4):
            found = self.pick([gx.argmax, gx.argmin])(x, axis=at, keepdims=True)
            return gx.take_along_axis(x, found, axis=at)
        if self.chance(0.4):
            key = (*(slice(None),) * at, gx.constant(indices.reshape(-1)))
            return self.pick([x.at[key].add, x.at[key].set])(x[key] * 0.5)
        return gx.take_along_axis(x, gx.constant(indices), axis=at)

    def integer(self) -> Node:
        """Integers: positions, or arithmetic."""
        if not self.integers or self.chance(0.4):
            x = self.filled(self.floats)
            return self.pick([gx.argmax, gx.argmin])(x, axis=self.axis(x))
        k = self.recent(self.integers)
        other = self.pick([j for j in self.integers if fits(k.shape, j.shape)])
        makers = [lambda: say(self.pick(INTEGER), k, other), lambda: k % 3,
                  lambda: k // 2, lambda: gx.sum(k, axis=self.axes(k))]  # fmt: skip
        return self.pick(makers)()

    def converted(self) -> Node:
        """From one dtype to another, and back to the main one."""
        main = self.graph.dtype
        if self.integers and self.chance(0.5):
            return gx.cast(self.recent(self.integers), main)
        if self.bools and self.chance(0.5):
            return gx.cast(self.recent(self.bools), main)
        x = self.recent(self.floats)
        other = "float64" if main == gx.float32 else "float32"
        return gx.cast(gx.tanh(gx.cast(x, other)) * 1.5, main)


def fits(left: tuple[Size, ...], right: tuple[Size, ...]) -> bool:
    """Whether two shapes broadcast."""
    pairs = zip(reversed(left), reversed(right), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


def multiplies(left: tuple[Size, ...], right: tuple[Size, ...]) -> bool:
    """Whether two shapes multiply as matrices."""
    if not right or left[-1] != right[-2 if len(right) > 1 else 0]:
        return False
    return fits(left[:-2], right[:-2])


def joins(left: tuple[Size, ...], right: tuple[Size, ...], axis: int) -> bool:
    """Whether two shapes are equal but for one axis."""
    return (
        len(left) == len(right)
        and left[:axis] + left[axis + 1 :] == right[:axis] + right[axis + 1 :]
    )


def random_graph(number: int, most_nodes: int = 12, dtype: str | None = None) -> RandomGraph:
    """The graph of a number, in a dtype of its own or in the given one."""
    return RandomWords(number, most_nodes, dtype).build()
