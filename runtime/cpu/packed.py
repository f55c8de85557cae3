"""Compiled programs as bytes, without what belongs to the process: the memory of variables.

Constants and variables of the user's graph are in it by number. What is read back are objects of
the classes listed here and nothing else.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from graphc.ir import kernel, program, scalar
from graphc.ir.content import Content
from graphc.ir.dim import Dim, DimCall, Symbol
from graphc.ir.literal import Literal
from graphc.ir.program import Decision, Program
from graphc.ir.state import State
from graphc.ir.types import DType, TensorType, TupleType, as_dtype
from graphc.runtime.cpu.build import Keys
from graphc.runtime.loaded import Array


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program, what passes decided on the way to it, and the keys of its machine code."""

    program: Program
    decisions: tuple[Decision, ...]
    keys: Keys


RECORDS: tuple[type, ...] = (
    Compiled, Keys, Program, Decision, program.Allocation, program.CallKernel, program.Repeat,
    program.While, program.Branch, kernel.Kernel, kernel.Buffer, kernel.For, kernel.Let,
    kernel.Accumulator, kernel.Accumulate, kernel.Store, kernel.Local, scalar.Const, scalar.Index,
    scalar.Load, scalar.Ref, scalar.Call, Symbol, DimCall, TensorType, TupleType,
)  # fmt: skip
"""Classes that are no more than their fields."""

MAKERS: tuple[Any, ...] = (*RECORDS, Dim, as_dtype)
NAMED = {(maker.__module__, maker.__name__): maker for maker in MAKERS}


def pack(compiled: Compiled, content: Content) -> bytes:
    """The bytes of what a graph of some content was compiled to."""
    file = io.BytesIO()
    Packer(file, content).dump(compiled)
    return file.getvalue()


def unpack(data: bytes, content: Content) -> Compiled:
    """What the bytes say, over the constants and variables of a graph of the same content."""
    compiled: Compiled = Unpacker(io.BytesIO(data), content).load()
    return compiled


def as_record(record: Any) -> tuple[Any, ...]:
    """How to make a record again: its class, called with its fields."""
    kind = type(record)
    return kind, tuple(getattr(record, field.name) for field in fields(kind))


def layout_of(array: Array) -> tuple[DType, tuple[int, ...]]:
    """The dtype and the shape of an array."""
    return as_dtype(array.dtype), array.shape


class Packer(pickle.Pickler):
    """Writes objects; constants and variables as what `Unpacker.persistent_load` takes."""

    dispatch_table: Mapping[type, Any] = {
        **dict.fromkeys(RECORDS, as_record),
        Dim: lambda size: (Dim, (size.terms,)),
        DType: lambda dtype: (as_dtype, (dtype.name,)),
    }

    def __init__(self, file: io.BytesIO, content: Content) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.literals = {id(literal): k for k, literal in enumerate(content.literals)}
        self.states = {id(state.users): k for k, state in enumerate(content.states)}

    def persistent_id(self, thing: Any) -> tuple[Any, ...] | None:
        """What stands for a constant or a variable; None for anything else."""
        kind = type(thing)
        if kind is State:
            return "state", self.states[id(thing.users)], *layout_of(thing.array)
        if kind is not Literal:
            return None
        if id(thing) in self.literals:
            return "literal", self.literals[id(thing)]
        return "array", *layout_of(thing.array), thing.array.tobytes()


class Unpacker(pickle.Unpickler):
    """Reads what a Packer wrote."""

    def __init__(self, file: io.BytesIO, content: Content) -> None:
        super().__init__(file)
        self.content = content

    def persistent_load(self, words: tuple[Any, ...]) -> State | Literal:
        """The constant or the variable that words of `Packer.persistent_id` stand for."""
        match words:
            case "state", int(number), DType() as dtype, tuple(shape):
                state = self.content.states[number]
                same = layout_of(state.array) == (dtype, shape)
                return state if same else state.seen_as(dtype, shape)
            case "literal", int(number):
                return self.content.literals[number]
            case "array", DType() as dtype, tuple(shape), bytes(data):
                return Literal(np.frombuffer(data, dtype.numpy).reshape(shape))
        raise pickle.UnpicklingError(f"{words[0]!r} stands for nothing")

    def find_class(self, module: str, name: str) -> Any:
        """A class of the list."""
        if (module, name) not in NAMED:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of programs")
        return NAMED[module, name]
