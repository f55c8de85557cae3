"""Reading the text form of any level back; printing what was read gives the same text."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.graph import Graph
from graphc.ir.kernel import Kernel
from graphc.ir.lexer import Reader
from graphc.ir.parse_graph import parse_graph
from graphc.ir.parse_kernel import parse_kernel
from graphc.ir.parse_program import parse_program
from graphc.ir.program import Program


def parse(text: str, file: str = "<text>") -> Graph | Kernel | Program:
    """The graph, kernel or program that a text says, judged by its first word.

    Blank space and comments from // to the end of the line mean nothing. Raises GraphError with
    the line and column, what was expected, and the text of the line. The operators of a graph
    must have been imported. Nodes stand at their lines of the file named.
    """
    reader = Reader(text, file)
    if not reader.is_next("graph", "kernel", "program"):
        raise reader.expected("graph, kernel or program")
    result = READERS[reader.next.text](reader)
    reader.end()
    return result


READERS: dict[str, Callable[[Reader], Graph | Kernel | Program]] = {
    "graph": parse_graph,
    "kernel": parse_kernel,
    "program": parse_program,
}
