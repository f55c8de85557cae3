"""draw: a graph, kernel or program as a picture, in DOT or as a self-contained SVG file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import networkx as nx

from graphc.draw_model import COLOURS, Box, model
from graphc.draw_svg import to_svg
from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.ir.kernel import Kernel
from graphc.ir.program import Program


def draw(what: Graph | Kernel | Program, path: str | Path) -> None:
    """Write a picture to a file: `.svg` is laid out here, `.dot` is for Graphviz.

    A graph shows nodes, a fusion as one box that lists its operators; a program shows calls and
    the buffers between them; a kernel shows statements. Resting the pointer on a box shows its
    attributes and the user's line. Raises GraphError for another suffix.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        suffixes = " or ".join(SUFFIXES)
        raise GraphError(f"cannot draw {path.name}: a picture's name ends in {suffixes}")
    path.write_text(SUFFIXES[path.suffix](model(what)), encoding="utf-8")


def to_dot(graph: nx.DiGraph) -> str:
    """The picture's boxes and edges in Graphviz's language."""
    lines = ['  node [shape=box style="rounded,filled" fontname="monospace" fontsize=11]']
    for key, box in graph.nodes(data="box"):
        label = json.dumps("\n".join(box.lines), ensure_ascii=False)
        lines.append(f"  n{key} [label={label} fillcolor={quoted(box)} tooltip={title(box)}]")
    lines += [f"  n{start} -> n{end}" for start, end in graph.edges]
    return "\n".join(["digraph {", *lines, "}"]) + "\n"


def quoted(box: Box) -> str:
    """A box's colour."""
    return json.dumps(COLOURS[box.kind])


def title(box: Box) -> str:
    """What a box shows when the pointer rests on it."""
    return json.dumps(box.title, ensure_ascii=False)


SUFFIXES: dict[str, Callable[[nx.DiGraph], str]] = {".svg": to_svg, ".dot": to_dot}
