"""Whole programs from the cache: what a step reports and computes is the same with and without."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from random_graphs import random_graph
from random_orders import random_order
from test_architecture import all_imports
from test_content import loops

import graphc as gx
from graphc.ir.content import content_of
from graphc.ir.graph import Graph
from graphc.ir.op import OPS
from graphc.ir.printer import print_text
from graphc.passes.machine import TYPICAL
from graphc.runtime.compiler import compile_graph
from graphc.runtime.cpu import code_cache, code_key, device, packed, program_cache
from graphc.runtime.cpu.disk_cache import DiskCache
from graphc.runtime.cpu.measure_machine import known_machine
from graphc.runtime.cpu.program_cache import MAKERS, STAGE, place_for

PROGRAM = """
import json, numpy as np, graphc as gx
from graphc.ir.printer import print_text
x = gx.input("x", ("n", 33), "float32")
w = gx.variable(np.linspace(-1, 1, 33 * 7, dtype="float32").reshape(33, 7), "w")
v = gx.variable(np.linspace(-1, 1, 14, dtype="float32") + 1j, "v")
table = gx.constant(np.sin(np.arange(700, dtype="float32")).reshape(100, 7))
y = gx.softmax(gx.tanh(x @ w), axis=1) + gx.max(table, axis=0)
loss = -gx.mean(gx.log(y)) + gx.sum(gx.real(v * v))
step = gx.compile([x], [loss, y], updates={w: w - 0.1 * gx.grad(loss, w), v: v * 1j})
rows = np.sin(np.arange(20 * 33, dtype="float32")).reshape(20, 33)
results = [a.tobytes().hex() for _ in range(2) for a in map(np.asarray, step(rows))]
report = [line for line in str(step).splitlines() if "from the cache" not in line]
try:
    step(rows[:, :5])
except gx.GraphError as error:
    refusal = str(error)
print(json.dumps({
    "results": results + [w.value.tobytes().hex(), v.value.tobytes().hex()],
    "report": report, "program": print_text(step.program), "graph": print_text(step.graph, True),
    "decisions": [str(d) for d in step.decisions], "memory": str(step.memory(n=20)),
    "code": step.llvm_ir, "assembly": step.assembly, "refusal": refusal,
    "stages": list(step.seconds), "found": step.loaded.found, "kernels": len(step.program.kernels),
}))
"""
PROCESS = ("stages", "found")  # what tells of this process


def run(cache: Path | str, source: Path, text: str = PROGRAM, **variables: str) -> Any:
    """What a program in a file reports when it runs with a folder for the cache."""
    source.write_text(text)
    environment = os.environ | {"GRAPHC_CACHE": str(cache), "GRAPHC_VERIFY": "0"} | variables
    done = subprocess.run([sys.executable, str(source)], env=environment, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def reported(run: Any) -> Any:
    """What must not depend on caches."""
    return {key: value for key, value in run.items() if key not in PROCESS}


def was_found(stages: Any) -> bool:
    """Whether the program came from the cache, by the names of the stages of compiling."""
    return STAGE in stages and "fuse" not in stages


def test_a_later_process_runs_no_pass_and_reports_the_same(tmp_path: Path) -> None:
    source, cache = tmp_path / "program.py", tmp_path / "cache"
    without, first, second = (run(where, source) for where in ("off", cache, cache))
    assert [was_found(r["stages"]) for r in (without, first, second)] == [False, False, True]
    assert (first["found"], second["found"]) == (0, second["kernels"])
    assert reported(without) == reported(first) == reported(second)


def test_lines_that_moved_or_changed_are_reported_as_they_are(tmp_path: Path) -> None:
    source, cache = tmp_path / "program.py", tmp_path / "cache"
    run(cache, source)
    for text in ("\n" + PROGRAM, PROGRAM.replace("axis=1)", "axis=-1)  # the last one")):
        assert reported(run(cache, source, text)) == reported(run("off", source, text))


def test_a_dump_has_every_stage_though_the_cache_has_the_program(tmp_path: Path) -> None:
    source, cache, dumps = (tmp_path / name for name in ("program.py", "cache", "dumps"))
    run(cache, source)
    assert not was_found(run(cache, source, GRAPHC_DUMP=str(dumps))["stages"])
    assert len(list((dumps / "000").iterdir())) == len(device.PIPELINE)  # Winograd's pass is out


# --- in this process ------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskCache]:
    """A folder of the test's own, and nobody who watches passes."""
    cache = DiskCache(tmp_path / "programs")
    monkeypatch.setattr(program_cache, "disk_cache", lambda: cache)
    monkeypatch.setenv("GRAPHC_VERIFY", "0")
    return cache


def graphs() -> Iterator[Graph]:
    """Graphs with loops, choices, complex numbers and constants, and random ones."""
    yield loops()
    x = gx.input("x", ("n",), "bfloat16")
    yield Graph((x,), (x * gx.constant(np.arange(3.0), "bfloat16")[:, None],))
    for seed in range(24):
        case = random_order(seed) if seed % 4 == 0 else random_graph(seed)
        yield Graph(tuple(case.inputs), tuple(case.outputs), tuple(case.updates.items()))


