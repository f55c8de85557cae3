"""What is said where a device's compiler refuses kernels: the user's lines, and a file to read."""

from __future__ import annotations

import tempfile
from pathlib import Path

from graphc.errors import GraphError
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.emit import Module


def refused(compiler: str, dialect: Dialect, module: Module, error: Exception) -> GraphError:
    """The error to raise; the source text is kept in a file that it names."""
    with tempfile.NamedTemporaryFile("w", suffix=f".{dialect.suffix}", delete=False) as file:
        file.write(module.text)
    return GraphError(
        f"{compiler} does not compile the kernels that are in {Path(file.name)}:\n"
        f"{error}{lines_of(module, str(error))}"
    )


def lines_of(module: Module, error: str) -> str:
    """The user's lines of the kernels that an error names, or of all where it names none."""
    named = [entry for entry in module.entries if entry.name in error] or module.entries
    lines = dict.fromkeys(line for entry in named for line in entry.origin)
    return "".join(f"\n  from {line}" for line in lines)
