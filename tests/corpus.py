"""Graphs to try passes and devices on: those that networks are made of, and random ones.

A `Case` is a graph with arguments for its inputs. Its variables hold the values to run with.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.node import Node

Array = np.ndarray[Any, Any]
ROWS = 5  # of the symbolic size "rows" in the arguments


@dataclass(frozen=True)
class Case:
    """A graph and an array for each of its inputs, in order."""

    graph: Graph
    arguments: tuple[Array, ...]

    def with_rows(self, rows: int) -> tuple[Array, ...]:
        """Arguments for another number of rows."""
        random = np.random.default_rng(rows)
        return tuple(argument(random, node, rows) for node in self.graph.inputs)


def case(inputs: list[Node], outputs: list[Node], updates: dict[Node, Node] | None = None) -> Case:
    """A case with arguments drawn from a normal distribution, or small integers."""
    random = np.random.default_rng(7)
    arguments = tuple(argument(random, node, ROWS) for node in inputs)
    pairs = tuple((updates or {}).items())
    return Case(Graph(tuple(inputs), tuple(outputs), pairs), arguments)


def argument(random: np.random.Generator, node: Node, rows: int) -> Array:
    """An array of an input's type, with a number for the symbolic size."""
    shape = tuple(size if isinstance(size, int) else rows for size in node.shape)
    if node.dtype.is_float:
        return random.standard_normal(shape).astype(node.dtype.numpy)
    return random.integers(0, 3, shape).astype(node.dtype.numpy)


def matrix(name: str, *shape: int | str) -> Node:
    """An input of 64-bit floats."""
    return gx.input(name, shape or ("rows", 6), "float64")


def weight(name: str, *shape: int) -> Node:
    """A variable of 64-bit floats, the same every time."""
    random = np.random.default_rng(len(shape) + sum(shape))
    return gx.variable(random.standard_normal(shape), name=name)


# --- graphs that networks are made of ------------------------------------------------------------


def elementwise_chain() -> Case:
    x = matrix("x")
    return case([x], [gx.tanh(x * 2 + 1) - gx.exp(-x)])


def softmax() -> Case:
    x = matrix("x")
    return case([x], [gx.softmax(x), gx.log_softmax(x, axis=0)])


def layer_norm() -> Case:
    x, scale, shift = matrix("x"), weight("scale", 6), weight("shift", 6)
    centred = x - gx.mean(x, axis=1, keepdims=True)
    spread = gx.sqrt(gx.mean(centred * centred, axis=1, keepdims=True) + 1e-5)
    return case([x], [centred / spread * scale + shift])


def adam_step() -> Case:
    x, labels = matrix("x", "rows", 6), gx.input("labels", ("rows",), "int64")
    weights = [weight("w1", 6, 8), weight("b1", 8), weight("w2", 8, 3), weight("b2", 3)]
    hidden = gx.relu(x @ weights[0] + weights[1])
    loss = gx.mean(gx.softmax_cross_entropy(hidden @ weights[2] + weights[3], labels))
    updates: dict[Node, Node] = {}
    for w, gradient in zip(weights, gx.grad(loss, weights), strict=True):
        mean, square = (gx.variable(np.zeros(w.shape)) for _ in range(2))
        updates[mean] = 0.9 * mean + 0.1 * gradient
        updates[square] = 0.99 * square + 0.01 * gradient * gradient
        updates[w] = w - 0.01 * updates[mean] / (gx.sqrt(updates[square]) + 1e-8)
    return case([x, labels], [loss], updates)


def mixed_reductions() -> Case:
    x = matrix("x")
    rows, columns = gx.sum(x, axis=1, keepdims=True), gx.max(x, axis=0)
    return case([x], [rows * x + columns, gx.mean(x * rows), gx.argmax(x, axis=1), columns])


def diamonds() -> Case:
    x = matrix("x")
    for _ in range(20):
        x = gx.sin(x) * 0.5 + gx.cos(x) * 0.5
    return case([next(n for n in gx.Graph((), (x,)).walk() if n.op.name == "input")], [x])


def crossed_kernels() -> Case:
    """What a row sum needs is needed again by one that waits for it."""
    x = matrix("x")
    shared = gx.exp(x)
    total = gx.sum(gx.sum(shared, axis=0))
    return case([x], [shared * total, gx.sum(shared * total, axis=1)])


def movements() -> Case:
    x = matrix("x", 4, 6)
    parts = [x[1:, ::2], gx.flip(x, axis=0)[:3, 3:], gx.reshape(x.T, (8, 3))[:3]]
    return case([x], [gx.concat(parts, axis=1) + 1, gx.pad(gx.exp(x), ((1, 2), (0, 1)))])


def shifted() -> Case:
    x = matrix("x", 40)
    for _ in range(6):
        x = (gx.tanh(x[:-2]) + x[1:-1] * 2 + x[2:]) / 4
    (source,) = (n for n in gx.Graph((), (x,)).walk() if n.op.name == "input")
    return case([source], [x])


def attention() -> Case:
    q, k, v = (matrix(name, "rows", 4) for name in "qkv")
    weights = gx.softmax(q @ k.T / 2)
    return case([q, k, v], [weights @ v, gx.sum(weights, axis=0)])


def batched_products() -> Case:
    x, w = matrix("x", 2, "rows", 3), weight("w", 2, 3, 5)
    return case([x], [gx.relu(x @ w) + 1, gx.sum(x @ w, axis=(0, 1)), (x @ w) @ weight("u", 5)])


