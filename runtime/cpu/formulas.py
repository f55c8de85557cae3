"""Scalars as instructions: a formula is put in order once, then written for each instance."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

from graphc.ir.scalar import TRANSCENDENTAL, Call, Const, Index, Load, Ref, Scalar, cast
from graphc.ir.types import float32
from graphc.passes import math
from graphc.runtime.cpu.block import FALSE, REGISTERS, TRUE, Block, literal, splat
from graphc.runtime.cpu.conversions import HALVES, bitcast, round_to_half
from graphc.runtime.cpu.conversions import cast as convert
from graphc.runtime.cpu.function import EVERYWHERE, Function, Instance, Place, merge
from graphc.runtime.cpu.indexing import integer
from graphc.runtime.cpu.instructions import apply
from graphc.runtime.cpu.memory import load
from graphc.runtime.cpu.scaling import ldexp

# What these make of 16-bit floats is one again; other results, in float32, must be rounded.
EXACT = frozenset((
    "where", "negative", "abs", "minimum", "maximum", "copysign", "floor", "ceil", "trunc", "round",
))  # fmt: skip

# Comparisons of indices, whose outcome may be plain where loops are written out.
COMPARED = {"less": operator.lt, "greater_equal": operator.ge}


def schedule(f: Function, roots: Iterable[Scalar]) -> list[tuple[Scalar, Place]]:
    """The values to compute for some formulas, children first.

    What the open scopes have scheduled before is left out, so that many formulas over the same
    parts take linear time.
    """
    order: list[tuple[Scalar, Place]] = []
    seen: set[Scalar] = set()
    places = f.places
    stack: list[tuple[Scalar, bool]] = [(root, False) for root in roots]
    stack.reverse()
    while stack:
        node, ready = stack.pop()
        if not ready:
            known = places.get(node)
            if node in seen or (known is not None and not known.volatile):
                continue
            seen.add(node)
            inside = children(f, node)
            if inside:
                stack.append((node, True))
                stack += [(child, False) for child in reversed(inside)]
                continue
        place = place_of(f, node)
        if not isinstance(node, Const | Ref):
            order.append((node, place))
    return order


def children(f: Function, node: Scalar) -> tuple[Scalar, ...]:
    """The formulas that a value needs first; a transcendental function's is its expansion."""
    if isinstance(node, Call):
        return (expansion(f, node),) if node.function in TRANSCENDENTAL else node.arguments
    if isinstance(node, Load) and node.guard is not None:
        return (node.guard,)
    return ()


def expansion(f: Function, call: Call) -> Scalar:
    """A transcendental function as primitives; 16-bit floats are computed in float32."""
    found = f.expansions.get(call)
    if found is None:
        arguments = call.arguments
        if call.dtype in HALVES:
            arguments = tuple(cast(argument, float32) for argument in arguments)
        found = f.expansions[call] = math.expand(call.function, arguments)
    return found


def place_of(f: Function, node: Scalar) -> Place:
    """Where a value is computed, from where its children are."""
    known = f.known_place(node)
    if known is not None:
        return known
    if isinstance(node, Ref):
        place = f.place_of_name(node.name)
    elif isinstance(node, Index):
        place = f.place_of_size(node.value)
    else:
        place = EVERYWHERE
        for child in children(f, node):
            place = merge(place, f.places[child])
        if isinstance(node, Load):
            place = f.place_of_load(node, merge(place, f.place_of_size(node.offset)))
    return f.set_place(node, place)


def compute(f: Function, order: list[tuple[Scalar, Place]], instances: Sequence[Instance]) -> None:
    """Write the values of a schedule that these instances do not find written, side by side."""
    memo = f.memo
    for node, place in order:
        for instance in instances:
            key = (node, instance.project(place.mask))
            if key not in memo:
                f.remember(key, write(f, node, place, instance), place)


def write(f: Function, node: Scalar, place: Place, instance: Instance) -> str:
    """Write one value whose children are written."""
    if isinstance(node, Call):
        return write_call(f, node, place, instance)
    if isinstance(node, Load):
        guard = "" if node.guard is None else operand(f, node.guard, instance, 0)
        return load(f, node, place, instance, guard)
    assert isinstance(node, Index), f"{type(node).__name__} has no value of its own"
    return integer(f, node.value, instance)


def write_call(f: Function, node: Call, place: Place, instance: Instance) -> str:
    """Write a function of values that are written."""
    lanes, block = f.lanes_of(place), f.scopes[place.level].block
    if node.function in TRANSCENDENTAL:
        return rounded(block, node, operand(f, f.expansions[node], instance, lanes), lanes)
    values = [operand(f, argument, instance, lanes) for argument in node.arguments]
    source = node.arguments[-1].dtype
    if node.function == "cast":
        return convert(block, values[0], source, node.dtype, lanes)
    if node.function == "bitcast":
        return bitcast(block, values[0], source, node.dtype, lanes)
    if node.function == "ldexp":
        return ldexp(block, node.dtype, lanes, values, f.target)
    known = outcome(node.function, values)
    if known:
        return known
    hint = f.hints.get(node, node.function)
    return rounded(block, node, apply(block, hint, node.function, source, lanes, values), lanes)


def outcome(function: str, values: list[str]) -> str:
    """What a comparison of two numbers or a conjunction is known to be; "" if it is not."""
    if function == "bitwise_and" and FALSE in values:
        return FALSE
    if function == "bitwise_and" and TRUE in values:
        return values[values[0] == TRUE]
    if function in COMPARED and all(value.removeprefix("-").isdigit() for value in values):
        return TRUE if COMPARED[function](*map(int, values)) else FALSE
    return ""


def rounded(block: Block, node: Call, text: str, lanes: int) -> str:
    """A result as its type holds it: the same whether it is stored or used at once."""
    if node.dtype not in HALVES or node.function in EXACT:
        return text
    return round_to_half(block, text, node.dtype, lanes)


def operand(f: Function, node: Scalar, instance: Instance, lanes: int) -> str:
    """The register or constant of a written value, in every lane if lanes are asked for."""
    if isinstance(node, Const):
        text = literal(node.dtype, node.value)
        return splat(REGISTERS[node.dtype.name], text) if lanes else text
    place = f.places[node]
    if isinstance(node, Ref):
        text = f.read(node.name, instance)
    else:
        text = f.memo[(node, instance.project(place.mask))]
    if not lanes or place.mask & f.vector_bit:
        return text
    return widen(f, text, REGISTERS[node.dtype.name], place.level)


def widen(f: Function, text: str, element: str, level: int) -> str:
    """A value that is the same for all lanes, in every one of them."""
    if not text.startswith("%"):
        return splat(element, text)
    return f.broadcast(text, element, level)
