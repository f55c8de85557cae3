"""Control flow in SSA form: loops and conditions, and the accumulators that pass through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from graphc.ir.kernel import Accumulate, Accumulator, For, Statement, statements
from graphc.runtime.cpu.block import Block, identifier, vector
from graphc.runtime.cpu.function import Accumulated, Function
from graphc.runtime.cpu.reductions import State, elements

# States of accumulators, by the positions of their instances.
Carried: TypeAlias = list[tuple[Accumulated, tuple[int, ...]]]


def carried(f: Function, body: tuple[Statement, ...]) -> Carried:
    """The states of outer accumulators that a body changes."""
    declared, changed = set(), {}
    for s in statements(body):
        if isinstance(s, Accumulator):
            declared.add(s.name)
        elif isinstance(s, Accumulate):
            changed[s.name] = True
    outer = [f.binding(name) for name in changed if name not in declared]
    return [(b, key) for b in outer if isinstance(b, Accumulated) for key in b.states]


def repeat(
    f: Function,
    loop: For,
    begin: str,
    end: str,
    step: int,
    certain: bool,
    write: Callable[[str], None],
) -> None:
    """A loop from begin to end by step; certain if it surely runs once."""
    outer = f.block
    variable = identifier(loop.variable.name)
    label = f"for.{variable}.{next(f.names)}"
    inner = Block(label, f.names)
    counter = f"%{variable}.{next(f.names)}"
    states = carried(f, loop.body)
    before = [bound.states[key] for bound, key in states]
    heads = [rename(f, bound, key) for bound, key in states]
    with f.scope(inner, certain, loop.body):
        f.levels[counter] = f.level
        write(counter)
        after = [bound.states[key] for bound, key in states]
        following = inner.op("next", f"add nuw nsw i64 {counter}, {step}")
        more = inner.op("more", f"icmp slt i64 {following}, {end}")
        inner.add(f"br i1 {more}, label %{label}, label %{label}.done")
    branch(outer, label, None if certain else f"icmp slt i64 {begin}, {end}")
    outer.lines.append(f"{label}:")
    ways = (outer.label, inner.label)
    outer.add(f"{counter} = phi i64 [ {begin}, %{ways[0]} ], [ {following}, %{ways[1]} ]")
    for (bound, _), name, one, two in zip(states, heads, before, after, strict=True):
        join(outer, bound, name, ways, (one, two))
    outer.lines += inner.lines
    outer.lines.append(f"{label}.done:")
    leave(f, f"{label}.done", ways, states, before, after, certain)


def when(f: Function, loop: For, condition: str, write: Callable[[], None]) -> None:
    """A body that runs once or not at all."""
    outer = f.block
    label = f"rest.{identifier(loop.variable.name)}.{next(f.names)}"
    inner = Block(label, f.names)
    states = carried(f, loop.body)
    before = [bound.states[key] for bound, key in states]
    with f.scope(inner, False, loop.body):
        write()
        after = [bound.states[key] for bound, key in states]
        inner.add(f"br label %{label}.done")
    branch(outer, label, condition)
    outer.lines += [f"{label}:", *inner.lines, f"{label}.done:"]
    leave(f, f"{label}.done", (outer.label, inner.label), states, before, after, False)


def branch(block: Block, label: str, condition: str | None) -> None:
    """Enter a block, or pass it by."""
    if condition is None:
        block.add(f"br label %{label}")
    else:
        taken = block.op("any", condition)
        block.add(f"br i1 {taken}, label %{label}, label %{label}.done")


def leave(
    f: Function,
    label: str,
    ways: tuple[str, str],
    states: Carried,
    before: list[State],
    after: list[State],
    certain: bool,
) -> None:
    """Go on behind a body with the states that it left, if it ran."""
    block = f.block
    block.label = label
    for (bound, key), one, two in zip(states, before, after, strict=True):
        bound.states[key] = two
        if not certain:
            name = rename(f, bound, key)
            join(block, bound, name, ways, (one, two))


def rename(f: Function, bound: Accumulated, key: tuple[int, ...]) -> State:
    """New registers for a state."""
    hint = identifier(bound.accumulator.name)
    names = tuple(f"%{hint}.{next(f.names)}" for _ in elements(bound.accumulator, bound.position))
    bound.states[key] = names
    return names


def join(
    block: Block,
    bound: Accumulated,
    names: State,
    ways: tuple[str, str],
    states: tuple[State, State],
) -> None:
    """A state that depends on the way into the block."""
    kinds = elements(bound.accumulator, bound.position)
    for element, name, one, two in zip(kinds, names, *states, strict=True):
        kind = vector(element, bound.lanes)
        block.add(f"{name} = phi {kind} [ {one}, %{ways[0]} ], [ {two}, %{ways[1]} ]")
