"""The text form of a kernel (its grammar stands in `graphc.ir.kernel`) and of formulas.

A formula is written as calls: `add(%t0, load %x[784*%i0 + %i1])`. The other forms:

    1.0: f32                  a constant
    index(2*%i0 + 1)          a polynomial as an int64 value
    load %x[%i0] if GUARD     zero where the guard is false
    cast(f32, VALUE)          also bitcast
    reduce(sum, %k0 < 784, VALUE)
    #0 = exp(%t0), #0         the first use of a value that the line uses again, and another use
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from graphc.ir import scalar
from graphc.ir.dim import Dim, Symbol
from graphc.ir.kernel import (
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
from graphc.ir.lexer import quote_name
from graphc.ir.scalar import Call, Const, Index, Load, Number, Reduce, Ref, Scalar


def print_kernel(kernel: Kernel) -> str:
    """The text of a kernel."""
    buffers = ", ".join(map(print_buffer, kernel.buffers))
    header = f"kernel {quote_name('@', kernel.name)}({buffers}) {{"
    origin = [f"  from {json.dumps(line)}" for line in kernel.origin]
    return "\n".join([header, *origin, *print_body(kernel.body, "  "), "}"]) + "\n"


def print_buffer(buffer: Buffer) -> str:
    """A parameter: `write %y: f32[784*batch]`."""
    write = "write past " if buffer.past_cache else "write " if buffer.written else ""
    return f"{write}{quote_name('%', buffer.name)}: {buffer.dtype}[{buffer.size}]"


def print_body(body: tuple[Statement, ...], indent: str) -> Iterator[str]:
    """The lines of a block."""
    for statement in body:
        if isinstance(statement, For):
            lanes = f" lanes {statement.lanes}" if statement.lanes != 1 else ""
            head = f"for {statement.kind} {statement.variable} < {statement.limit}{lanes}"
            yield f"{indent}{head} {{"
            yield from print_body(statement.body, indent + "  ")
            yield f"{indent}}}"
        else:
            yield indent + print_statement(statement)


def print_statement(
    statement: Let | Accumulator | Accumulate | Store | Local | Barrier,
) -> str:
    """The line of a statement that holds no others."""
    if isinstance(statement, Store):
        target = f"{quote_name('%', statement.buffer)}[{statement.offset}]"
        guard = "" if statement.guard is None else f" if {print_scalar(statement.guard)}"
        return f"store {target}{guard} = {print_scalar(statement.value)}"
    if isinstance(statement, Barrier):
        pending = f" pending {statement.pending}" if statement.pending else ""
        running = f" running {statement.running}" if statement.running else ""
        return f"barrier{pending}{running}"
    name = quote_name("%", statement.name)
    if isinstance(statement, Local):
        return f"local {name}: {statement.dtype}[{statement.size}]"
    if isinstance(statement, Let):
        return f"let {name}: {statement.value.dtype} = {print_scalar(statement.value)}"
    if isinstance(statement, Accumulator):
        return f"accumulator {name}: {statement.dtype} = {statement.kind}"
    position = f" at {statement.position}" if statement.position != 0 else ""
    return f"accumulate {name} {print_scalar(statement.value)}{position}"


def print_scalar(value: Scalar) -> str:
    """A formula; its length is linear in the number of different parts."""
    shared = shared_calls(value)
    labels: dict[Scalar, str] = {}
    text: list[str] = []
    stack: list[Scalar | str] = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, str):
            text.append(part)
        elif part in labels:
            text.append(labels[part])
        else:
            if part in shared:
                labels[part] = f"#{len(labels)}"
                text.append(f"{labels[part]} = ")
            stack.extend(reversed(pieces(part)))
    return "".join(text)


def shared_calls(value: Scalar) -> set[Scalar]:
    """The parts with parts of their own that stand in more than one place."""
    once: set[Scalar] = set()
    shared: set[Scalar] = set()
    for part in scalar.walk([value]):
        for child in scalar.children(part):
            if scalar.children(child):
                (shared if child in once else once).add(child)
    return shared


def pieces(value: Scalar) -> list[Scalar | str]:
    """The words of a formula, with the formulas directly inside it left as they are."""
    if isinstance(value, Const):
        return [f"{print_number(value.value)}: {value.dtype}"]
    if isinstance(value, Index):
        return [f"index({value.value})"]
    if isinstance(value, Ref):
        return [quote_name("%", value.name)]
    if isinstance(value, Load):
        load = f"load {quote_name('%', value.buffer)}[{value.offset}]"
        return [load] if value.guard is None else [f"{load} if ", value.guard]
    if isinstance(value, Reduce):
        ranges = "".join(f", {limited(variable)}" for variable in value.ranges)
        return [f"reduce({value.kind}{ranges}, ", value.body, ")"]
    assert isinstance(value, Call)
    first = f"{value.dtype}, " if scalar.FUNCTIONS.get(value.function) == scalar.GIVEN else ""
    return [f"{value.function}({first}", *separated(value.arguments), ")"]


def print_number(value: Number) -> str:
    """A number of any kind; str(value) leaves the sign of a NaN out."""
    if isinstance(value, float) and math.isnan(value):
        return "-nan" if math.copysign(1, value) < 0 else "nan"
    return str(value).lower()


def limited(variable: Dim) -> str:
    """A loop variable of a reduction and its limit."""
    ((symbol,), _) = variable.terms[0]
    assert isinstance(symbol, Symbol)
    return f"{symbol} < {symbol.limit}"


def separated(values: tuple[Scalar, ...]) -> list[Scalar | str]:
    """Values with commas between them."""
    return [piece for value in values for piece in (", ", value)][1:]
