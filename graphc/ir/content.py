"""Content: all that a graph says, as a number that is the same in every process.

Two graphs with the same number are compiled to the same program. The number covers operators,
operands and attributes, names, types and the bits of constants, which of these are the same
object, and the user's lines with their text; of variables it covers all but their values.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from graphc.errors import Where, is_internal
from graphc.ir.dim import Atom, Dim, Symbol
from graphc.ir.graph import Graph, walk
from graphc.ir.literal import Literal
from graphc.ir.node import Node
from graphc.ir.rules import Rules
from graphc.ir.state import State
from graphc.ir.types import DType, TensorType, TupleType

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Content:
    """A graph's number in hexadecimal digits, and its constants and variables in a fixed order."""

    number: str
    literals: tuple[Literal, ...]
    states: tuple[State, ...]


class UnknownContentError(Exception):
    """A graph holds what has no text that says everything, such as an operator of the user's."""


def content_of(graph: Graph) -> Content:
    """What a graph says.

    Raises UnknownContentError for an operator from outside graphc, whose code may change between
    processes, and for an attribute of a type that is not known here.
    """
    writer = Writer()
    writer.graph(graph)
    number = hashlib.sha256("\n".join(writer.lines).encode()).hexdigest()
    return Content(number, writer.literals.all, writer.states.all)


class Met(Generic[Thing]):
    """Objects in the order in which they are met."""

    def __init__(self) -> None:
        self.places: dict[int, tuple[int, Thing]] = {}

    def position(self, thing: Thing) -> int:
        """The position of an object, which is the next one where it is new."""
        return self.places.setdefault(id(thing), (len(self.places), thing))[0]

    @property
    def all(self) -> tuple[Thing, ...]:
        """The objects by position."""
        return tuple(thing for _, thing in self.places.values())


@dataclass(slots=True)
class Writer:
    """Writes graphs as lines, of which equal ones say equal things.

    A line is Python's text of nested tuples of strings and numbers, so no two read the same.
    numbers has the line's number for each node and each graph inside of nodes, by identity.
    """

    lines: list[str] = field(default_factory=list)
    numbers: dict[Node | Graph, int] = field(default_factory=dict)
    literals: Met[Literal] = field(default_factory=Met)
    states: Met[State] = field(default_factory=Met)
    rules: Met[Rules] = field(default_factory=Met)
    places: dict[Where, int] = field(default_factory=dict)
    types: dict[Any, Any] = field(default_factory=dict)

    def line(self, *items: Any) -> int:
        """Write one line; its number."""
        self.lines.append(repr(items))
        return len(self.lines) - 1

    def graph(self, graph: Graph) -> int:
        """Write a graph; the number of its line. Nests are no deeper than what a user writes."""
        if graph not in self.numbers:
            targets = (target for target, _ in graph.updates)
            for node in walk((*graph.inputs, *targets, *graph.roots)):
                if node not in self.numbers:
                    self.numbers[node] = self.node(node)
            ends = (graph.inputs, graph.outputs, *graph.updates)
            self.numbers[graph] = self.line("graph", *map(self.all, ends))
        return self.numbers[graph]

    def all(self, nodes: Iterable[Node]) -> tuple[int, ...]:
        """The numbers of nodes."""
        return tuple(self.numbers[node] for node in nodes)

    def node(self, node: Node) -> int:
        """Write a node, with the graphs inside it before."""
        kind = type(node.op)
        if not is_internal(kind.__module__):
            raise UnknownContentError(f"{node.op.name} is from {kind.__module__}")
        attrs = [(key, self.value(value)) for key, value in sorted(node.attrs.items())]
        place = None if node.where is None else self.place(node.where)
        return self.line(node.op.name, self.all(node.inputs), self.value(node.type), attrs, place)

    def place(self, where: Where) -> int:
        """The number of the line that says where a node stands."""
        if where not in self.places:
            words = (where.file, where.line, where.function, where.source)
            self.places[where] = self.line("at", *words)
        return self.places[where]

    def value(self, value: Any) -> Any:
        """An attribute as nested tuples; UnknownContentError for one of any other type."""
        kind = type(value)  # exactly: a subclass may say more
        if kind in PLAIN:
            return value
        if kind is tuple:
            return ("tuple", *map(self.value, value))
        if kind is float:
            return ("float", struct.pack("<d", value))
        if kind in SIZES:
            if value not in self.types:
                self.types[value] = type_content(value)
            return self.types[value]
        return self.object(value)

    def object(self, value: Any) -> Any:
        """An attribute that is more than a value: what it is, and which one."""
        if isinstance(value, Graph):
            return ("graph", self.graph(value))
        if isinstance(value, Literal):
            return ("literal", self.literals.position(value), *literal_content(value))
        if isinstance(value, State):
            return ("state", self.states.position(value))
        if isinstance(value, Rules):  # they speak to differentiation, which comes before all passes
            return ("rules", value.name, self.rules.position(value))
        raise UnknownContentError(f"an attribute is of type {type(value).__name__}")


PLAIN = (str, int, bool, type(None))
SIZES = (Dim, DType, TensorType, TupleType)


def literal_content(literal: Literal) -> tuple[Any, ...]:
    """The type and the bits of an array."""
    data = literal.array.reshape(-1).view(np.uint8)
    return (*type_content(literal.type), hashlib.sha256(data.data).hexdigest())


def type_content(value: Any) -> Any:
    """A size, a dtype or a type as nested tuples."""
    if isinstance(value, TensorType):
        return ("tensor", value.dtype.name, *map(type_content, value.shape))
    if isinstance(value, TupleType):
        return ("tuple type", *map(type_content, value.items))
    if isinstance(value, Dim):
        return ("size", *((factor, *map(atom_content, atoms)) for atoms, factor in value.terms))
    return ("dtype", value.name) if isinstance(value, DType) else value


def atom_content(atom: Atom) -> Any:
    """A factor of a size as nested tuples."""
    if isinstance(atom, Symbol):
        return ("symbol", atom.name, atom.kind, type_content(atom.limit))
    return (atom.function, type_content(atom.left), type_content(atom.right))
