"""CUDA C to machine code through NVRTC, which needs neither a driver nor a GPU.

A cubin is code of one architecture, such as sm_90, and runs with any driver that knows it. PTX is
compiled by the driver, which refuses what a newer NVRTC than itself has written; so the packages
of the extra `[cuda]` are pinned to one that widespread drivers know.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError
from graphc.runtime.cuda.bindings import first_call, import_cuda

OPTIONS = ("--std=c++17", "--fmad=false")
"""A product and a sum are one operation only where the program says so, with `fma`."""


class NvrtcError(GraphError):
    """NVRTC refuses a source text; the message is what it says."""


def compile_cubin(text: str, architecture: str) -> bytes:
    """The machine code of a source text for an architecture, such as "sm_90"."""
    return Compilation(text, architecture).result("CUBIN")


class Compilation:
    """A source text that NVRTC has compiled; NvrtcError where it refuses the text."""

    def __init__(self, text: str, architecture: str) -> None:
        self.nvrtc = import_cuda("nvrtc")
        create = self.nvrtc.nvrtcCreateProgram
        status, program = first_call(create, text.encode(), b"kernels.cu", 0, [], [])
        if status != self.nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise NvrtcError(f"NVRTC fails in nvrtcCreateProgram: {status.name}")
        self.program = program
        options = [word.encode() for word in (f"--gpu-architecture={architecture}", *OPTIONS)]
        try:
            self.ask("nvrtcCompileProgram", len(options), options)
        except NvrtcError as error:
            log = self.fill("nvrtcGetProgramLog").rstrip(b"\0").decode().strip()
            raise NvrtcError(f"{error.message}\n{log}") from None

    def __del__(self) -> None:
        if hasattr(self, "program"):
            self.nvrtc.nvrtcDestroyProgram(self.program)

    def result(self, kind: str) -> bytes:
        """The result of a kind: "PTX" or "CUBIN"."""
        return self.fill(f"nvrtcGet{kind}")

    def fill(self, function: str) -> bytes:
        """What a function writes into as many bytes as its sibling asks for."""
        text: bytes = b" " * self.ask(f"{function}Size")
        self.ask(function, text)
        return text

    def ask(self, function: str, *arguments: Any) -> Any:
        """The result of a function of NVRTC for the program."""
        status, *results = getattr(self.nvrtc, function)(self.program, *arguments)
        if status != self.nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise NvrtcError(f"NVRTC fails in {function}: {status.name}")
        return results[0] if results else None
