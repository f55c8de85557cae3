"""GraphError: one short message that names the user's line, shown without internal frames."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType

LONGEST_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class Where:
    """A line of the user's program: file, line number and the function it stands in."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def source(self) -> str:
        """The text of the line, or an empty string where the file cannot be read."""
        return linecache.getline(self.file, self.line).strip()

    def describe(self) -> str:
        """The place and, where it can be read, the line's text."""
        return f"{self}: {self.source}" if self.source else str(self)


class GraphError(Exception):
    """Something is wrong with the user's graph or with an argument of a call.

    The message is one or a few lines: what is wrong and what would be right, then the user's
    line. `where` is that line, in a program or in a parsed text; None where there is none.
    """

    def __init__(self, message: str, where: Where | None = None) -> None:
        self.message = message
        self.where = where if where is not None else user_line()
        place = f"\n  at {self.where.describe()}" if self.where else ""
        super().__init__(message + place)

    def _render_traceback_(self) -> list[str]:
        """What IPython and Jupyter print instead of the stack (their documented hook)."""
        return [f"GraphError: {self}"]


class TypeRuleError(Exception):
    """An operator's type rule refuses its operands; `apply` turns it into a GraphError."""


def shown(value: object) -> str:
    """Any value in a few words, for a message."""
    if hasattr(value, "shape") and hasattr(value, "dtype") and type(value).__name__ == "ndarray":
        return f"an array of {value.dtype} with shape {value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def is_internal(module: str) -> bool:
    """Whether a module belongs to graphc itself (judged by name, so that any path works)."""
    return module == "graphc" or module.startswith("graphc.")


def user_line() -> Where | None:
    """The innermost line on the stack that is not graphc's own; None if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    if frame is None:
        return None
    return Where(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


def short_errors(previous: Hook) -> Hook:
    """An exception hook that prints a GraphError without a stack and leaves the rest alone."""

    def hook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> object:
        if isinstance(error, GraphError):
            print(f"GraphError: {error}", file=sys.stderr)
            return None
        return previous(kind, error, trace)

    return hook