def gathered() -> Case:
    x, at = matrix("x"), gx.input("at", ("rows", 2), "int64")
    chosen = gx.take_along_axis(gx.exp(x), at, axis=1)
    return case([x, at], [chosen * 2, gx.sum(gx.one_hot(at, 3, dtype="float64"), axis=0)])


def narrow_floats() -> Case:
    x = gx.input("x", ("rows", 6), "float16")
    return case([x], [gx.sum(x * x, axis=1), gx.mean(x, axis=0) + 1])


def copies() -> Case:
    x, w, old = matrix("x"), weight("w", 3), weight("old", 3)
    return case([x], [x, w, gx.constant([1.0, 2.0]), x + 1, x + 1], {w: old, old: w})


NETWORKS: dict[str, Callable[[], Case]] = {
    build.__name__: build
    for build in (
        elementwise_chain, softmax, layer_norm, adam_step, mixed_reductions, diamonds,
        crossed_kernels, movements, shifted, attention, batched_products, gathered,
        narrow_floats, copies,
    )
}  # fmt: skip


# --- random graphs -------------------------------------------------------------------------------


def random_case(seed: int, steps: int = 25) -> Case:
    """A graph of random operators over matrices that share a symbolic size."""
    random = np.random.default_rng(seed)
    columns = int(random.choice((1, 4, 4, 4, 33)))
    x, y = matrix("x", "rows", columns), matrix("y", 3, columns)
    w = gx.variable(random.standard_normal((columns, columns)), name="w")
    nodes = [x, y, w, gx.constant(0.5)]
    for _ in range(steps):
        made = random_node(random, nodes)
        if made.ndim <= 3 and made not in set(nodes):
            nodes.append(made)
    outputs = [nodes[-1], *(nodes[i] for i in random.integers(0, len(nodes), 3))]
    fitting = [node for node in nodes if node.type == w.type]
    return case([x, y], outputs, {w: fitting[-1]})


def random_node(random: np.random.Generator, nodes: list[Node]) -> Node:
    """A new node over random ones, recent ones more often; one of them where nothing fits."""

    def pick() -> Node:
        return nodes[int(len(nodes) * random.random() ** 0.5)]

    make = MAKERS[random.integers(len(MAKERS))]
    try:
        return make(random, pick(), pick())
    except gx.GraphError:  # the shapes do not fit this operator
        return pick()


def unary(random: np.random.Generator, x: Node, _: Node) -> Node:
    functions = (gx.tanh, gx.sin, gx.sigmoid, gx.abs, gx.negative, gx.relu)
    return functions[random.integers(len(functions))](x)


def binary(random: np.random.Generator, x: Node, y: Node) -> Node:
    functions = (gx.add, gx.subtract, gx.maximum, lambda a, b: gx.sin(a * b))
    return functions[random.integers(len(functions))](x, y)


def chosen(random: np.random.Generator, x: Node, y: Node) -> Node:
    return gx.where(x > y, x - y, (y - x) * 0.5)


def reduction(random: np.random.Generator, x: Node, _: Node) -> Node:
    functions = (gx.mean, gx.max, gx.min, lambda x, **at: gx.sin(gx.sum(x, **at)))
    axis = random_axis(random, x)
    return functions[random.integers(len(functions))](x, axis=axis, keepdims=bool(axis % 2))


def position(random: np.random.Generator, x: Node, _: Node) -> Node:
    return gx.cast(gx.argmax(exact(x), axis=random_axis(random, x)), "float64") * 0.1


def product(random: np.random.Generator, x: Node, y: Node) -> Node:
    return gx.sin(x @ y) if random.random() < 0.5 else gx.tanh(x @ gx.matrix_transpose(y))


def turned(random: np.random.Generator, x: Node, _: Node) -> Node:
    return gx.permute_dims(x, tuple(random.permutation(x.ndim)))


def turned_round(random: np.random.Generator, x: Node, _: Node) -> Node:
    return gx.flip(x, axis=random_axis(random, x))


def part(random: np.random.Generator, x: Node, _: Node) -> Node:
    keys = (slice(1, None), slice(None, -1), slice(None, None, 2), slice(None, None, -1))
    key = [slice(None)] * x.ndim
    key[random_axis(random, x)] = keys[random.integers(len(keys))]
    return x[tuple(key)]


def padded(random: np.random.Generator, x: Node, _: Node) -> Node:
    widths = [(0, 0)] * x.ndim
    widths[random_axis(random, x)] = (int(random.integers(2)), 1)
    return gx.pad(x, widths)


def joined(random: np.random.Generator, x: Node, y: Node) -> Node:
    return gx.concat([x, y], axis=random_axis(random, x))


def flat(random: np.random.Generator, x: Node, _: Node) -> Node:
    return gx.reshape(x, (-1,)) if random.random() < 0.5 else gx.expand_dims(x, 0)


def taken(random: np.random.Generator, x: Node, y: Node) -> Node:
    return gx.take_along_axis(x, gx.cast(exact(y) * 2, "int64"), axis=random_axis(random, x))


def exact(x: Node) -> Node:
    """The node, unless rounding could tip it from one integer or position to another."""
    if x.inputs:
        raise gx.GraphError("only an input or variable is the same on every device")
    return x


def random_axis(random: np.random.Generator, x: Node) -> int:
    """An axis of a node; GraphError where it has none."""
    if not x.ndim:
        raise gx.GraphError("a node without axes has none to choose")
    return int(random.integers(x.ndim))


MAKERS = tuple(itertools.chain(
    (unary,) * 3, (binary,) * 4, (reduction,) * 3,
    (chosen, position, product, turned, turned_round, part, padded, joined, flat, taken),
))  # fmt: skip
