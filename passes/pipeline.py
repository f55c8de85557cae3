"""Run passes in order: verify, time and dump between them, and collect what they decided.

Two environment variables help to look inside:
GRAPHC_VERIFY=1 checks the program after every pass (the tests set it);
GRAPHC_DUMP=folder writes its text after every pass, each run into a numbered folder of its own.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from graphc.ir.printer import print_text
from graphc.ir.program import Decision
from graphc.ir.verify import Verified, verify
from graphc.passes.decisions import recording

Pass: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What passes made of a program, what they decided, and how long each took.

    folder holds the text after every pass, where that was wanted.
    """

    result: Any
    decisions: tuple[Decision, ...]
    seconds: tuple[tuple[str, float], ...]
    folder: Path | None = None


def run_passes(program: Any, passes: Sequence[Pass], dump: Path | None = None) -> Run:
    """Run passes one after another on a Graph or a Program.

    dump is the folder that gets the text after every pass (default: GRAPHC_DUMP, or none).
    """
    folder = dump_folder(dump)
    seconds: list[tuple[str, float]] = []
    before = Verified()
    inspect(program, "input", 0, folder, before)
    with recording() as decisions:
        for number, change in enumerate(passes, start=1):
            start = time.perf_counter()
            with naming(change):
                program = change(program)
                seconds.append((pass_name(change), time.perf_counter() - start))
                inspect(program, pass_name(change), number, folder, before)
    return Run(program, tuple(decisions), tuple(seconds), folder)


def pass_name(change: Pass) -> str:
    """The word for a pass: its function's name."""
    return str(getattr(change, "__name__", change))


@contextmanager
def naming(change: Pass) -> Iterator[None]:
    """An error that leaves the block says in a note which pass it left."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the pass {pass_name(change)}")
        raise


def inspect(program: Any, name: str, number: int, folder: Path | None, before: Verified) -> None:
    """Write the program's text where a folder is given, then verify it where that is wanted.

    In this order, so that the text of a wrong program can be read.
    """
    if folder is not None:
        (folder / f"{number:02}-{name}.txt").write_text(print_text(program))
    if verifies():
        verify(program, before)


def verifies() -> bool:
    """Whether programs are verified after every pass."""
    return os.environ.get("GRAPHC_VERIFY") == "1"


def is_watched() -> bool:
    """Whether somebody wants to see what each pass does, so that all of them must run."""
    return verifies() or bool(os.environ.get("GRAPHC_DUMP"))


def dump_folder(parent: Path | None) -> Path | None:
    """A new numbered folder in the parent (default: GRAPHC_DUMP); None where there is none."""
    if parent is None:
        named = os.environ.get("GRAPHC_DUMP")
        if not named:
            return None
        parent = Path(named)
    parent.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name) for path in parent.iterdir() if path.name.isdigit()]
    for number in itertools.count(max(taken, default=-1) + 1):
        folder = parent / f"{number:03}"
        try:
            folder.mkdir()
        except FileExistsError:  # another process took the number in between
            continue
        return folder
    raise AssertionError("unreachable: the numbers do not end")
