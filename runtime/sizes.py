"""The symbolic sizes of a step: what decides them, their values in a call, and what they must obey.

The shapes of arguments and the equalities that operators record are equations; `size_solver`
solves them. What is said here is which equations there are, and errors in the user's words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphc.errors import GraphError, TypeRuleError
from graphc.ir import dim
from graphc.ir.dim import Dim, Size
from graphc.ir.graph import Graph
from graphc.ir.node import Node, made_at
from graphc.ir.size_proof import is_never_negative, may_divide_by_zero
from graphc.ir.size_solver import Equation, SizeConflict, determined, solve, values_with
from graphc.ir.types import TensorType, TupleType, show_shape
from graphc.runtime.arguments import listed, made
from graphc.runtime.loaded import Array


class Sizes:
    """The symbolic sizes of a graph, bound to numbers by each call.

    `names` are those that the shapes of the inputs decide, by themselves or with what operators
    need to be equal.
    """

    def __init__(self, graph: Graph) -> None:
        self.inputs = graph.inputs
        nodes = walk_inside(graph)
        equalities = [equation for node in nodes for equation in equalities_of(node)]
        self.equalities = list({(e.left, e.right): e for e in reversed(equalities)}.values())[::-1]
        sizes = [(node, size) for node in nodes for size in sizes_of(node)]
        self.divided = [(node, size) for node, size in sizes if may_divide_by_zero(size)]
        axes = [(node, size) for node in nodes for size in shape_of(node)]
        self.signed = [(node, size) for node, size in axes if not is_never_negative(size)]
        self.limited = [node for node in nodes if node.op.depends_on_sizes and is_symbolic(node)]
        declared = [e for node in graph.inputs for e in declared_equations(node)]
        self.names = sorted(determined([*declared, *self.equalities]))

    def bind(self, arrays: Sequence[Array]) -> dict[str, int]:
        """The values that the shapes of arguments decide, by name in order.

        GraphError where shapes do not fit the declared ones or each other, where an operator's
        equality does not hold, and where an operator refuses the sizes.
        """
        given = [
            e for pair in zip(self.inputs, arrays, strict=True) for e in shape_equations(*pair)
        ]
        sizes = self.solved(given)
        missing = [name for name in self.names if name not in sizes]
        if missing:
            raise GraphError(
                f"the arguments leave the size {missing[0]!r} open: "
                f"{' and '.join(standing_in(missing[0], self.inputs))} is 0, which fits any"
            )
        check_divisors(self.divided, sizes)
        check_limits(self.limited, sizes)
        check_signs(self.signed, sizes)
        return sizes

    def complete(
        self, given: Mapping[str, int], source: str, shapes: Sequence[Equation] = ()
    ) -> dict[str, int]:
        """Given values and what follows, also from shapes; GraphError where they contradict."""
        return self.solved([*values_with(given, source), *shapes])

    def solved(self, given: Sequence[Equation]) -> dict[str, int]:
        """The solution by name in order, with a contradiction in the user's words."""
        try:
            return dict(sorted(solve([*given, *self.equalities]).items()))
        except SizeConflict as conflict:
            raise in_words(conflict) from None


def in_words(conflict: SizeConflict) -> GraphError:
    """A contradiction as an error: of an argument, of values given, or of an operator."""
    equation = conflict.equation
    match equation.origin:
        case Node() as node:
            return GraphError(f"{node.op.name}: {conflict.reason}{made_at(node)}")
        case (node, array):
            return misfit(node, array, f": {conflict.reason}")
    return GraphError(f"{conflict.reason}, {equation.source}")


def declared_equations(node: Node) -> Iterator[Equation]:
    """An input's sizes, each equal to a number that a call will give."""
    return (Equation(size, 0, "") for size in node.shape)


def shape_equations(node: Node, array: Array) -> Iterator[Equation]:
    """An input's sizes, each equal to what an array has; GraphError for another rank."""
    if array.ndim != node.tensor.rank:
        raise misfit(node, array, "")
    for axis, (size, actual) in enumerate(zip(node.shape, array.shape, strict=True)):
        if isinstance(size, int) and size != actual:
            raise misfit(node, array, f": axis {axis} should be {size}")
        source = f"{node.attrs['name']!r} (axis {axis})"
        yield Equation(size, actual, source, (node, array))


def equalities_of(node: Node) -> list[Equation]:
    """What a node takes to be equal though it is written differently."""
    source = f"{node.op.name}{f' at {node.where}' if node.where else ''}"
    pairs = node.op.equalities(node)
    return [Equation(*pair, source, node) for pair in pairs if pair[0] != pair[1]]


def misfit(node: Node, array: Array, reason: str) -> GraphError:
    """The error for an argument of another shape."""
    expected = show_shape(node.tensor.shape)
    name = node.attrs["name"]
    message = f"argument {name!r} has shape {array.shape}, expected {expected}{reason}"
    return GraphError(message + made(node))


def bind_sizes(graph: Graph, arrays: Sequence[Array]) -> dict[str, int]:
    """The symbolic sizes of a graph for arguments (see `Sizes.bind`)."""
    return Sizes(graph).bind(arrays)


