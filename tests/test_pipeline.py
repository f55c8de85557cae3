"""The pipeline: passes in order, verified, timed, dumped, and their decisions collected."""

from pathlib import Path

import pytest

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.ir.program import Decision
from graphc.lang.creation import input
from graphc.passes import PASSES
from graphc.passes.decisions import lines, record, recording
from graphc.passes.pipeline import run_passes
from graphc.passes.simplify import simplify


def graph() -> Graph:
    """x + 0."""
    x = input("x", ("n",), "float32")
    return Graph((x,), (x + 0,))


def decide(program: Graph) -> Graph:
    """A pass that decides something."""
    record(Decision("decide", "kept", "x", "it is fine", where=lines(program.outputs)))
    return program


def spoil(program: Graph) -> Graph:
    """A pass that forgets an input."""
    return Graph((), program.outputs)


def test_passes_run_in_order_and_are_timed() -> None:
    run = run_passes(graph(), [decide, simplify])
    assert run.result.outputs[0].op.name == "input"
    assert [name for name, _ in run.seconds] == ["decide", "simplify"]
    assert all(taken >= 0 for _, taken in run.seconds)


def test_decisions_are_collected_with_the_users_lines() -> None:
    run = run_passes(graph(), [decide])
    (decision,) = run.decisions
    assert decision.subject == "x"
    assert decision.where[0].startswith(__file__)


def test_a_decision_outside_of_a_record_is_dropped() -> None:
    decide(graph())
    with recording() as decisions:
        pass
    assert decisions == []


def test_every_dump_has_a_folder_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        run_passes(graph(), [decide, simplify], tmp_path / "dump")
    folders = sorted(path.name for path in (tmp_path / "dump").iterdir())
    assert folders == ["000", "001"]
    files = sorted(path.name for path in (tmp_path / "dump" / "001").iterdir())
    assert files == ["00-input.txt", "01-decide.txt", "02-simplify.txt"]
    assert "add" in (tmp_path / "dump" / "001" / "00-input.txt").read_text()
    assert "add" not in (tmp_path / "dump" / "001" / "02-simplify.txt").read_text()


def test_the_dump_folder_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_DUMP", str(tmp_path))
    run_passes(graph(), [simplify])
    assert (tmp_path / "000" / "01-simplify.txt").is_file()


def test_what_a_pass_spoils_is_found_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_VERIFY", "1")
    with pytest.raises(GraphError, match="not listed") as caught:
        run_passes(graph(), [simplify, spoil])
    assert caught.value.__notes__ == ["in the pass spoil"]
    monkeypatch.setenv("GRAPHC_VERIFY", "0")
    run_passes(graph(), [simplify, spoil])


def test_every_pass_is_listed_by_the_name_of_its_function() -> None:
    for name, function in PASSES.items():
        assert function.__name__ == name
        assert function.__module__ == f"graphc.passes.{name}"
        assert function.__doc__
