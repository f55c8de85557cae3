"""Kernels compiled to machine code of GPUs, with no GPU or driver here."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from graphc.ir.kernel import Kernel
from graphc.runtime.c_source.emit import emit
from graphc.runtime.cuda import nvrtc
from graphc.runtime.cuda.dialect import dialect_for
from graphc.runtime.cuda.nvrtc import NvrtcError, compile_cubin

ARCHITECTURES = ("sm_75", "sm_90a", "sm_100")
ELF = b"\x7fELF"


@contextmanager
def compiling_fast() -> Iterator[None]:
    """The same front end and assembler with less optimising."""
    with patch.object(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "--Ofast-compile=max")):
        yield


def compile_all(kernels: Sequence[Kernel], architecture: str) -> None:
    """Compile kernels side by side; where that fails, one by one, to name the one that does.

    NvrtcError has its source text.
    """
    if not kernels:
        return
    dialect = dialect_for(architecture)
    try:
        code = compile_cubin(emit(kernels, dialect).text, architecture)
    except NvrtcError:
        for kernel in kernels:
            compile_text(emit([kernel], dialect).text, architecture)
        raise
    assert code.startswith(ELF)
    assert code.count(b".text.kernel_") >= len(kernels)


def compile_text(text: str, architecture: str) -> None:
    """Compile a source text; NvrtcError has it where that fails."""
    try:
        assert compile_cubin(text, architecture).startswith(ELF)
    except NvrtcError as error:
        raise NvrtcError(f"for {architecture}: {error}\n{text}") from None