# --- what is decided -----------------------------------------------------------------------------


def check_decided(graph: Graph) -> None:
    """GraphError where a symbolic size that is used is decided by no input."""
    sizes = Sizes(graph)
    sizes.solved([])  # equalities may contradict each other whatever the arguments are
    known = set(sizes.names)
    for node in walk_inside(graph):
        for symbol in symbols_of(node):
            if symbol not in known:
                raise GraphError(undecided(symbol, graph.inputs) + made_at(node))


def undecided(name: str, inputs: Sequence[Node]) -> str:
    """Why a size is not decided, and what would decide it."""
    sizes = standing_in(name, inputs)
    why = f"no input decides the size {name!r}"
    if sizes:
        why = f"the inputs do not decide the size {name!r}: it stands only in {' and '.join(sizes)}"
    return f"{why}: give one an axis of exactly that size"


def standing_in(name: str, inputs: Sequence[Node]) -> list[str]:
    """The sizes of inputs in which a symbol stands, for a message."""
    return [
        f"{size} of {node.attrs['name']!r} (axis {axis})"
        for node in inputs
        for axis, size in enumerate(node.shape)
        if name in {symbol.name for symbol in dim.symbols(size)}
    ]


def symbols_of(node: Node) -> list[str]:
    """The names of the symbolic sizes in a node's type and attributes, sorted."""
    return sorted({symbol.name for size in sizes_of(node) for symbol in dim.symbols(size)})


def sizes_of(node: Node) -> list[Dim]:
    """The symbolic sizes in a node's type and attributes."""
    found: list[Dim] = []
    values: list[Any] = [node.type, *node.attrs.values()]
    while values:
        value = values.pop()
        if isinstance(value, TensorType | tuple):
            values.extend(value.shape if isinstance(value, TensorType) else value)
        elif isinstance(value, TupleType):
            values.extend(value.items)
        elif isinstance(value, Dim):
            found.append(value)
    return found


def shape_of(node: Node) -> tuple[Size, ...]:
    """The sizes of a node; none where it has several results, which are taken one by one."""
    return node.type.shape if isinstance(node.type, TensorType) else ()


def is_symbolic(node: Node) -> bool:
    """Whether symbolic sizes stand in a node, or in its operands."""
    return bool(symbols_of(node)) or any(map(symbols_of, node.inputs))


def walk_inside(graph: Graph) -> list[Node]:
    """Every node of a graph, and of the graphs inside of it."""
    found: list[Node] = []
    graphs = [graph]
    while graphs:
        nodes = graphs.pop().walk()
        found += nodes
        graphs += (v for node in nodes for v in node.attrs.values() if isinstance(v, Graph))
    return found


# --- numbers for sizes ---------------------------------------------------------------------------


def check_limits(nodes: Sequence[Node], sizes: Mapping[str, int]) -> None:
    """GraphError where an operator refuses these values of the symbolic sizes.

    Such as an index that lies outside of its axis, or a window larger than what it slides over.
    """
    for node in nodes:
        types = (TensorType(o.dtype, shape_for(o.tensor, sizes)) for o in node.inputs)
        attrs = {name: bound(attr, sizes) for name, attr in node.attrs.items()}
        try:
            node.op.infer(*types, **attrs)
        except TypeRuleError as error:
            raise unfit(node, str(error), sizes) from None


def check_divisors(divided: Sequence[tuple[Node, Size]], sizes: Mapping[str, int]) -> None:
    """GraphError where a size divides by 0."""
    for node, size in divided:
        try:
            dim.evaluate(size, sizes)
        except ZeroDivisionError:
            raise unfit(node, f"the size {size} divides by 0", sizes) from None


def check_signs(signed: Sequence[tuple[Node, Size]], sizes: Mapping[str, int]) -> None:
    """GraphError where the size of an axis is negative."""
    for node, size in signed:
        if dim.evaluate(size, sizes) < 0:
            raise unfit(node, f"the size {size} is negative", sizes)


def unfit(node: Node, reason: str, sizes: Mapping[str, int]) -> GraphError:
    """The error for a node that these values of the symbolic sizes do not fit."""
    known = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    return GraphError(f"{node.op.name}: {reason} (with {known}){made_at(node)}")


def bound(attr: Any, sizes: Mapping[str, int]) -> Any:
    """An attribute with numbers for the symbolic sizes in it."""
    if isinstance(attr, Dim):
        return dim.evaluate(attr, sizes)
    return tuple(bound(item, sizes) for item in attr) if isinstance(attr, tuple) else attr


def shape_for(tensor: TensorType, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A shape with its symbolic sizes filled in."""
    return tuple(dim.evaluate(size, sizes) for size in tensor.shape)


def check_given(given: Mapping[str, Any], names: Sequence[str]) -> None:
    """GraphError for a value that is no size, or of a size that there is not."""
    for name, size in given.items():
        if name not in names:
            raise GraphError(f"there is no size {name!r}: the sizes are {listed(names)}")
        if not isinstance(size, int) or size < 0:
            raise GraphError(f"size {name!r} must be an integer of at least 0, not {size!r}")
