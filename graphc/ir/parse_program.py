"""Reading a program: the block of memory and calls, then the kernels."""

from __future__ import annotations

from graphc.ir.kernel import Kernel
from graphc.ir.lexer import Reader, unquote_name
from graphc.ir.parse_kernel import parse_kernel
from graphc.ir.parse_value import parse_literal, parse_tensor_type
from graphc.ir.program import BUFFER_KINDS, Allocation, CallKernel, Program


def parse_program(reader: Reader) -> Program:
    """A program, to the end of its last kernel; its decisions are comments and not read."""
    reader.expect("program")
    reader.expect("{")
    allocations = []
    while reader.is_next(*BUFFER_KINDS):
        allocations.append(parse_allocation(reader))
    calls = []
    while reader.accept("call"):
        calls.append(parse_call(reader))
    if not reader.is_next("return"):
        raise reader.expected(f"one of {', '.join(BUFFER_KINDS)}, call or return")
    reader.take()
    outputs = tuple(unquote_name(token.text) for token in reader.names())
    updates = parse_pairs(reader, "update")
    reuses = parse_pairs(reader, "reuse")
    reader.expect("}")
    kernels = parse_kernels(reader)
    return Program(tuple(allocations), kernels, tuple(calls), outputs, updates, reuses)


def parse_kernels(reader: Reader) -> tuple[Kernel, ...]:
    """The kernels that come next."""
    kernels = []
    while reader.is_next("kernel"):
        kernels.append(parse_kernel(reader))
    return tuple(kernels)


def parse_allocation(reader: Reader) -> Allocation:
    """`constant %c: f32[2] = [1.0, 2.0]`."""
    kind = reader.take().text
    name = unquote_name(reader.name().text)
    reader.expect(":")
    tensor = parse_tensor_type(reader)
    value = parse_literal(reader, tensor) if reader.accept("=") else None
    return Allocation(name, kind, tensor, value)


def parse_call(reader: Reader) -> CallKernel:
    """The rest of `call @sum_0(%x, %y)`."""
    kernel = unquote_name(reader.name("a kernel's name such as @sum_0", "@").text)
    reader.expect("(")
    arguments = tuple(unquote_name(token.text) for token in reader.names())
    reader.expect(")")
    return CallKernel(kernel, arguments)


def parse_pairs(reader: Reader, word: str) -> tuple[tuple[str, str], ...]:
    """Lines `WORD %a = %b`."""
    pairs = []
    while reader.accept(word):
        left = reader.name()
        reader.expect("=")
        pairs.append((unquote_name(left.text), unquote_name(reader.name().text)))
    return tuple(pairs)
