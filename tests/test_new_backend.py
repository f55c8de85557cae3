"""The device of examples/new_backend.py computes what the cpu does, and is as short as it says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from corpus import NETWORKS
from samples import SAMPLES, accepted
from test_every_op import BINDINGS, Step

import graphc as gx
from graphc.runtime.compiler import compile_graph
from graphc.runtime.device import DEVICES, Device

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "new_backend.py"
LONGEST = 150  # lines
OPERATORS = ("argsort", "cast", "convolution", "floor_divide", "gather", "power", "scatter", "sort")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("new_backend", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def device(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the device, which is in the table for one test."""
    if example.COMPILER is None:
        pytest.skip("needs a C compiler")
    monkeypatch.setitem(DEVICES, "c99", Device("c99", example.load))
    return "c99"


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_the_values_of_the_cpu(name: str, device: str) -> None:
    case, again = NETWORKS[name](), NETWORKS[name]()
    results = compile_graph(case.graph, device)(*case.arguments)
    wanted = compile_graph(again.graph)(*again.arguments)
    for got, want in zip(results, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    for got, want in zip(case.graph.variables, again.graph.variables, strict=True):
        np.testing.assert_allclose(got.value, want.value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_have_the_values_of_numpy(name: str, device: str) -> None:
    Step(name, accepted(name)[-1], SAMPLES[name].samples, device).run_random(BINDINGS[0])


def test_a_kernel_that_does_not_compile_names_the_line(
    device: str, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        example, "FLAGS", (*example.FLAGS, "-DINFINITY=nonsense", "-include", "none")
    )
    x = gx.input("x", (3,), "float64")
    with pytest.raises(gx.GraphError, match=r"does not compile the kernels(.|\n)*test_new_backend"):
        gx.compile([x], x * 2, device=device)
