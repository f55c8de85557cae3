"""Write the body of a fusion as a kernel: loops over its results, each value where it belongs.

Every named value stands in the body of the innermost loop that it depends on, so that what does
not change inside a loop is computed before it, and a row's reduction once for the row.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir import dim, scalar
from graphc.ir.dim import Dim, Size, Symbol
from graphc.ir.graph import Graph
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    Buffer,
    For,
    Kernel,
    Let,
    Statement,
    Store,
    statements,
    substitute,
)
from graphc.ir.node import Node
from graphc.ir.scalar import Index, Load, Reduce, Ref, Scalar
from graphc.ir.types import DType, bfloat16, float16, float32
from graphc.ops.kept_products import CONTRACTIONS
from graphc.passes.formula import Formulas
from graphc.passes.fusion_group import (
    REDUCTIONS,
    index_of,
    is_expensive,
    is_free,
    linear_offset,
    result_loops,
    without_units,
)

MAX_NAME_PARTS = 4


def lower_kernel(body: Graph) -> Kernel:
    """The kernel that computes a body's outputs from its inputs."""
    root = body.outputs[0]
    if root.op.name == "concat" and len(body.outputs) == 1:
        return lower_concat(body, root)
    return Writer(body).kernel()


def lower_concat(body: Graph, concat: Node) -> Kernel:
    """A concatenation as loops over one part after another, with no test for each element."""
    start: Size = 0
    parts: list[Statement] = []
    for place, part in enumerate(concat.inputs):
        segment = Segment(Graph(body.inputs, (part,)), concat, start).statements()
        names = {s.name: f"p{place}_{s.name}" for s in statements(segment)
                 if isinstance(s, Let | Accumulator)}  # fmt: skip
        parts.extend(substitute(segment, {}, names))
        start = start + part.shape[concat.attrs["axis"]]
    return Kernel(kernel_name(body), Writer(body).buffers(), tuple(parts), origin(body))


class Writer:
    """One kernel in the making: blocks of statements by the loop that they stand in."""

    def __init__(self, body: Graph) -> None:
        self.body = body
        names = {node: f"in{k}" for k, node in enumerate(body.inputs)}
        widest = max(body.outputs, key=lambda node: len(without_units(node.shape)))
        self.loops = result_loops(widest.shape)
        self.formulas = Formulas(body, names)
        self.blocks: dict[Symbol | None, list[Statement]] = {None: []}
        self.depth: dict[Symbol, int] = {}
        self.free: dict[str, frozenset[Symbol]] = {}
        for place, loop in enumerate(self.loops):
            self.depth[only(loop)] = place + 1
            self.blocks[only(loop)] = []

    def kernel(self) -> Kernel:
        """The finished kernel."""
        body = self.body
        return Kernel(kernel_name(body), self.buffers(), self.statements(), origin(body))

    def statements(self) -> tuple[Statement, ...]:
        """The kernel's body."""
        results = {
            place: self.result(node)
            for place, node in enumerate(self.body.outputs)
            if node.size != 0
        }
        self.formulas.follow()
        self.formulas.drop_guards()
        self.formulas.resolve_names()
        for name in self.order(results.values()):
            self.write(name, self.formulas.values[name])
        for place, value in results.items():
            self.store(place, self.formulas.resolved(value))
        return self.nest()

    def result(self, node: Node) -> Scalar:
        """The value of an output at the loops' variables."""
        return self.formulas.read(node, index_of(node.shape, self.loops), None)

    def order(self, results: Iterable[Scalar]) -> list[str]:
        """Names so that each stands after those it depends on."""
        order: list[str] = []
        seen: set[str] = set()
        stack = [(n, False) for value in results for n in uses(self.formulas.resolved(value))]
        while stack:
            name, ready = stack.pop()
            if ready:
                order.append(name)
            elif name not in seen:
                seen.add(name)
                stack.append((name, True))
                stack.extend((n, False) for n in uses(self.formulas.values[name]))
        return order

    def write(self, name: str, value: Scalar) -> None:
        """Put a named value into the block that it belongs to."""
        self.free[name] = self.variables(value)
        block = self.block(self.free[name])
        if isinstance(value, Reduce):
            block.extend(self.reduction(name, value))
        else:
            block.append(Let(name, value))

    def variables(self, value: Scalar) -> frozenset[Symbol]:
        """The loop variables that a value depends on, directly or through names."""
        if is_empty(value):
            return frozenset()
        found: set[Symbol] = set()
        for name in uses(value):
            found |= self.free[name]
        for part in scalar.walk([value]):
            if isinstance(part, Load | Index):
                offset = part.offset if isinstance(part, Load) else part.value
                found |= {v for v in dim.variables(offset) if v.kind == "index"}
        if isinstance(value, Reduce):
            own = [only(k) for k in value.ranges]
            inner = self.inner_of(value, found - set(own))
            self.enter(own, inner)
            found -= set(own)
        return frozenset(found)

    def inner_of(self, value: Reduce, outside: set[Symbol]) -> int:
        """How deep the block stands in which a reduction is declared."""
        return max((self.depth[v] for v in outside), default=0)

    def enter(self, own: list[Symbol], depth: int) -> None:
        """Make sure that a reduction's loops have blocks and depths."""
        for place, symbol in enumerate(own):
            self.depth[symbol] = depth + place + 1
            self.blocks.setdefault(symbol, [])

    def block(self, free: Iterable[Symbol]) -> list[Statement]:
        """The block of the innermost of some loops."""
        return self.blocks.setdefault(max(free, key=self.nesting, default=None), [])

    def nesting(self, variable: Symbol) -> tuple[int, int]:
        """How deep a loop stands.

        A reduction's loop that is met before its reduction is deeper than any known one; values
        inside a reduction come first, and of its several loops the last one is the innermost.
        """
        if variable in self.depth:
            return self.depth[variable], 0
        return len(self.depth) + len(self.blocks) + 1, int(variable.name.lstrip("%k"))

    def reduction(self, name: str, value: Reduce) -> list[Statement]:
        """The accumulator of a reduction and the loops that fill it; empty ones if none runs."""
        own = [only(k) for k in value.ranges]
        position: Size = value.ranges[0] if value.kind.startswith("arg") else 0
        accumulate: Statement = Accumulate(name, value.body, position)
        inside: tuple[Statement, ...] = () if is_empty(value) else (accumulate,)
        for symbol in reversed(own):
            inside = (For(symbol, "serial", (*self.blocks.get(symbol, ()), *inside)),)
        return [Accumulator(name, value.kind, accumulator_dtype(value)), *inside]

    def store(self, place: int, value: Scalar) -> None:
        """Write a result to its buffer, in the loops of its own axes."""
        node = self.body.outputs[place]
        offset = self.offset(node)
        loops = self.loops[: len(without_units(node.shape))]
        block = self.blocks[only(loops[-1]) if loops else None]
        block.append(Store(f"out{place}", offset, value))

    def offset(self, node: Node) -> Size:
        """Where a result's element at the loops' variables is written."""
        return linear_offset(index_of(node.shape, self.loops), node.shape)

    def nest(self) -> tuple[Statement, ...]:
        """The loops over the results around their blocks."""
        inside: tuple[Statement, ...] = ()
        for loop in reversed(self.loops):
            inside = (For(only(loop), "parallel", (*self.blocks[only(loop)], *inside)),)
        return (*self.blocks[None], *inside)

    def buffers(self) -> tuple[Buffer, ...]:
        """The kernel's parameters: the operands, then the results."""
        read = [Buffer(f"in{k}", n.dtype, n.size) for k, n in enumerate(self.body.inputs)]
        outputs = enumerate(self.body.outputs)
        return (*read, *(Buffer(f"out{k}", n.dtype, n.size, written=True) for k, n in outputs))


