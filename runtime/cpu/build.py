"""Programs as machine code: each kernel an object of its own, from a cache wherever possible.

A kernel is known by its text without its name and origin. So kernels that say the same share one
object, in one program and in all others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from graphc.ir.dim import Size
from graphc.ir.kernel import Kernel
from graphc.ir.lexer import Reader
from graphc.ir.parse_value import parse_size
from graphc.ir.print_kernel import print_kernel
from graphc.ir.program import Program, Repeat, While, walk_steps
from graphc.runtime.cpu.code_cache import kept
from graphc.runtime.cpu.code_key import key_of
from graphc.runtime.cpu.emit import Emitted, emit, emit_kernel, emit_step
from graphc.runtime.cpu.jit import OPTIMIZATION, QUICK, Library, generate, link
from graphc.runtime.cpu.steps import Called
from graphc.runtime.cpu.target import Target, host


@dataclass(frozen=True, slots=True)
class Keys:
    """Under which keys a cache has the machine code of a program: of its kernels, by name.

    sizes are what stands in each slot of the table of sizes, which `step` hands on.
    """

    kernels: Mapping[str, str]
    step: str
    sizes: tuple[Size, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """A program's machine code, and the keys under which a cache has it.

    found is how many of the program's kernels did not have to be generated.
    """

    library: Library
    keys: Keys
    found: int
    seconds: tuple[tuple[str, float], ...]


class Part(NamedTuple):
    """A kernel's machine code, how it is called, and whether a cache had it."""

    called: Called
    code: bytes
    found: bool


@dataclass(slots=True)
class Stopwatch:
    """The seconds that stages of work have taken."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def build(program: Program, keys: Keys | None = None, stamped: bool = False) -> Built:
    """The machine code of a program for this processor, linked and ready to be called.

    keys are what building it gave before, if they are known. With stamps `step` counts the time of
    its calls (`graphc.runtime.cpu.stamps`).
    """
    watch, target = Stopwatch({"emit": 0.0, "machine code": 0.0}), host()
    with watch.measure("machine code"):
        known = (
            {k.name: key_of_kernel(k) for k in program.kernels} if keys is None else keys.kernels
        )
    parts = {k.name: kernel_part(k, known[k.name], target, watch) for k in program.kernels}

    def emitted() -> Emitted:
        with watch.measure("emit"):
            called = {name: part.called for name, part in parts.items()}
            return emit_step(program, called, target, stamped)

    if keys is None:
        step = emitted()
        keys = Keys(known, key_of("step", step.text), step.sizes)
    code, _ = kept(keys.step, lambda: generate(emitted().text, effort(program)))
    with watch.measure("machine code"):
        objects = {part.called.function: part.code for part in parts.values()} | {"step": code}
        exports = ["step", "ticks"] if stamped else ["step"]
        library = link(objects.values(), exports, lambda: emit(program, target).text)
    found = sum(part.found for part in parts.values())
    return Built(library, keys, found, tuple(watch.seconds.items()))


def effort(program: Program) -> int:
    """How much the code generator should do for the calls of a program.

    Where each stands in no loop, they are a list that runs once. Such a list may be long, and
    finding registers for all the addresses in it would take as long as ten kernels.
    """
    loops = any(isinstance(step, Repeat | While) for step in walk_steps(program.steps))
    return OPTIMIZATION if loops else QUICK


def bare(kernel: Kernel) -> Kernel:
    """What a kernel does, whatever its name and origin."""
    return replace(kernel, name="", origin=())


def key_of_kernel(kernel: Kernel) -> str:
    """The key of a kernel's machine code."""
    return key_of("kernel", print_kernel(bare(kernel)))


def kernel_part(kernel: Kernel, key: str, target: Target, watch: Stopwatch) -> Part:
    """A kernel's machine code, generated unless a cache has it."""
    function = f"kernel_{key}"

    def make() -> bytes:
        with watch.measure("emit"):
            emitted = emit_kernel(replace(bare(kernel), name=function), target)
        with watch.measure("machine code"):
            return packed(emitted, generate(emitted.text))

    entry, found = kept(key, make)
    sizes, code = unpacked(entry)
    return Part(Called(function, sizes), code, found)


def packed(emitted: Emitted, code: bytes) -> bytes:
    """A kernel's sizes and its object file, as one entry of a cache."""
    return json.dumps([str(size) for size in emitted.sizes]).encode() + b"\n" + code


def unpacked(entry: bytes) -> tuple[tuple[Size, ...], bytes]:
    """The sizes and the object file in an entry."""
    sizes, _, code = entry.partition(b"\n")
    return tuple(parse_size(Reader(text, "<cache>")) for text in json.loads(sizes)), code
