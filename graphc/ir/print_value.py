"""How values are written in every level's text: attributes, types, numbers and literal arrays."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir.dim import Dim
from graphc.ir.literal import Literal
from graphc.ir.rules import Rules
from graphc.ir.types import DType, TensorType, TupleType, bfloat16

# More elements than this are written as bytes in base64.
LONGEST_LIST = 64


def print_value(value: Any) -> str:
    """An attribute's value; GraphError for one of a type that has no text form.

    A literal is written with its type, since what follows it is not always a type.
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, Rules):
        return json.dumps(value.name)
    if isinstance(value, tuple):
        return f"[{', '.join(map(print_value, value))}]"
    if isinstance(value, Literal):
        return f"{value.type} {print_data(value)}"
    if isinstance(value, int | Dim | DType | TensorType | TupleType):
        return str(value)
    raise GraphError(f"an attribute of type {type(value).__name__} has no text form: {value!r}")


def print_data(literal: Literal) -> str:
    """A literal's elements: a number, nested lists, or `dense` and its bytes in base64.

    A complex number is the list of its parts.
    """
    numbers = as_parts(literal)
    if literal.array.size <= LONGEST_LIST and is_exact(numbers):
        return print_elements(numbers.array)
    return f'dense "{base64.b64encode(literal.array.tobytes()).decode()}"'


def as_parts(literal: Literal) -> Literal:
    """A complex literal with its parts along a last axis; another one as it is."""
    if not literal.dtype.is_complex:
        return literal
    return Literal(np.stack([literal.array.real, literal.array.imag], axis=-1))


def is_exact(literal: Literal) -> bool:
    """Whether numbers say everything; the bits of a NaN may hold more than `nan` does."""
    if not literal.dtype.is_float:
        return True
    plain = literal.array.copy()
    plain[np.isnan(plain)] = np.nan
    return plain.tobytes() == literal.array.tobytes()


def print_elements(array: Any) -> str:
    """An array as nested lists of its shortest exact decimal numbers."""
    if array.ndim:
        return f"[{', '.join(map(print_elements, array))}]"
    if array.dtype.name == bfloat16.name:
        array = array.astype(np.float32)
    return str(array[()]).lower()
