"""Lets, accumulators and stores: what is done once for a statement, and once for each instance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from graphc.ir import scalar
from graphc.ir.kernel import Accumulate, Accumulator, Let, Local, Statement, Store, accesses
from graphc.ir.scalar import Call, Scalar
from graphc.runtime.cpu.block import FALSE, TRUE, identifier, splat
from graphc.runtime.cpu.formulas import compute, operand, place_of, schedule, widen
from graphc.runtime.cpu.function import Accumulated, Function, Instance, Named, Place, Variable
from graphc.runtime.cpu.indexing import integer
from graphc.runtime.cpu.memory import store, store_all
from graphc.runtime.cpu.reductions import State, advance, combine, elements, identity, select
from graphc.runtime.cpu.transposes import lie_together

Writer: TypeAlias = Callable[[Sequence[Instance]], None]


def prepare(f: Function, statement: Statement, later: tuple[Statement, ...]) -> Writer:
    """Bind the names of a statement and order its formulas; returns what writes one instance.

    later are the statements that follow it for each instance.
    """
    if isinstance(statement, Let):
        return prepare_let(f, statement)
    if isinstance(statement, Accumulator):
        return prepare_accumulator(f, statement)
    if isinstance(statement, Accumulate):
        return prepare_accumulate(f, statement)
    if isinstance(statement, Local):
        return prepare_local(f, statement)
    assert isinstance(statement, Store), "barriers are for other devices"
    assert statement.guard is None, "guarded stores are for other devices"
    together = lie_together(f, statement.offset, f.instances, f.block)
    if together and all(access.buffer != statement.buffer for access in accesses(later)):
        return prepare_stores(f, statement)
    return prepare_store(f, statement)


def prepare_let(f: Function, let: Let) -> Writer:
    """Name a value."""
    value = let.value
    f.hints[value] = identifier(let.name)
    order = schedule(f, [value])
    place = place_of(f, value)
    if place.volatile:  # its name keeps the value that it had
        place = Place(f.level, place.mask, False)
    place = place._replace(until=f.level)
    named = f.bindings[let.name] = Named(place, value.dtype)

    def write(instances: Sequence[Instance]) -> None:
        compute(f, order, instances)
        for instance in instances:
            key = (named, instance.project(place.mask))
            f.remember(key, operand(f, value, instance, 0), place)

    return write


def prepare_local(f: Function, local: Local) -> Writer:
    """Memory on the stack, taken once: iterations follow one another in a function."""
    f.allocate(local)
    return lambda instances: None


def prepare_accumulator(f: Function, accumulator: Accumulator) -> Writer:
    """Start from the identity."""
    bound = f.bindings[accumulator.name] = Accumulated(accumulator, f.level, -1, f.lanes)
    of_position = accumulator.kind.startswith("arg")  # others may have its name in other blocks
    first = f.firsts.get(accumulator.name) if of_position else None

    def write(instances: Sequence[Instance]) -> None:
        if first is not None and not f.place_of_size(first).mask:
            bound.first = integer(f, first, instances[0])
        bound.mask = (1 << len(instances[0].positions)) - 1
        for instance in instances:
            bound.states[instance.project(bound.mask)] = start(f, bound, f.lanes)

    return write


def start(f: Function, bound: Accumulated, lanes: int) -> State:
    """The state before anything is accumulated."""
    state = identity(bound.accumulator, lanes)
    if not bound.first:
        return state
    if bound.counts:
        return (*state[:-1], splat("i32", "0"))
    level = f.levels.get(bound.first, 0)
    first = widen(f, bound.first, "i64", level) if lanes else bound.first
    return (*state[:-1], first)


def prepare_accumulate(f: Function, statement: Accumulate) -> Writer:
    """Combine a value into an accumulator; a sum is left as it is where it adds nothing."""
    bound = f.binding(statement.name)
    assert isinstance(bound, Accumulated), f"%{statement.name} is not an accumulator"
    accumulator, guard, value = bound.accumulator, None, statement.value
    if accumulator.kind == "sum":
        guard, value = scalar.term(value)
    parts = factors(accumulator, value)
    order = schedule(f, parts if guard is None else (guard, *parts))
    # Lanes beyond the end matter only to an accumulator that outlives the vector loop.
    masked = bound.level < f.vector_level

    def write(instances: Sequence[Instance]) -> None:
        compute(f, order, instances)
        for instance in instances:
            accumulate(instance)
        f.forget_volatile()

    def accumulate(instance: Instance) -> None:
        key = instance.project(bound.mask)
        condition = TRUE if guard is None else operand(f, guard, instance, 0)
        if condition == FALSE:
            return
        old = bound.states[key]
        new = with_value(f, statement, parts, instance, old)
        masks = [f.mask(instance)] if masked else []
        if guard is not None and condition != TRUE:
            masks.append(operand(f, guard, instance, f.lanes))
        for mask in filter(None, masks):
            new = select(f.block, accumulator, f.lanes, mask, new, old, bound.position)
        bound.states[key] = new

    return write


def factors(accumulator: Accumulator, value: Scalar) -> tuple[Scalar, ...]:
    """The factors of a product that is added up in one step, or the value alone."""
    fused = accumulator.kind == "sum" and accumulator.dtype.is_float
    product = isinstance(value, Call) and value.function == "multiply"
    return value.arguments if fused and product and isinstance(value, Call) else (value,)


def with_value(
    f: Function, statement: Accumulate, parts: Sequence[Scalar], instance: Instance, old: State
) -> State:
    """The state of an accumulator with one more value, or with a product if there are two parts."""
    bound = f.binding(statement.name)
    assert isinstance(bound, Accumulated)
    accumulator, lanes = bound.accumulator, f.lanes
    operands = [operand(f, part, instance, lanes) for part in parts]
    if len(parts) > 1:
        hint, element = identifier(accumulator.name), elements(accumulator)[0]
        return (f.block.intrinsic(hint, "fma", element, lanes, [*operands, *old]),)
    if accumulator.kind.startswith("arg"):
        operands.append(position(f, bound, statement, instance))
    if bound.first:
        return advance(f.block, accumulator, lanes, tuple(operands), old, bound.position)
    return combine(f.block, accumulator, lanes, tuple(operands), old)


def position(f: Function, bound: Accumulated, statement: Accumulate, instance: Instance) -> str:
    """What argmax and argmin remember of a value."""
    if bound.counts:
        return count(f, f.binding(bound.counts))
    text = integer(f, statement.position, instance)
    place = f.place_of_size(statement.position)
    return text if f.lanes_of(place) == f.lanes else widen(f, text, "i64", place.level)


def count(f: Function, variable: Named | Variable | Accumulated) -> str:
    """At which iteration the vectors of a step begin, in every lane."""
    assert isinstance(variable, Variable)
    key = ("count", variable.text, variable.start)
    if key not in f.memo:
        number = str(variable.start)
        if variable.text:
            number = f.block.op("count", f"trunc i64 {variable.text} to i32")
        f.remember(key, widen(f, number, "i32", f.level), Place(f.level, 0, False))
    return f.memo[key]


def prepare_stores(f: Function, statement: Store) -> Writer:
    """Write to memory when the values of all instances are there."""
    order = schedule(f, [statement.value])
    values: dict[Instance, str] = {}

    def write(instances: Sequence[Instance]) -> None:
        compute(f, order, instances)
        for instance in instances:
            values[instance] = operand(f, statement.value, instance, f.lanes)
        if instances[-1] is f.instances[-1]:
            store_all(f, statement.buffer, statement.offset, values)
            f.forget_volatile()

    return write


def prepare_store(f: Function, statement: Store) -> Writer:
    """Write to memory, once for all instances that write the same to the same place."""
    order = schedule(f, [statement.value])
    mask = place_of(f, statement.value).mask | f.place_of_size(statement.offset).mask
    written: set[tuple[int, ...]] = set()

    def write(instances: Sequence[Instance]) -> None:
        keyed = {i.project(mask | f.vector_bit): i for i in reversed(instances)}
        new = [keyed[key] for key in reversed(keyed) if key not in written]
        written.update(keyed)
        compute(f, order, new)
        for instance in new:
            text = operand(f, statement.value, instance, f.lanes)
            store(f, statement.buffer, statement.offset, text, instance)
        if new:
            f.forget_volatile()

    return write
