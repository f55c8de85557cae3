"""What is said where a device fails: the user's lines, and a file with the source to read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from graphc.errors import GraphError
from graphc.ir import dim
from graphc.ir.program import Allocation, Program
from graphc.passes.memory_plan import place
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.emit import Entry, Module


def refused(compiler: str, dialect: Dialect, module: Module, error: Exception) -> GraphError:
    """The error where a device's compiler refuses kernels."""
    file = keep_source(dialect, module)
    return GraphError(
        f"{compiler} does not compile the kernels that are in {file}:\n"
        f"{error}{lines_of(module, str(error))}"
    )


def failed(dialect: Dialect, module: Module, error: GraphError) -> GraphError:
    """The error where a device fails while the kernels of a module run."""
    file = keep_source(dialect, module)
    return GraphError(
        f"{error.message}\n  the step runs the kernels that are in {file}"
        f"{lines_of(module, error.message)}"
    )


def not_launched(entry: Entry, error: GraphError) -> GraphError:
    """The error where a device does not take the launch of a kernel."""
    return GraphError(f"{error.message}, which is to run {entry.name}")


def does_not_fit(program: Program, sizes: Mapping[str, int], error: GraphError) -> GraphError:
    """The error where a device has no room for the arrays that a step works on."""
    plan = place(program, sizes)
    inside = [a for a in program.allocations if a.kind not in ("state", "constant")]
    counted = {a.name: dim.evaluate(a.bytes, sizes) for a in inside}
    largest = max(inside, key=lambda a: counted[a.name])
    given = ", ".join(f"{name}={size}" for name, size in sizes.items())
    return GraphError(
        f"{error.message}; the step needs {plan.arena + plan.inputs + plan.outputs:,} bytes"
        f"{given and f' for {given}'}, "
        f"{counted[largest.name]:,} of them for the {largest.kind} {largest.name}"
        f"{listed(users_of(program, largest))}"
    )


def users_of(program: Program, allocation: Allocation) -> Iterable[str]:
    """The user's lines of the first call that an allocation is given to."""
    calls = (call for call in program.calls if allocation.name in call.arguments)
    return next((program.kernel(call.kernel).origin for call in calls), ())


def keep_source(dialect: Dialect, module: Module) -> Path:
    """A new file with the source text."""
    with tempfile.NamedTemporaryFile("w", suffix=f".{dialect.suffix}", delete=False) as file:
        file.write(module.text)
    return Path(file.name)


def lines_of(module: Module, error: str) -> str:
    """The user's lines of the kernels that an error names, or of all where it names none."""
    named = [entry for entry in module.entries if entry.name in error] or module.entries
    return listed(line for entry in named for line in entry.origin)


def listed(lines: Iterable[str]) -> str:
    """The user's lines, each once."""
    return "".join(f"\n  from {line}" for line in dict.fromkeys(lines))
