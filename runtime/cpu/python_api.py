"""What native code must know of CPython and NumPy: where fields of objects lie, and functions.

The layouts are those of NumPy's `PyArrayObject_fields` (ndarraytypes.h, the same since NumPy 1.7)
and of CPython's `PyObject`, `PyTupleObject` and `PyListObject`. Nothing rests on that alone: before
anything uses them, the fields of objects made here are read in their places and compared with what
Python says. Where something differs, `unusable` says what, and calls stay in Python.
"""

from __future__ import annotations

import ctypes
import platform
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

POINTER = 8  # bytes; a machine with others is refused
# Offsets of fields in bytes: PyObject, then PyArrayObject_fields.
TYPE, DATA, RANK, DIMENSIONS, DTYPE, FLAGS = 8, 16, 24, 32, 56, 64
ITEMS = tuple.__basicsize__  # of a tuple begin where its other fields end
LENGTH, LIST_ITEMS = 16, 24  # PyVarObject, then where the items of a PyListObject begin
# Of an array's flags: NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE.
CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
PLAIN = CONTIGUOUS | ALIGNED
OUTSIDE = {
    "array_type": 2,
    "copy_into": 50,
    "new_copy": 85,
    "empty": 184,
    "set_handler": 304,
    "handler": 306,
}
"""Places in the table of NumPy's functions, which only grows (numpy_api.py in its sources)."""


@cache
def unusable() -> str:
    """Why native code cannot take Python's objects apart here; empty where it can."""
    if platform.python_implementation() != "CPython":
        return f"this is {platform.python_implementation()}, not CPython"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this Python is built to run without a global lock"
    if ctypes.sizeof(ctypes.c_void_p) != POINTER or sys.byteorder != "little":
        return "this is no machine with addresses of 64 bits, the lowest byte first"
    try:
        return next(differences(), "")
    except (AttributeError, KeyError, ValueError) as error:
        return f"NumPy's functions are not where they should be: {error}"


def differences() -> Iterator[str]:
    """In words, each field of arrays, of a tuple and of a list that is not what it should be."""
    if numpy_function("array_type") != id(np.ndarray):
        yield "NumPy's table of functions has another layout"
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    unaligned = np.frombuffer(bytes(17), np.uint8)[1:].view(np.int64)  # and not to be written to
    for array in (grid, grid.T, grid[:, ::2], np.array(1.5), np.zeros((0, 3), bool), unaligned):
        for name, found, expected in fields(array):
            if found != expected:
                yield f"an array's {name} is not where it should be"
    pair, row = (grid, unaligned), [grid, unaligned]
    for kind, begin in (("tuple", id(pair) + ITEMS), ("list", word_at(id(row) + LIST_ITEMS))):
        if [word_at(begin + at * POINTER) for at in range(2)] != list(map(id, pair)):
            yield f"a {kind}'s items are not where they should be"
    if {word_at(id(pair) + LENGTH), word_at(id(row) + LENGTH)} != {2}:
        yield "the number of items is not where it should be"


def fields(array: np.ndarray[Any, Any]) -> Iterator[tuple[str, object, object]]:
    """The name of each field used, what is in its place, and what Python says."""
    at = id(array)
    flags = number_at(at + FLAGS)
    dimensions = word_at(at + DIMENSIONS)
    yield "type", word_at(at + TYPE), id(np.ndarray)
    yield "memory", word_at(at + DATA), array.__array_interface__["data"][0]
    yield "rank", number_at(at + RANK), array.ndim
    yield "shape", tuple(word_at(dimensions + k * POINTER) for k in range(array.ndim)), array.shape
    yield "dtype", word_at(at + DTYPE), id(array.dtype)
    yield "order", bool(flags & CONTIGUOUS), array.flags.c_contiguous
    yield "alignment", bool(flags & ALIGNED), array.flags.aligned
    yield "permission", bool(flags & WRITEABLE), array.flags.writeable


def word_at(address: int) -> int:
    """The 64 bits at an address."""
    return ctypes.c_uint64.from_address(address).value


def number_at(address: int) -> int:
    """The C int at an address."""
    return ctypes.c_int.from_address(address).value


@cache
def numpy_table() -> int:
    """The address of NumPy's table of functions for native code."""
    core = sys.modules["numpy._core._multiarray_umath"]  # as NumPy's own headers find it
    return pointer_in(core._ARRAY_API, None)


def numpy_function(name: str) -> int:
    """The address of a function (or of what else stands in the table) of OUTSIDE."""
    return word_at(numpy_table() + OUTSIDE[name] * POINTER)


def pointer_in(capsule: object, name: bytes | None) -> int:
    """The address that a capsule of a name holds; ValueError for another object."""
    address = python_function("PyCapsule_GetPointer", ctypes.c_void_p, capsule, name)
    return int(address or 0)


def object_at(address: int) -> object:
    """The Python object at an address."""
    found: object = ctypes.cast(address, ctypes.py_object).value
    return found


def capsule_of(address: int, name: bytes) -> object:
    """A capsule that holds an address; both must live as long as it."""
    made: object = python_function(
        "PyCapsule_New", ctypes.py_object, ctypes.c_void_p(address), name, None
    )
    return made


def builtin(definition: int, owner: object) -> Callable[..., Any]:
    """A built-in function from a PyMethodDef at an address, which must stay there.

    The function holds owner, and gives it to native code as its first argument.
    """
    made: Callable[..., Any] = python_function(
        "PyCFunction_NewEx", ctypes.py_object, ctypes.c_void_p(definition), owner, None
    )
    return made


def python_function(name: str, result: Any, *arguments: object) -> Any:
    """Call a function of CPython; bytes, None and c_void_p go as they are, others as objects."""
    function = ctypes.pythonapi[name]
    function.restype = result
    return function(*map(as_argument, arguments))


def as_argument(value: object) -> object:
    """A value as ctypes passes it on."""
    plain = value is None or isinstance(value, bytes | ctypes.c_void_p)
    return value if plain else ctypes.py_object(value)
