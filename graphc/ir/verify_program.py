"""What must hold of a program: calls fit their kernels, and memory holds what is read from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphc.errors import GraphError
from graphc.ir import scalar
from graphc.ir.dim import (
    DimCall,
    Size,
    Symbol,
    atom,
    is_nonnegative,
    lower_bound,
    polynomial,
    terms_of,
    upper_bound,
    variables,
)
from graphc.ir.kernel import Buffer, Kernel, Store, statements, values
from graphc.ir.program import (
    BUFFER_KINDS,
    Allocation,
    Branch,
    CallKernel,
    Program,
    Repeat,
    Step,
    While,
)
from graphc.ir.types import TensorType, bool_
from graphc.ir.verify_kernel import verify_kernel


def verify_program(program: Program, kernels: dict[int, Access]) -> None:
    """Raise GraphError unless a program and its kernels are well formed.

    kernels has those verified before, by identity, to which the others are added.
    """
    verify_unique("allocations", [a.name for a in program.allocations])
    verify_unique("kernels", [k.name for k in program.kernels])
    for allocation in program.allocations:
        verify_allocation(allocation)
    for kernel in program.kernels:
        if id(kernel) not in kernels:
            verify_kernel(kernel)
            kernels[id(kernel)] = Access(kernel)  # which holds it, so that the id stays its own
    memory = Memory(program, {kernel.name: kernels[id(kernel)] for kernel in program.kernels})
    memory.run(program.steps)
    memory.verify_results()


def verify_unique(what: str, names: Iterable[str]) -> None:
    """No name twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise GraphError(f"two {what} are named {name}")
        seen.add(name)


def verify_allocation(allocation: Allocation) -> None:
    """A known kind; a constant has a value of its type, and nothing else has one."""
    name, value = allocation.name, allocation.value
    if allocation.kind not in BUFFER_KINDS:
        raise GraphError(f"%{name}: there is no kind {allocation.kind!r} of memory")
    if (value is not None) != (allocation.kind == "constant"):
        raise GraphError(f"%{name}: a constant has a value, and nothing else has one")
    if value is not None and value.type != allocation.type:
        raise GraphError(f"%{name} is {allocation.type}, its value is {value.type}")


