"""Reading what all levels share: sizes, types, attribute values and literal arrays."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from graphc.ir.dim import FUNCTIONS, DimCall, Size, atom, symbol
from graphc.ir.lexer import Reader, Token
from graphc.ir.literal import Literal
from graphc.ir.types import BY_SHORT, DType, TensorType, TupleType, Type

Variables = Mapping[str, Size]
NUMBERS: dict[str, float] = {"inf": float("inf"), "nan": float("nan")}
KINDS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "uint": (int,),
    "float": (float, int),
}
"""The numbers that may be written for each kind of dtype."""
WORDS: dict[str, bool | None] = {"true": True, "false": False, "none": None}


def parse_size(reader: Reader, variables: Variables | None = None) -> Size:
    """A polynomial such as `2*batch*%i0 + 1 - floor_divide(n, 2)`.

    Words are symbolic sizes; %names are looked up in the variables.
    """
    negative = reader.accept("-")
    total = parse_product(reader, variables)
    total = -total if negative else total
    while reader.is_next("+", "-"):
        negative = reader.take().text == "-"
        part = parse_product(reader, variables)
        total = total - part if negative else total + part
    return total


def parse_product(reader: Reader, variables: Variables | None) -> Size:
    """Factors with * between them."""
    total = parse_factor(reader, variables)
    while reader.accept("*"):
        total = total * parse_factor(reader, variables)
    return total


def parse_factor(reader: Reader, variables: Variables | None) -> Size:
    """An integer, a symbolic size, a %variable, a call, or a polynomial in parentheses."""
    if reader.accept("("):
        size = parse_size(reader, variables)
        reader.expect(")")
        return size
    token = reader.next
    if token.kind == "name" and variables is not None:
        return parse_variable(reader, variables)
    if token.kind not in ("int", "word"):
        raise reader.expected("a size, such as 784 or 2*batch + 1")
    reader.take()
    if token.kind == "int":
        return int(token.text)
    return parse_size_call(reader, token, variables) if reader.is_next("(") else symbol(token.text)


def parse_variable(reader: Reader, variables: Variables) -> Size:
    """A loop variable, or a let that stands in an index."""
    token = reader.name()
    if token.text not in variables:
        raise reader.error(f"no loop variable or value {token.text} is in scope here", token)
    return variables[token.text]


def parse_size_call(reader: Reader, function: Token, variables: Variables | None) -> Size:
    """The two sizes of floor_divide(a, b) and its kin, kept as written unless both are integers."""
    if function.text not in FUNCTIONS:
        raise reader.expected(f"one of {', '.join(FUNCTIONS)}", function)
    sizes = reader.list_of(lambda: parse_size(reader, variables), "(", ")")
    if len(sizes) != 2:
        raise reader.error(f"{function.text} takes 2 sizes, not {len(sizes)}", function)
    left, right = sizes
    if isinstance(left, int) and isinstance(right, int):
        return FUNCTIONS[function.text](left, right)
    return atom(DimCall(function.text, left, right))


def parse_dtype(reader: Reader) -> DType:
    """A dtype's short name, such as f32."""
    if reader.next.text not in BY_SHORT:
        raise reader.expected("a dtype such as f32")
    return BY_SHORT[reader.take().text]


def parse_tensor_type(reader: Reader, variables: Variables | None = None) -> TensorType:
    """A type such as f32[batch, 784]."""
    dtype = parse_dtype(reader)
    return TensorType(dtype, tuple(reader.list_of(lambda: parse_size(reader, variables), "[", "]")))


def parse_type(reader: Reader) -> Type:
    """The type of an array, or of several in parentheses."""
    if reader.is_next("("):
        return TupleType(tuple(reader.list_of(lambda: parse_tensor_type(reader), "(", ")")))
    return parse_tensor_type(reader)


def parse_attribute(reader: Reader) -> Any:
    """An attribute's value; a list becomes a tuple."""
    token = reader.next
    if token.kind == "string":
        return json.loads(reader.take().text)
    if reader.is_next("["):
        return tuple(reader.list_of(lambda: parse_attribute(reader), "[", "]"))
    if reader.is_next("("):
        return parse_type(reader)
    if token.text in BY_SHORT:
        return parse_typed(reader)
    if token.text in WORDS:
        return WORDS[reader.take().text]
    return parse_float(reader) if is_float(reader) else parse_size(reader)


