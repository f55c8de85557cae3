"""What must hold of a kernel: names are declared, types agree, loops keep their promises."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass, field

from graphc.errors import GraphError
from graphc.ir import scalar
from graphc.ir.dim import (
    Size,
    Symbol,
    atom,
    coefficient,
    upper_bound,
    variables,
)
from graphc.ir.divisibility import is_multiple
from graphc.ir.kernel import (
    ACCUMULATORS,
    LOOP_KINDS,
    WARPGROUP,
    Accumulate,
    Accumulator,
    Barrier,
    Buffer,
    For,
    Kernel,
    Let,
    Local,
    Statement,
    Store,
    accesses,
    statements,
    values,
)
from graphc.ir.print_kernel import print_statement
from graphc.ir.scalar import Load, Scalar
from graphc.ir.types import DType, bool_, int64
from graphc.ir.verify_scalar import KernelError, verify_scalar

LOCKSTEP = ("unrolled", "vector", "wide", "copy")
SIDE_BY_SIDE = ("vector", "thread", "wide", "copy", "grid", "block")
WITH_LANES = ("vector", "thread")
OUTERMOST = ("grid", "block")
WITH_POSITION = ("argmax", "argmin")
OF_BOOLS = ("any", "all")


@dataclass
class Scope:
    """What stands at a place in a kernel: buffers, the loops around it, and named values.

    depths tells how many loops stand around the declaration of a value.
    """

    buffers: ChainMap[str, Buffer]
    loops: tuple[For, ...] = ()
    values: ChainMap[str, DType] = field(default_factory=ChainMap)
    depths: ChainMap[str, int] = field(default_factory=ChainMap)
    accumulators: ChainMap[str, Accumulator] = field(default_factory=ChainMap)

    def inner(self, loop: For) -> Scope:
        """The scope of a loop's body."""
        return Scope(
            self.buffers.new_child(),
            (*self.loops, loop),
            self.values.new_child(),
            self.depths.new_child(),
            self.accumulators.new_child(),
        )

    def is_taken(self, name: str) -> bool:
        """Whether a let, an accumulator or a loop around has this name already."""
        return name in self.values or any(loop.variable.name == f"%{name}" for loop in self.loops)

    def declare(self, name: str, dtype: DType) -> None:
        """Makes a let or accumulator visible to the end of the block."""
        if self.is_taken(name):
            raise KernelError(f"%{name} is declared twice")
        self.values[name] = dtype
        self.depths[name] = len(self.loops)

    def check_size(self, size: Size) -> None:
        """Every variable of a size stands for a loop around it, or for an int64 value above."""
        for symbol in variables(size):
            if symbol.kind == "value":
                self.check_value(symbol)
            else:
                self.check_loop(symbol)

    def check_value(self, symbol: Symbol) -> None:
        """The symbol is %NAME of a let or accumulator in scope."""
        dtype = self.values.get(symbol.name.removeprefix("%"))
        if dtype is None:
            raise KernelError(f"{symbol} is not in scope")
        if dtype != int64:
            raise KernelError(f"{symbol} is {dtype}; only i64 may stand in an offset")

    def check_loop(self, symbol: Symbol) -> None:
        """The symbol is the variable of a loop around, with the same limit."""
        limits = [loop.limit for loop in self.loops if loop.variable.name == symbol.name]
        if not limits:
            raise KernelError(f"{symbol} is not in scope")
        if limits != [symbol.limit]:
            raise KernelError(f"{symbol} < {symbol.limit} stands in a loop up to {limits[0]}")

    def check(self, value: Scalar) -> None:
        """The formula is well formed here."""
        verify_scalar(value, self.buffers, self.values, self.check_size)


def verify_kernel(kernel: Kernel) -> None:
    """Raise GraphError with the kernel's name and the statement unless a kernel is well formed."""
    buffers = {buffer.name: buffer for buffer in kernel.buffers}
    if len(buffers) < len(kernel.buffers):
        raise GraphError(f"kernel @{kernel.name}: two buffers have one name")
    verify_body(kernel, Scope(ChainMap(buffers)), kernel.body)


