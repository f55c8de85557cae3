"""The text form of a graph, and of every other level through `print_text`.

    graph (%x: f32[batch, 784]) state (%w: f32[784, 10]) {
      %0 = matmul %x, %w : f32[batch, 10]
      %1 = sum %0 {axes = [0]} : f32[10]
      return %1
      update %w = %2
    }

`graphc.ir.parser` reads it back.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from graphc.ir.graph import BESIDE_BODY, Graph
from graphc.ir.kernel import Kernel
from graphc.ir.lexer import quote_name
from graphc.ir.node import Node
from graphc.ir.print_kernel import print_kernel
from graphc.ir.print_program import print_program
from graphc.ir.print_value import print_data, print_value
from graphc.ir.program import Program

LONGEST_HEADER = 100


def print_text(what: Graph | Kernel | Program, places: bool = False) -> str:
    """The text of a graph, kernel or program.

    With places, the lines of a graph end in a comment that names the user's line.
    """
    if isinstance(what, Graph):
        return print_graph(what, places)
    return print_kernel(what) if isinstance(what, Kernel) else print_program(what)


def print_graph(graph: Graph, places: bool = False) -> str:
    """The text of a graph; names of inputs and variables are made unique."""
    variables = graph.variables
    labels = parameter_labels((*graph.inputs, *variables))
    header = print_header(graph.inputs, variables, labels)
    body = list(print_block(graph, labels, places))
    updates = (f"  update {labels[to]} = {labels[value]}" for to, value in graph.updates)
    return "\n".join([header, *body, *updates, "}"]) + "\n"


def parameter_labels(nodes: Iterable[Node]) -> dict[Node, str]:
    """%name for each input and variable; the second of one name gets a number."""
    labels: dict[Node, str] = {}
    taken: set[str] = set()
    for node in nodes:
        name = str(node.attrs["name"])
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        labels[node] = next(x for x in (quote_name("%", name) for name in names) if x not in taken)
        taken.add(labels[node])
    return labels


def print_header(
    inputs: Iterable[Node], variables: tuple[Node, ...], labels: dict[Node, str]
) -> str:
    """The first line, or a line for each parameter where it would be too long."""
    groups = [("graph", inputs), *([("state", variables)] if variables else [])]
    shown = [(word, [f"{labels[n]}: {n.type}" for n in nodes]) for word, nodes in groups]
    line = " ".join(f"{word} ({', '.join(items)})" for word, items in shown) + " {"
    if len(line) <= LONGEST_HEADER:
        return line
    blocks = [(word, ",\n  ".join(items)) for word, items in shown]
    return " ".join(f"{word} (\n  {items}\n)" for word, items in blocks) + " {"


def print_block(graph: Graph, labels: dict[Node, str], places: bool) -> Iterator[str]:
    """A line for each node that has no label yet (and gets one), then the return."""
    taken = set(labels.values())
    free = (f"%{number}" for number in itertools.count() if f"%{number}" not in taken)
    for node in graph.walk():
        if node not in labels:
            label = next(free)
            yield from print_node(node, label, labels, places)
            labels[node] = label
    yield f"  return {', '.join(labels[node] for node in graph.outputs)}".rstrip()


def print_node(node: Node, label: str, labels: dict[Node, str], places: bool) -> Iterator[str]:
    """The lines of a node: one, and those of the graph inside it if it holds one."""
    end = f" : {node.type}{print_place(node) if places else ''}"
    body = node.attrs.get("body")
    if not isinstance(body, Graph):
        operands = ", ".join(labels[operand] for operand in node.inputs)
        words = [f"  {label} = {node.op.name}", operands, print_attributes(node)]
        yield " ".join(filter(None, words)) + end
        return
    inner = parameter_labels(body.inputs)
    bound = ", ".join(
        f"{name}{'' if inside.type == operand.type else f': {inside.type}'} = {labels[operand]}"
        for (inside, name), operand in zip(inner.items(), node.inputs, strict=True)
    )
    words = [f"  {label} = {node.op.name}({bound})", print_attributes(node), "{"]
    yield " ".join(filter(None, words))
    yield from (f"  {line}" for line in print_block(body, dict(inner), places))
    for word, key in BESIDE_BODY.items():
        if isinstance(second := node.attrs.get(key), Graph):
            yield f"  }} {word} {{"
            yield from (f"  {line}" for line in print_block(second, dict(inner), places))
    yield "  }" + end


def print_attributes(node: Node) -> str:
    """{key = value, ...}, nothing where there are none; a graph inside is not among them."""
    shown = {key: value for key, value in node.attrs.items() if not isinstance(value, Graph)}
    pairs = [f"{key} = {print_attribute(node, value)}" for key, value in shown.items()]
    return f"{{{', '.join(pairs)}}}" if pairs else ""


def print_attribute(node: Node, value: Any) -> str:
    """The value; that of a constant without its type, which is the node's."""
    return print_data(value) if node.op.name == "constant" else print_value(value)


def print_place(node: Node) -> str:
    """A comment that names the user's line, where it is known."""
    return f"  // {PurePath(node.where.file).name}:{node.where.line}" if node.where else ""
