"""Lets, accumulators and stores: what is done once for a statement, and once for each instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from graphc.ir.kernel import Accumulate, Accumulator, Let, Local, Statement, Store
from graphc.ir.scalar import Call
from graphc.runtime.cpu.block import identifier
from graphc.runtime.cpu.formulas import compute, operand, place_of, schedule, widen
from graphc.runtime.cpu.function import Accumulated, Function, Instance, Named, Place
from graphc.runtime.cpu.indexing import integer
from graphc.runtime.cpu.memory import store
from graphc.runtime.cpu.reductions import State, advance, combine, elements, identity, select

Writer: TypeAlias = Callable[[Instance], None]


def prepare(f: Function, statement: Statement) -> Writer:
    """Bind the names of a statement and order its formulas; returns what writes one instance."""
    if isinstance(statement, Let):
        return prepare_let(f, statement)
    if isinstance(statement, Accumulator):
        return prepare_accumulator(f, statement)
    if isinstance(statement, Accumulate):
        return prepare_accumulate(f, statement)
    if isinstance(statement, Local):
        return prepare_local(f, statement)
    assert isinstance(statement, Store)
    return prepare_store(f, statement)


def prepare_let(f: Function, let: Let) -> Writer:
    """Name a value."""
    value = let.value
    f.hints[value] = identifier(let.name)
    order = schedule(f, [value])
    place = place_of(f, value)
    if place.volatile:  # its name keeps the value that it had
        place = Place(f.level, place.mask, False)
    named = f.bindings[let.name] = Named(place, value.dtype)

    def write(instance: Instance) -> None:
        compute(f, order, instance)
        key = (named, instance.project(place.mask))
        f.remember(key, operand(f, value, instance, 0), place)

    return write


def prepare_local(f: Function, local: Local) -> Writer:
    """Memory on the stack, taken once: iterations follow one another in a function."""
    f.allocate(local)
    return lambda instance: None


def prepare_accumulator(f: Function, accumulator: Accumulator) -> Writer:
    """Start from the identity."""
    bound = f.bindings[accumulator.name] = Accumulated(accumulator, f.level, -1, f.lanes)
    of_position = accumulator.kind.startswith("arg")  # others may have its name in other blocks
    first = f.firsts.get(accumulator.name) if of_position else None

    def write(instance: Instance) -> None:
        if first is not None and not f.place_of_size(first).mask:
            bound.first = integer(f, first, instance)
        bound.mask = (1 << len(instance.positions)) - 1
        bound.states[instance.project(bound.mask)] = start(f, bound, f.lanes)

    return write


def start(f: Function, bound: Accumulated, lanes: int) -> State:
    """The state before anything is accumulated."""
    state = identity(bound.accumulator, lanes)
    if not bound.first:
        return state
    level = f.levels.get(bound.first, 0)
    first = widen(f, bound.first, "i64", level) if lanes else bound.first
    return (*state[:-1], first)


def prepare_accumulate(f: Function, statement: Accumulate) -> Writer:
    """Combine a value into an accumulator."""
    bound = f.binding(statement.name)
    assert isinstance(bound, Accumulated), f"%{statement.name} is not an accumulator"
    accumulator, value = bound.accumulator, statement.value
    fused = (
        accumulator.kind == "sum"
        and accumulator.dtype.is_float
        and isinstance(value, Call)
        and value.function == "multiply"
    )
    parts = value.arguments if fused and isinstance(value, Call) else (value,)
    order = schedule(f, parts)
    lanes = f.lanes
    # Lanes beyond the end matter only to an accumulator that outlives the vector loop.
    masked = bound.level < f.vector_level
    hint, element = identifier(accumulator.name), elements(accumulator)[0]

    def write(instance: Instance) -> None:
        compute(f, order, instance)
        key = instance.project(bound.mask)
        old = bound.states[key]
        operands = [operand(f, part, instance, lanes) for part in parts]
        new: State
        if fused:
            new = (f.block.intrinsic(hint, "fma", element, lanes, [*operands, *old]),)
        else:
            if accumulator.kind.startswith("arg"):
                operands.append(position(f, statement, instance))
            new = (advance if bound.first else combine)(
                f.block, accumulator, lanes, tuple(operands), old
            )
        mask = f.mask(instance) if masked else ""
        if mask:
            new = select(f.block, accumulator, lanes, mask, new, old)
        bound.states[key] = new
        f.forget_volatile()

    return write


def position(f: Function, statement: Accumulate, instance: Instance) -> str:
    """What argmax and argmin remember of a value."""
    text = integer(f, statement.position, instance)
    place = f.place_of_size(statement.position)
    return text if f.lanes_of(place) == f.lanes else widen(f, text, "i64", place.level)


def prepare_store(f: Function, statement: Store) -> Writer:
    """Write to memory, once for all instances that write the same to the same place."""
    order = schedule(f, [statement.value])
    mask = place_of(f, statement.value).mask | f.place_of_size(statement.offset).mask
    written: set[tuple[int, ...]] = set()

    def write(instance: Instance) -> None:
        key = instance.project(mask | f.vector_bit)
        if key in written:
            return
        written.add(key)
        compute(f, order, instance)
        text = operand(f, statement.value, instance, f.lanes)
        store(f, statement.buffer, statement.offset, text, instance)
        f.forget_volatile()

    return write