def verify_body(kernel: Kernel, scope: Scope, body: tuple[Statement, ...]) -> None:
    """Each statement of a block is well formed after those above it."""
    for statement in body:
        try:
            verify_statement(scope, statement)
        except KernelError as error:
            message = f"kernel @{kernel.name}: {error}, in `{show(statement)}`"
            raise GraphError(message) from None
        if isinstance(statement, For):
            verify_body(kernel, scope.inner(statement), statement.body)


def show(statement: Statement) -> str:
    """A statement in a line, a loop without its body."""
    if isinstance(statement, For):
        return f"for {statement.kind} {statement.variable} < {statement.limit}"
    return print_statement(statement)


def verify_statement(scope: Scope, statement: Statement) -> None:
    """One statement, a loop without its body; declares what the statement declares."""
    if isinstance(statement, For):
        verify_loop(scope, statement)
        verify_shared(scope, statement)
    elif isinstance(statement, Let):
        scope.check(statement.value)
        scope.declare(statement.name, statement.value.dtype)
    elif isinstance(statement, Accumulator):
        verify_accumulator(scope, statement)
    elif isinstance(statement, Accumulate):
        verify_accumulate(scope, statement)
    elif isinstance(statement, Local):
        verify_local(scope, statement)
    elif isinstance(statement, Barrier):
        verify_barrier(scope)
    else:
        verify_store(scope, statement)


def verify_loop(scope: Scope, loop: For) -> None:
    """The kind's promises, as far as they can be seen; see `graphc.ir.kernel`."""
    scope.check_size(loop.limit)
    if loop.kind not in LOOP_KINDS:
        raise KernelError(f"there is no loop of kind {loop.kind!r}")
    if scope.is_taken(loop.variable.name.removeprefix("%")):
        raise KernelError(f"{loop.variable} is declared twice")
    if loop.kind == "parallel" and any(outer.kind in LOCKSTEP for outer in scope.loops):
        raise KernelError("a parallel loop may not stand in one that runs in lockstep")
    if loop.kind == "unrolled" and not isinstance(loop.limit, int):
        raise KernelError("the limit of an unrolled loop must be an integer")
    odd = loop.lanes % 2 == 1 and loop.lanes != 1
    several = loop.kind in SIDE_BY_SIDE or {
        "unrolled": loop.lanes == loop.limit, "matrix": loop.lanes == WARPGROUP,
    }.get(loop.kind, False)  # fmt: skip
    if loop.lanes < 1 or odd or (loop.lanes > 1) > several:
        raise KernelError(
            f"{loop.lanes} lanes: a vector or thread loop has an even number, a matrix loop 128"
        )
    if loop.kind in ("wide", "copy"):
        verify_wide(loop)
    if loop.kind == "copy":
        verify_copy(scope, loop)
    elif loop.kind == "unrolled" and loop.lanes > 1:
        verify_aligned(loop, tuple(s for s in loop.body if not isinstance(s, For)))
    verify_device_loop(scope, loop)
    varying = varying_names(scope) & {symbol.name for symbol in variables(loop.limit)}
    if varying:
        raise KernelError(f"the limit depends on {min(varying)}, which differs in lockstep")


def verify_wide(loop: For) -> None:
    """No more iterations than lanes, and accesses that begin at multiples of so many elements."""
    most = upper_bound(loop.limit)
    if not isinstance(most, int) or most > loop.lanes:
        raise KernelError(f"a wide loop has at most as many iterations as its {loop.lanes} lanes")
    if any(isinstance(statement, For) for statement in loop.body):
        raise KernelError("a wide loop holds no other one")
    verify_aligned(loop, loop.body)


