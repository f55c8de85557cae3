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

from graphc.ir.dim import Size
from graphc.ir.kernel import Kernel
from graphc.ir.lexer import Reader
from graphc.ir.parse_value import parse_size
from graphc.ir.print_kernel import print_kernel
from graphc.ir.program import Program, Repeat, While, walk_steps
from graphc.runtime.cpu.code_cache import find, keep
from graphc.runtime.cpu.code_generator import OPTIMIZATION, QUICK
from graphc.runtime.cpu.code_key import key_of
from graphc.runtime.cpu.code_orders import Order, Orders
from graphc.runtime.cpu.emit import emit, emit_kernel, emit_step
from graphc.runtime.cpu.jit import Library, link
from graphc.runtime.cpu.pool import available_processors, get_num_threads
from graphc.runtime.cpu.steps import Called
from graphc.runtime.cpu.target import host


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


@dataclass(frozen=True, slots=True)
class Part:
    """A function of a program: the sizes in its table, and its object file, found or on order."""

    key: str
    sizes: tuple[Size, ...]
    made: bytes | Order

    @property
    def called(self) -> Called:
        """How a kernel is called."""
        return Called(function_of(self.key), self.sizes)

    @property
    def code(self) -> bytes:
        """The object file, once orders are filled."""
        return self.made.code if isinstance(self.made, Order) else self.made

    def keep(self) -> None:
        """Let the cache have what was on order."""
        if isinstance(self.made, Order):
            keep(self.key, packed(self.sizes, self.code))


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
    watch = Stopwatch({"emit": 0.0, "machine code": 0.0})
    with watch.measure("machine code"):
        known = keys_of_kernels(program) if keys is None else keys.kernels
        entries = {key: find(key) for key in known.values()}
    missing = sum(entry is None for entry in entries.values())
    with Orders(missing, min(get_num_threads(), available_processors())) as orders:
        with watch.measure("emit"):
            kernels = {known[kernel.name]: kernel for kernel in program.kernels}
            parts = {key: kernel_part(kernels[key], key, entries[key], orders) for key in kernels}
            called = {name: parts[key].called for name, key in known.items()}
            step = step_part(program, called, keys, stamped, orders)
        with watch.measure("machine code"):
            orders.fill()
            everything = [step, *parts.values()]
            for part in everything:
                part.keep()
            exports = ["step", "ticks"] if stamped else ["step"]
            objects = [part.code for part in everything]
            library = link(objects, exports, lambda: emit(program, host()).text)
    found = len(known) - missing
    return Built(library, Keys(known, step.key, step.sizes), found, tuple(watch.seconds.items()))


def step_part(
    program: Program,
    called: Mapping[str, Called],
    keys: Keys | None,
    stamped: bool,
    orders: Orders,
) -> Part:
    """The calls of a program; they are emitted unless their key is known and a cache has them."""
    if keys is not None and (entry := find(keys.step)) is not None:
        return Part(keys.step, *unpacked(entry))
    emitted = emit_step(program, called, host(), stamped)
    key = key_of("step", emitted.text)
    entry = None if keys is not None else find(key)
    code = orders.order(emitted.text, effort(program)) if entry is None else unpacked(entry)[1]
    return Part(key, emitted.sizes, code)


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


def keys_of_kernels(program: Program) -> dict[str, str]:
    """The keys of the machine code of a program's kernels, by name."""
    return {k.name: key_of("kernel", print_kernel(bare(k))) for k in program.kernels}


def function_of(key: str) -> str:
    """The name of the function of a kernel."""
    return f"kernel_{key}"


def kernel_part(kernel: Kernel, key: str, entry: bytes | None, orders: Orders) -> Part:
    """A kernel's machine code, from its entry in a cache or else on order."""
    if entry is not None:
        return Part(key, *unpacked(entry))
    emitted = emit_kernel(replace(bare(kernel), name=function_of(key)), host())
    return Part(key, emitted.sizes, orders.order(emitted.text))


def packed(sizes: tuple[Size, ...], code: bytes) -> bytes:
    """A table of sizes and an object file, as one entry of a cache."""
    return json.dumps([str(size) for size in sizes]).encode() + b"\n" + code


def unpacked(entry: bytes) -> tuple[tuple[Size, ...], bytes]:
    """The sizes and the object file in an entry."""
    sizes, _, code = entry.partition(b"\n")
    return tuple(parse_size(Reader(text, "<cache>")) for text in json.loads(sizes)), code
