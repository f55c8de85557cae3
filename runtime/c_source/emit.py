"""Kernels as functions of C for a device: pure text, and how it is launched.

    ENTRY void NAME(const float *in0, int64_t in0_at, ..., int64_t n)

The parameters are the buffers in order, each a pointer and the element at which the buffer begins,
then the symbolic sizes that the kernel mentions. A kernel is launched as blocks of threads:

grid loops    each iteration is a thread; the last of them is the fastest
block loops   each iteration is a block, whose threads share the thread loops inside
neither       one block; one thread, where there are no thread loops either
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.dim import Size, product
from graphc.ir.kernel import Buffer, For, Kernel, Local, Statement, sizes, statements
from graphc.ir.positions import first_positions
from graphc.runtime.c_source.body import Body, formula
from graphc.runtime.c_source.copies import has_copies
from graphc.runtime.c_source.dialect import WARP, Dialect
from graphc.runtime.c_source.helpers import Helpers
from graphc.runtime.c_source.index_width import index_word
from graphc.runtime.c_source.names import Names, identifier
from graphc.runtime.c_source.registers import own_buffers
from graphc.runtime.c_source.shared_memory import declared
from graphc.runtime.c_source.sizes import bare, operand
from graphc.runtime.c_source.statements import Writer
from graphc.runtime.c_source.teams import THREAD
from graphc.runtime.c_source.types import MEMORY
from graphc.runtime.c_source.warpgroups import has_warpgroups

LINE = 100  # characters
GRID_THREADS = 256
"""Threads of a block where each runs an iteration of its own, and no number is given."""
CROWD = 512
"""Threads that share a processor where each has 128 registers, as those of warpgroups need."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A kernel's function, and what launching it takes.

    sizes names the symbolic sizes that follow the buffers as arguments. blocks is how many blocks
    there are of so many threads. origin is the text of the user's lines. shared is how many bytes
    of memory that its threads share each block is given, besides what the kernel declares.
    """

    name: str
    sizes: tuple[str, ...]
    blocks: Size
    threads: int
    origin: tuple[str, ...]
    shared: int = 0


@dataclass(frozen=True, slots=True)
class Module:
    """The source text of kernels, and how each of them, in order, is launched.

    head stands before the kernels' functions: words, types, and the functions that these call.
    """

    head: str
    functions: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def text(self) -> str:
        """The whole of it."""
        return "\n\n".join((self.head, *self.functions)) + "\n"

    def parts(self, size: int) -> list[Module]:
        """The kernels as modules, each but the last with so many characters or more of them."""
        parts, first, length = [], 0, 0
        for last, function in enumerate(self.functions, 1):
            length += len(function)
            if length >= size or last == len(self.functions):
                chosen = slice(first, last)
                parts.append(Module(self.head, self.functions[chosen], self.entries[chosen]))
                first, length = last, 0
        return parts


@dataclass(frozen=True, slots=True)
class Shape:
    """How a kernel's outermost loops become blocks and threads.

    together says that so many threads work at an iteration, teams how many iterations of that kind
    a block has.
    """

    loops: tuple[For, ...]
    body: tuple[Statement, ...]
    blocks: Size
    threads: int
    together: bool
    teams: int = 1


def shape_of(kernel: Kernel, dialect: Dialect) -> Shape:
    """The launch of a kernel, from its outermost loops; only warps can work side by side."""
    loops: list[For] = []
    body = kernel.body
    while len(body) == 1 and isinstance(body[0], For) and body[0].kind in ("grid", "block"):
        loops.append(body[0])
        body = body[0].body
    count = product(loop.limit for loop in loops)
    if loops and loops[0].kind == "grid":
        size = loops[0].lanes if loops[0].lanes > 1 else GRID_THREADS
        return Shape(tuple(loops), body, (count + size - 1) // size, size, False)
    spread = [s for s in statements(body) if isinstance(s, For) and s.kind == "thread"]
    threads = {s.lanes for s in spread} or {1}
    assert len(threads) == 1, f"@{kernel.name}: all thread loops of a block have as many threads"
    team = threads.pop()
    own = own_buffers(kernel)
    shares = any(isinstance(s, Local) and s.name not in own for s in statements(body))
    if dialect.warp is None or team != WARP or shares or not loops:
        return Shape(tuple(loops), body, count, team, bool(spread))
    teams = loops[-1].lanes
    blocks = (count + teams - 1) // teams
    return Shape(tuple(loops), body, blocks, team * teams, bool(spread), teams)


def meeting(shape: Shape, dialect: Dialect) -> str:
    """The barrier of the threads that work together."""
    return dialect.barrier if dialect.warp is None or shape.teams == 1 else dialect.warp.barrier


def emit(kernels: Sequence[Kernel], dialect: Dialect) -> Module:
    """Kernels as one source text, with the functions that they call."""
    helpers = Helpers(dialect, formula)
    functions = Names()
    entries, texts = [], []
    for kernel in kernels:
        name = functions.fresh(f"kernel_{identifier(kernel.name)}")
        entry, text = emit_kernel(kernel, name, dialect, helpers)
        entries.append(entry)
        texts.append(text)
    called = list(helpers.written.values())
    words = heading(dialect, "\n".join([*called, *texts]))
    return Module("\n\n".join([words, *called]), tuple(texts), tuple(entries))


def emit_kernel(kernel: Kernel, name: str, dialect: Dialect, helpers: Helpers) -> tuple[Entry, str]:
    """A kernel as a function of a name."""
    names = Names()
    names.taken.add(THREAD)
    symbols = symbols_of(kernel)
    parameters = [buffer_parameters(dialect, names, buffer) for buffer in kernel.buffers]
    parameters += [f"int64_t {names.of('size', symbol)}" for symbol in symbols]
    shape = shape_of(kernel, dialect)
    body = Body(helpers.context, names, index_word(kernel, shape.blocks * shape.threads))
    writer = Writer(body, shape.together, meeting(shape, dialect), own_buffers(kernel))
    writer.copies = has_copies(kernel, dialect)
    writer.products = has_warpgroups(kernel, dialect)
    writer.first = first_positions(kernel.body)
    move_to_starts(body, kernel)
    find_place(body, shape, dialect)
    writer.write(shape.body)
    words = dialect.crowded if writer.products else dialect.bounds
    bounds = words.format(threads=shape.threads, blocks=max(1, CROWD // shape.threads))
    head = f"{dialect.entry} {bounds}\n{signature(name, parameters)} {{".lstrip()
    arrays, given = declared(dialect, writer.arrays, names, writer.products)
    shared = [f"  {line}" for line in (*arrays, *writer.shared)]
    comments = [f"// {line}" for text in kernel.origin for line in text.splitlines()]
    text = "\n".join([*comments, head, *shared, *writer.finished(), "}"])
    return Entry(name, symbols, shape.blocks, shape.threads, kernel.origin, given), text


def signature(name: str, parameters: Sequence[str]) -> str:
    """The head of a function without a result, a line for each parameter where one is too long."""
    text = f"void {name}({', '.join(parameters)})"
    return text if len(text) <= LINE else f"void {name}(\n    " + ",\n    ".join(parameters) + ")"


def heading(dialect: Dialect, text: str) -> str:
    """What stands before all functions: the dialect's words, and the integers that they use."""
    used = [name for name in dialect.integers if re.search(rf"\b{name}\b", text)]
    types = [f"typedef {dialect.integers[name]} {name};" for name in used]
    return "\n".join([dialect.heading, *types])


