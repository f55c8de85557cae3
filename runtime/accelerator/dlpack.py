"""DLPack: the layout in which libraries hand arrays to each other, in C's structures.

The layout is DLManagedTensor of https://github.com/dmlc/dlpack (include/dlpack/dlpack.h), which
travels in a Python capsule. Whoever takes it renames the capsule, and calls the deleter at the end.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any, NamedTuple

from graphc.ir.types import DTYPES, DType

KINDS = {"int": 0, "uint": 1, "float": 2, "complex": 5, "bool": 6}
BFLOAT = 4
OFFERED, TAKEN = b"dltensor", b"used_dltensor"
"""Names of a capsule before and after somebody has taken what it holds."""


class Tensor(ctypes.Structure):
    """DLTensor; strides count elements, and none mean row-major order."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_kind", ctypes.c_int32),
        ("device_number", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("kind", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)


class ManagedTensor(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = (("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", Deleter))


def python_function(name: str, result: Any, *arguments: Any) -> Any:
    """A function of Python's C interface; a capsule that ends is no object any more."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


new_capsule = python_function(
    "PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, Destructor
)
pointer_in = python_function(
    "PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p
)
rename = python_function("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
is_named = python_function("PyCapsule_IsValid", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)
pointer_at_end = python_function(
    "PyCapsule_GetPointer", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p
)

# --- giving --------------------------------------------------------------------------------------

GIVEN: dict[int, tuple[Any, ...]] = {}
"""By its address what each tensor that others hold needs, until its deleter is called."""


def functions_of(given: dict[int, tuple[Any, ...]]) -> tuple[Any, Any]:
    """The deleter of a tensor and the destructor of a capsule, as C calls them.

    A program may end with arrays in the hands of others, who give them up when the modules of
    Python are taken apart, this one among them: so both stay for good, and use nothing of it.
    """
    offered, pointer, has_name = OFFERED, pointer_at_end, is_named

    def give_up(address: int) -> None:
        given.pop(address, None)

    def end_capsule(capsule: int) -> None:
        if has_name(capsule, offered):  # nobody has taken what it holds
            give_up(pointer(capsule, offered))

    functions = Deleter(give_up), Destructor(end_capsule)
    for function in functions:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(function))
    return functions


DELETER, DESTRUCTOR = functions_of(GIVEN)


def capsule_of(
    owner: object,
    address: int,
    offset: int,
    device: tuple[int, int],
    dtype: DType,
    shape: tuple[int, ...],
) -> Any:
    """A capsule with an array in row-major order; its owner lives until the taker is done."""
    kind = BFLOAT if dtype.name == "bfloat16" else KINDS[dtype.kind]
    sizes = (ctypes.c_int64 * len(shape))(*shape)
    strides = (ctypes.c_int64 * len(shape))(*row_major(shape))
    tensor = Tensor(address, *device, len(shape), kind, 8 * dtype.bytes, 1, sizes, strides, offset)
    managed = ManagedTensor(tensor, None, DELETER)
    GIVEN[ctypes.addressof(managed)] = managed, sizes, strides, owner
    return new_capsule(ctypes.addressof(managed), OFFERED, DESTRUCTOR)


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a contiguous array."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return tuple(strides[: len(shape)])


# --- taking --------------------------------------------------------------------------------------


class Taken(NamedTuple):
    """An array of another library: where it is, what it is, and what keeps it alive."""

    address: int
    offset: int
    dtype: DType | None
    shape: tuple[int, ...]
    contiguous: bool
    owner: object


class Owner:
    """Calls the deleter of an array that was taken when nobody needs it any more."""

    def __init__(self, managed: Any) -> None:
        if managed.deleter:
            address = ctypes.addressof(managed)
            weakref.finalize(self, managed.deleter, address).atexit = False


def take(capsule: Any) -> Taken:
    """What a capsule holds."""
    managed = ManagedTensor.from_address(pointer_in(capsule, OFFERED))
    rename(capsule, TAKEN)
    tensor = managed.tensor
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.strides else row_major(shape)
    pairs = zip(shape, strides, row_major(shape), strict=True)
    contiguous = 0 in shape or all(size == 1 or given == usual for size, given, usual in pairs)
    dtype = dtype_of(tensor.kind, tensor.bits) if tensor.lanes == 1 else None
    address = tensor.data or 0
    return Taken(address, tensor.byte_offset, dtype, shape, contiguous, Owner(managed))


def dtype_of(kind: int, bits: int) -> DType | None:
    """The dtype of a code and a width, where graphc has it."""
    for dtype in DTYPES:
        code = BFLOAT if dtype.name == "bfloat16" else KINDS[dtype.kind]
        if (code, 8 * dtype.bytes) == (kind, bits):
            return dtype
    return None
