"""Accumulators: what they start from, how two combine, how the lanes of one combine.

A state is a tuple of registers: one value, or for argmax and argmin a value and its position.
"""

from __future__ import annotations

import itertools
from typing import TypeAlias

from graphc.ir.kernel import Accumulator
from graphc.ir.types import DType, int64
from graphc.runtime.cpu.block import (
    REGISTERS,
    Block,
    broadcast,
    identifier,
    interleave,
    literal,
    shuffle,
    splat,
    vector,
)
from graphc.runtime.cpu.instructions import Operation, apply

State: TypeAlias = tuple[str, ...]

FUNCTIONS = {
    "sum": "add",
    "prod": "multiply",
    "max": "maximum",
    "min": "minimum",
    "any": "bitwise_or",
    "all": "bitwise_and",
}
LAST = 2**63 - 1  # a position after every other


def elements(accumulator: Accumulator, position: str = "i64") -> tuple[str, ...]:
    """The LLVM element types of a state."""
    value = REGISTERS[accumulator.dtype.name]
    return (value, position) if accumulator.kind.startswith("arg") else (value,)


def identity(accumulator: Accumulator, lanes: int) -> State:
    """The state before anything is accumulated."""
    dtype, kind = accumulator.dtype, accumulator.kind.removeprefix("arg")
    if kind in ("max", "min"):
        numbers = [extreme(dtype, kind)]
    elif kind in ("any", "all"):
        numbers = [literal(dtype, kind == "all")]
    else:
        one = kind == "prod"
        numbers = [literal(dtype, float(one) if dtype.is_float else int(one))]
    if accumulator.kind.startswith("arg"):
        numbers.append(str(LAST))
    if not lanes:
        return tuple(numbers)
    return tuple(splat(e, n) for e, n in zip(elements(accumulator), numbers, strict=True))


def extreme(dtype: DType, kind: str) -> str:
    """The number that any other beats: the least for max, the greatest for min."""
    if dtype.is_float:
        return literal(dtype, float("-inf") if kind == "max" else float("inf"))
    if dtype.kind == "bool":
        return literal(dtype, kind == "min")
    signed = dtype.kind == "int"
    if kind == "max":
        return str(-(2 ** (dtype.bits - 1)) if signed else 0)
    return str(2 ** (dtype.bits - signed) - 1)


def combine(block: Block, accumulator: Accumulator, lanes: int, new: State, old: State) -> State:
    """The state that covers what two states cover."""
    name, dtype = identifier(accumulator.name), accumulator.dtype
    if accumulator.kind == "last":
        return new
    if not accumulator.kind.startswith("arg"):
        function = FUNCTIONS[accumulator.kind]
        return (apply(block, name, function, dtype, lanes, [new[0], old[0]]),)
    taken = precedes(Operation(block, name, dtype, lanes), accumulator.kind, new, old)
    return select(block, accumulator, lanes, taken, new, old)


def advance(
    block: Block, accumulator: Accumulator, lanes: int, new: State, old: State, position: str
) -> State:
    """The state that covers what an argmax or argmin covers, and a value at a later position."""
    name, dtype = identifier(accumulator.name), accumulator.dtype
    o = Operation(block, name, dtype, lanes)
    order = "gt" if accumulator.kind == "argmax" else "lt"
    if dtype.is_float:
        unequal = o.op(f"fcmp u{order}", new[0], old[0])
        taken = o.mask("and", unequal, o.op("fcmp ord", old[0], old[0]))
    else:
        taken = o.op(f"icmp {'s' if dtype.kind == 'int' else 'u'}{order}", new[0], old[0])
    return select(block, accumulator, lanes, taken, new, old, position)


def precedes(o: Operation, kind: str, new: State, old: State) -> str:
    """Whether a (value, position) wins: by NaN, then by value, then by the lower position."""
    greater = kind == "argmax"
    earlier = Operation(o.block, o.hint, int64, o.lanes).op("icmp slt", new[1], old[1])
    left, right = new[0], old[0]
    if not o.dtype.is_float:
        sign = "s" if o.dtype.kind == "int" else "u"
        better = o.op(f"icmp {sign}{'gt' if greater else 'lt'}", left, right)
        return o.mask("or", better, o.mask("and", o.op("icmp eq", left, right), earlier))
    is_number = o.op("fcmp ord", right, right)
    better = o.mask("and", o.op(f"fcmp u{'gt' if greater else 'lt'}", left, right), is_number)
    nans = o.mask("and", o.op("fcmp uno", left, left), o.op("fcmp uno", right, right))
    tie = o.mask("or", o.op("fcmp oeq", left, right), nans)
    return o.mask("or", better, o.mask("and", tie, earlier))


