"""Machine code from caches: later processes find it, with the same bits, under the right key."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from test_architecture import all_imports

import graphc as gx
from graphc.ir import dim
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.runtime.cpu import code_cache, code_key
from graphc.runtime.cpu.build import packed, unpacked
from graphc.runtime.cpu.code_key import MAKERS, key_of
from graphc.runtime.cpu.target import Target

PROGRAM = """
import json, numpy as np, graphc as gx
x = gx.input("x", ("n", 33), "float32")
w = gx.variable(np.linspace(-1, 1, 33 * 7, dtype="float32").reshape(33, 7), "w")
y = gx.softmax(gx.tanh(x @ w), axis=1)
loss = -gx.mean(gx.log(y))
step = gx.compile([x], [loss, y], updates={w: w - 0.1 * gx.grad(loss, w)})
rows = np.sin(np.arange(20 * 33, dtype="float32")).reshape(20, 33)
results = [a.tobytes().hex() for _ in range(2) for a in map(np.asarray, step(rows))]
print(json.dumps({"results": results, "kernels": len(step.program.kernels),
                  "found": step.loaded.found}))
"""


def start(cache: Path | str) -> "subprocess.Popen[str]":
    """Start a process that compiles and runs the program with a folder for machine code."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"GRAPHC_CACHE": str(cache), "GRAPHC_VERIFY": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[Any, str]:
    """What a process printed, and what it wrote to stderr."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out), err


def run(cache: Path | str) -> Any:
    """What the program prints; it may warn of nothing."""
    printed, err = finish(start(cache))
    assert not err
    return printed


def entries(folder: Path) -> list[Path]:
    """The files in a folder of machine code."""
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def without_cache() -> Any:
    return run("off")


def test_a_later_process_finds_every_kernel_and_gets_the_same_bits(
    tmp_path: Path, without_cache: Any
) -> None:
    first, second = run(tmp_path), run(tmp_path)
    assert without_cache["found"] == first["found"] == 0
    assert second["found"] == second["kernels"] > 1
    assert without_cache["results"] == first["results"] == second["results"]


def test_damaged_code_is_made_again(tmp_path: Path, without_cache: Any) -> None:
    run(tmp_path)
    for number, path in enumerate(entries(tmp_path)):
        content = bytearray(path.read_bytes())
        content[len(content) * 2 // 3] ^= 1
        path.write_bytes(content if number % 2 else content[: len(content) // 2])
    damaged, repaired = run(tmp_path), run(tmp_path)
    assert (damaged["found"], repaired["found"]) == (0, repaired["kernels"])
    assert damaged["results"] == repaired["results"] == without_cache["results"]


def test_processes_that_write_at_once_do_not_disturb_each_other(
    tmp_path: Path, without_cache: Any
) -> None:
    for printed, err in map(finish, [start(tmp_path), start(tmp_path)]):
        assert not err
        assert printed["results"] == without_cache["results"]
    later = run(tmp_path)
    assert later["found"] == later["kernels"]
    assert not [path for path in entries(tmp_path) if path.suffix == ".part"]


def test_a_folder_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, without_cache: Any
) -> None:
    (tmp_path / "file").touch()
    printed, err = finish(start(tmp_path / "file" / "cache"))
    assert printed == without_cache
    assert err.count("RuntimeWarning: cannot keep machine code in") == 1


@pytest.mark.cpu("the cache of machine code")
def test_kernels_that_differ_in_names_alone_share_their_code() -> None:
    def compiled(name: str) -> Any:
        x = gx.input(name, (7, 3), "float64")
        return gx.compile([x], gx.exp(x) * 0.12345)

    compiled("first")
    again = compiled("second")
    assert again.loaded.found == len(again.program.kernels) == 1
    assert "1 kernels, 1 from the cache" in str(again)
    np.testing.assert_array_equal(again(np.zeros((7, 3))), np.full((7, 3), 0.12345))


def test_not_a_number_of_either_sign_is_another_kernel() -> None:
    x = gx.input("x", (2,), "float32")
    steps = [gx.compile([x], gx.where(x > 0, x, value)) for value in (np.nan, -np.nan)]
    results = [step(np.zeros(2, np.float32)) for step in steps]
    assert np.signbit(results).tolist() == [[False, False], [True, True]]
    text = print_text(steps[1].program)
    assert "-nan" in text
    assert print_text(parse(text)) == text


def test_a_program_that_has_a_kernel_twice_links_it_once() -> None:
    x = gx.input("x", (5,), "float32")
    y = gx.input("y", (5,), "float32")
    step = gx.compile([x, y], [gx.sum(gx.exp(x)), gx.sum(gx.exp(y))])
    ones, twos = np.ones(5, np.float32), np.full(5, 2, np.float32)
    np.testing.assert_allclose(step(ones, twos), [5 * np.e, 5 * np.e**2], rtol=1e-6)


def test_an_entry_keeps_the_sizes_that_its_code_reads() -> None:
    n, m = dim.symbol("n"), dim.symbol("m")
    sizes = (3 * n * m - 2, dim.floor_divide(n + 7, 8), dim.minimum(n, m))
    entry = packed(sizes, b"\n\0code\n")
    assert unpacked(entry) == (sizes, b"\n\0code\n")


def test_memory_holds_so_many_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_cache, "memory", {})
    monkeypatch.setattr(code_cache, "REMEMBERED", 3)
    for number in range(5):
        code_cache.remember(str(number), b"")
    assert list(code_cache.memory) == ["2", "3", "4"]


# --- keys ----------------------------------------------------------------------------------------


@pytest.fixture
def forgetful() -> Any:
    """Circumstances are looked up anew, in a test and after it."""
    code_key.circumstances.cache_clear()
    yield
    code_key.circumstances.cache_clear()


def test_a_key_depends_on_kind_and_text() -> None:
    assert key_of("kernel", "a") == key_of("kernel", "a")
    assert len({key_of("kernel", "a"), key_of("kernel", "b"), key_of("step", "a")}) == 3


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("host", lambda: Target(128, 16, "x86_64", "another", "+sse2")),
        ("VERSION", "another"),
        ("FORMAT", "another"),
        ("llvm", SimpleNamespace(llvm_version_info=(1, 2, 3))),
        ("llvmlite", SimpleNamespace(__version__="another")),
    ],
)
@pytest.mark.usefixtures("forgetful")
def test_a_key_depends_on_processor_and_versions(
    name: str, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key_of("kernel", "a")
    code_key.circumstances.cache_clear()
    monkeypatch.setattr(code_key, name, other)
    assert key_of("kernel", "a") != before


@pytest.mark.usefixtures("forgetful")
def test_a_key_depends_on_the_modules_that_make_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_key, "MAKERS", [SimpleNamespace(__path__=[str(tmp_path)])])
    module, keys = tmp_path / "emit.py", set()
    for text, changed in (("a", 1), ("a", 2), ("ab", 2)):
        module.write_text(text)
        os.utime(module, (changed, changed))
        code_key.circumstances.cache_clear()
        keys.add(key_of("kernel", "a"))
    assert len(keys) == 3


def test_every_module_that_makes_code_is_part_of_keys() -> None:
    packages = [package.__name__ for package in MAKERS]
    imports = nx.DiGraph(
        (name, found.target)
        for name, all_found in all_imports().items()
        for found in all_found
        if not found.for_types_only
    )
    needed = set.union(
        *(nx.descendants(imports, f"graphc.runtime.cpu.{m}") for m in ("emit", "jit"))
    )
    ours = {name for name in needed if name.startswith("graphc")}
    elsewhere = {name for name in ours if name.rpartition(".")[0] not in packages}
    harmless = {"graphc.errors", "graphc.locks", "graphc.version"}
    assert elsewhere - harmless - set(packages) == set()
