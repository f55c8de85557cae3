"""Without NVIDIA's packages or a driver the device cuda says what is missing; its code is there."""

import sys
from pathlib import Path

import pytest

import graphc as gx
from graphc.runtime.cuda import bindings
from graphc.runtime.cuda.nvrtc import compile_cubin
from graphc.runtime.tool import main


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    x = gx.input("x", (3,), "float32")
    with pytest.raises(
        gx.GraphError, match=r"cuda-bindings: pip install 'graphc-compiler\[cuda\]'"
    ):
        gx.compile([x], x * 2, device="cuda")
    with pytest.raises(gx.GraphError, match="cuda-bindings"):
        compile_cubin("", "sm_90")


class DynamicLibNotFoundError(RuntimeError):
    """What cuda.pathfinder raises."""


def nvrtcCreateProgram() -> None:  # noqa: N802 (NVIDIA's name)
    raise DynamicLibNotFoundError("libnvrtc.so.13")


MISSING = DynamicLibNotFoundError("libcuda.so.1"), RuntimeError("Failed to dlopen libcuda.so.1")
"""What the newest cuda-bindings raises without a driver, and what 13.0 does."""


def test_without_a_library_what_has_it_is_named() -> None:
    with pytest.raises(gx.GraphError, match="needs the package nvidia-cuda-nvrtc: pip install"):
        bindings.first_call(nvrtcCreateProgram)


@pytest.mark.parametrize("error", MISSING, ids=lambda error: type(error).__name__)
def test_without_a_driver_it_is_named(error: RuntimeError) -> None:
    def cuInit() -> None:  # noqa: N802 (NVIDIA's name)
        raise error

    with pytest.raises(gx.GraphError, match=r"NVIDIA GPU and its driver: there is no driver"):
        bindings.first_call(cuInit)


def test_other_errors_are_left_alone() -> None:
    def fails() -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        bindings.first_call(fails)


def test_the_code_is_there_anyway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "double.gc"
    file.write_text("graph (%x: f32[8]) {\n  %0 = add %x, %x : f32[8]\n  return %0\n}\n")
    assert main(["emit", "--device=cuda", str(file)]) == 0
    assert "__global__" in capsys.readouterr().out
