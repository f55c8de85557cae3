"""The native call of a step: a built-in function, and the records that its code reads.

`call_code` is the function, the same for every step; `call_records` are the records' layouts.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from graphc.ir import turn
from graphc.locks import fork_safe_lock
from graphc.runtime.cpu import call_code, keeper_code, llvm, python_api
from graphc.runtime.cpu import call_records as layout
from graphc.runtime.cpu.binding import Binding, Bindings, address_of
from graphc.runtime.cpu.call_code import GOLDEN, functions_of_python
from graphc.runtime.cpu.jit import Library, load_quickly, pool_library
from graphc.runtime.cpu.keeper_code import WORTH_KEEPING
from graphc.runtime.cpu.pool import address as pool_address
from graphc.runtime.interface import Buffer, Interface
from graphc.runtime.loaded import OUT, Array, Prepare
from graphc.runtime.recent import Recent
from graphc.structure import Rebuild

LONG = 20_000
"""Nanoseconds of work from which on Python's global lock is given away, which costs a hundred."""
HANDLER = b"mem_handler"  # what NumPy names its capsules of handlers
ALLOCATOR = 128  # bytes of a handler's name and version, which stand before its functions
once = fork_safe_lock()  # the code of the call is made once
entering = fork_safe_lock()  # an entry and what keeps it alive change together
serials = itertools.count(1)  # of bindings


class Native:
    """The code of the call, made ready for this process: it knows NumPy's functions."""

    def __init__(self) -> None:
        self.call: Library = load_quickly("call", call_code.call_code(), call_code.EXPORTS)
        keeping = keeper_code.keeper_code()
        self.keeper: Library = load_quickly("keeper", keeping, keeper_code.EXPORTS)
        self.method = self.call.address("graphc_method")
        free = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
        self.free_arenas: Callable[[int], None] = free(self.call.address("graphc_free_arenas"))
        self.handler = python_api.capsule_of(self.keeper.address("graphc_keeper"), HANDLER)
        default = python_api.word_at(python_api.numpy_function("handler"))
        allocator = python_api.pointer_in(python_api.object_at(default), HANDLER) + ALLOCATOR
        ctypes.c_void_p.from_address(self.keeper.address("graphc_allocator")).value = allocator
        world = layout.World.from_address(self.call.address("graphc_world"))
        for name in ("array_type", "empty", "new_copy", "copy_into", "set_handler"):
            setattr(world, name, python_api.numpy_function(name))
        world.keeper = id(self.handler)
        world.allocator = allocator
        world.list_type, world.tuple_type = id(list), id(tuple)
        for name in ("waiting", "running", "holder"):
            setattr(world, name, address_of(getattr(turn, name.upper())))


def native() -> Native:
    """The code of the call, made on first use; there is one in a process.

    It is never unloaded, for arrays whose memory it keeps may outlive every step.
    """
    with once:
        return made_native()


@cache
def made_native() -> Native:
    """What `native` gives; another one, made by a thread at the same time, would be unloaded."""
    return Native()


@cache
def why_not_native() -> str:
    """Why calls cannot be native in this process; empty where they can."""
    pool_library()  # before LLVM has an engine it finds nothing
    missing = [name for name in functions_of_python() if not llvm.address_of_symbol(name)]
    return f"nothing defines {', '.join(missing)}" if missing else python_api.unusable()


