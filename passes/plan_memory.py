"""plan_memory: new values of states are written in place, and temporaries take over dying ones.

`memory_plan.place` then gives every temporary that is left its place in the arena.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from graphc.ir import kernel, scalar
from graphc.ir.kernel import Buffer, Kernel
from graphc.ir.program import Allocation, CallKernel, Decision, Program, rename_step
from graphc.ir.types import TensorType
from graphc.passes.in_place import obstacle
from graphc.passes.liveness import timeline, uses

CACHE_LINE = 64  # bytes that one step of a copy moves


def plan_memory(program: Program) -> Program:
    """Resolve the updates of states, and let temporaries take over memory that dies."""
    program = snapshot_states(program)
    program = update_in_place(program)
    program = copy_updates(program)
    return reuse_operands(drop_unused(program))


# --- updates of states ---------------------------------------------------------------------------


def snapshot_states(program: Program) -> Program:
    """Copy the states whose old value is still wanted at the end, before anything changes them.

    That is a state with an update of its own that is a result, or the next value of another: with
    {a: b, b: a} both are.
    """
    updates = tuple((state, value) for state, value in program.updates if state != value)
    changed = {state for state, _ in updates}
    wanted = [*program.outputs, *(value for _, value in updates)]
    copies = Copies(program)
    before = {name: copies.snapshot(name) for name in dict.fromkeys(wanted) if name in changed}
    return replace(
        copies.add_to(program, at=0),
        outputs=tuple(before.get(name, name) for name in program.outputs),
        updates=tuple((state, before.get(value, value)) for state, value in updates),
    )


def update_in_place(program: Program) -> Program:
    """Let temporaries that hold next values be the states themselves, where that is right."""
    parts = Parts(program)
    state_of: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for state, value in program.updates:
        taken = f"%{value} is %{state_of[value]}" if value in state_of else ""
        reasons[state] = taken or update_obstacle(parts, state, value)
        if not reasons[state]:
            state_of[value] = state
    left = [(s, state_of.get(v, v)) for s, v in program.updates if reasons[s]]
    decisions = (update_decision(parts, s, v, reasons[s]) for s, v in program.updates)
    return replace(
        program,
        steps=tuple(rename_step(step, state_of) for step in program.steps),
        updates=tuple(left),
        decisions=(*program.decisions, *decisions),
    )


def update_obstacle(parts: Parts, state: str, value: str) -> str:
    """Why the next value of a state cannot be written over it; empty if it can."""
    old, new = parts.allocations[state], parts.allocations[value]
    if new.kind != "temporary":
        return f"%{value} is no temporary: {new.kind}"
    if value in parts.program.outputs:
        return f"%{value} is also a result"
    if not is_interchangeable(old, new):
        return f"%{value} is {new.type}, %{state} is {old.type}"
    new_uses, old_uses = parts.uses.get(value), parts.uses.get(state)
    if new_uses is None or old_uses is None or old_uses.last < new_uses.first:
        return ""  # who has no elements is not even written
    written = new_uses.first
    if old_uses.last > written:
        return f"the old value is read after %{value} is written"
    return parts.obstacle(written, state, value)


def update_decision(parts: Parts, state: str, value: str, reason: str) -> Decision:
    """What became of an update."""
    if reason:
        return parts.decide("copy the next value", state, reason, value)
    done = f"nothing reads the old value once %{value} is written"
    return parts.decide("update in place", state, done, value)


def copy_updates(program: Program) -> Program:
    """Copy next values into the states that could not be updated in place, after all else.

    No copy reads what another writes: old values of changed states are snapshots by now.
    """
    copies = Copies(program)
    for state, value in program.updates:
        copies.copy(value, state)
    return replace(copies.add_to(program, at=len(program.steps)), updates=())


def drop_unused(program: Program) -> Program:
    """The program without temporaries that nothing touches."""
    updates = (temporary for _, temporary in program.updates)
    used = {*program.outputs, *updates, *uses(program)}
    kept = (a for a in program.allocations if a.kind != "temporary" or a.name in used)
    return replace(program, allocations=tuple(kept))


# --- temporaries ---------------------------------------------------------------------------------


def reuse_operands(program: Program) -> Program:
    """Let each temporary take over the memory of an operand that dies in the call that writes it.

    An operand is handed on once, and only from temporary to temporary: what the caller owns stays
    as it is.
    """
    parts = Parts(program)
    owner: dict[str, str] = {}
    given: set[str] = set()
    decisions: list[Decision] = []
    for at, result in first_written(parts):
        free = (name for name in operands(parts, at, result) if name not in given)
        reasons = {name: reuse_obstacle(parts, at, name, result) for name in free}
        chosen = next((name for name, reason in reasons.items() if not reason), None)
        if chosen is not None:
            owner[result] = chosen
            given.add(chosen)
            why = f"%{chosen} dies as %{result} is written, element by element"
            decisions.append(parts.decide("reuse memory", result, why, chosen))
        else:
            decisions += [parts.decide("keep apart", result, r, n) for n, r in reasons.items()]
    return replace(program, reuses=tuple(owner.items()), decisions=(*program.decisions, *decisions))


def first_written(parts: Parts) -> Iterator[tuple[int, str]]:
    """Each temporary with the call that first writes it, in the order of calls."""
    for at, call in enumerate(parts.calls):
        for name in dict.fromkeys(call.arguments if call else ()):
            if parts.allocations[name].kind == "temporary" and parts.uses[name].first == at:
                yield at, name


def operands(parts: Parts, at: int, result: str) -> list[str]:
    """The temporaries read by the call at a position that are as large as a result of it."""
    new = parts.allocations[result]
    found = (parts.allocations[name] for name in dict.fromkeys(parts.call(at).arguments))
    return [
        a.name
        for a in found
        if a.kind == "temporary" and parts.uses[a.name].first < at and is_interchangeable(a, new)
    ]


def reuse_obstacle(parts: Parts, at: int, operand: str, result: str) -> str:
    """Why a result cannot take over the memory of an operand; empty if it can."""
    if parts.uses[operand].last > at:
        return f"%{operand} is still alive later"
    return parts.obstacle(at, operand, result)


def is_interchangeable(one: Allocation, other: Allocation) -> bool:
    """Whether two allocations have as many elements, of the same width."""
    return one.type.size == other.type.size and one.type.dtype.bytes == other.type.dtype.bytes


# --- parts ---------------------------------------------------------------------------------------


class Parts:
    """A program's parts by name, and what touches each allocation."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.allocations = program.allocations_by_name
        self.uses = uses(program)
        self.calls = timeline(program).calls

    def call(self, at: int) -> CallKernel:
        """The call at a place of the timeline."""
        found = self.calls[at]
        assert found is not None, "only a call reads and writes"
        return found

    def called(self, at: int) -> Kernel:
        """The kernel of the call at a position."""
        return self.program.kernel(self.call(at).kernel)

    def buffers(self, at: int, name: str) -> list[str]:
        """The parameters for which the call at a position passes an allocation."""
        pairs = zip(self.call(at).arguments, self.called(at).buffers, strict=True)
        return [buffer.name for argument, buffer in pairs if argument == name]

    def obstacle(self, at: int, operand: str, result: str) -> str:
        """Why the call at a position cannot write a result over an operand; empty if it can."""
        targets = self.buffers(at, result)
        if len(targets) != 1:
            return f"%{result} is passed twice"
        if any(name in (operand, result) and offset != 0 for name, offset in self.call(at).places):
            return "only a part of it is passed"
        return obstacle(self.called(at), self.buffers(at, operand), targets[0])

    def decide(self, choice: str, subject: str, reason: str, other: str) -> Decision:
        """A decision about an allocation; where is the origin of the call that makes the other."""
        writes = (self.uses[name].writes for name in (other, subject) if name in self.uses)
        at = next((found[0] for found in writes if found), None)
        where = () if at is None else self.called(at).origin
        numbers = (("bytes", str(self.allocations[subject].bytes)),)
        return Decision("plan_memory", choice, f"%{subject}", reason, numbers, where)


