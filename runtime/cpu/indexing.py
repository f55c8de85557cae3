"""Sizes, offsets and addresses: polynomials as 64-bit integer arithmetic.

Terms are added up by level, the outermost loop's first, so that a loop adds only what changes in
it and all instances share the rest; constants come last, where they cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple, TypeAlias

from graphc.ir import dim
from graphc.ir.dim import Atom, DimCall, Size, polynomial, terms_of
from graphc.ir.types import int64, uint64
from graphc.runtime.cpu.block import MEMORY, Block, ramp, splat
from graphc.runtime.cpu.conversions import to_index
from graphc.runtime.cpu.function import Function, Instance, Named, Place, Variable, is_fixed
from graphc.runtime.cpu.instructions import apply

# A polynomial over registers: (names, sorted) -> coefficient.
Registers: TypeAlias = tuple[str, ...]
Polynomial: TypeAlias = dict[Registers, int]

ONE: Polynomial = {(): 1}


class Expanded(NamedTuple):
    """A size for one instance: uniform + slope * lane + the sum of the varying vectors."""

    uniform: Polynomial
    slope: Polynomial
    varying: list[str]


def expand(f: Function, size: Size, instance: Instance, block: Block) -> Expanded:
    """Split a size by how it depends on the lane, with the instance's positions put in.

    What is a vector of its own is computed in the block.
    """
    result = Expanded({}, {}, [])
    fixed: list[tuple[tuple[Atom, ...], int]] = []
    for monomial, factor in terms_of(size):
        moving = [a for a in monomial if not is_size(a)]
        if not moving:
            fixed.append((monomial, factor))
            continue
        rest = tuple([a for a in monomial if is_size(a)])
        part: Polynomial = {(): factor}
        if rest:
            part = {(f.size(polynomial([(rest, 1)])),): factor}
        expand_term(f, part, moving, instance, block, result)
    if fixed:
        add_fixed(f, fixed, result.uniform)
    return result


def is_size(atom: Atom) -> bool:
    """Whether an atom is known at a function's entry."""
    if isinstance(atom, DimCall):
        return is_fixed(dim.atom(atom))
    return atom.kind == "size"


def add_fixed(f: Function, terms: list[tuple[tuple[Atom, ...], int]], total: Polynomial) -> None:
    """Add the terms over size symbols: one register for all, and the constant."""
    symbolic = polynomial(t for t in terms if t[0])
    if symbolic != 0:
        add(total, {(f.size(symbolic),): 1})
    add(total, {(): sum(factor for monomial, factor in terms if not monomial)})


def expand_term(
    f: Function,
    part: Polynomial,
    atoms: Iterable[Atom],
    instance: Instance,
    block: Block,
    result: Expanded,
) -> None:
    """Add the product of a part and atoms to the result."""
    slope: Polynomial = {}
    vectors: list[str] = []
    for atom in atoms:
        value, linear, text = expand_atom(f, atom, instance)
        if text:
            vectors.append(text)
        elif linear and slope:
            vectors.append(in_lanes(f, Expanded(value, ONE, []), block))
        else:
            slope = dict(part) if linear else slope
            slope, part = (times(slope, value) if not linear else slope), times(part, value)
    if not vectors:
        add(result.uniform, part)
        add(result.slope, slope)
        return
    whole = in_lanes(f, Expanded(part, slope, []), block)
    for text in vectors:
        whole = apply(block, "product", "multiply", int64, f.lanes, [whole, text])
    result.varying.append(whole)


def expand_atom(f: Function, atom: Atom, instance: Instance) -> tuple[Polynomial, bool, str]:
    """A symbol or call: its uniform part, whether the lane is added, and else the vector it is."""
    if isinstance(atom, DimCall):
        return expand_call(f, atom, instance)
    bound = f.binding(atom.name)
    if isinstance(bound, Variable):
        start = bound.start
        if bound.depth >= 0:
            start += instance.positions[bound.depth] * bound.step
        value: Polynomial = {(bound.text,): 1} if bound.text else {}
        if start:
            value[()] = start
        return value, bound.lanes > 0, ""
    place = f.place_of_name(atom.name)
    text = f.read(atom.name, instance)
    if isinstance(bound, Named) and bound.dtype != int64:
        text = to_index(f.scopes[place.level].block, text, bound.dtype, f.lanes_of(place))
    f.levels[text] = place.level
    return ({}, False, text) if f.lanes_of(place) else ({(text,): 1}, False, "")


def expand_call(f: Function, call: DimCall, instance: Instance) -> tuple[Polynomial, bool, str]:
    """floor_divide, remainder, minimum or maximum of two sizes."""
    whole = dim.atom(call)
    place = f.place_of_size(whole)
    lanes = f.lanes_of(place)
    key = (call, instance.project(place.mask))
    text = f.memo.get(key)
    if text is None:
        block = f.scopes[place.level].block
        operands = [
            in_lanes(f, expand(f, s, instance, block), block) if lanes else integer(f, s, instance)
            for s in (call.left, call.right)
        ]
        # Dividing what is surely not negative needs no care for signs.
        positive = dim.is_nonnegative(call.left) and dim.is_nonnegative(call.right)
        dtype = uint64 if positive else int64
        text = apply(block, call.function, call.function, dtype, lanes, operands)
        f.remember(key, text, place)
    return ({}, False, text) if lanes else ({(text,): 1}, False, "")


def add(total: Polynomial, part: Polynomial) -> None:
    """Add a polynomial to another in place."""
    for registers, factor in part.items():
        whole = total.get(registers, 0) + factor
        if whole:
            total[registers] = whole
        else:
            total.pop(registers, None)


