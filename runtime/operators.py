"""What `graphc ops` shows: every operator and which of its questions are answered, and by whom.

Below it stands how many names a user has for them: words of the language, and functions of packages
that are written in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphc.fft import __all__ as of_fft
from graphc.ir.op import OPS, Op
from graphc.lang import __all__ as words
from graphc.linalg import __all__ as of_linalg
from graphc.nn import __all__ as of_nn
from graphc.ops.fusion import Several
from graphc.ops.kinds import Elementwise, Shifted
from graphc.ops.procedure import Procedure
from graphc.optim import __all__ as of_optim
from graphc.random import __all__ as of_random
from graphc.runtime.device import DEVICES

FACETS = {
    "type": "infer",
    "reference": "reference",
    "formula": "element",
    "vjp": "vjp",
    "jvp": "jvp",
    "batch": "batch",
}
"""The columns, and the method that answers each; a procedure writes its kernel instead."""

OF_SEVERAL = {
    **FACETS,
    "vjp": "vjp_results",
    "jvp": "jvp_results",
    "batch": "batch_results",
}
"""The same for an operator with several results."""

PARTS = {Elementwise.element: "formula", Shifted.batch: "beside_batch"}
"""Answers that ask the class for one more method."""

UNANSWERED = {
    *(getattr(Op, method) for method in FACETS.values()),
    *(getattr(Several, method) for method in OF_SEVERAL.values()),
    Elementwise.formula,
    Procedure.write,
    Shifted.beside_batch,
}
"""Methods that only say that a subclass must have them."""

GIVEN = "its value is given by each call"
AFTERWARDS = "made by fuse, after differentiation and batching"
TAKEN_APART = "inline_fusions takes it apart"
WITH_SOURCE = "one of several results: the operator below answers for all of them"
IN_PARTS = "split_complex takes complex numbers apart before there are kernels"
NATIVE = "runs the graphs that it holds as a native loop or branch, not element by element"
NEEDLESS = {
    **{(n, f): GIVEN for n in ("input", "variable") for f in ("reference", "formula")},
    **{("fusion", f): AFTERWARDS for f in ("vjp", "jvp", "batch")},
    **{("fusion", f): TAKEN_APART for f in ("reference", "formula")},
    **{("item", f): WITH_SOURCE for f in ("formula", "jvp", "batch")},
    **{(n, "formula"): IN_PARTS for n in ("complex", "real", "imag")},
    **{(n, "formula"): NATIVE for n in ("scan", "while_loop", "while_gradient", "cond")},
}
"""(operator, facet) -> why it needs no answer."""

PACKAGES = {
    "nn": of_nn,
    "linalg": of_linalg,
    "fft": of_fft,
    "random": of_random,
    "optim": of_optim,
}
"""The names that each package gives; what it has is written in the language."""


@dataclass(frozen=True, slots=True)
class Row:
    """An operator: for each facet whether it is answered, None where it needs no answer."""

    name: str
    facets: dict[str, bool | None]

    @property
    def holes(self) -> list[str]:
        """The facets without an answer that need one."""
        return [facet for facet, answer in self.facets.items() if answer is False]

    @property
    def devices(self) -> list[str]:
        """Those that run it: "reference" by its reference, others by its formula."""
        return [
            device
            for device in DEVICES
            if self.facets["reference" if device == "reference" else "formula"] is not False
        ]


def rows() -> list[Row]:
    """Every operator of the table, by name."""
    return [Row(name, {f: answer(name, f) for f in FACETS}) for name in sorted(OPS)]


def answer(name: str, facet: str) -> bool | None:
    """Whether an operator answers a question; None where it needs none."""
    if (name, facet) in NEEDLESS:
        return None
    kind = type(OPS[name])
    found = getattr(kind, method_of(kind, facet))
    part = PARTS.get(found)
    return found not in UNANSWERED and (part is None or getattr(kind, part) not in UNANSWERED)


def method_of(kind: type[Op], facet: str) -> str:
    """The method by which an operator of a kind answers a question."""
    if facet == "formula" and issubclass(kind, Procedure):
        return "write"
    return (OF_SEVERAL if issubclass(kind, Several) else FACETS)[facet]


def print_operators() -> Iterator[str]:
    """The table as lines of text, with what its dashes mean below."""
    shown = [("operator", *FACETS, "devices"), *map(cells, rows())]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for line in shown:
        yield "  ".join(map(str.ljust, line, widths)).rstrip()
    yield ""
    for reason in dict.fromkeys(NEEDLESS.values()):
        names = dict.fromkeys(name for name, facet in NEEDLESS if NEEDLESS[name, facet] == reason)
        yield f"-  of {' and '.join(names)}: {reason}"
    functions = {package: functions_of(package) for package in PACKAGES}
    listed = ", ".join(f"{package} {len(names)}" for package, names in functions.items())
    holes = sum(len(row.holes) for row in rows())
    yield f"functions of packages: {listed}"
    yield (
        f"{len(rows())} operators, {len(words)} words of the language, "
        f"{sum(map(len, functions.values()))} functions of packages, {holes} holes"
    )


def functions_of(package: str) -> list[str]:
    """The functions of a package, without the words that it repeats and the types of results."""
    return [name for name in PACKAGES[package] if name not in words and name.islower()]


def cells(row: Row) -> tuple[str, ...]:
    """A row as words: yes, - where no answer is needed, HOLE where one is missing."""
    answers = {True: "yes", None: "-", False: "HOLE"}
    return (row.name, *(answers[a] for a in row.facets.values()), " ".join(row.devices))
