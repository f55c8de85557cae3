"""`graphc ops`: every operator answers every question, and the table would show it if not."""

import pytest

import graphc as gx
from graphc.ir.op import OPS, Op
from graphc.lang import __all__ as words
from graphc.ops.fusion import Several
from graphc.ops.kinds import Elementwise, Linear
from graphc.runtime.device import DEVICES
from graphc.runtime.operators import (
    FACETS,
    NEEDLESS,
    PACKAGES,
    PARTS,
    UNANSWERED,
    Row,
    answer,
    functions_of,
    method_of,
    rows,
)
from graphc.runtime.tool import main


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_no_operator_has_a_hole(row: Row) -> None:
    assert row.holes == []
    assert row.devices == list(DEVICES)


def test_no_excuse_is_needless() -> None:
    assert {name for name, _ in NEEDLESS} <= set(OPS)
    for name, facet in NEEDLESS:
        kind = type(OPS[name])
        base = Several if issubclass(kind, Several) else Op
        method = method_of(kind, facet)
        found = getattr(kind, method)
        unanswered = found in PARTS and getattr(kind, PARTS[found]) in UNANSWERED
        assert unanswered or found is getattr(base, method), (name, facet)


class Bare(Op):
    """Answers nothing."""

    name = "bare"


class WithoutFormula(Elementwise):
    """Lacks what its kind asks for."""

    name = "bare"


class WithoutAxes(Linear):
    """The same, of another kind."""

    name = "bare"


class BareOfSeveral(Several):
    """Answers nothing, with several results."""

    name = "bare"


@pytest.mark.parametrize(
    ("kind", "holes"),
    [
        (Bare, set(FACETS)),
        (BareOfSeveral, set(FACETS)),
        (WithoutFormula, {"reference", "formula", "vjp"}),
        (WithoutAxes, {"type", "reference", "formula", "vjp", "batch"}),
    ],
)
def test_holes_are_seen(kind: type[Op], holes: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPS, "bare", kind())
    assert {facet for facet in FACETS if answer("bare", facet) is False} == holes


def test_the_command_prints_the_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPS, "bare", Bare())
    assert main(["ops"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["operator", *FACETS, "devices"]
    cells = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert cells["tanh"] == ["yes"] * 6 + list(DEVICES)
    assert cells["input"] == ["yes", "-", "-", "yes", "yes", "yes", *DEVICES]
    assert cells["while_loop"] == ["yes", "yes", "-", "yes", "yes", "yes", *DEVICES]
    assert cells["while_gradient"] == cells["while_loop"]
    assert cells["bare"] == ["HOLE"] * 6
    assert lines[-1].endswith(" 6 holes")
    functions = [name for package in PACKAGES for name in functions_of(package)]
    assert f" {len(words)} words of the language, {len(functions)} functions " in lines[-1]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_counted_can_be_called_and_is_no_word(package: str) -> None:
    names = functions_of(package)
    assert names
    assert not set(names) & set(words)
    assert all(callable(getattr(getattr(gx, package), name)) for name in names)


def test_the_language_has_words_enough() -> None:
    assert len(words) == len(set(words)) >= 250
    assert all(callable(getattr(gx, name)) for name in words)