def verify_aligned(loop: For, body: tuple[Statement, ...]) -> None:
    """Accesses to neighbours in a body begin at multiples of as many elements as the loop has."""
    name = loop.variable.name
    for access in accesses(body):
        if coefficient(access.offset, name) == 1:
            if isinstance(access, Store) and access.guard is not None:
                raise KernelError(f"{access.buffer} is stored under a guard")
            start = access.offset - atom(loop.variable)
            if not is_multiple(start, loop.lanes):
                raise KernelError(
                    f"{access.buffer}[{start}] is no multiple of {loop.lanes} elements"
                )


def verify_copy(scope: Scope, loop: For) -> None:
    """One store of what one load reads, element by element, by each thread of a block."""
    name, (first, *others) = loop.variable.name, loop.body
    is_copy = isinstance(first, Store) and isinstance(first.value, Load) and not others
    if not is_copy or loop.limit != loop.lanes or loop.lanes == 1:
        raise KernelError("a copy loop has as many iterations as lanes, and stores what it loads")
    assert isinstance(first, Store)
    if first.guard is not None or any(
        coefficient(a.offset, name) != 1 for a in accesses(loop.body)
    ):
        raise KernelError("a copy loop copies neighbours, all of them or none")
    thread = next((n for n, outer in enumerate(scope.loops) if outer.kind == "thread"), None)
    if thread is None:
        raise KernelError("a copy loop stands in a thread loop")
    around = scope.buffers.maps[len(scope.loops) - thread : -1]
    if not any(first.buffer in buffers for buffers in around):
        raise KernelError("a copy loop stores to a local buffer that stands around the thread loop")


def verify_device_loop(scope: Scope, loop: For) -> None:
    """Grid and block loops stand around all else, thread loops not where a thread is alone."""
    around = {outer.kind for outer in scope.loops}
    if loop.kind in OUTERMOST and not around <= {loop.kind}:
        raise KernelError(f"a {loop.kind} loop stands around all others")
    if loop.kind == "matrix" and (
        loop.limit not in (8, 16) or not {"thread", "unrolled"} <= around
    ):
        raise KernelError("a matrix loop has 8 or 16 terms and stands in a thread's lockstep loops")
    if loop.kind == "matrix" and loop.lanes == WARPGROUP:
        verify_warpgroup(scope)
    if loop.kind == "thread" and not around <= {"block", "serial"}:
        raise KernelError("a thread loop stands in block and serial loops alone")


def verify_warpgroup(scope: Scope) -> None:
    """A matrix loop of a warpgroup is alone in a serial loop, whose products count as one."""
    outer = scope.loops[-1]
    if outer.kind != "serial" or len(outer.body) != 1:
        raise KernelError("a matrix loop of 128 lanes is alone in a serial loop")
    threads = next(loop.lanes for loop in scope.loops if loop.kind == "thread")
    if threads % WARPGROUP:
        raise KernelError(f"{threads} threads are no warpgroups of {WARPGROUP}")


def varying_names(scope: Scope) -> set[str]:
    """The variables of lockstep loops around, and the values declared inside of them."""
    outermost = next((n for n, loop in enumerate(scope.loops) if loop.kind in LOCKSTEP), None)
    if outermost is None:
        return set()
    values = {f"%{name}" for name, depth in scope.depths.items() if depth > outermost}
    return values | {loop.variable.name for loop in scope.loops if loop.kind in LOCKSTEP}


def verify_shared(scope: Scope, loop: For) -> None:
    """Accumulators from outside: not touched by parallel iterations, not read by vector ones.

    The lanes of a vector or thread loop hold parts of the result until the loop has ended.
    """
    if loop.kind not in ("parallel", *OUTERMOST, *WITH_LANES):
        return
    inside = list(statements(loop.body))
    own = {s.name for s in inside if isinstance(s, Accumulator)}
    shared = {s.name for s in inside if isinstance(s, Accumulate)} - own
    ordered = {name for name in shared if is_last(scope, name)}
    if ordered:
        raise KernelError(
            f"%{min(ordered)} holds what came last, and a {loop.kind} loop has no order"
        )
    if shared and loop.kind not in WITH_LANES:
        raise KernelError(f"{loop.kind} iterations accumulate into %{min(shared)}")
    if shared and loop.lanes & (loop.lanes - 1):
        raise KernelError(f"{loop.lanes} lanes: to combine them they must be a power of two")
    for part in scalar.walk(value for s in inside for value in values(s)):
        if isinstance(part, scalar.Ref) and part.name in shared:
            raise KernelError(
                f"%{part.name} is read inside the {loop.kind} loop that accumulates it"
            )


