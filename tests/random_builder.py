"""Growing a random graph word by word, keeping only what has tame values.

A case is made from a number alone. While it grows, every node is evaluated; a word whose result
is too large, or too near to a kink or a pole, is taken back. So derivatives can be checked with
differences, and results with tight bounds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from exact import Array, exact, smooth_within

import graphc as gx
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import walk
from graphc.ir.node import Node
from graphc.ir.types import DType, as_dtype

SEED = 2024
LARGEST = 60.0
MOST_ELEMENTS = 200
MARGIN = {"float16": 0.05, "bfloat16": 0.1, "float32": 0.01, "float64": 0.01}
DTYPES = ["float32"] * 5 + ["float64"] * 4 + ["float16", "bfloat16"]
N = dim.symbol("n")


@dataclass
class RandomGraph:
    """A generated graph, values for its inputs and variables, and the size that n has."""

    number: int
    dtype: DType
    inputs: list[Node] = field(default_factory=list)
    variables: list[gx.Variable] = field(default_factory=list)
    outputs: list[Node] = field(default_factory=list)
    updates: dict[Node, Node] = field(default_factory=dict)
    given: dict[Node, Array] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def is_symbolic(self) -> bool:
        """Whether an input has a size that each call decides."""
        return any(not isinstance(s, int) for node in self.inputs for s in node.shape)

    @property
    def total(self) -> Node:
        """One number that all floating-point outputs and next values count in."""
        wide = self.dtype if self.dtype.bits > 16 else gx.float32
        roots = [n for n in (*self.outputs, *self.updates.values()) if n.dtype.is_float]
        total = gx.constant(0, wide)
        for weight, root in enumerate(roots, start=1):
            array = gx.cast(root, wide)
            total = total + gx.sum(array * (0.5 + array * 0.1)) * weight
        return total

    @property
    def sources(self) -> list[Node]:
        """The inputs and variables that the total depends on and has a gradient by."""
        below = set(walk([self.total]))
        return [n for n in self.given if n in below and n.dtype.is_float]


class RefusedError(Exception):
    """A word that cannot be applied, or whose result is not tame."""


class Builder:
    """Grows a graph by one word after another.

    A subclass has a method for each kind of word, and `words` with the weight of each.
    """

    words: ClassVar[dict[str, int]]

    def __init__(self, number: int, most_nodes: int, dtype: str | None) -> None:
        self.random = np.random.default_rng([SEED, number])
        drawn = self.pick(DTYPES)
        self.graph = RandomGraph(number, as_dtype(dtype or drawn))
        self.values: dict[Node, Array] = {}
        self.floats: list[Node] = []
        self.integers: list[Node] = []
        self.bools: list[Node] = []
        self.count = int(self.random.integers(3, most_nodes + 1))
        self.margin = MARGIN[drawn]

    # --- choosing ---

    def pick(self, options: Any) -> Any:
        """One of several, the same chance for each."""
        return options[int(self.random.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        """True as often as that."""
        return bool(self.random.random() < probability)

    def recent(self, nodes: list[Node]) -> Node:
        """One of some nodes, one of the last few half of the time, so that chains grow."""
        if not nodes:
            raise RefusedError
        return self.pick(nodes[-3:] if self.chance(0.5) else nodes)

    def filled(self, nodes: list[Node]) -> Node:
        """One of some nodes that have elements."""
        return self.recent([node for node in nodes if 0 not in node.shape])

    def number(self) -> float:
        """A number that every dtype has exactly."""
        return float(self.random.integers(-16, 17)) / 8

    def array(self, shape: tuple[int, ...]) -> Array:
        """Numbers that every float dtype has exactly."""
        return self.random.integers(-24, 25, shape) / 16

    def axes(self, node: Node, most: int = 3) -> tuple[int, ...]:
        """Some axes of a node, at least one."""
        if not node.ndim:
            raise RefusedError
        count = int(self.random.integers(1, min(most, node.ndim) + 1))
        return tuple(int(a) for a in self.random.permutation(node.ndim)[:count])

    def axis(self, node: Node) -> int:
        """An axis of a node, counted from either end."""
        if not node.ndim:
            raise RefusedError
        return int(self.random.integers(-node.ndim, node.ndim))

    def extent(self, size: Size) -> int:
        """The number that a size has in this case."""
        return dim.evaluate(size, self.graph.sizes)

    # --- growing ---

    def build(self) -> RandomGraph:
        """The finished graph."""
        self.begin()
        words: list[Callable[[], Node]] = [getattr(self, name) for name in self.words]
        weights = np.array(list(self.words.values())) / sum(self.words.values())
        for _ in range(6 * self.count):
            if len(self.floats) + len(self.integers) + len(self.bools) >= self.count:
                break
            word = words[int(self.random.choice(len(words), p=weights))]
            try:
                self.admit(word())
            except RefusedError:
                continue
        self.finish()
        return self.graph

    def begin(self) -> None:
        """Inputs and variables."""
        symbolic = self.chance(0.45)
        self.graph.sizes["n"] = int(self.random.integers(2, 6))
        for place in range(int(self.random.integers(1, 4))):
            shape = self.shape(symbolic)
            self.source(gx.input(f"x{place}", shape, self.graph.dtype), self.array)
        if self.chance(0.3):
            node = gx.input("k", self.shape(symbolic), self.pick(["int32", "int64", "uint8"]))
            low = 0 if node.dtype.kind == "uint" else -5
            self.source(node, lambda shape: self.random.integers(low, 6, shape))
        if self.chance(0.4):
            first = self.array(tuple(self.random.integers(1, 5, int(self.random.integers(0, 3)))))
            variable = gx.variable(first, name="w", dtype=self.graph.dtype)
            self.graph.variables.append(variable)
            self.source(variable, lambda shape: first)
        if not self.graph.is_symbolic:
            del self.graph.sizes["n"]

    def shape(self, symbolic: bool) -> tuple[Size, ...]:
        """A shape of up to three small sizes; the first may be n."""
        rank = int(self.random.choice(4, p=[0.1, 0.25, 0.45, 0.2]))
        sizes: list[Size] = [int(self.random.choice([1, 2, 3, 4, 5, 7])) for _ in range(rank)]
        if symbolic and sizes and self.chance(0.8):
            sizes[0] = N
        return tuple(sizes)

    def source(self, node: Node, draw: Callable[[tuple[int, ...]], Array]) -> None:
        """An input or variable with its value."""
        shape = tuple(self.extent(size) for size in node.shape)
        self.graph.given[node] = np.asarray(draw(shape)).astype(node.dtype.numpy)
        kind = np.float64 if node.dtype.is_float else node.dtype.numpy
        self.values[node] = self.graph.given[node].astype(kind)
        if node.op.name == "input":
            self.graph.inputs.append(node)
        self.pool(node).append(node)

    def pool(self, node: Node) -> list[Node]:
        """The nodes of a kind."""
        if node.dtype.is_float:
            return self.floats
        return self.bools if node.dtype.kind == "bool" else self.integers

    def admit(self, node: Node) -> None:
        """Keep a node whose value is tame; RefusedError otherwise."""
        values = dict(self.values)
        exact(values, [node], self.graph.sizes)
        new = [n for n in walk([node]) if n not in self.values]
        if values[node].size > MOST_ELEMENTS or not new:
            raise RefusedError
        if any(not tame(values[n]) for n in new) or smooth_within(values, new) < self.margin:
            raise RefusedError
        self.values = values
        self.pool(node).append(node)

    def finish(self) -> None:
        """Outputs: what nothing else uses, and at times something that is used too."""
        everything = [*self.floats, *self.integers, *self.bools]
        used = {operand for node in walk(everything) for operand in node.inputs}
        ends = [node for node in everything if node not in used] or [self.floats[-1]]
        if self.chance(0.4):
            ends.append(self.recent(self.floats))
        self.graph.outputs = ends[:5]
        for variable in self.graph.variables:
            same = [n for n in self.floats if n.type == variable.type and n is not variable]
            change = self.pick(same) if same else gx.tanh(gx.sum(self.floats[-1]))
            self.graph.updates[variable] = variable * 0.5 + change * 0.25


def tame(array: Array) -> bool:
    """Whether every element is finite and small."""
    return bool(
        np.all(np.abs(array.astype(float)) <= (LARGEST if array.dtype.kind == "f" else 200))
    )