def symbols_of(kernel: Kernel) -> tuple[str, ...]:
    """The symbolic sizes that the statements of a kernel mention, in alphabetical order."""
    found = [size for statement in statements(kernel.body) for size in sizes(statement)]
    return tuple(sorted({s.name for size in found for s in dim.symbols(size) if s.kind == "size"}))


def buffer_parameters(dialect: Dialect, names: Names, buffer: Buffer) -> str:
    """A pointer, and where the buffer begins in it."""
    name = names.of("buffer", buffer.name)
    constant = "" if buffer.written else "const "
    word = MEMORY[buffer.dtype.name]
    return f"{dialect.buffer}{constant}{word} *{name}, int64_t {names.fresh(f'{name}_at')}"


def move_to_starts(body: Body, kernel: Kernel) -> None:
    """Let each pointer point to the first element of its buffer."""
    for buffer in kernel.buffers:
        name = body.names.of("buffer", buffer.name)
        body.line(f"{name} += {name}_at;")


def find_place(body: Body, shape: Shape, dialect: Dialect) -> None:
    """The thread's number and the variables of the outermost loops, from the thread's place."""
    if shape.together:
        number = f"(int){dialect.thread}" + (f" % {WARP}" if shape.teams > 1 else "")
        body.line(f"const int {THREAD} = {number};")
    if not shape.loops:
        return
    number = f"({body.index}){dialect.block}"
    if not shape.together and shape.threads > 1:
        number = f"{number} * {shape.threads} + ({body.index}){dialect.thread}"
    elif shape.teams > 1:
        number = f"{number} * {shape.teams} + ({body.index}){dialect.thread} / {WARP}"
    single = len(shape.loops) == 1
    rest = body.names.of("value", shape.loops[0].variable.name) if single else ""
    rest = rest or body.names.fresh("place")
    body.line(f"const {body.index} {rest} = {number};")
    if "*" in number:
        count = product(loop.limit for loop in shape.loops)
        body.line(f"if ({rest} >= {bare(body.size(count))}) return;")
    if not single:
        take_apart(body, shape.loops, rest)


def take_apart(body: Body, loops: Sequence[For], place: str) -> None:
    """Each loop's variable as a digit of a place among all iterations."""
    inner: Size = 1
    lines: list[str] = []
    for at, loop in reversed(list(enumerate(loops))):
        name = body.names.of("value", loop.variable.name)
        text = place if inner == 1 else f"{place} / {operand(body.size(inner))}"
        digit = f" % {operand(body.size(loop.limit))}" if at else ""
        lines.append(f"const {body.index} {name} = {text}{digit};")
        inner = inner * loop.limit
    for line in reversed(lines):
        body.line(line)