def is_last(scope: Scope, name: str) -> bool:
    """Whether an accumulator in scope holds what was accumulated last."""
    return name in scope.accumulators and scope.accumulators[name].kind == "last"


def verify_accumulator(scope: Scope, statement: Accumulator) -> None:
    """A known reduction over a dtype that it works on."""
    if statement.kind not in ACCUMULATORS:
        raise KernelError(f"there is no reduction {statement.kind!r}")
    if statement.kind in OF_BOOLS and statement.dtype != bool_:
        raise KernelError(f"{statement.kind} works on bool, not {statement.dtype}")
    scope.declare(statement.name, int64 if statement.kind in WITH_POSITION else statement.dtype)
    scope.accumulators[statement.name] = statement


def verify_accumulate(scope: Scope, statement: Accumulate) -> None:
    """A value of the accumulator's dtype; a position where the reduction remembers it."""
    accumulator = scope.accumulators.get(statement.name)
    if accumulator is None:
        raise KernelError(f"%{statement.name} is not an accumulator in scope")
    scope.check(statement.value)
    scope.check_size(statement.position)
    if statement.value.dtype != accumulator.dtype:
        raise KernelError(
            f"%{statement.name} accumulates {accumulator.dtype}, not {statement.value.dtype}"
        )
    if statement.position != 0 and accumulator.kind not in WITH_POSITION:
        raise KernelError(f"{accumulator.kind} remembers no position")


def verify_local(scope: Scope, statement: Local) -> None:
    """A new buffer in a loop, since threads share what stands outside, and not in lockstep."""
    if statement.name in scope.buffers:
        raise KernelError(f"there is a buffer %{statement.name} already")
    if not scope.loops or any(loop.kind in LOCKSTEP for loop in scope.loops):
        raise KernelError("a local buffer stands in parallel and serial loops")
    if statement.size < 1:
        raise KernelError(f"a local buffer has elements, not {statement.size}")
    scope.buffers[statement.name] = Buffer(
        statement.name, statement.dtype, statement.size, written=True
    )


def verify_barrier(scope: Scope) -> None:
    """In a loop with an iteration for each thread, and all threads come by equally often."""
    at = next((n for n, loop in enumerate(scope.loops) if loop.kind == "thread"), None)
    if at is None or scope.loops[at].limit != scope.loops[at].lanes:
        raise KernelError("a barrier stands in a loop with one iteration for each thread")
    own = {scope.loops[at].variable.name} | {
        f"%{name}" for name, depth in scope.depths.items() if depth > at
    }
    for loop in scope.loops[at + 1 :]:
        varying = own & {symbol.name for symbol in variables(loop.limit)}
        if varying or loop.kind not in ("serial", "unrolled"):
            raise KernelError(f"threads may not come by a barrier equally often in {loop.variable}")


def verify_store(scope: Scope, statement: Store) -> None:
    """A value of the buffer's dtype, into a buffer that is said to be written."""
    buffer = scope.buffers.get(statement.buffer)
    if buffer is None:
        raise KernelError(f"there is no buffer %{statement.buffer}")
    if not buffer.written:
        raise KernelError(f"buffer %{buffer.name} is not declared with `write`")
    scope.check_size(statement.offset)
    scope.check(statement.value)
    if statement.guard is not None:
        scope.check(statement.guard)
        if statement.guard.dtype != bool_:
            raise KernelError(f"the guard of a store is bool, not {statement.guard.dtype}")
    if statement.value.dtype != buffer.dtype:
        raise KernelError(
            f"buffer %{buffer.name} is {buffer.dtype}, the value is {statement.value.dtype}"
        )
