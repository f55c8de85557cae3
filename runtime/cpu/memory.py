"""Loads and stores: single elements, vectors, masked vectors, gathers and scatters."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.ir.dim import Size
from graphc.ir.scalar import Load
from graphc.ir.types import DType
from graphc.runtime.cpu.block import (
    FALSE,
    MEMORY,
    REGISTERS,
    TRUE,
    Block,
    first_lanes,
    literal,
    mangled,
    shuffle,
    splat,
    vector,
)
from graphc.runtime.cpu.conversions import from_memory, to_memory
from graphc.runtime.cpu.function import Function, Instance, Place
from graphc.runtime.cpu.indexing import Expanded, Polynomial, address, expand, gather_pointers
from graphc.runtime.cpu.transposes import Turn, is_regular, lies_apart, strips

# A load that its guard forbids reads zeros from here; no vector is larger.
ZEROS = "@graphc.zeros"
ZEROS_DEFINITION = f"{ZEROS} = internal constant [1024 x i8] zeroinitializer, align 64"

# Vectors that are stored past the caches must be aligned; the attribute is a node of the module.
PAST_CACHE = "!nontemporal !0"
PAST_CACHE_DEFINITION = "!0 = !{i32 1}"

FORWARD: Polynomial = {(): 1}
BACKWARD: Polynomial = {(): -1}
EVERY_SECOND: Polynomial = {(): 2}


def load(f: Function, node: Load, place: Place, instance: Instance, guard: str) -> str:
    """Read an element, or a vector of them where the offset or the guard varies by lane.

    guard is a register, "" for none; it is a vector exactly where its place says so.
    """
    block = f.scopes[place.level].block
    dtype, lanes = node.dtype, f.lanes_of(place)
    if guard == FALSE:
        zero = literal(dtype, 0)
        return splat(REGISTERS[dtype.name], zero) if lanes else zero
    offset = expand(f, node.offset, instance, block)
    if not lanes:
        pointer = guarded(block, address(f, node.buffer, offset.uniform, block), guard)
        kind = MEMORY[dtype.name]
        raw = block.op("load", f"load {kind}, ptr {pointer}, align {dtype.bytes}")
        return from_memory(block, raw, dtype, 0)
    uniform_guard, mask = guard, f.mask(instance)
    if node.guard is not None and f.lanes_of(f.places[node.guard]):
        uniform_guard, mask = "", both(block, lanes, mask, guard)
    if lies_apart(offset) and not guard and not place.volatile and is_regular(f, node.offset):
        found = load_strip(f, node, place, instance)
        if found:
            return found
    access = Access(f, block, node.buffer, dtype, offset, mask)
    return from_memory(block, access.load(uniform_guard), dtype, lanes)


def load_strip(f: Function, node: Load, place: Place, instance: Instance) -> str:
    """Read the elements of all instances that lie together with one's; "" where none do."""
    block, lanes, found = f.scopes[place.level].block, f.lanes_of(place), ""
    for strip in strips(f, node.offset, f.instances, block):
        keys = [other.project(place.mask) for other in strip.instances]
        if instance.project(place.mask) in keys:
            vectors = Turn(f, block, node.buffer, node.dtype, strip).load()
            for key, raw in zip(keys, vectors, strict=True):
                f.remember((node, key), from_memory(block, raw, node.dtype, lanes), place)
            found = f.memo[node, instance.project(place.mask)]
    return found


def guarded(block: Block, pointer: str, guard: str) -> str:
    """The pointer, or one to zeros where the guard is false."""
    if guard in ("", TRUE):
        return pointer
    return block.op("at", f"select i1 {guard}, ptr {pointer}, ptr {ZEROS}")


def both(block: Block, lanes: int, left: str, right: str) -> str:
    """The lanes in both masks; "" is the mask of all."""
    if not left or not right:
        return left or right
    return block.op("mask", f"and {vector('i1', lanes)} {left}, {right}")