class Copies:
    """Copies to add to a program; those of equal size share a kernel."""

    def __init__(self, program: Program) -> None:
        self.allocations = dict(program.allocations_by_name)
        self.names = {k.name for k in program.kernels}
        self.known = {(k.buffers, k.body): k.name for k in program.kernels}
        self.temporaries: list[Allocation] = []
        self.kernels: list[Kernel] = []
        self.calls: list[CallKernel] = []

    def copy(self, source: str, target: str) -> None:
        """Copy one allocation to another."""
        made = copy_kernel("copy", self.allocations[target].type)
        key = (made.buffers, made.body)
        if key not in self.known:
            self.known[key] = fresh("copy", self.names)
            self.kernels.append(replace(made, name=self.known[key]))
        self.calls.append(CallKernel(self.known[key], (source, target)))

    def snapshot(self, name: str) -> str:
        """Copy an allocation to a new temporary, whose name is returned."""
        copy = replace(
            self.allocations[name],
            name=fresh(f"{name}_before", set(self.allocations)),
            kind="temporary",
            value=None,
        )
        self.allocations[copy.name] = copy
        self.temporaries.append(copy)
        self.copy(name, copy.name)
        return copy.name

    def add_to(self, program: Program, at: int) -> Program:
        """The program with the copies as calls from a position on."""
        return replace(
            program,
            allocations=(*program.allocations, *self.temporaries),
            kernels=(*program.kernels, *self.kernels),
            steps=(*program.steps[:at], *self.calls, *program.steps[at:]),
        )


def copy_kernel(name: str, type: TensorType) -> Kernel:
    """A kernel that copies an array of a type, a cache line at a time."""
    dtype, size = type.dtype, type.size
    step = kernel.loop("%i0", size, "vector", (), CACHE_LINE // dtype.bytes)
    at = kernel.variable(step)
    store = kernel.Store("target", at, scalar.Load(dtype, "source", at, None))
    buffers = (Buffer("source", dtype, size), Buffer("target", dtype, size, written=True))
    return Kernel(name, buffers, (replace(step, body=(store,)),), ("copy",))


def fresh(name: str, taken: set[str]) -> str:
    """A name that is not taken, from now on taken."""
    numbered = (f"{name}_{n}" for n in itertools.count(1))
    found = next(n for n in itertools.chain([name], numbered) if n not in taken)
    taken.add(found)
    return found
