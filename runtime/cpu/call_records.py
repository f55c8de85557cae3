"""The records that the native call of a step reads: the same fields in Python and in LLVM.

Each is a structure of 8-byte fields. `with_records` puts them into a text of LLVM, where two words
stand for the reading and writing of a field, so that neither side counts by hand:

    %name = get Record.field, %pointer
    set Record.field, %pointer, %value
"""

from __future__ import annotations

import ctypes
import re

Word, Pointer = ctypes.c_int64, ctypes.c_void_p

ENTRIES_BITS = 6  # of the hash of the arguments' sizes: 64 bindings are found at once


class Input(ctypes.Structure):
    """What an argument must be: its dtype (the very object), its rank; and its buffer's slot."""

    _fields_ = (("dtype", Pointer), ("rank", Word), ("slot", Word))


class Output(ctypes.Structure):
    """The dtype and rank of a new array, its buffer's slot, and the first result that it is."""

    _fields_ = (("dtype", Pointer), ("rank", Word), ("slot", Word), ("result", Word))


class Result(ctypes.Structure):
    """Which output a result is; repeated is 1 where an earlier result has that array already."""

    _fields_ = (("output", Word), ("repeated", Word))


class Use(ctypes.Structure):
    """A variable's word (`State.users`) and what a call in flight adds: 1, or -1 to change."""

    _fields_ = (("users", Pointer), ("mark", Word))


class Step(ctypes.Structure):
    """A compiled step. Counts stand before the arrays that they count.

    arenas is a list of those that no call is using. entries holds a Binding for each hash of
    sizes, the last one met. prepare, wait, announce and rebuild are Python functions; kind is one
    of SINGLE, LIST, TUPLE and OTHER, where only the last needs rebuild. out is the name of the
    argument for arrays to write into (the very object), where it is that of no input and every
    result has an output of its own.
    """

    _fields_ = (
        ("function", Pointer),
        ("pool", Pointer),
        ("slots", Word),
        ("inputs_count", Word),
        ("inputs", Pointer),
        ("outputs_count", Word),
        ("outputs", Pointer),
        ("results_count", Word),
        ("results", Pointer),
        ("uses_count", Word),
        ("uses", Pointer),
        ("arenas", Pointer),
        ("entries", Pointer),
        ("kind", Word),
        ("prepare", Pointer),
        ("wait", Pointer),
        ("announce", Pointer),
        ("rebuild", Pointer),
        ("out", Pointer),
    )


SINGLE, LIST, TUPLE, OTHER = range(4)


class Binding(ctypes.Structure):
    """What calls with the same sizes share.

    dimensions are those of all arguments in a row, shapes those of all outputs. sizes is what
    kernels read. Buffer k lies at places[k], or that far into the arena where in_arena[k] is -1
    and not 0. arena is its size in bytes. long is 1 where the work is long enough to give
    Python's global lock away, large is 1 where outputs are worth recycling.
    bytes are those of each argument, then of each output. owner is the Python object that keeps
    all this, which a call in flight holds. serial tells the binding from all there ever were.
    """

    _fields_ = (
        ("dimensions", Pointer),
        ("shapes", Pointer),
        ("sizes", Pointer),
        ("places", Pointer),
        ("in_arena", Pointer),
        ("arena", Word),
        ("long", Word),
        ("large", Word),
        ("bytes", Pointer),
        ("owner", Pointer),
        ("serial", Word),
    )


class Arena(ctypes.Structure):
    """Memory for one call in flight; behind it lies its table of addresses, then the arena itself.

    size is all of it in bytes, room what temporaries have. binding is the serial number of the one
    whose addresses it holds, or 0.
    """

    _fields_ = (("next", Pointer), ("size", Word), ("room", Word), ("binding", Word))


class World(ctypes.Structure):
    """Addresses in this process: NumPy's, CPython's global facts, and words shared with Python.

    allocator is NumPy's default one (PyDataMemAllocator), keeper the handler that recycles.
    """

    _fields_ = (
        ("array_type", Pointer),
        ("empty", Pointer),
        ("new_copy", Pointer),
        ("copy_into", Pointer),
        ("set_handler", Pointer),
        ("keeper", Pointer),
        ("allocator", Pointer),
        ("list_type", Pointer),
        ("tuple_type", Pointer),
        ("waiting", Pointer),
        ("running", Pointer),
        ("holder", Pointer),
    )


class Allocator(ctypes.Structure):
    """NumPy's PyDataMemAllocator: functions that all take the context first."""

    _fields_ = (
        ("context", Pointer),
        ("malloc", Pointer),
        ("calloc", Pointer),
        ("realloc", Pointer),
        ("free", Pointer),
    )


RECORDS = (Input, Output, Result, Use, Step, Binding, Arena, World, Allocator)
NAMES = {record.__name__: record for record in RECORDS}
GET = re.compile(r"^( *)%(\S+) = get (\w+)\.(\w+), ([%@]\S+)", re.MULTILINE)
SET = re.compile(r"^( *)set (\w+)\.(\w+), ([%@]\S+), (\S+)", re.MULTILINE)


def with_records(text: str) -> str:
    """A text of LLVM behind the types of all records, `get` and `set` written out."""
    body = SET.sub(write, GET.sub(read, text))
    return "\n".join([*map(definition, RECORDS), body])


def definition(record: type[ctypes.Structure]) -> str:
    """The LLVM type of a record, with the names of its fields."""
    kinds = ", ".join(kind for kind, _ in fields(record).values())
    names = "  ".join(f"{at} {name}" for name, (_, at) in fields(record).items())
    return f"; {names}\n%{record.__name__} = type {{ {kinds} }}"


def fields(record: type[ctypes.Structure]) -> dict[str, tuple[str, int]]:
    """The LLVM type and the place of each field."""
    kinds = {Word: "i64", Pointer: "ptr"}
    return {name: (kinds[kind], at) for at, (name, kind, *_) in enumerate(record._fields_)}


def read(match: re.Match[str]) -> str:
    """The two instructions of a `get`."""
    indent, name, record, field, pointer = match.groups()
    kind, at = fields(NAMES[record])[field]
    place = f"%{name}.at = getelementptr %{record}, ptr {pointer}, i32 0, i32 {at}"
    return f"{indent}{place}\n{indent}%{name} = load {kind}, ptr %{name}.at, align 8"


def write(match: re.Match[str]) -> str:
    """The two instructions of a `set`; the place is named by what is written and the field."""
    indent, record, field, pointer, value = match.groups()
    kind, at = fields(NAMES[record])[field]
    name = f"%{pointer[1:]}.{field}.to"
    place = f"{name} = getelementptr %{record}, ptr {pointer}, i32 0, i32 {at}"
    return f"{indent}{place}\n{indent}store {kind} {value}, ptr {name}, align 8"
