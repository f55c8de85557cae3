"""Loops: what runs in lockstep is written side by side, the rest as real loops.

A run of statements without a loop in it is written instance by instance, which needs the fewest
registers, or by pairs of instances where it is long: a processor looks ahead over a hundred
instructions or so, and those of a polynomial wait for one another. A loop is written once for all
instances, with a phi for each accumulator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import TypeAlias

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulate, Accumulator, For, Statement, statements, values
from graphc.ir.scalar import TRANSCENDENTAL, Call, Const, Index, Scalar
from graphc.ir.types import DType, bool_, int64
from graphc.runtime.cpu.block import first_lanes, ramp, register_bits, vector
from graphc.runtime.cpu.control import carried, repeat, when
from graphc.runtime.cpu.formulas import widen
from graphc.runtime.cpu.function import Accumulated, Function, Instance, Place, Variable
from graphc.runtime.cpu.indexing import integer
from graphc.runtime.cpu.instruction_order import chains_together
from graphc.runtime.cpu.prefetch import ask_ahead, ask_for_next_row, ask_for_row, next_row
from graphc.runtime.cpu.reductions import State, combine, combine_lanes_of_all
from graphc.runtime.cpu.statements import prepare, start

Instances: TypeAlias = list[Instance]
States: TypeAlias = dict[tuple[int, ...], State]

SIDE_BY_SIDE = 2
"""Instances of long formulas that are written together; more of them would need more registers."""


def write_body(f: Function, body: tuple[Statement, ...], instances: Instances) -> None:
    """Write statements in order, each for all instances."""
    ask_ahead(f, body, instances)
    for is_loop, group in groupby(body, lambda statement: isinstance(statement, For)):
        if is_loop:
            for loop in group:
                assert isinstance(loop, For)
                f.next_row = next_row(f, body, loop) if count_functions(loop.body) else ()
                write_loop(f, loop, instances)
            continue
        together = tuple(group)
        f.instances = instances
        writers = [prepare(f, s, together[at:]) for at, s in enumerate(together, start=1)]
        functions = count_functions(together)
        step = SIDE_BY_SIDE if functions else 1
        for at in range(0, len(instances), step):
            lines, begin = f.block.lines, len(f.block.lines)
            for write in writers:
                write(instances[at : at + step])
            if functions > 1:
                lines[begin:] = chains_together(lines[begin:])


def count_functions(body: Iterable[Statement]) -> int:
    """How many polynomials an instance evaluates; a processor looks ahead over about one."""
    parts = scalar.walk([value for s in body for value in values(s)])
    return sum(isinstance(part, Call) and part.function in TRANSCENDENTAL for part in parts)


def write_loop(f: Function, loop: For, instances: Instances) -> None:
    """Write a loop by its kind."""
    lanes = f" lanes {loop.lanes}" if loop.kind == "vector" else ""
    f.block.lines.append(f"  ; for {loop.kind} {loop.variable.name} < {loop.limit}{lanes}")
    if loop.limit != 0:
        WRITERS[loop.kind](f, loop, instances)


def write_parallel(f: Function, loop: For, instances: Instances) -> None:
    """Hand the body to the pool of threads, unless other loops stand around it."""
    if f.outline is None or f.level > 0:
        write_serial(f, loop, instances)
    else:
        f.outline(loop)


def write_serial(f: Function, loop: For, instances: Instances) -> None:
    """One iteration after another; a single one needs no loop."""
    if loop.limit == 1:
        with f.scope(f.block, True, loop.body):
            bind(f, loop, "")
            write_body(f, loop.body, instances)
        return

    ahead = f.ahead if f.ahead is not None and f.ahead.loop is loop else None

    def write(counter: str) -> None:
        bind(f, loop, counter)
        write_body(f, loop.body, instances)
        ask_for_row(f, ahead, counter)

    end = integer(f, loop.limit, instances[0])
    repeat(f, loop, "0", end, 1, isinstance(loop.limit, int), write)


def bind(f: Function, loop: For, counter: str) -> None:
    """Give a serial loop's variable its value."""
    f.bindings[loop.variable.name] = Variable(Place(f.level, 0, False), counter)


def write_unrolled(f: Function, loop: For, instances: Instances) -> None:
    """All iterations side by side."""
    assert isinstance(loop.limit, int)
    depth = len(instances[0].positions)
    with f.scope(f.block, True, loop.body):
        place = Place(f.level, 1 << depth, False)
        f.bindings[loop.variable.name] = Variable(place, depth=depth, step=1)
        write_body(f, loop.body, spread(instances, loop.limit))