def store_all(f: Function, buffer: str, offset: Size, values: Mapping[Instance, str]) -> None:
    """Write the values of several instances, those that lie together in one go."""
    block, dtype, rest = f.block, f.buffers[buffer].dtype, dict(values)
    for strip in strips(f, offset, values, block):
        raw = [to_memory(block, rest.pop(i), dtype, f.lanes) for i in strip.instances]
        Turn(f, block, buffer, dtype, strip).store(raw)
    for instance, value in rest.items():
        store(f, buffer, offset, value, instance)


def store(f: Function, buffer: str, offset: Size, value: str, instance: Instance) -> None:
    """Write an element, or the lanes of a vector loop; the value has the same number of lanes."""
    block, dtype = f.block, f.buffers[buffer].dtype
    where = expand(f, offset, instance, block)
    raw = to_memory(block, value, dtype, f.lanes)
    if not f.lanes:
        pointer = address(f, buffer, where.uniform, block)
        block.add(f"store {MEMORY[dtype.name]} {raw}, ptr {pointer}, align {dtype.bytes}")
        return
    Access(f, block, buffer, dtype, where, f.mask(instance)).store(raw)


class Access:
    """A vector of elements in memory: those at an offset, under a mask ("" for all lanes)."""

    def __init__(
        self, f: Function, block: Block, buffer: str, dtype: DType, offset: Expanded, mask: str
    ) -> None:
        self.f = f
        self.block = block
        self.buffer = buffer
        self.bytes = dtype.bytes
        self.element = MEMORY[dtype.name]
        self.type = vector(self.element, f.lanes)
        self.masks = vector("i1", f.lanes)
        self.offset = offset
        self.mask = mask
        self.paired = not offset.varying and offset.slope == EVERY_SECOND
        self.backward = not offset.varying and offset.slope == BACKWARD
        self.contiguous = not offset.varying and (offset.slope == FORWARD or self.backward)

    def load(self, guard: str) -> str:
        """Read the vector; where the guard, one for all lanes, is false it is zero."""
        if self.paired:
            return self.load_pairs(guarded(self.block, self.first(), guard))
        if not self.contiguous:
            mask = self.mask
            if guard:
                every = self.f.broadcast(guard, "i1", self.f.levels.get(guard, 0))
                mask = both(self.block, self.f.lanes, mask, every)
            return self.gather(mask)
        pointer = guarded(self.block, self.first(), guard)
        if not self.mask:
            text = f"load {self.type}, ptr {pointer}, align {self.bytes}"
            return self.reversed(self.block.op("load", text), self.element)
        suffix = f"{mangled(self.element, self.f.lanes)}.p0"
        mask = self.reversed(self.mask, "i1")
        arguments = f"ptr align {self.bytes} {pointer}, {self.masks} {mask}"
        text = f"call {self.type} @llvm.masked.load.{suffix}({arguments}, {self.type} {ZERO})"
        return self.reversed(self.block.op("load", text), self.element)

    def gather(self, mask: str) -> str:
        """Read lane by lane."""
        pointers = gather_pointers(self.f, self.buffer, self.offset, self.block)
        arguments = f"{self.pointers()} {pointers}, {self.masks} {mask or ALL}"
        suffix = f"{mangled(self.element, self.f.lanes)}.v{self.f.lanes}p0"
        text = f"call {self.type} @llvm.masked.gather.{suffix}({arguments}, {self.type} {ZERO})"
        return self.block.op("gather", text)

    def store(self, value: str) -> None:
        """Write the vector."""
        lanes = mangled(self.element, self.f.lanes)
        if self.mask == first_lanes(self.f.lanes, 1) and not self.offset.varying:
            self.store_first(value)
            return
        if self.paired:
            self.store_pairs(value)
            return
        if not self.contiguous:
            pointers = gather_pointers(self.f, self.buffer, self.offset, self.block)
            arguments = f"{self.type} {value}, {self.pointers()} {pointers}"
            name = f"@llvm.masked.scatter.{lanes}.v{self.f.lanes}p0"
            self.block.add(f"call void {name}({arguments}, {self.masks} {self.mask or ALL})")
            return
        pointer, value = self.first(), self.reversed(value, self.element)
        if not self.mask:
            self.block.add(f"store {self.type} {value}, ptr {pointer}, {self.hint()}")
            return
        mask = self.reversed(self.mask, "i1")
        arguments = f"{self.type} {value}, ptr align {self.bytes} {pointer}, {self.masks} {mask}"
        self.block.add(f"call void @llvm.masked.store.{lanes}.p0({arguments})")

    def hint(self) -> str:
        """How a whole vector is stored: past the caches where that is asked for and possible."""
        size = self.f.lanes * self.bytes
        if self.buffer in self.f.past_cache and size & (size - 1) == 0:
            return f"align {size}, {PAST_CACHE}"
        return f"align {self.bytes}"

    def store_first(self, value: str) -> None:
        """Write the first lane alone.

        As a masked store of what was truncated LLVM writes it before truncation, with what follows.
        """
        pointer = address(self.f, self.buffer, self.offset.uniform, self.block)
        first = self.block.op("first", f"extractelement {self.type} {value}, i64 0")
        self.block.add(f"store {self.element} {first}, ptr {pointer}, align {self.bytes}")

    def load_pairs(self, pointer: str) -> str:
        """Read every second element: a vector of pairs under a mask, and its even lanes.

        The mask leaves out the second of each pair, which may lie beyond the end of the buffer.
        """
        lanes = self.f.lanes
        pairs = vector(self.element, 2 * lanes)
        arguments = (
            f"ptr align {self.bytes} {pointer}, {vector('i1', 2 * lanes)} {self.even_mask()}"
        )
        name = f"@llvm.masked.load.{mangled(self.element, 2 * lanes)}.p0"
        found = self.block.op("pairs", f"call {pairs} {name}({arguments}, {pairs} {ZERO})")
        return shuffle(self.block, self.element, 2 * lanes, found, tuple(range(0, 2 * lanes, 2)))

    def store_pairs(self, value: str) -> None:
        """Write every second element: a vector with each lane twice, the second under a mask."""
        lanes, pointer = self.f.lanes, self.first()
        pairs = vector(self.element, 2 * lanes)
        twice = shuffle(self.block, self.element, lanes, value, each_twice(lanes))
        mask = f"{vector('i1', 2 * lanes)} {self.even_mask()}"
        name = f"@llvm.masked.store.{mangled(self.element, 2 * lanes)}.p0"
        self.block.add(
            f"call void {name}({pairs} {twice}, ptr align {self.bytes} {pointer}, {mask})"
        )

    def even_mask(self) -> str:
        """The mask of the even lanes of a vector of pairs, where the lane of the pair is wanted."""
        lanes = self.f.lanes
        even = f"<{', '.join(['i1 true, i1 false'] * lanes)}>"
        if not self.mask:
            return even
        twice = shuffle(self.block, "i1", lanes, self.mask, each_twice(lanes))
        return self.block.op("even", f"and {vector('i1', 2 * lanes)} {twice}, {even}")

    def first(self) -> str:
        """The pointer to the lowest of contiguous elements."""
        offset = dict(self.offset.uniform)
        if self.backward:
            offset[()] = offset.get((), 0) - (self.f.lanes - 1)
        return address(self.f, self.buffer, offset, self.block)

    def reversed(self, value: str, element: str) -> str:
        """A vector with its lanes turned round if memory runs backward."""
        if not self.backward:
            return value
        lanes = self.f.lanes
        return shuffle(self.block, element, lanes, value, tuple(range(lanes - 1, -1, -1)))

    def pointers(self) -> str:
        """The type of a vector of pointers, with their alignment."""
        return f"<{self.f.lanes} x ptr> align {self.bytes}"


def each_twice(lanes: int) -> tuple[int, ...]:
    """The lanes 0, 0, 1, 1 and so on."""
    return tuple(lane // 2 for lane in range(2 * lanes))


ZERO = "zeroinitializer"
ALL = "splat (i1 true)"