def times(left: Polynomial, right: Polynomial) -> Polynomial:
    """The product of two polynomials."""
    result: Polynomial = {}
    for a, m in left.items():
        for b, n in right.items():
            key = tuple(sorted(a + b)) if a and b else a or b
            result[key] = result.get(key, 0) + m * n
    return result


# --- integers --------------------------------------------------------------------------------


def integer(f: Function, size: Size, instance: Instance) -> str:
    """A size as an i64, or as a vector of them where it depends on the lane."""
    if isinstance(size, int):
        return str(size)
    place = f.place_of_size(size)
    key = (size, instance.project(place.mask))
    found = f.memo.get(key)
    if found is None:
        block = f.scopes[place.level].block
        expanded = expand(f, size, instance, block)
        found = in_lanes(f, expanded, block) if f.lanes_of(place) else total(f, expanded.uniform)
        f.remember(key, found, place)
    return found


def in_lanes(f: Function, size: Expanded, block: Block) -> str:
    """A vector of i64, computed in the block."""
    uniform = dict(size.uniform)
    start = uniform.pop((), 0)
    parts = [vector_of(f, total(f, uniform)), *size.varying] if uniform else list(size.varying)
    if size.slope.keys() <= {()}:
        parts.append(ramp(f.lanes, "i64", size.slope.get((), 0), start))
    else:
        step = vector_of(f, total(f, size.slope))
        ramps = [step, ramp(f.lanes, "i64")]
        parts.append(apply(block, "stride", "multiply", int64, f.lanes, ramps))
        parts.append(splat("i64", str(start)))
    result = parts[0]
    for part in parts[1:]:
        result = apply(block, "offset", "add", int64, f.lanes, [result, part])
    return result


def vector_of(f: Function, text: str) -> str:
    """An i64 in every lane."""
    if not text.startswith("%"):
        return splat("i64", text)
    return f.broadcast(text, "i64", f.levels.get(text, 0))


def total(f: Function, sum_: Polynomial) -> str:
    """The value of a polynomial."""
    text, level = "", 0
    prefix: tuple[object, ...] = ("sum",)
    for level, terms in by_level(f, sum_):
        prefix = (*prefix, terms)
        found = f.memo.get(prefix)
        if found is None:
            found = add_terms(f.scopes[level].block, terms, text)
            f.remember(prefix, found, Place(level, 0, False))
        text = found
    constant = sum_.get((), 0)
    if not text or not constant:
        return text or str(constant)
    key = (*prefix, constant)
    if key not in f.memo:
        moved = f.scopes[level].block.op("index", f"add i64 {text}, {constant}")
        f.remember(key, moved, Place(level, 0, False))
    return f.memo[key]


def by_level(f: Function, sum_: Polynomial) -> list[tuple[int, tuple[tuple[Registers, int], ...]]]:
    """The terms that are not constant, by the level at which they are known."""
    levels = f.levels
    found = [
        (max([levels.get(text, 0) for text in registers]), registers, factor)
        for registers, factor in sum_.items()
        if registers
    ]
    if len(found) == 1:
        level, registers, factor = found[0]
        return [(level, ((registers, factor),))]
    found.sort()
    return [
        (level, tuple([(registers, factor) for _, registers, factor in terms]))
        for level, terms in groupby(found, key=lambda term: term[0])
    ]


def add_terms(block: Block, terms: tuple[tuple[Registers, int], ...], text: str) -> str:
    """A value with products added to it; "" stands for zero."""
    for registers, factor in terms:
        value = registers[0]
        for other in registers[1:]:
            value = block.op("index", f"mul i64 {value}, {other}")
        if factor != 1:
            value = block.op("index", f"mul i64 {value}, {factor}")
        text = block.op("index", f"add i64 {text}, {value}") if text else value
    return text


# --- addresses -------------------------------------------------------------------------------


def address(f: Function, buffer: str, offset: Polynomial, block: Block) -> str:
    """The pointer to a buffer's element, for use in the block."""
    element = MEMORY[f.buffers[buffer].dtype.name]
    pointer = f.pointers[buffer]
    prefix: tuple[object, ...] = ("address", buffer)
    level = 0
    for level, terms in by_level(f, offset):
        prefix = (*prefix, terms)
        found = f.memo.get(prefix)
        if found is None:
            outer = f.scopes[level].block
            found = step(outer, pointer, element, add_terms(outer, terms, ""))
            f.remember(prefix, found, Place(level, 0, False))
        pointer = found
    constant = offset.get((), 0)
    # Written where it is used: the processor adds a constant for nothing.
    return step(block, pointer, element, str(constant)) if constant else pointer


def step(block: Block, pointer: str, element: str, by: str) -> str:
    """A pointer moved by a number of elements."""
    return block.op("at", f"getelementptr {element}, ptr {pointer}, i64 {by}")


def gather_pointers(f: Function, buffer: str, offset: Expanded, block: Block) -> str:
    """A vector of pointers, one for each lane."""
    element = MEMORY[f.buffers[buffer].dtype.name]
    kind, indices = "i64", ""
    base = address(f, buffer, offset.uniform, block)
    slope = offset.slope.get((), 0)
    if not offset.varying and offset.slope.keys() <= {()} and abs(slope * f.lanes) < 2**31:
        kind, indices = "i32", ramp(f.lanes, "i32", slope)
    else:
        indices = in_lanes(f, Expanded({}, offset.slope, offset.varying), block)
    vector = f"<{f.lanes} x {kind}> {indices}"
    return block.op("at", f"getelementptr {element}, ptr {base}, {vector}")
