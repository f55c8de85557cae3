"""Reading a kernel: buffers, then statements, each in the scope of those above it."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass, field

from graphc.ir.dim import Size, Symbol, atom, symbol
from graphc.ir.kernel import (
    ACCUMULATORS,
    LOOP_KINDS,
    Accumulate,
    Accumulator,
    Barrier,
    Buffer,
    For,
    Kernel,
    Let,
    Local,
    Statement,
    Store,
)
from graphc.ir.lexer import Reader, Token, unquote_name
from graphc.ir.parse_scalar import ScalarReader
from graphc.ir.parse_value import parse_dtype, parse_size
from graphc.ir.scalar import Scalar
from graphc.ir.types import DType, int64


@dataclass
class Scope:
    """What names mean at a place: buffers, and by %name sizes that vary and named values."""

    buffers: ChainMap[str, Buffer]
    variables: ChainMap[str, Size] = field(default_factory=ChainMap)
    values: ChainMap[str, DType] = field(default_factory=ChainMap)

    def inner(self) -> Scope:
        """The scope of a block inside."""
        return Scope(self.buffers.new_child(), self.variables.new_child(), self.values.new_child())


def parse_kernel(reader: Reader) -> Kernel:
    """A kernel from the word `kernel` to its closing brace."""
    reader.expect("kernel")
    name = unquote_name(reader.name("a kernel's name such as @sum_0", "@").text)
    buffers = reader.list_of(lambda: parse_buffer(reader), "(", ")")
    reader.expect("{")
    origin = []
    while reader.accept("from"):
        origin.append(json.loads(reader.expect_kind("string", "a line of source").text))
    body = parse_body(reader, Scope(ChainMap({buffer.name: buffer for buffer in buffers})))
    return Kernel(name, tuple(buffers), body, tuple(origin))


def parse_buffer(reader: Reader) -> Buffer:
    """`write %y: f32[784*batch]`."""
    written = reader.accept("write")
    past_cache = written and reader.accept("past")
    name = unquote_name(reader.name().text)
    reader.expect(":")
    dtype = parse_dtype(reader)
    reader.expect("[")
    size = parse_size(reader)
    reader.expect("]")
    return Buffer(name, dtype, size, written, past_cache)


def parse_body(reader: Reader, scope: Scope) -> tuple[Statement, ...]:
    """The statements of a block, and its closing brace."""
    body = []
    while not reader.accept("}"):
        token = reader.next
        if token.text not in STATEMENTS:
            raise reader.expected(f"{', '.join(STATEMENTS)} or '}}'")
        reader.take()
        body.append(STATEMENTS[token.text](reader, scope))
    return tuple(body)


def parse_for(reader: Reader, scope: Scope) -> For:
    """`KIND %i0 < LIMIT [lanes N] { ... }`."""
    kind = reader.expect_word(f"one of {', '.join(LOOP_KINDS)}", *LOOP_KINDS).text
    name = reader.name()
    reader.expect("<")
    variable = Symbol(name.text, "index", parse_size(reader, scope.variables))
    lanes = parse_lanes(reader) if reader.accept("lanes") else 1
    reader.expect("{")
    inside = scope.inner()
    inside.variables[name.text] = atom(variable)
    return For(variable, kind, parse_body(reader, inside), lanes)


def parse_lanes(reader: Reader) -> int:
    """The number of iterations side by side in a vector loop."""
    return int(reader.expect_kind("int", "a number of lanes").text)


def parse_let(reader: Reader, scope: Scope) -> Let:
    """`%t0: f32 = SCALAR`; an int64 one may stand in offsets below."""
    token = reader.name()
    reader.expect(":")
    type_token, dtype = reader.next, parse_dtype(reader)
    reader.expect("=")
    value = parse_value(reader, scope)
    if value.dtype != dtype:
        raise reader.error(f"the value is {value.dtype}, not {dtype}", type_token)
    declare(scope, token, dtype)
    return Let(unquote_name(token.text), value)


def declare(scope: Scope, token: Token, dtype: DType) -> None:
    """Makes a let or accumulator visible to what follows it."""
    scope.values[unquote_name(token.text)] = dtype
    scope.variables[token.text] = symbol(token.text, "value")


def parse_accumulator(reader: Reader, scope: Scope) -> Accumulator:
    """`%s: f32 = sum`."""
    token = reader.name()
    reader.expect(":")
    dtype = parse_dtype(reader)
    reader.expect("=")
    kind = reader.expect_word(f"one of {', '.join(ACCUMULATORS)}", *ACCUMULATORS).text
    declare(scope, token, int64 if kind in ("argmax", "argmin") else dtype)
    return Accumulator(unquote_name(token.text), kind, dtype)


def parse_accumulate(reader: Reader, scope: Scope) -> Accumulate:
    """`%s SCALAR [at POSITION]`."""
    token = reader.name()
    name = unquote_name(token.text)
    if name not in scope.values:
        raise reader.error(f"no accumulator {token.text} is in scope here", token)
    value = parse_value(reader, scope)
    position = parse_size(reader, scope.variables) if reader.accept("at") else 0
    return Accumulate(name, value, position)


def parse_store(reader: Reader, scope: Scope) -> Store:
    """`%y[OFFSET] [if GUARD] = SCALAR`."""
    name = unquote_name(reader.name().text)
    reader.expect("[")
    offset = parse_size(reader, scope.variables)
    reader.expect("]")
    guard = parse_value(reader, scope) if reader.accept("if") else None
    reader.expect("=")
    return Store(name, offset, parse_value(reader, scope), guard)


def parse_local(reader: Reader, scope: Scope) -> Local:
    """`%b: f32[64]`."""
    name = unquote_name(reader.name().text)
    reader.expect(":")
    dtype = parse_dtype(reader)
    reader.expect("[")
    size = int(reader.expect_kind("int", "a number of elements").text)
    reader.expect("]")
    scope.buffers[name] = Buffer(name, dtype, size, written=True)
    return Local(name, dtype, size)


def parse_barrier(reader: Reader, scope: Scope) -> Barrier:
    """`[pending 1] [running 1]`."""
    left = (
        int(reader.expect_kind("int", "a number of barriers").text) if reader.accept(word) else 0
        for word in ("pending", "running")
    )
    return Barrier(*left)


def parse_value(reader: Reader, scope: Scope) -> Scalar:
    """A formula in the scope of a statement."""
    return ScalarReader(reader, scope.buffers, scope.values, scope.variables).read()


STATEMENTS: dict[str, Callable[[Reader, Scope], Statement]] = {
    "for": parse_for,
    "let": parse_let,
    "accumulator": parse_accumulator,
    "accumulate": parse_accumulate,
    "store": parse_store,
    "local": parse_local,
    "barrier": parse_barrier,
}