class Records:
    """What the native call reads of a step, alive for as long as the function that it is for.

    prepare converts and checks whatever arguments a call gives.
    """

    def __init__(
        self,
        function: int,
        library: Library,
        interface: Interface,
        bindings: Bindings,
        prepare: Prepare,
    ) -> None:
        self.native = native()
        self.library = library
        self.interface = interface
        self.bindings = bindings
        self.prepare = prepare
        self.inputs = records(layout.Input, map(buffer_fields, interface.inputs))
        firsts = [r.output for r in interface.results]
        outputs = ((*buffer_fields(b), firsts.index(k)) for k, b in enumerate(interface.outputs))
        self.outputs = records(layout.Output, outputs)
        results = ((r.output, int(r.repeated)) for r in interface.results)
        self.results = records(layout.Result, results)
        words = [(w, 1) for w in interface.readers] + [(w, -1) for w in interface.changed]
        self.uses = records(layout.Use, ((address_of(word), mark) for word, mark in words))
        self.entries = (ctypes.c_void_p * 2**layout.ENTRIES_BITS)()
        self.met: list[BindingRecord | None] = [None] * len(self.entries)
        self.known: Recent[tuple[int, ...], BindingRecord] = Recent()
        self.step = layout.Step(
            function=function,
            slots=interface.slots,
            entries=ctypes.addressof(self.entries),
            **array_fields("inputs", self.inputs),
            **array_fields("outputs", self.outputs),
            **array_fields("results", self.results),
            **array_fields("uses", self.uses),
        )
        self.address = ctypes.addressof(self.step)  # when Python ends, modules go before this

    def __del__(self) -> None:
        self.native.free_arenas(self.address)

    def function(self, structure: Rebuild) -> Callable[..., Any]:
        """The call as a built-in function whose results have a structure.

        It holds what it needs and nothing here holds it, so that a step nobody holds is freed.
        """
        words = (*self.interface.readers, *self.interface.changed)
        functions = {
            "prepare": self.prepared,
            "wait": partial(turn.let_others_go, words),
            "announce": turn.announce_end,
            "rebuild": structure,
        }
        for name, function in functions.items():
            setattr(self.step, name, id(function))
        self.step.kind = kind_of(structure, len(self.results))
        if self.prepare.takes_out and not any(r.repeated for r in self.results):
            self.step.out = id(OUT)
        owner = (self.address, self, *functions.values())
        return python_api.builtin(self.native.method, owner)

    def prepared(self, *arguments: Any, **named: Any) -> tuple[Any, ...]:
        """The binding's address and owner, the arguments, and arrays for results if given."""
        call = self.prepare(*arguments, **named)
        dimensions = tuple(size for array in call.arrays for size in array.shape)
        record = self.known.find(dimensions)
        if record is None:
            self.step.pool = pool_address()
            made = BindingRecord(self.bindings.find(call.sizes), dimensions, self)
            record = self.known.enter(dimensions, made)  # another thread's, if it came first
        entry = entry_of(dimensions)
        with entering:
            self.entries[entry] = record.address
            self.met[entry] = record
        return (record.address, record, *call.arrays, *call.results)

    @property
    def arena_bytes(self) -> list[int]:
        """The bytes for temporaries in each arena that no call is using."""
        found = []
        address = self.step.arenas
        while address:
            arena = layout.Arena.from_address(address)
            found.append(arena.room)
            address = arena.next
        return found


class BindingRecord:
    """A binding as the native call reads it, alive while an entry or a call in flight needs it."""

    def __init__(self, binding: Binding, dimensions: tuple[int, ...], owner: Records) -> None:
        self.binding = binding
        self.dimensions = words_of(dimensions)
        self.shapes = words_of([size for shape in binding.shapes for size in shape])
        inputs, outputs = owner.interface.inputs, owner.interface.outputs
        rest = iter(dimensions)
        given = [tuple(itertools.islice(rest, buffer.type.rank)) for buffer in inputs]
        taken = list(map(bytes_of, inputs, given))
        made = list(map(bytes_of, outputs, binding.shapes))
        self.bytes = words_of([*taken, *made])
        self.record = layout.Binding(
            dimensions=address_of(self.dimensions),
            shapes=address_of(self.shapes),
            sizes=address_of(binding.sizes),
            places=address_of(binding.places),
            in_arena=address_of(binding.in_arena),
            arena=binding.plan.arena,
            long=int(binding.nanoseconds >= LONG),
            large=int(max(made, default=0) >= WORTH_KEEPING),
            bytes=address_of(self.bytes),
            owner=id(self),
            serial=next(serials),
        )
        self.address = ctypes.addressof(self.record)


def buffer_fields(buffer: Buffer) -> tuple[int, int, int]:
    """The dtype, rank and slot of a buffer."""
    return id(buffer.type.dtype.numpy), buffer.type.rank, buffer.slot


def bytes_of(buffer: Buffer, shape: tuple[int, ...]) -> int:
    """The bytes of a buffer of a shape."""
    return buffer.type.dtype.bytes * math.prod(shape)


def records(kind: type[ctypes.Structure], rows: Any) -> ctypes.Array[Any]:
    """Records of a kind side by side in memory."""
    made = [kind(*row) for row in rows]
    return (kind * len(made))(*made)


def array_fields(name: str, array: ctypes.Array[Any]) -> dict[str, int]:
    """The fields of a Step that say where records are, and how many."""
    return {name: ctypes.addressof(array), f"{name}_count": len(array)}


def words_of(numbers: Sequence[int]) -> Array:
    """Numbers as 64-bit words in memory; one more, so that there is some."""
    return np.array([*numbers, 0], np.int64)


def entry_of(dimensions: tuple[int, ...]) -> int:
    """The entry of a binding by the sizes of all arguments, as the native call computes it."""
    mixed = 0
    for size in dimensions:
        mixed = ((mixed ^ size) * GOLDEN) % 2**64
    return mixed >> (64 - layout.ENTRIES_BITS)


def kind_of(structure: Rebuild, count: int) -> int:
    """How results are put together, found by trying: alone, in a flat list or tuple, otherwise."""
    leaves = [object() for _ in range(count)]
    tree = structure(leaves)
    if count == 1 and tree is leaves[0]:
        return layout.SINGLE
    kinds: dict[type, int] = {list: layout.LIST, tuple: layout.TUPLE}
    if type(tree) not in kinds or len(tree) != count:
        return layout.OTHER
    flat = all(found is leaf for found, leaf in zip(tree, leaves, strict=True))
    return kinds[type(tree)] if flat else layout.OTHER
