"""A scan taken apart by what its operands and results are for, and put together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.ir.closure import close
from graphc.ir.graph import Graph, items_of
from graphc.ir.node import Node, apply, build


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """The operands of a scan, and beside them the inputs and outputs of its body."""

    node: Node
    body: Graph
    carries: int
    sequences: int

    @property
    def first_constant(self) -> int:
        """The number of operands before the constants."""
        return self.carries + self.sequences

    @property
    def carried(self) -> tuple[Node, ...]:
        """The inputs of the body that stand for the carries."""
        return self.body.inputs[: self.carries]

    @property
    def elements(self) -> tuple[Node, ...]:
        """The inputs of the body that stand for elements of the sequences."""
        return self.body.inputs[self.carries : self.first_constant]

    @property
    def constants(self) -> tuple[Node, ...]:
        """The inputs of the body that stand for what is the same in every step."""
        return self.body.inputs[self.first_constant :]

    @property
    def nexts(self) -> tuple[Node, ...]:
        """The outputs of the body that are the next carries."""
        return self.body.outputs[: self.carries]

    @property
    def results(self) -> tuple[Node, ...]:
        """The outputs of the body that are stacked."""
        return self.body.outputs[self.carries :]

    @property
    def captured(self) -> dict[Node, Node]:
        """For each constant of the body the operand that it stands for."""
        operands = self.node.inputs[self.first_constant :]
        return dict(zip(self.constants, operands, strict=True))

    @property
    def names(self) -> set[str]:
        """The names of the body's inputs."""
        return {node.attrs["name"] for node in self.body.inputs}

    @property
    def schedule(self) -> dict[str, Any]:
        """The attributes that say how the loop runs."""
        return {key: self.node.attrs[key] for key in ("length", "reverse", "compact")}

    def extended(self, extra: Sequence[Node]) -> list[Node]:
        """The stacked values of further nodes of the body, by a scan that does the same besides."""
        body = Graph(self.body.inputs, (*self.body.outputs, *extra))
        node = build(self.node.op, self.node.inputs, {**self.node.attrs, "body": body})
        return items_of(node)[len(self.body.outputs) :]


def take_apart(node: Node) -> Scan:
    """The parts of a scan node."""
    return Scan(node, node.attrs["body"], node.attrs["carries"], node.attrs["sequences"])


@dataclass(frozen=True, slots=True, eq=False)
class Carry:
    """A carry of a scan to be made: what it starts from, its input in the body, its next value."""

    init: Node
    inside: Node
    following: Node


def make_scan(
    carries: Sequence[Carry],
    sequences: Mapping[Node, Node],
    results: Sequence[Node],
    schedule: Mapping[str, Any],
) -> tuple[list[Node], list[Node]]:
    """The final carries and the stacked results of a new scan.

    sequences gives for each input of the body the sequence whose elements it is. The values that
    next carries and results take from around the loop become operands.
    """
    inputs = [*(carry.inside for carry in carries), *sequences]
    body, captured = close(inputs, [*(carry.following for carry in carries), *results])
    operands = [*(carry.init for carry in carries), *sequences.values(), *captured]
    counts = {"carries": len(carries), "sequences": len(sequences)}
    node = apply("scan", *operands, body=body, **counts, **schedule)
    items = items_of(node)
    return items[: len(carries)], items[len(carries) :]