class Access:
    """How a kernel uses its buffers: the names that it reads before it writes, and writes.

    One without elements is written by any kernel that says it writes it.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.reads: set[str] = set()
        self.writes = {b.name for b in kernel.buffers if b.written and b.size == 0}
        for statement in statements(kernel.body):
            for part in scalar.walk(values(statement)):
                if isinstance(part, scalar.Load) and part.buffer not in self.writes:
                    self.reads.add(part.buffer)
            if isinstance(statement, Store):
                self.writes.add(statement.buffer)


class Memory:
    """Goes through a program call by call, and knows whose value each piece of memory holds.

    What a loop does is gone through twice, since a step may undo what the next one needs. Memory
    written in a loop, or in one arm of a branch, counts as written.
    """

    def __init__(self, program: Program, kernels: Mapping[str, Access]) -> None:
        self.program = program
        self.kernels = kernels
        self.allocations = {a.name: a for a in program.allocations}
        self.variables: set[Symbol] = set()
        self.owner: dict[str, str] = {}
        for later, earlier in program.reuses:
            self.verify_reuse(later, earlier)
            self.owner[later] = self.owner.get(earlier, earlier)
        given = ("input", "state", "constant")
        self.holds = {a.name: a.name for a in program.allocations if a.kind in given}

    def verify_reuse(self, later: str, earlier: str) -> None:
        """A temporary takes over memory that is large enough for it."""
        new, old = self.known(later, "reuse"), self.known(earlier, "reuse")
        if new.kind != "temporary":
            raise GraphError(f"%{later} is {new.kind}: only a temporary reuses memory")
        if later in self.owner:
            raise GraphError(f"%{later} reuses two pieces of memory")
        if is_nonnegative(new.bytes - old.bytes - 1):
            raise GraphError(f"%{later} needs {new.bytes} bytes, %{earlier} has {old.bytes}")

    def known(self, name: str, where: str) -> Allocation:
        """The allocation of a name; GraphError if there is none."""
        if name not in self.allocations:
            raise GraphError(f"{where}: nothing is allocated as %{name}")
        return self.allocations[name]

    def run(self, steps: Iterable[Step]) -> None:
        """Calls fit their kernels, and conditions are there."""
        for step in steps:
            if isinstance(step, CallKernel):
                self.call(step)
            elif isinstance(step, Branch):
                self.verify_condition(step.condition)
                self.branch(step)
            elif isinstance(step, While):
                self.verify_condition(step.condition)
                self.run(step.steps)
                self.verify_condition(step.condition)
                self.run(step.steps)
            else:
                self.repeat(step)

    def branch(self, step: Branch) -> None:
        """Each arm begins with the memory as it was before."""
        before = dict(self.holds)
        self.run(step.yes)
        after, self.holds = self.holds, before
        self.run(step.no)
        self.holds = after | self.holds

    def repeat(self, step: Repeat) -> None:
        """A loop whose variable no loop around it has."""
        if step.variable.name in {variable.name for variable in self.variables}:
            raise GraphError(f"repeat: a loop around it has the variable {step.variable}")
        self.variables.add(step.variable)
        self.run(step.steps)
        self.run(step.steps)
        self.variables.remove(step.variable)

    def verify_condition(self, name: str) -> None:
        """A bool that has been written."""
        if self.known(name, "condition").type != TensorType(bool_, ()):
            raise GraphError(f"condition: %{name} is {self.known(name, '').type}, not one bool")
        self.read(name, "condition")

    def call(self, call: CallKernel) -> None:
        """The arguments fit the kernel; what it reads is there, and what it writes then is."""
        if call.kernel not in self.kernels:
            raise GraphError(f"there is no kernel @{call.kernel}")
        access = self.kernels[call.kernel]
        buffers = access.kernel.buffers
        where = f"call @{call.kernel}"
        if len(buffers) != len(call.arguments):
            raise GraphError(f"{where}: {len(call.arguments)} arguments for {len(buffers)} buffers")
        places = list(zip(call.places, buffers, strict=True))
        for (name, offset), buffer in places:
            self.verify_argument(where, name, offset, buffer)
            if buffer.name in access.reads:
                self.read(name, where)
        for (name, _), buffer in places:
            if buffer.name in access.writes:
                self.write(name, where)

    def verify_argument(self, where: str, name: str, offset: Size, buffer: Buffer) -> None:
        """The memory has the buffer's dtype, and its size or more around the part that is given."""
        tensor = self.known(name, where).type
        if tensor.dtype != buffer.dtype:
            raise GraphError(f"{where}: %{name} is {tensor.dtype}, %{buffer.name} {buffer.dtype}")
        if not variables(offset) <= self.variables:
            raise GraphError(f"{where}: no loop around it has the variables of {offset}")
        if offset == 0 and tensor.size == buffer.size:
            return
        if not is_inside(offset, buffer.size, tensor.size, self.variables):
            raise GraphError(
                f"{where}: %{name} has {tensor.size} elements, "
                f"%{buffer.name} {buffer.size}" + (f" from {offset}" if offset != 0 else "")
            )

    def read(self, name: str, where: str) -> None:
        """The memory holds this value still, or has no elements."""
        if self.known(name, where).type.size == 0:
            return
        holder = self.holds.get(self.owner.get(name, name))
        if holder != name:
            reason = f"%{holder} has taken its memory" if holder else "it is not written before"
            raise GraphError(f"{where}: %{name} is read, but {reason}")

    def write(self, name: str, where: str) -> None:
        """The memory is the program's to write, and holds this value from here on."""
        kind = self.allocations[name].kind
        if kind in ("input", "constant"):
            raise GraphError(f"{where}: %{name} is {kind} and must not be written")
        self.holds[self.owner.get(name, name)] = name

    def verify_results(self) -> None:
        """Results and next values are there in the end, and of the right types."""
        for name in self.program.outputs:
            self.known(name, "return")
            self.read(name, "return")
        for state, value in self.program.updates:
            if self.known(state, "update").kind != "state":
                raise GraphError(f"update: %{state} is not a state")
            self.read(value, "update")
            old, new = self.allocations[state].type, self.known(value, "update").type
            if old != new:
                raise GraphError(f"update: %{state} is {old}, %{value} is {new}")


def is_inside(offset: Size, size: Size, whole: Size, loops: Iterable[Symbol]) -> bool:
    """Whether so many elements from an offset surely lie inside of memory, in a step of loops."""
    low, high = lower_bound(offset), upper_bound(offset)
    if low is None or high is None:
        return False
    margins = [in_step(margin, loops) for margin in (low, whole - size - high)]
    return all(is_nonnegative(m) or is_nonnegative(with_remainders(m)) for m in margins)


def in_step(size: Size, loops: Iterable[Symbol]) -> Size:
    """A size in a step of some loops: as there is a step, a limit maximum(a, 0) is a."""
    for variable in loops:
        clamped = [call for call in calls_in(variable.limit or 0) if variable.limit == atom(call)]
        for call in clamped:
            if call.function == "maximum" and call.right == 0:
                size = replaced(size, call, call.left)
    return size


def calls_in(size: Size) -> list[DimCall]:
    """The calls that are factors in a size."""
    return [a for monomial, _ in terms_of(size) for a in monomial if isinstance(a, DimCall)]


def replaced(size: Size, call: DimCall, value: Size) -> Size:
    """A size with a call in it replaced by what it is."""
    total: Size = 0
    for monomial, factor in terms_of(size):
        part: Size = factor
        for each in monomial:
            part = part * (value if each == call else atom(each))
        total = total + part
    return total


def with_remainders(size: Size) -> Size:
    """The size with b*floor_divide(a, b) written as a - remainder(a, b), which has a known sign."""
    total: Size = 0
    for monomial, factor in terms_of(size):
        divisions = [a for a in monomial if isinstance(a, DimCall) and a.function == "floor_divide"]
        divisor = divisions[0].right if divisions else 0
        if not isinstance(divisor, int) or divisor <= 0 or factor % divisor:
            total = total + polynomial([(monomial, factor)])
            continue
        (call, *_), rest = divisions, list(monomial)
        rest.remove(call)
        exact = call.left - atom(DimCall("remainder", call.left, divisor))
        total = total + exact * polynomial([(tuple(rest), factor // divisor)])
    return total