def select(
    block: Block,
    accumulator: Accumulator,
    lanes: int,
    condition: str,
    new: State,
    old: State,
    position: str = "i64",
) -> State:
    """Lane by lane, the new state where the condition holds, else the old."""
    mask = vector("i1", lanes)
    kinds = [vector(element, lanes) for element in elements(accumulator, position)]
    return tuple(
        block.op(
            identifier(accumulator.name), f"select {mask} {condition}, {kind} {yes}, {kind} {no}"
        )
        for kind, yes, no in zip(kinds, new, old, strict=True)
    )


def combine_lanes_of_all(
    block: Block, accumulator: Accumulator, lanes: int, several: list[list[State]]
) -> list[State]:
    """What combine_lanes gives for each of several, bit by bit, with fewer operations.

    Two vectors whose lanes are added up by halves fill one vector with what is left of both.
    """
    if len(several) == 1 or len(elements(accumulator)) > 1:
        return [combine_lanes(block, accumulator, lanes, chunks) for chunks in several]
    (element,) = elements(accumulator)
    vectors = [combine_chunks(block, accumulator, lanes, chunks)[0] for chunks in several]
    group, width = lanes, lanes  # lanes that one value still has, and those of a vector
    while group > 1:
        pairs = list(itertools.zip_longest(vectors[::2], vectors[1::2], fillvalue=vectors[-1]))
        both = range(width if len(vectors) == 1 else 2 * width)
        low, high = (
            tuple(lane for lane in both if (lane % group >= group // 2) is upper)
            for upper in (False, True)
        )
        halves = [[interleave(block, element, width, pair, part) for part in (low, high)]
                  for pair in pairs]  # fmt: skip
        group, width = group // 2, len(low)
        vectors = [
            combine(block, accumulator, width, (upper,), (lower,))[0] for lower, upper in halves
        ]
    return [
        (block.op(identifier(accumulator.name), f"extractelement {vector(element, width)} "
                  f"{vectors[at // width]}, i64 {at % width}"),)
        for at in range(len(several))
    ]  # fmt: skip


def combine_chunks(
    block: Block, accumulator: Accumulator, lanes: int, chunks: list[State]
) -> State:
    """One state of many lanes from those of consecutive vectors, by halves."""
    while len(chunks) > 1:
        half = len(chunks) // 2
        chunks = [
            combine(block, accumulator, lanes, chunks[half + at], chunks[at]) for at in range(half)
        ]
    return chunks[0]


def combine_lanes(block: Block, accumulator: Accumulator, lanes: int, chunks: list[State]) -> State:
    """One state of a single value from all lanes, by halves; chunks is consecutive vectors."""
    if accumulator.kind.startswith("arg"):
        return combine_positions(block, accumulator, lanes, chunks)
    state = combine_chunks(block, accumulator, lanes, chunks)
    while lanes > 1:
        low, high = tuple(range(lanes // 2)), tuple(range(lanes // 2, lanes))
        kinds = elements(accumulator)
        halves = [
            tuple(shuffle(block, e, lanes, v, part) for e, v in zip(kinds, state, strict=True))
            for part in (low, high)
        ]
        lanes //= 2
        state = combine(block, accumulator, lanes, halves[1], halves[0])
    return tuple(
        block.op(
            identifier(accumulator.name), f"extractelement {vector(element, 1)} {value}, i64 0"
        )
        for element, value in zip(elements(accumulator), state, strict=True)
    )


def combine_positions(
    block: Block, accumulator: Accumulator, lanes: int, chunks: list[State]
) -> State:
    """The best value of all lanes, then the lowest position of the lanes that have it."""
    name, dtype = identifier(accumulator.name), accumulator.dtype
    extreme = Accumulator(accumulator.name, accumulator.kind.removeprefix("arg"), dtype)
    (best,) = combine_lanes(block, extreme, lanes, [(value,) for value, _ in chunks])
    everywhere = broadcast(block, REGISTERS[dtype.name], lanes, best)
    o = Operation(block, name, dtype, lanes)
    found: list[State] = []
    for value, position in chunks:
        if dtype.is_float:  # a NaN is best, and so are all others
            equal = o.mask(
                "or", o.op("fcmp oeq", value, everywhere), o.op("fcmp uno", value, value)
            )
        else:
            equal = o.op("icmp eq", value, everywhere)
        late = splat("i64", str(LAST))
        found.append((Operation(block, name, int64, lanes).select(equal, position, late),))
    lowest = Accumulator(accumulator.name, "min", int64)
    return best, *combine_lanes(block, lowest, lanes, found)