def spread(instances: Instances, count: int) -> Instances:
    """Each instance at each position of one more variable."""
    return [Instance((*i.positions, at)) for i in instances for at in range(count)]


# --- vector loops ----------------------------------------------------------------------------


def write_vector(f: Function, loop: For, instances: Instances) -> None:
    """Full steps of the loop, and one masked step for what is left."""
    width = chunk_lanes(f, loop)
    count = loop.lanes // width
    f.begin_vector(width, len(instances[0].positions))
    partial = begin_partials(f, loop, spread(instances, count))
    if isinstance(loop.limit, int):
        write_known_steps(f, loop, instances, loop.limit)
    else:
        write_symbolic_steps(f, loop, instances)
    end_partials(f, loop, partial, width, count)


def chunk_lanes(f: Function, loop: For) -> int:
    """Lanes of a loop's vectors: as many as a register holds of the widest value in its lanes."""
    inner = list(statements(loop.body))
    dtypes = varying_dtypes([root for s in inner for root in values(s)], loop)
    dtypes |= {s.dtype for s in inner if isinstance(s, Accumulator)}
    widest = max([register_bits(dtype) for dtype in dtypes], default=8)
    return math.gcd(loop.lanes, f.target.vector_bits // widest)


def varying_dtypes(roots: list[Scalar], loop: For) -> set[DType]:
    """The dtypes of what statements do, and of its parts but those that lanes surely share.

    Nor do places count that are only compared, as by a guard: to compare the places of a vector
    in two halves costs less than to do all else in halves.
    """
    uniform: set[Scalar] = set()
    places: set[Scalar] = set()
    for node in scalar.walk(roots):
        uniform |= {node} if is_uniform(node, loop, uniform) else set()
        places |= {node} if is_place(node, places) else set()
    found = dict.fromkeys(roots)
    for node in (waiting := list(found)):  # which grows meanwhile
        compared = node.dtype is bool_ and places.issuperset(scalar.children(node))
        for part in () if compared else scalar.children(node):
            if part not in uniform and part not in found:
                found[part] = None
                waiting.append(part)
    return {node.dtype for node in found}


def is_place(node: Scalar, places: set[Scalar]) -> bool:
    """Whether a value is made of loop variables and numbers alone, given which of its parts are."""
    return isinstance(node, Index | Const) or (
        isinstance(node, Call) and node.dtype is int64 and places.issuperset(node.arguments)
    )


def is_uniform(node: Scalar, loop: For, uniform: set[Scalar]) -> bool:
    """Whether a value is made of what does not move with a loop, given which of its parts are."""
    if isinstance(node, Index):
        moving = dim.variables(node.value)
        return loop.variable not in moving and all(s.kind == "index" for s in moving)
    if isinstance(node, Call):
        return all(part in uniform for part in node.arguments)
    return isinstance(node, Const)


def write_known_steps(f: Function, loop: For, instances: Instances, limit: int) -> None:
    """Steps of a limit that is a number: the masks are constants."""
    lanes = loop.lanes
    whole = limit // lanes * lanes
    if whole == lanes:
        write_step(f, loop, instances, "", 0, lanes)
    elif whole:
        repeat(f, loop, "0", str(whole), lanes, True, full_step(f, loop, instances))
    if limit > whole:
        write_step(f, loop, instances, "", whole, limit - whole)


def write_step(
    f: Function, loop: For, instances: Instances, counter: str, start: int, active: int
) -> None:
    """One step in a scope of its own, of which so many lanes are active."""
    chunks = -(-active // f.lanes)
    with f.scope(f.block, True, loop.body):
        if active % f.lanes:
            f.masks = ("",) * (chunks - 1) + (first_lanes(f.lanes, active % f.lanes),)
        write_chunks(f, loop, instances, counter, start, chunks)
        f.masks = ()


def full_step(f: Function, loop: For, instances: Instances) -> Callable[[str], None]:
    """What writes a step without a mask."""
    return lambda counter: write_chunks(f, loop, instances, counter, 0, loop.lanes // f.lanes)


def write_chunks(
    f: Function, loop: For, instances: Instances, counter: str, start: int, chunks: int
) -> None:
    """The body for some vectors side by side, from counter + start."""
    place = Place(f.level, f.vector_bit, False)
    bound = Variable(place, counter, start, f.vector_depth, f.lanes, f.lanes)
    f.bindings[loop.variable.name] = bound
    several = spread(instances, chunks)
    ask_for_next_row(f, several)
    write_body(f, loop.body, several)


def write_symbolic_steps(f: Function, loop: For, instances: Instances) -> None:
    """Steps of a limit known when the program runs: the masks are compared."""
    lanes = loop.lanes
    limit = integer(f, loop.limit, instances[0])
    rest = f.block.op("rest", f"urem i64 {limit}, {lanes}")
    end = f.block.op("end", f"sub i64 {limit}, {rest}")
    f.levels[end] = f.level
    repeat(f, loop, "0", end, lanes, False, full_step(f, loop, instances))

    def write_rest() -> None:
        f.masks = compared_masks(f, rest, lanes // f.lanes)
        write_chunks(f, loop, instances, end, 0, lanes // f.lanes)
        f.masks = ()

    when(f, loop, f"icmp ne i64 {rest}, 0", write_rest)


def compared_masks(f: Function, rest: str, chunks: int) -> tuple[str, ...]:
    """The masks of the first `rest` lanes, a vector at a time."""
    number = f.block.op("rest", f"trunc i64 {rest} to i32")
    many = widen(f, number, "i32", f.level)
    kind = f"<{f.lanes} x i32>"
    return tuple(
        f.block.op("mask", f"icmp sgt {kind} {many}, {ramp(f.lanes, 'i32', 1, f.lanes * chunk)}")
        for chunk in range(chunks)
    )


def begin_partials(
    f: Function, loop: For, instances: Instances
) -> list[tuple[Accumulated, States]]:
    """Give the accumulators that a vector loop fills a state for each lane; returns the others."""
    saved = []
    for bound in dict.fromkeys(bound for bound, _ in carried(f, loop.body)):
        saved.append((bound, bound.states))
        bound.counts = loop.variable.name if is_counted(f, bound, loop) else ""
        empty = start(f, bound, f.lanes)
        bound.mask |= f.vector_bit
        bound.lanes = f.lanes
        bound.states = {instance.project(bound.mask): empty for instance in instances}
    return saved


def is_counted(f: Function, bound: Accumulated, loop: For) -> bool:
    """Whether positions are the iterations of a vector loop, few enough to count in 32 bits."""
    most = dim.upper_bound(loop.limit)
    if not bound.first or not isinstance(most, int) or most >= 2**31:
        return False
    position = position_in(bound, loop)
    if dim.coefficient(position, loop.variable.name) != 1:
        return False
    return not f.place_of_size(at_beginning(position, loop)).mask


def position_in(bound: Accumulated, loop: For) -> Size:
    """What an accumulator is told of positions directly in a loop; 0 if nothing."""
    told = (s for s in loop.body if isinstance(s, Accumulate))
    return next((s.position for s in told if s.name == bound.accumulator.name), 0)


def at_beginning(position: Size, loop: For) -> Size:
    """A position before the first iteration of a loop."""
    return dim.substitute(position, {loop.variable.name: 0})


def end_partials(
    f: Function, loop: For, saved: list[tuple[Accumulated, States]], lanes: int, chunks: int
) -> None:
    """Combine the lanes of the accumulators that a vector loop has filled."""
    for bound, before in saved:
        accumulator, partial = bound.accumulator, bound.states
        counts, bound.counts = bound.counts, ""
        empty = start(f, bound, 0)
        bound.states, bound.lanes = {}, 0
        bound.mask &= ~f.vector_bit
        several = []
        for key in before:
            states = [partial[*key, chunk] for chunk in range(chunks)]
            if counts:
                first = at_beginning(position_in(bound, loop), loop)
                states = [positioned(f, first, s, lanes, at) for at, s in enumerate(states)]
            several.append(states)
        totals = combine_lanes_of_all(f.block, accumulator, lanes, several)
        for (key, old), new in zip(before.items(), totals, strict=True):
            bound.states[key] = new if old == empty else combine(f.block, accumulator, 0, new, old)
    f.end_vector()
    f.forget_volatile()


def positioned(f: Function, first: Size, state: State, lanes: int, chunk: int) -> State:
    """The state of a vector with positions, counted from the first one, instead of iterations."""
    value, iterations = state
    kind, start = vector("i64", lanes), integer(f, first, Instance(()))
    many = f.block.op("count", f"zext {vector('i32', lanes)} {iterations} to {kind}")
    at = f.block.op("at", f"add {kind} {many}, {ramp(lanes, 'i64', 1, chunk * lanes)}")
    base = widen(f, start, "i64", f.levels.get(start, 0))
    return value, f.block.op("at", f"add {kind} {at}, {base}")


WRITERS: dict[str, Callable[[Function, For, Instances], None]] = {
    "serial": write_serial,
    "parallel": write_parallel,
    "unrolled": write_unrolled,
    "vector": write_vector,
}
