"""Loops over lists of nodes: run as an operator, written out step by step, or in segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphc.ir.closure import fresh_input, fresh_inputs
from graphc.ir.dim import Size, floor_divide
from graphc.ir.node import Node, apply
from graphc.ir.scan_parts import Carry, make_scan
from graphc.ir.types import TensorType
from graphc.lang.movement import concat, stack
from graphc.lang.operands import reshape_node

Nodes: TypeAlias = list[Node]
Step: TypeAlias = Callable[[Nodes, Nodes], tuple[Nodes, Nodes]]


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A step over lists of nodes, its first carries, and the sequences along their axes 0."""

    step: Step
    init: Nodes
    rows: Nodes
    length: Size
    reverse: bool


Runner: TypeAlias = Callable[[Loop], tuple[Nodes, Nodes]]


def run(loop: Loop, compact: bool = False) -> tuple[Nodes, Nodes]:
    """The last carries and the stacked results, by an operator."""
    names: set[str] = set()
    carried = fresh_inputs("c", loop.init, names)
    elements = [fresh_input("x", TensorType(row.dtype, row.shape[1:]), names) for row in loop.rows]
    following, results = loop.step(carried, elements)
    carries = [Carry(*each) for each in zip(loop.init, carried, following, strict=True)]
    schedule = {"length": loop.length, "reverse": loop.reverse, "compact": compact}
    return make_scan(carries, dict(zip(elements, loop.rows, strict=True)), results, schedule)


def trace(loop: Loop) -> tuple[Nodes, Nodes]:
    """The last carries and the stacked results, step by step; the length is an integer above 0."""
    assert isinstance(loop.length, int)
    carry, outputs = loop.init, []
    for t in reversed(range(loop.length)) if loop.reverse else range(loop.length):
        carry, results = loop.step(carry, [row[t] for row in loop.rows])
        outputs.append(results)
    if loop.reverse:
        outputs.reverse()
    return carry, [stack(column) for column in zip(*outputs, strict=True)]


def in_segments(loop: Loop, size: int, inner: Runner, compact: bool) -> tuple[Nodes, Nodes]:
    """Run a loop as one over segments of so many steps, and one for the steps that are left."""
    count = floor_divide(loop.length, size)
    rest = loop.length - count * size
    start, tail = (rest, 0) if loop.reverse else (0, count * size)
    segments = [
        reshape_node(part(row, start, count * size), (count, size, *row.shape[1:]))
        for row in loop.rows
    ]

    def step(carry: Nodes, rows: Nodes) -> tuple[Nodes, Nodes]:
        return inner(replace(loop, init=carry, rows=rows, length=size))

    outer = Loop(step, loop.init, segments, count, loop.reverse)
    carry, blocks = run(outer, compact)
    results = [reshape_node(b, (count * size, *b.shape[2:])) for b in blocks]
    if rest == 0:
        return carry, results
    left = [part(row, tail, rest) for row in loop.rows]
    carry, more = run(replace(loop, init=carry, rows=left, length=rest), compact)
    pairs = zip(more, results, strict=True) if loop.reverse else zip(results, more, strict=True)
    return carry, [concat(pair) for pair in pairs]


def part(row: Node, start: Size, size: Size) -> Node:
    """So many elements along axis 0."""
    if size == row.shape[0]:
        return row
    starts, sizes = (start, *[0] * (row.ndim - 1)), (size, *row.shape[1:])
    return apply("slice", row, starts=starts, sizes=sizes, steps=(1,) * row.ndim)
