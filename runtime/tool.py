"""The command line: `graphc print`, `opt`, `draw`, `emit`, `run` on a text; `ops`, `machine`.

Exit codes: 0 it worked; 1 the program is wrong (why is one line on stderr); 2 the command is.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, get_type_hints

import numpy as np

from graphc.draw import SUFFIXES, draw
from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.ir.kernel import Kernel
from graphc.ir.lexer import Position
from graphc.ir.parser import parse
from graphc.ir.print_program import print_decision
from graphc.ir.printer import print_text
from graphc.ir.program import Program
from graphc.ir.types import as_dtype
from graphc.ir.verify import verify
from graphc.passes import PASSES
from graphc.passes.pipeline import Pass, Run, run_passes
from graphc.runtime.c_source.emit import emit
from graphc.runtime.code_for import DIALECTS, code_for
from graphc.runtime.compiler import compile_graph
from graphc.runtime.cpu.measure_machine import machine
from graphc.runtime.device import DEVICES
from graphc.runtime.loaded import Array
from graphc.runtime.operators import print_operators
from graphc.runtime.run_graph import run_graph

OK, WRONG_PROGRAM, WRONG_COMMAND = 0, 1, 2

Command: TypeAlias = Callable[[argparse.Namespace], None]


class UsageError(Exception):
    """The command asks for what there is not; the message says what there is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's) and return its exit code."""
    try:
        options = parser().parse_args(argv)
        options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough, as `head` has: the rest goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UsageError as error:
        print(f"graphc: {error}", file=sys.stderr)
        return WRONG_COMMAND
    except SystemExit as stop:  # how argparse ends, after a message of its own
        return stop.code if isinstance(stop.code, int) else WRONG_COMMAND
    except GraphError as error:
        print(f"graphc: {in_one_line(error)}", file=sys.stderr)
        return WRONG_PROGRAM
    return OK


def in_one_line(error: GraphError) -> str:
    """What is wrong; where, if that is a line of the text rather than of this program."""
    place = f" at {error.where.describe()}" if isinstance(error.where, Position) else ""
    return " ".join((error.message + place).split())


# --- the grammar of the command line -------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="graphc", description="Look at programs and compile them.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Command, purpose: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=purpose, description=purpose)
        added.set_defaults(command=function)
        return added

    def on_file(name: str, function: Command, purpose: str) -> argparse.ArgumentParser:
        added = command(name, function, purpose)
        added.add_argument("file", metavar="FILE", help="the text of a program; - is stdin")
        return added

    add_print_options(on_file("print", print_command, "print a graph, kernel or program"))
    add_opt_options(on_file("opt", opt_command, "run passes and print what they make"))
    add_draw_options(on_file("draw", draw_command, "draw a graph, kernel or program"))
    add_emit_options(on_file("emit", emit_command, "compile a graph and print its code"))
    add_run_options(on_file("run", run_command, "compile a graph and run it"))
    command("ops", ops_command, "list every operator and what it answers")
    add_machine_options(
        command("machine", machine_command, "say what a core of this processor does at most")
    )
    return top


def add_print_options(command: argparse.ArgumentParser) -> None:
    """The options of `print`."""
    command.add_argument("--places", action="store_true", help="name the line of each node")


def add_opt_options(command: argparse.ArgumentParser) -> None:
    """The options of `opt`."""
    add_passes(command, required=True)
    add_print_options(command)
    command.add_argument("--decisions", action="store_true", help="say what was chosen, and why")


def add_draw_options(command: argparse.ArgumentParser) -> None:
    """The options of `draw`."""
    add_passes(command, required=False)
    suffixes = " or ".join(SUFFIXES)
    command.add_argument("-o", dest="out", required=True, help=f"a file that ends in {suffixes}")


def add_emit_options(command: argparse.ArgumentParser) -> None:
    """The options of `emit`."""
    add_device(command, {**DEVICES, **DIALECTS})
    command.add_argument("--assembly", action="store_true", help="machine code, not its source")


