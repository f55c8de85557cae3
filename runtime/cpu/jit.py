"""LLVM text -> machine code in this process: parse, generate, link, give addresses.

The text arrives as it should run (vectors, unrolling and tiles are there already), so LLVM's
passes over IR are left out and only its code generator runs. Every text is one object file, put
into one engine for the process; each can be freed alone.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from functools import cache, cached_property

import llvmlite.binding as llvm

from graphc.runtime.cpu.pool_code import pool_code

OPTIMIZATION = 2  # of the code generator: instruction selection, scheduling, registers
QUICK = 0  # for the pool, whose time goes into waiting, and calls: a fifth of the time to generate
SHOWN = 2  # lines of text shown before and after one that LLVM refuses
POOL = "graphc_pool"

serials = itertools.count()
once = threading.Lock()  # the engine and the pool are made once


class InvalidCodeError(Exception):
    """LLVM refuses a text: a mistake in graphc's emitter, never in the user's program."""


class Library:
    """Machine code that lives in this process for as long as this object.

    text is the LLVM text that it was made from.
    """

    def __init__(self, text: str, tracker: llvm.ResourceTracker) -> None:
        self.text = text
        self.tracker = tracker

    def address(self, name: str) -> int:
        """The address of a function or variable of the text; KeyError if it has none."""
        return int(self.tracker[name])

    @cached_property
    def assembly(self) -> str:
        """The machine code as assembly text, generated anew on first use."""
        return str(generator(OPTIMIZATION).emit_assembly(parse(self.text)))


def load(text: str, optimization: int = OPTIMIZATION) -> Library:
    """Machine code for an LLVM text, linked with the thread pool and the process's C library.

    Raises InvalidCodeError where LLVM refuses the text or a name is defined nowhere.
    """
    pool_library()
    return link(text, f"graphc_{next(serials)}", (POOL,), optimization)


def emit_object(text: str) -> bytes:
    """The bytes of a relocatable object file for the host, from an LLVM text."""
    return bytes(generator(OPTIMIZATION).emit_object(parse(text)))


def pool_library() -> Library:
    """The thread pool's own code; there is one pool in a process."""
    with once:
        return generated_pool()


@cache
def generated_pool() -> Library:
    """The code of the pool, and with it the engine, made on first use."""
    return link(pool_code(), POOL, uses=(), optimization=QUICK)


def link(text: str, name: str, uses: tuple[str, ...], optimization: int = OPTIMIZATION) -> Library:
    """Generate code for a text and put it into the engine under a new name.

    uses names the libraries in the engine, besides the process itself, that it may call.
    """
    module = parse(text)
    builder = llvm.JITLibraryBuilder()
    builder.add_object_img(generator(optimization).emit_object(module))
    builder.add_current_process()
    for library in uses:
        builder.add_jit_library(library)
    for defined in definitions(module):
        builder.export_symbol(defined)
    try:
        return Library(text, builder.link(engine(), name))
    except RuntimeError as error:
        raise InvalidCodeError(f"LLVM cannot link a module: {missing(module) or error}") from error


def missing(module: llvm.ModuleRef) -> str:
    """Which functions a module calls that neither the pool nor the process has."""
    called = (f.name for f in module.functions if f.is_declaration and "llvm." not in f.name)
    known = set(definitions(parse(pool_code())))
    names = [n for n in called if n not in known and not llvm.address_of_symbol(n)]
    return f"nothing defines {', '.join(names)}" if names else ""


def definitions(module: llvm.ModuleRef) -> list[str]:
    """The names that a module defines for others."""
    return [
        value.name
        for value in itertools.chain(module.functions, module.global_variables)
        if not value.is_declaration and value.linkage is llvm.Linkage.external
    ]


def parse(text: str) -> llvm.ModuleRef:
    """LLVM's own form of a text, verified."""
    try:
        module = llvm.parse_assembly(text)
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


@cache
def generator(optimization: int) -> llvm.TargetMachine:
    """The code generator for this very processor.

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


@cache
def engine() -> llvm.LLJIT:
    """What holds all machine code of the process."""
    machine = generator(OPTIMIZATION)
    return llvm.create_lljit_compiler(machine, use_jit_link=True, suppress_errors=True)


if hasattr(os, "register_at_fork"):  # or the child of a fork could find it held by nobody
    os.register_at_fork(
        before=once.acquire, after_in_parent=once.release, after_in_child=once.release
    )