@pytest.mark.cpu("the cache of programs")
def test_a_program_that_is_found_is_the_one_that_was_kept() -> None:
    for graph in graphs():
        made, found = (compile_graph(graph) for _ in range(2))
        assert [was_found(step.seconds) for step in (made, found)] == [False, True]
        assert found.program == made.program
        assert print_text(found.program) == print_text(made.program)
        assert found.decisions == made.decisions
        assert found.llvm_ir == made.llvm_ir
        for ours, theirs in zip(found.program.allocations, made.program.allocations, strict=True):
            assert (ours.state is None) == (theirs.state is None)
            if ours.state is not None and theirs.state is not None:
                assert ours.state.users is theirs.state.users
                assert np.shares_memory(ours.state.array, theirs.state.array)


@pytest.mark.cpu("the cache of programs")
def test_a_program_that_is_found_works_on_the_variables_of_its_own_graph() -> None:
    def step(value: float) -> tuple[Any, gx.Variable]:
        w = gx.variable(np.full(3, value), "w")
        return gx.compile([], gx.sum(w), updates={w: w + 1}), w

    made, found = step(1), step(10)
    assert was_found(found[0].seconds)
    assert (float(made[0]()), float(found[0]()), float(found[0]())) == (3, 30, 33)
    assert (made[1].value.tolist(), found[1].value.tolist()) == ([2] * 3, [12] * 3)


@pytest.mark.cpu("the cache of programs")
def test_options_that_choose_passes_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gx.input("x", (1, 64, 32, 32), "float32")
    y = gx.nn.conv(x, gx.constant(np.ones((64, 64, 3, 3), np.float32)), padding=1)
    found = [was_found(gx.compile([x], y, winograd=w).seconds) for w in (False, True, False, True)]
    assert found == [False, False, True, True]


def test_nothing_is_kept_of_passes_and_operators_from_outside(folder: DiskCache) -> None:
    x = gx.input("x", (3,), "float32")
    graph = Graph((x,), (gx.exp(x),))
    assert place_for(graph, device.PIPELINE, TYPICAL) is not None
    assert place_for(graph, (*device.PIPELINE, lambda program: program), TYPICAL) is None
    mine = type("Mine", (type(OPS["exp"]),), {"__module__": "mine"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(OPS, "exp", mine())
        y = gx.input("y", (3,), "float32")
        graph = Graph((y,), (gx.exp(y),))
    assert place_for(graph, device.PIPELINE, TYPICAL) is None
    assert not any(was_found(compile_graph(graph).seconds) for _ in range(2))


@pytest.mark.parametrize("name", ["GRAPHC_DUMP", "GRAPHC_VERIFY"])
def test_every_pass_runs_where_somebody_watches(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = gx.input("x", (3,), "float32")
    gx.compile([x], gx.exp(x))
    monkeypatch.setenv(name, "1" if name == "GRAPHC_VERIFY" else str(tmp_path))
    assert not was_found(gx.compile([x], gx.exp(x)).seconds)


@pytest.mark.cpu("the cache of programs")
def test_what_cannot_be_read_is_made_again(folder: DiskCache) -> None:
    x = gx.input("x", (3,), "float32")
    graph = Graph((x,), (gx.exp(x),))
    passes = [p for p in device.PIPELINE if p.__name__ != "use_winograd"]
    place = place_for(graph, passes, known_machine() or TYPICAL)
    assert place is not None
    for data in (b"", b"\x80\x05.", pickle.dumps(os.getcwd)):
        folder.write(place.key, data)
        assert place.read() is None
        assert not was_found(compile_graph(graph).seconds)
        assert was_found(compile_graph(graph).seconds)


@pytest.mark.cpu("the cache of programs")
def test_code_that_is_gone_is_generated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gx.input("x", (3,), "float32")
    graph = Graph((x,), (gx.sum(gx.exp(x) * 1.0625), gx.expm1(x) * 2.0625))
    made = compile_graph(graph)
    monkeypatch.setattr(code_cache, "memory", {})
    monkeypatch.setattr(code_cache, "disk_cache", lambda: None)
    found = compile_graph(graph)
    assert was_found(found.seconds)
    assert found.loaded.found == 0
    values = np.linspace(0, 1, 3, dtype=np.float32)
    for ours, theirs in zip(found(values), made(values), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_read_are_programs_and_nothing_else() -> None:
    content = content_of(Graph((), ()))
    with pytest.raises(pickle.UnpicklingError, match="getcwd is no part of programs"):
        packed.unpack(pickle.dumps(os.getcwd), content)


@pytest.mark.parametrize("name", ["np", "sys"])
def test_a_key_depends_on_versions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = gx.input("x", (3,), "float32")
    graph, keys = Graph((x,), (gx.exp(x),)), set()
    for version in ("1", "2"):
        module = SimpleNamespace(__version__=version, version=version)
        with monkeypatch.context() as patch:
            patch.setattr(program_cache, name, module)
            program_cache.circumstances.cache_clear()
            place = place_for(graph, device.PIPELINE, TYPICAL)
            assert place is not None
            keys.add(place.key)
    program_cache.circumstances.cache_clear()
    assert len(keys) == 2


def test_every_module_that_makes_programs_is_part_of_keys() -> None:
    imports = nx.DiGraph(
        (name, found.target)
        for name, all_found in all_imports().items()
        for found in all_found
        if not found.for_types_only
    )
    needed = nx.descendants(imports, "graphc.runtime.cpu.device")
    ours = {name for name in needed if name.startswith("graphc.")}
    packages = {package.__name__ for package in (*MAKERS, *code_key.MAKERS)}
    assert {name for name in ours if name.rpartition(".")[0] not in packages} - packages == set()
