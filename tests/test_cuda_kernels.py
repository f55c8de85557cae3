"""Every kernel of the corpus compiles to machine code of three GPUs, with no GPU or driver here.

Each kernel is compiled for one architecture, in turn, so that every operator meets all of them;
`pytest --every-architecture` compiles each for all three. The summary has the counts.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from kernel_corpus import PROGRAMS, kernels

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.kernel import Kernel
from graphc.runtime.accelerator.pipeline import translate
from graphc.runtime.c_source.emit import emit
from graphc.runtime.cuda import nvrtc
from graphc.runtime.cuda.dialect import CUDA
from graphc.runtime.cuda.nvrtc import Compilation, NvrtcError, compile_cubin

pytest.importorskip("cuda.bindings.nvrtc", reason="needs graphc-compiler[cuda]")

ARCHITECTURES = ("sm_75", "sm_90", "sm_100")
ELF = b"\x7fELF"


@pytest.fixture(autouse=True)
def _compile_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same front end and assembler with less optimising; other tests verify the passes."""
    monkeypatch.delenv("GRAPHC_VERIFY", raising=False)
    monkeypatch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "--Ofast-compile=max"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_kernel_compiles(
    name: str, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    found = kernels(name)
    everywhere = pytestconfig.getoption("--every-architecture")
    counts: Counter[str] = Counter()
    for place, architecture in enumerate(ARCHITECTURES):
        chosen = found if everywhere else found[place :: len(ARCHITECTURES)]
        if chosen:
            compile_all(chosen, architecture)
        counts[architecture] = len(chosen)
    assert found
    record_property("kernels", dict(counts))


def compile_all(kernels: Sequence[Kernel], architecture: str) -> None:
    """Compile kernels side by side; where that fails, one by one, to name the one that does."""
    try:
        code = compile_cubin(emit(kernels, CUDA).text, architecture)
    except NvrtcError:
        for kernel in kernels:
            text = emit([kernel], CUDA).text
            try:
                compile_cubin(text, architecture)
            except NvrtcError as error:
                pytest.fail(f"{error}\n{text}")
        raise
    assert code.startswith(ELF)
    assert code.count(b".text.kernel_") >= len(kernels)


def test_what_is_compiled_fuses_no_product_and_sum() -> None:
    x = gx.input("x", (8,), "float32")
    text = translate(Graph((x,), (x * x + x,)), CUDA).module.text
    ptx = Compilation(text, "compute_75").result("PTX").decode()
    assert "mul.rn.f32" in ptx or "mul.f32" in ptx
    assert "fma" not in ptx


def test_a_text_that_is_not_cuda_is_refused_with_the_line() -> None:
    with pytest.raises(NvrtcError, match=r"kernels\.cu\(2\): error.*nonsense"):
        compile_cubin("int a;\nnonsense b;", "sm_75")


def test_an_architecture_that_there_is_not_is_refused() -> None:
    with pytest.raises(NvrtcError, match="INVALID_OPTION"):
        compile_cubin("", "sm_1")
