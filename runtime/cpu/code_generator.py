"""LLVM text -> object files for this very processor.

The text arrives as it should run (vectors, unrolling and tiles are there already), so LLVM's
passes over IR are left out and only its code generator runs. Of that, loop strength reduction is
left out as well: offsets are hoisted to the loops that they change in, and what it would still
find is a fifth of the time of generating code.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from graphc.locks import fork_safe_lock
from graphc.runtime.cpu import llvm

OPTIMIZATION = 2  # of the code generator: instruction selection, scheduling, registers
QUICK = 0  # for what waits or runs once a call: a fifth to a tenth of the time to generate
SHOWN = 2  # lines of text shown before and after one that LLVM refuses
STRENGTH_REDUCTION = "-disable-lsr={}"


class InvalidCodeError(Exception):
    """LLVM refuses a text: a mistake in graphc's emitter, never in the user's program."""


def generate(text: str, optimization: int = OPTIMIZATION) -> bytes:
    """The bytes of a relocatable object file for the host, from an LLVM text.

    Any number of threads may do this at the same time. Raises InvalidCodeError where LLVM refuses
    the text.
    """
    return object_of(parse(text), optimization)


def assembly_of(text: str) -> str:
    """The assembly of an LLVM text, with all effort."""
    with SETTINGS.without_strength_reduction():
        return str(generator(OPTIMIZATION).emit_assembly(parse(text)))


def object_of(module: llvm.ModuleRef, optimization: int) -> bytes:
    """The bytes of a module's object file."""
    machines = idle(optimization)
    try:
        machine = machines.pop()
    except IndexError:  # as many threads as there are machines are at work
        machine = generator(optimization)
    with SETTINGS.without_strength_reduction(), llvm.ffi.OutputString() as error:
        buffer = emit_to_memory()(machine, module, True, error)
        reason = "" if buffer else str(error)
    machines.append(machine)
    if not buffer:
        raise InvalidCodeError(f"LLVM cannot generate code: {reason}")
    library = llvm.ffi.lib
    size = library.LLVMPY_GetBufferSize(buffer)
    code = ctypes.string_at(library.LLVMPY_GetBufferStart(buffer), size)
    library.LLVMPY_DisposeMemoryBuffer(buffer)
    return code


@cache
def emit_to_memory() -> Any:
    """llvmlite's function that generates code, without the lock that llvmlite holds meanwhile.

    LLVM works on modules of different contexts at once; each module here has one of its own.
    """
    known = llvm.ffi.lib.LLVMPY_TargetMachineEmitToMemory
    function = ctypes.CDLL(llvm.ffi.lib._name).LLVMPY_TargetMachineEmitToMemory
    function.argtypes, function.restype = known.argtypes, known.restype
    return function


class Settings:
    """Settings of the code generator, which are the process's and may matter to others in it."""

    def __init__(self) -> None:
        self.users = 0
        self.changing = fork_safe_lock()

    @contextmanager
    def without_strength_reduction(self) -> Iterator[None]:
        """Generate code without loop strength reduction in the block."""
        self.count(1)
        try:
            yield
        finally:
            self.count(-1)

    def count(self, change: int) -> None:
        """Switch it off for the first user, and on after the last one."""
        with self.changing:
            before, self.users = self.users, self.users + change
            if bool(before) != bool(self.users):
                llvm.set_option("graphc", STRENGTH_REDUCTION.format(str(self.users > 0).lower()))


SETTINGS = Settings()


@cache
def idle(optimization: int) -> list[llvm.TargetMachine]:
    """Code generators of an effort that no thread is using."""
    return []


def generator(optimization: int) -> llvm.TargetMachine:
    """A code generator for this very processor.

    The small code model is right because the engine lays an object out in one piece.
    """
    return host().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=optimization,
        reloc="pic",
        codemodel="small",
        jit=True,
    )


@cache
def host() -> llvm.Target:
    """LLVM's knowledge of this kind of processor, made ready on first use."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple()


def parse(text: str) -> llvm.ModuleRef:
    """LLVM's own form of a text, verified, in a context of its own."""
    try:
        module = llvm.parse_assembly(text, llvm.create_context())
        module.verify()
    except RuntimeError as error:
        raise InvalidCodeError(explain(str(error), text)) from error
    return module


def explain(message: str, text: str) -> str:
    """LLVM's message with the lines of the text that it speaks about."""
    lines = text.splitlines()
    place = re.search(r"<string>:(\d+):", message)
    at = int(place[1]) - 1 if place else find_quoted(message, lines)
    if at is None:
        return f"LLVM refuses a module: {message}"
    shown = range(max(at - SHOWN, 0), min(at + SHOWN + 1, len(lines)))
    excerpt = "\n".join(f"{'>' if i == at else ' '}{i + 1:6} {lines[i]}" for i in shown)
    return f"LLVM refuses a module: {message}\n{excerpt}"


def find_quoted(message: str, lines: list[str]) -> int | None:
    """The first line that a message of the verifier repeats (it gives no line numbers)."""
    place = {line.strip(): at for at, line in enumerate(lines) if " " in line.strip()}
    return next((place[q.strip()] for q in message.splitlines() if q.strip() in place), None)
