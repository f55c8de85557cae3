"""Every kernel of the corpus compiles to machine code of three GPUs, with no GPU or driver here.

Each kernel is compiled for one architecture, in turn, so that every operator meets all of them;
what `pytest --keep-kernels` keeps is compiled for all three. The summary has the counts.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from compile_kernels import main
from cuda_compilation import ARCHITECTURES, compile_all, compiling_fast
from kernel_corpus import PROGRAMS, kernels
from suite_kernels import KEPT, SuiteKernels

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.kernel import Kernel
from graphc.ir.parser import parse
from graphc.runtime.accelerator.pipeline import translate
from graphc.runtime.cuda.dialect import CUDA
from graphc.runtime.cuda.nvrtc import Compilation, NvrtcError, compile_cubin
from graphc.runtime.device import DEVICES
from graphc.runtime.loaded import Options

ONE_KERNEL = """kernel @one(%in0: f32[8], write %out0: f32[8]) {
  for thread %i0 < 8 lanes 32 {
    store %out0[%i0] = load %in0[%i0]
  }
}
"""

pytest.importorskip("cuda.bindings.nvrtc", reason="needs graphc-compiler[cuda]")


@pytest.fixture(autouse=True)
def _compile_fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Other tests verify the passes."""
    monkeypatch.delenv("GRAPHC_VERIFY", raising=False)
    with compiling_fast():
        yield


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_kernel_compiles(
    name: str, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    found = kernels(name)
    if KEPT in pytestconfig.stash:
        pytestconfig.stash[KEPT].keep_kernels(found)
    counts: Counter[str] = Counter()
    for place, architecture in enumerate(ARCHITECTURES):
        chosen = found[place :: len(ARCHITECTURES)]
        compile_all(chosen, architecture)
        counts[architecture] = len(chosen)
    assert found
    record_property("kernels", dict(counts))


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


@pytest.mark.parametrize(
    ("files", "code", "says"),
    [
        ({}, 1, "there are no kernels in"),
        ({"kernel-1.gc": ONE_KERNEL}, 0, "1 kernels, and 0 sources"),
        ({"kernel-1.gc": ONE_KERNEL, "source-1.cu": "int a;\nnonsense b;"}, 1, "nonsense b;"),
    ],
)
def test_kept_kernels_are_compiled_or_the_one_that_fails_is_shown(
    files: dict[str, str], code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert main(tmp_path) == code
    assert says in capsys.readouterr().out


def test_what_tests_compile_is_kept_once(tmp_path: Path) -> None:
    kept = SuiteKernels(tmp_path)
    load = kept.watch(DEVICES["reference"]).load
    x = gx.input("x", (8,), "float32")
    for _ in range(2):
        load(Graph((x,), (x * x,)), Options())
    (path,) = tmp_path.iterdir()
    kernel = parse(path.read_text())
    assert isinstance(kernel, Kernel)
    compile_all([kernel], "sm_75")
