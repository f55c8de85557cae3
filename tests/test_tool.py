"""The command line: what each command prints, and its exit codes."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphc.runtime.tool import main

GRAPH = """graph (%x: f32[batch, 4]) state (%w: f32[4]) {
  %0 = broadcast %w {shape = [batch, 4], axes = [1]} : f32[batch, 4]
  %1 = add %x, %0 : f32[batch, 4]
  %2 = sum %1 {axes = [1]} : f32[batch]
  %3 = constant {value = 1.0} : f32[]
  %4 = broadcast %3 {shape = [4], axes = []} : f32[4]
  %5 = add %w, %4 : f32[4]
  return %2
  update %w = %5
}
"""
KERNEL = "kernel @k(write %y: f32[1]) {\n  store %y[0] = 1.0: f32\n}\n"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def graph(tmp_path: Path) -> str:
    file = tmp_path / "graph.gc"
    file.write_text(GRAPH)
    return str(file)


def save(folder: Path, name: str, array: object) -> str:
    np.save(folder / f"{name}.npy", np.asarray(array))
    return f"{name}={folder / name}.npy"


# --- print, opt ----------------------------------------------------------------------------------


def test_print(graph: str, capsys: Capture) -> None:
    assert main(["print", graph]) == 0
    assert capsys.readouterr().out == GRAPH


def test_stdin(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(KERNEL))
    assert main(["print", "-"]) == 0
    assert capsys.readouterr().out == KERNEL


def test_opt_runs_passes_in_order(graph: str, capsys: Capture) -> None:
    assert main(["opt", graph, "--passes=simplify, fuse,lower"]) == 0
    assert capsys.readouterr().out.startswith("program {")


def test_opt_shows_decisions(graph: str, capsys: Capture) -> None:
    assert main(["opt", graph, "--passes=fuse", "--decisions"]) == 0
    assert capsys.readouterr().out.startswith("// fuse: ")


def test_an_unknown_pass_lists_those_there_are(graph: str, capsys: Capture) -> None:
    assert main(["opt", graph, "--passes=simplify,melt"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("graphc: there is no pass 'melt'; the passes are ")
    assert "simplify" in error


def test_passes_fit_each_other(graph: str, capsys: Capture) -> None:
    assert main(["opt", graph, "--passes=fuse,lower,fuse"]) == 2
    assert capsys.readouterr().err == "graphc: fuse takes a Graph, here it gets a Program\n"


# --- exit codes ----------------------------------------------------------------------------------


def test_a_wrong_program_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "wrong.gc"
    file.write_text("graph (%x: f32[2]) {\n  return %y\n}\n")
    assert main(["print", str(file)]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"graphc: %y is not defined above at {file}:2:10: return %y\n"
    assert captured.out == ""


def test_a_program_is_verified(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(KERNEL.replace("write ", "")))
    assert main(["print", "-"]) == 1
    assert "buffer %y is not declared with `write`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["compile", "a.gc"],
        ["print"],
        ["print", "no/such/file.gc"],
        ["opt", "GRAPH"],
        ["draw", "GRAPH"],
        ["draw", "GRAPH", "-o", "a.png"],
        ["emit", "GRAPH", "--device=abacus"],
        ["run", "GRAPH", "x"],
        ["run", "GRAPH", "x=no_such_file.npy"],
        ["run", "GRAPH", "--size", "batch=many"],
    ],
    ids=" ".join,
)
def test_a_wrong_command(arguments: list[str], graph: str, capsys: Capture) -> None:
    assert main([graph if argument == "GRAPH" else argument for argument in arguments]) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize("command", ["emit", "run"])
def test_a_command_for_graphs(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(KERNEL))
    assert main([command, "-"]) == 2
    assert capsys.readouterr().err == "graphc: - holds a kernel, this needs a graph\n"


def test_help(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    assert "COMMAND" in capsys.readouterr().out


COMMAND = "import sys; from graphc.runtime.tool import main; sys.exit(main())"


def test_the_installed_command(graph: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "print", graph], capture_output=True, text=True, check=True
    )
    assert done.stdout == GRAPH


# --- draw, emit, run -----------------------------------------------------------------------------


def test_who_reads_may_stop_reading() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        ended = subprocess.run(
            [sys.executable, "-c", COMMAND, "ops"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("passes", ["", "fuse", "fuse,lower"])
@pytest.mark.parametrize("suffix", [".svg", ".dot"])
def test_draw(graph: str, passes: str, suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"a{suffix}"
    assert main(["draw", graph, "-o", str(out), f"--passes={passes}"]) == 0
    assert "f32[batch, 4]" in out.read_text()


@pytest.mark.cpu("LLVM code")
def test_emit(graph: str, capsys: Capture) -> None:
    assert main(["emit", graph]) == 0
    assert "define" in capsys.readouterr().out
    assert main(["emit", graph, "--assembly"]) == 0
    assert ".text" in capsys.readouterr().out


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_run_with_arrays(graph: str, device: str, tmp_path: Path, capsys: Capture) -> None:
    x = save(tmp_path, "x", np.arange(8, dtype=np.float32).reshape(2, 4))
    w = save(tmp_path, "w", np.ones(4, np.float32))
    assert main(["run", graph, x, w, "--device", device]) == 0
    assert capsys.readouterr().out == (
        "output0: f32[2]\n[10. 26.]\nw: f32[4]\n[2. 2. 2. 2.]\n"
    )  # fmt: skip


def test_run_with_random_arrays(graph: str, tmp_path: Path, capsys: Capture) -> None:
    results = []
    for folder, seed in [("a", "1"), ("b", "1"), ("c", "2")]:
        out = tmp_path / folder
        command = ["run", graph, "--size=batch=3", "--seed", seed, "--out", str(out)]
        assert main(command) == 0
        assert capsys.readouterr().out == f"{out / 'output0.npy'}\n{out / 'w.npy'}\n"
        results.append(np.load(out / "output0.npy"))
    assert results[0].shape == (3,)
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["z"], "there is no input or variable 'z': there are 'x', 'w'"),
        (["--size=n=3"], "there is no size 'n': the sizes are 'batch'"),
    ],
)
def test_run_refuses_unknown_names(
    arguments: list[str], message: str, graph: str, tmp_path: Path, capsys: Capture
) -> None:
    arrays = [save(tmp_path, name, [1.0]) for name in arguments if not name.startswith("-")]
    options = [option for option in arguments if option.startswith("-")]
    assert main(["run", graph, *arrays, *options]) == 1
    assert capsys.readouterr().err == f"graphc: {message}\n"


def test_run_refuses_an_array_of_another_shape(graph: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["run", graph, save(tmp_path, "x", np.zeros((2, 5), np.float32))]) == 1
    assert "argument 'x' has shape (2, 5), expected (batch, 4)" in capsys.readouterr().err