class Segment(Writer):
    """The kernel that writes one part of a concatenation, from a start along its axis on."""

    def __init__(self, body: Graph, concat: Node, start: Size) -> None:
        super().__init__(body)
        self.concat = concat
        self.start = start

    def offset(self, node: Node) -> Size:
        """Where a part's element is written in the whole."""
        index = list(index_of(node.shape, self.loops))
        axis = self.concat.attrs["axis"]
        index[axis] = index[axis] + self.start
        return linear_offset(index, self.concat.shape)


def only(variable: Dim) -> Symbol:
    """The symbol that a variable is."""
    (symbol,) = dim.symbols(variable)
    return symbol


def is_empty(value: Scalar) -> bool:
    """Whether a value is a reduction of nothing: what it would read may not be there."""
    return isinstance(value, Reduce) and any(only(k).limit == 0 for k in value.ranges)


def uses(value: Scalar) -> list[str]:
    """The names that a value depends on, also those that stand in its offsets."""
    if is_empty(value):
        return []
    names: list[str] = []
    for part in scalar.walk([value]):
        if isinstance(part, Ref):
            names.append(part.name)
        elif isinstance(part, Load | Index):
            offset = part.offset if isinstance(part, Load) else part.value
            bound = [v.name[1:] for v in dim.variables(offset) if v.kind == "value"]
            names.extend(sorted(bound))
    return names


def accumulator_dtype(value: Reduce) -> DType:
    """The type that values are compared or added up in: float32 for the narrow floats."""
    if value.kind.startswith("arg"):
        return value.body.dtype
    return float32 if value.dtype in (float16, bfloat16) and value.kind == "sum" else value.dtype


def kernel_name(body: Graph) -> str:
    """A name that says what a kernel does: its operators, the weightiest first."""
    nodes = [node for node in body.walk() if node.op.name not in ("input", "constant")]
    words = dict.fromkeys(node.op.name for node in sorted(nodes, key=weight))
    return "_".join(list(words)[:MAX_NAME_PARTS]) or "copy"


def weight(node: Node) -> int:
    """The place of an operator in a kernel's name: products, sums, functions, the rest."""
    if node.op.name in CONTRACTIONS:
        return 0
    if node.op.name in REDUCTIONS:
        return 1
    return 4 if is_free(node) else 2 if is_expensive(node) else 3


def origin(body: Graph) -> tuple[str, ...]:
    """The user's lines that a kernel came from, each once."""
    places = [node.where.describe() for node in body.walk() if node.where and node.inputs]
    return tuple(dict.fromkeys(places))
