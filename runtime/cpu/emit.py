"""Programs and kernels as LLVM modules: pure text, explicitly vectorised.

    define void @NAME(ptr %sizes, ptr %pool, ptr ...)           a kernel; its buffers in order
    define internal void @NAME.parallelK(ptr, i64, i64)         iterations of a parallel loop
    define void @step(ptr %sizes, ptr %pool, ptr %buffers)      every call of the program

%sizes is a table of 64-bit integers that the caller fills by `Emitted.sizes`; each kernel has a
table of its own, and that of `step` holds them all. A module of kernels needs from outside only
`graphc_parallel_for(pool, function, context, count, work)`, which calls the function with ranges
that cover 0 <= i < count; work is the nanoseconds of an iteration, roughly.

So a kernel's text depends on the kernel alone. It is compiled as a module of its own, and so is
`step`; `emit` puts all of them into one text.

The text needs no optimisation passes: what they would find is already done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.ir.dim import Size
from graphc.ir.kernel import For, Kernel, loads, stores
from graphc.ir.positions import first_positions
from graphc.ir.program import Program
from graphc.ir.types import DType, int64
from graphc.runtime.cpu.block import REGISTERS, Block, identifier, symbol
from graphc.runtime.cpu.control import repeat
from graphc.runtime.cpu.function import Accumulated, Function, Instance, Named, SizeTable
from graphc.runtime.cpu.indexing import integer
from graphc.runtime.cpu.loops import bind, write_body
from graphc.runtime.cpu.memory import PAST_CACHE, PAST_CACHE_DEFINITION, ZEROS, ZEROS_DEFINITION
from graphc.runtime.cpu.stamps import Stamps, definitions
from graphc.runtime.cpu.steps import Called, Steps, head
from graphc.runtime.cpu.target import LINE, Target
from graphc.runtime.cpu.work import nanoseconds

# With a frame pointer the generator may align the stack, and does where vectors do not all stay in
# registers: else they cross lines of the cache in three processes of four, at twice the time.
ATTRIBUTES = 'nounwind "frame-pointer"="all"'
PARALLEL_FOR = "declare void @graphc_parallel_for(ptr, ptr, ptr, i64, i64)"


@dataclass(frozen=True, slots=True)
class Emitted:
    """A complete LLVM module, and what stands in each slot of its table of sizes.

    Each size is a Dim over size symbols only.
    """

    text: str
    sizes: tuple[Size, ...]


@dataclass(slots=True)
class Module:
    """The functions of a module in the making."""

    target: Target
    sizes: SizeTable = field(default_factory=SizeTable)
    functions: list[str] = field(default_factory=list)

    def finish(self) -> Emitted:
        """Put the functions behind what they need."""
        body = "\n\n".join(self.functions)
        first = [f'target triple = "{self.target.triple}"'] if self.target.triple else []
        first += [ZEROS_DEFINITION] if ZEROS in body else []
        first += [PARALLEL_FOR] if "@graphc_parallel_for" in body else []
        first += [PAST_CACHE_DEFINITION] if PAST_CACHE in body else []
        return Emitted("\n".join(first) + "\n\n" + body + "\n", tuple(self.sizes.entries))


def emit(program: Program, target: Target) -> Emitted:
    """A program as one module: its kernels, and `step`, which calls them."""
    module = Module(target)
    called: dict[str, Called] = {}
    for kernel in program.kernels:
        module.sizes = SizeTable()
        add_kernel(module, kernel)
        called[kernel.name] = Called(kernel.name, tuple(module.sizes.entries))
    add_step(module, program, called)
    return module.finish()


def emit_kernel(kernel: Kernel, target: Target) -> Emitted:
    """One kernel as a module."""
    module = Module(target)
    add_kernel(module, kernel)
    return module.finish()


def emit_step(
    program: Program, called: Mapping[str, Called], target: Target, stamped: bool = False
) -> Emitted:
    """`step` as a module; called tells of each kernel what its function is.

    With stamps it counts the time of its calls (`graphc.runtime.cpu.stamps`).
    """
    module = Module(target)
    buffers = {called[kernel.name].function: len(kernel.buffers) for kernel in program.kernels}
    declarations = (
        f"declare void {symbol(function)}({', '.join(['ptr'] * (2 + count))})"
        for function, count in buffers.items()
    )
    module.functions.append("\n".join(declarations))
    if stamped:
        module.functions.append(definitions(target))
    add_step(module, program, called, Stamps(target) if stamped else None)
    return module.finish()


def add_step(
    module: Module, program: Program, called: Mapping[str, Called], stamps: Stamps | None = None
) -> None:
    """Add `step` with a new table of sizes."""
    module.sizes = SizeTable()
    entry = Steps(program, called, module.sizes, module.target, stamps)
    module.functions.append(finish([head(stamps)], entry.function, entry.write()))


def add_kernel(module: Module, kernel: Kernel) -> None:
    """Add the function of a kernel, behind those of its parallel loops."""
    f = Function(kernel.buffers, module.sizes, module.target, lambda name: None)
    outlined = Outline(module, kernel, f)
    f.outline = outlined.add
    f.firsts = first_positions(kernel.body)
    entry = Block("entry", f.names)
    with f.scope(entry, True, kernel.body):
        write_body(f, kernel.body, [Instance(())])
    arguments = ["ptr %sizes", "ptr %pool", *(f"ptr {f.pointers[b.name]}" for b in kernel.buffers)]
    lines = [f"; {line}" for text in kernel.origin for line in text.splitlines()]
    lines.append(f"define void {symbol(kernel.name)}({', '.join(arguments)}) {ATTRIBUTES} {{")
    module.functions.append(finish(lines, f, entry))


def finish(lines: list[str], f: Function, entry: Block) -> str:
    """The text of a function."""
    return "\n".join([*lines, "entry:", *f.prologue.lines, *entry.lines, "  ret void", "}"])


class Outline:
    """Parallel loops as functions of their own, called with ranges of iterations.

    What a body uses of the kernel's function travels in a context, an array of 8-byte fields:
    the table of sizes, the buffers that it touches, then lets and accumulators as they come up.
    """

    def __init__(self, module: Module, kernel: Kernel, outer: Function) -> None:
        self.module = module
        self.kernel = kernel
        self.outer = outer
        self.count = 0
        self.fields: list[str] = []

    def add(self, parallel: For) -> None:
        """Write the function of a loop, and its call."""
        name = f"{self.kernel.name}.parallel{self.count}"
        self.count += 1
        written = {store.buffer for store in stores((parallel,))}
        past = [b.name for b in self.kernel.buffers if b.past_cache and b.name in written]
        functions = [self.write(symbol(name), parallel, frozenset())]
        if past and self.module.target.stores_past_cache:
            functions.append(self.write(symbol(f"{name}.past"), parallel, frozenset(past)))
        self.call(functions, past, parallel)

    def write(self, name: str, parallel: For, past: frozenset[str]) -> str:
        """Write the function of a loop that stores some buffers past the caches; its name."""
        outer, module = self.outer, self.module
        touched = {load.buffer for load in loads((parallel,))}
        touched |= {store.buffer for store in stores((parallel,))}
        buffers = tuple(buffer for buffer in self.kernel.buffers if buffer.name in touched)
        self.fields = ["ptr %sizes", *(f"ptr {outer.pointers[b.name]}" for b in buffers)]
        inner = Function(buffers, module.sizes, module.target, self.capture)
        inner.firsts = first_positions((parallel,))
        inner.past_cache = past
        self.inner = inner
        self.unpack(0, "ptr", "%sizes")
        for at, pointer in enumerate(inner.pointers.values()):
            self.unpack(at + 1, "ptr", pointer)
        entry = Block("entry", inner.names)
        with inner.scope(entry, True, (parallel,)):
            write_range(inner, parallel)
        if past:  # before others are told that the range is done
            entry.add("fence seq_cst")
        line = f"define internal void {name}(ptr %context, i64 %begin, i64 %end) {ATTRIBUTES} {{"
        module.functions.append(finish([line], inner, entry))
        return name

    def unpack(self, at: int, kind: str, name: str) -> None:
        """Load a field of the context in the function of the loop."""
        block = self.inner.prologue
        pointer = block.op("field", f"getelementptr i64, ptr %context, i64 {at}")
        block.add(f"{name} = load {kind}, ptr {pointer}, align 8")

    def capture(self, name: str) -> tuple[str, DType] | None:
        """Bring a let or an accumulator of the kernel's function in."""
        bound = self.outer.binding(name)
        assert isinstance(bound, Named | Accumulated)
        dtype = bound.dtype if isinstance(bound, Named) else result_type(bound)
        kind = REGISTERS[dtype.name]
        register = f"%{identifier(name)}.{next(self.inner.names)}"
        self.unpack(len(self.fields), kind, register)
        self.fields.append(f"{kind} {self.outer.read(name, Instance(()))}")
        return register, dtype

    def call(self, functions: list[str], past: list[str], parallel: For) -> None:
        """Fill the context and hand the function to the pool, or its form past the caches."""
        f = self.outer
        name = functions[0]
        if len(functions) > 1:
            aligned = self.begin_at_lines(past)
            name = f.block.op("form", f"select i1 {aligned}, ptr {functions[1]}, ptr {name}")
        context = f.prologue.op("context", f"alloca [{len(self.fields)} x i64], align 8")
        for at, value in enumerate(self.fields):
            pointer = f.block.op("field", f"getelementptr i64, ptr {context}, i64 {at}")
            f.block.add(f"store {value}, ptr {pointer}, align 8")
        count = integer(f, parallel.limit, Instance(()))
        work = f.size(nanoseconds(parallel.body))
        arguments = f"ptr %pool, ptr {name}, ptr {context}, i64 {count}, i64 {work}"
        f.block.add(f"call void @graphc_parallel_for({arguments})")

    def begin_at_lines(self, buffers: list[str]) -> str:
        """Whether buffers begin at a line of the cache each."""
        f, beside = self.outer, "0"
        for buffer in buffers:
            bits = f.block.op("bits", f"ptrtoint ptr {f.pointers[buffer]} to i64")
            beside = f.block.op("beside", f"or i64 {beside}, {bits}")
        rest = f.block.op("rest", f"and i64 {beside}, {LINE - 1}")
        return f.block.op("aligned", f"icmp eq i64 {rest}, 0")


def result_type(bound: Accumulated) -> DType:
    """The type of an accumulator's result."""
    accumulator = bound.accumulator
    return int64 if accumulator.kind.startswith("arg") else accumulator.dtype


def write_range(f: Function, parallel: For) -> None:
    """The iterations of a parallel loop from %begin to %end."""

    def write(counter: str) -> None:
        bind(f, parallel, counter)
        write_body(f, parallel.body, [Instance(())])

    repeat(f, parallel, "%begin", "%end", 1, False, write)
