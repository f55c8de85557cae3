"""What the device opencl refuses, and says."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import require_pocl

import graphc as gx
from graphc.errors import GraphError
from graphc.runtime.opencl import device as opencl_device
from graphc.runtime.opencl import machine as opencl_machine
from graphc.runtime.opencl.machine import POCL

require_pocl()

OPENCL = f"opencl:{POCL}"


@pytest.mark.cpu("one CPU to choose from")
def test_there_is_no_such_device() -> None:
    with pytest.raises(
        GraphError, match=r"no OpenCL device has 'abacus' in its name(.|\n)*Portable"
    ):
        gx.compile([], gx.constant(1.0), device="opencl:abacus")
    with pytest.raises(GraphError, match="there is one device 'cpu' alone"):
        gx.compile([], gx.constant(1.0), device="cpu:abacus")


def test_the_first_of_several_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    found = opencl_device.platforms()
    monkeypatch.setattr(opencl_device, "platforms", lambda: [*found, *found])
    with pytest.raises(
        GraphError, match="more than one OpenCL device can be chosen without a name"
    ):
        opencl_device.choose("")


def test_without_pyopencl_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyopencl", None)
    with pytest.raises(GraphError, match=r"pip install 'graphc-compiler\[opencl\]'"):
        opencl_machine.import_pyopencl()


def test_without_a_linker_pocl_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    device = opencl_device.residence(POCL).machine.device
    monkeypatch.setattr(opencl_machine.shutil, "which", lambda program: None)
    with pytest.raises(GraphError, match="'ld', which is not on the PATH: install binutils"):
        opencl_machine.OpenClMachine(device)


def test_a_dtype_that_the_device_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        opencl_machine.OpenClMachine,
        "why_not",
        lambda self, dtype: "no float64 here" * (dtype.bits == 64),
    )
    x = gx.input("x", (3,), "float64")
    with pytest.raises(GraphError, match=r"no float64 here(.|\n)*test_opencl_errors.py"):
        gx.compile([x], gx.exp(x), device=OPENCL)


def test_source_that_does_not_compile_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = opencl_machine.EXACT
    machine = opencl_device.residence(POCL).machine
    monkeypatch.setattr(machine, "options", ["-Dfloat=nothing", exact])
    x = gx.input("x", (3,), "float32")
    with pytest.raises(GraphError) as caught:
        gx.compile([x], gx.exp(x) + 17, device=OPENCL)
    file = next(word for word in str(caught.value).split() if ".cl" in word).rstrip(":")
    assert "kernel_exp" in Path(file).read_text()
    assert "test_opencl_errors.py" in str(caught.value)
    Path(file).unlink()


def test_graphc_itself_needs_no_pyopencl() -> None:
    code = "import sys; sys.modules['pyopencl'] = None; import graphc, graphc.runtime.tool"
    subprocess.run([sys.executable, "-c", code], check=True)