def parse_typed(reader: Reader) -> DType | TensorType | Literal:
    """A dtype, a type, or a type and then a literal's elements."""
    if reader.peek(1).text != "[":
        return parse_dtype(reader)
    tensor = parse_tensor_type(reader)
    return tensor if reader.is_next(",", "}", "]") else parse_literal(reader, tensor)


def is_float(reader: Reader) -> bool:
    """Whether a floating-point number comes next."""
    token = reader.peek(1) if reader.is_next("-") else reader.next
    return token.kind == "float" or token.text in NUMBERS


def parse_float(reader: Reader) -> float:
    """A floating-point number, inf or nan, with or without a minus."""
    negative = reader.accept("-")
    token = reader.take()
    value = NUMBERS[token.text] if token.text in NUMBERS else float(token.text)
    return -value if negative else value


def parse_literal(reader: Reader, tensor: TensorType) -> Literal:
    """The elements of a literal of a type."""
    return parse_data(reader)(tensor)


def parse_data(reader: Reader) -> Callable[[TensorType], Literal]:
    """The elements of a literal whose type comes later: what makes it, given the type."""
    token = reader.next
    if reader.accept("dense"):
        text = reader.expect_kind("string", "the elements' bytes in base64")
        return lambda tensor: from_bytes(reader, text, tensor)
    elements = parse_elements(reader)
    return lambda tensor: from_elements(reader, token, elements, tensor)


def parse_elements(reader: Reader) -> Any:
    """A number, or nested lists of numbers."""
    if reader.is_next("["):
        return reader.list_of(lambda: parse_elements(reader), "[", "]")
    return parse_number(reader)


def parse_number(reader: Reader) -> bool | int | float:
    """A number of any kind."""
    if reader.is_next("true", "false"):
        return reader.take().text == "true"
    if is_float(reader):
        return parse_float(reader)
    sign = -1 if reader.accept("-") else 1
    return sign * int(reader.expect_kind("int", "a number").text)


def numbers(elements: Any) -> Iterator[Any]:
    """The numbers in nested lists."""
    stack = [elements]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack.extend(part)
        else:
            yield part


def shape_of(reader: Reader, token: Token, tensor: TensorType) -> tuple[int, ...]:
    """The shape of a literal, which has no symbolic sizes."""
    shape = tuple(size for size in tensor.shape if isinstance(size, int))
    if len(shape) != tensor.rank:
        raise reader.error(f"a literal cannot have the symbolic type {tensor}", token)
    return shape


def from_bytes(reader: Reader, token: Token, tensor: TensorType) -> Literal:
    """A literal from base64."""
    shape = shape_of(reader, token, tensor)
    try:
        data = base64.b64decode(json.loads(token.text), validate=True)
        return Literal(np.frombuffer(data, tensor.dtype.numpy).reshape(shape))
    except (binascii.Error, ValueError) as error:
        raise reader.error(f"these are not the bytes of {tensor}: {error}", token) from None


def from_elements(reader: Reader, token: Token, elements: Any, tensor: TensorType) -> Literal:
    """A literal from nested lists, which must have the type's shape (any list is empty enough).

    A complex number is the list of its parts.
    """
    shape = shape_of(reader, token, tensor)
    if tensor.dtype.is_complex:
        pairs = from_elements(reader, token, elements, TensorType(tensor.dtype.part, (*shape, 2)))
        return Literal(pairs.array.reshape(-1).view(tensor.dtype.numpy).reshape(shape))
    try:
        array = np.array(elements, tensor.dtype.numpy)
        fits = all(type(number) in KINDS[tensor.dtype.kind] for number in numbers(elements))
    except (ValueError, OverflowError, TypeError):
        fits = False
    if not fits:
        raise reader.error(f"these are not elements of {tensor}", token)
    if array.size == 0 and 0 in shape:
        array = array.reshape(shape)
    if array.shape != shape:
        found = TensorType(tensor.dtype, array.shape)
        raise reader.error(f"the elements have type {found}, not {tensor}", token)
    return Literal(array)
