"""Reading a program: the block of memory and calls, then the kernels."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable

from graphc.ir.dim import Size, Symbol, atom
from graphc.ir.kernel import Kernel
from graphc.ir.lexer import Reader, unquote_name
from graphc.ir.parse_kernel import parse_kernel
from graphc.ir.parse_value import parse_literal, parse_size, parse_tensor_type
from graphc.ir.program import (
    BUFFER_KINDS,
    Allocation,
    Branch,
    CallKernel,
    Program,
    Repeat,
    Step,
    While,
    make_call,
)

Variables = ChainMap[str, Size]


def parse_program(reader: Reader) -> Program:
    """A program, to the end of its last kernel; its decisions are comments and not read."""
    reader.expect("program")
    reader.expect("{")
    allocations = []
    while reader.is_next(*BUFFER_KINDS):
        allocations.append(parse_allocation(reader))
    steps = parse_steps(reader, ChainMap())
    if not reader.is_next("return"):
        raise reader.expected(f"one of {', '.join((*BUFFER_KINDS, *STEPS))} or return")
    reader.take()
    outputs = tuple(unquote_name(token.text) for token in reader.names())
    updates = parse_pairs(reader, "update")
    reuses = parse_pairs(reader, "reuse")
    reader.expect("}")
    kernels = parse_kernels(reader)
    return Program(tuple(allocations), kernels, steps, outputs, updates, reuses)


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


def parse_steps(reader: Reader, variables: Variables) -> tuple[Step, ...]:
    """Calls, loops and branches, as many as come."""
    steps: list[Step] = []
    while reader.is_next(*STEPS):
        steps.append(STEPS[reader.take().text](reader, variables))
    return tuple(steps)


def parse_block(reader: Reader, variables: Variables) -> tuple[Step, ...]:
    """Steps in braces."""
    reader.expect("{")
    steps = parse_steps(reader, variables)
    reader.expect("}")
    return steps


def parse_call(reader: Reader, variables: Variables) -> CallKernel:
    """The rest of `call @sum_0(%x[8*%i0], %y)`."""
    kernel = unquote_name(reader.name("a kernel's name such as @sum_0", "@").text)

    def place() -> tuple[str, Size]:
        name = unquote_name(reader.name().text)
        if not reader.accept("["):
            return name, 0
        offset = parse_size(reader, variables)
        reader.expect("]")
        return name, offset

    return make_call(kernel, reader.list_of(place, "(", ")"))


def parse_repeat(reader: Reader, variables: Variables) -> Repeat:
    """The rest of `repeat %i0 < n { ... }`."""
    name = reader.name().text
    reader.expect("<")
    variable = Symbol(name, "index", parse_size(reader, variables))
    return Repeat(variable, parse_block(reader, variables.new_child({name: atom(variable)})))


def parse_while(reader: Reader, variables: Variables) -> While:
    """The rest of `while %go { ... }`."""
    return While(unquote_name(reader.name().text), parse_block(reader, variables))


def parse_branch(reader: Reader, variables: Variables) -> Branch:
    """The rest of `if %c { ... } else { ... }`."""
    condition = unquote_name(reader.name().text)
    yes = parse_block(reader, variables)
    reader.expect("else")
    return Branch(condition, yes, parse_block(reader, variables))


STEPS: dict[str, Callable[[Reader, Variables], Step]] = {
    "call": parse_call,
    "repeat": parse_repeat,
    "while": parse_while,
    "if": parse_branch,
}


def parse_pairs(reader: Reader, word: str) -> tuple[tuple[str, str], ...]:
    """Lines `WORD %a = %b`."""
    pairs = []
    while reader.accept(word):
        left = reader.name()
        reader.expect("=")
        pairs.append((unquote_name(left.text), unquote_name(reader.name().text)))
    return tuple(pairs)