def add_run_options(command: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    add_device(command, DEVICES)
    command.add_argument(
        "arrays",
        nargs="*",
        metavar="NAME=FILE.npy",
        help="an input or a variable; other inputs are random, other variables zero",
    )
    command.add_argument("--seed", type=int, default=0, help="of the random inputs")
    command.add_argument(
        "--size", action="append", default=[], metavar="NAME=N", help="a symbolic size"
    )
    command.add_argument("--out", type=Path, help="a folder to save results in, as .npy files")


def add_machine_options(command: argparse.ArgumentParser) -> None:
    """The options of `machine`."""
    again = "measure again what was measured before"
    command.add_argument("--measure", action="store_true", help=again)


def add_passes(command: argparse.ArgumentParser, required: bool) -> None:
    """The option --passes."""
    names = f"names, separated by commas, of {pass_names()}"
    command.add_argument("--passes", default="", required=required, metavar="A,B", help=names)


def add_device(command: argparse.ArgumentParser, devices: Mapping[str, object]) -> None:
    """The option --device, for some devices."""
    command.add_argument("--device", choices=tuple(devices), default="cpu")


# --- the commands --------------------------------------------------------------------------------


def print_command(options: argparse.Namespace) -> None:
    """Print the text of a program."""
    print(print_text(load(options.file), options.places), end="")


def opt_command(options: argparse.Namespace) -> None:
    """Print what passes make of a program."""
    run = transform(load(options.file), options.passes)
    if options.decisions:
        print("".join(f"{print_decision(decision)}\n" for decision in run.decisions), end="")
    print(print_text(run.result, options.places), end="")


def draw_command(options: argparse.Namespace) -> None:
    """Draw what passes, if any are named, make of a program."""
    out = Path(options.out)
    if out.suffix not in SUFFIXES:
        raise UsageError(f"cannot draw {out.name}: it must end in {' or '.join(SUFFIXES)}")
    draw(transform(load(options.file), options.passes).result, out)


def emit_command(options: argparse.Namespace) -> None:
    """Print the generated code of a graph, or of a kernel for a device that takes C."""
    program = load(options.file)
    if isinstance(program, Kernel) and options.device in DIALECTS:
        print(emit([program], DIALECTS[options.device]).text, end="")
        return
    graph = as_graph(program, options.file)
    if options.assembly:
        print(compile_graph(graph, options.device).assembly)
    else:
        print(code_for(graph, options.device))


def run_command(options: argparse.Namespace) -> None:
    """Run a graph once; print its outputs and new values of variables, or save them."""
    graph = load_graph(options.file)
    arrays = {name: read_array(file) for name, file in map(assignment, options.arrays)}
    sizes = {name: whole(value) for name, value in map(assignment, options.size)}
    results = run_graph(graph, options.device, arrays, sizes, options.seed)
    if options.out is not None:
        save(results, options.out)
    else:
        for name, array in results.items():
            print(f"{name}: {as_dtype(array.dtype)}{list(array.shape)}\n{array}")


def ops_command(options: argparse.Namespace) -> None:
    """Print the table of operators."""
    print("\n".join(print_operators()))


def machine_command(options: argparse.Namespace) -> None:
    """Print what was measured of this processor."""
    print(machine(options.measure))


# --- what they share -----------------------------------------------------------------------------


def load(file: str) -> Graph | Kernel | Program:
    """The program in a file or on stdin, verified."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from None
    program = parse(text, "<stdin>" if file == "-" else file)
    verify(program)
    return program


def load_graph(file: str) -> Graph:
    """The graph in a file or on stdin."""
    return as_graph(load(file), file)


def as_graph(program: Graph | Kernel | Program, file: str) -> Graph:
    """What a file holds, which must be a graph."""
    if not isinstance(program, Graph):
        raise UsageError(f"{file} holds a {type(program).__name__.lower()}, this needs a graph")
    return program


def transform(program: Graph | Kernel | Program, names: str) -> Run:
    """Run the passes of a list such as `simplify,fuse`, and verify what they make."""
    run = run_passes(program, find_passes(program, names))
    verify(run.result)
    return run


def find_passes(program: Graph | Kernel | Program, names: str) -> list[Pass]:
    """The passes of a list, each of which must take what the one before makes."""
    passes = []
    level: type = type(program)
    for name in filter(None, map(str.strip, names.split(","))):
        if name not in PASSES:
            raise UsageError(f"there is no pass {name!r}; the passes are {pass_names()}")
        takes, *_, gives = get_type_hints(PASSES[name]).values()
        if takes is not level:
            raise UsageError(f"{name} takes a {takes.__name__}, here it gets a {level.__name__}")
        passes.append(PASSES[name])
        level = gives
    return passes


def pass_names() -> str:
    """The names of all passes, for people."""
    return ", ".join(sorted(PASSES))


def assignment(text: str) -> tuple[str, str]:
    """The two sides of NAME=VALUE."""
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise UsageError(f"expected NAME=VALUE, found {text!r}")
    return name, value


def whole(text: str) -> int:
    """A size: an integer that is not negative."""
    if not text.isdecimal():
        raise UsageError(f"a size must be a whole number, not {text!r}")
    return int(text)


def read_array(file: str) -> Array:
    """The array in a .npy file."""
    try:
        array: Array = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {file}: {error}") from None
    return array


def save(arrays: Mapping[str, Array], folder: Path) -> None:
    """Write each array to NAME.npy in a folder, and say so."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        file = folder / f"{name}.npy"
        np.save(file, array)
        print(file)
