"""collapse_loops: make one loop of nested loops that walk memory as one.

The iterations keep their order, so that this is as right for loops of a reduction.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import For, Kernel, Statement, loop, sizes, statements, substitute, variable
from graphc.ir.program import Program
from graphc.passes.on_kernels import on_kernels


def collapse_loops(program: Program) -> Program:
    """Drop loops of one iteration, and join loop pairs whose every offset advances evenly."""
    return on_kernels(program, collapse_kernel)


def collapse_kernel(kernel: Kernel) -> Kernel:
    """The kernel with the fewest loops over its results that still say the same."""
    return replace(kernel, body=collapse_body(kernel.body))


def collapse_body(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """A block with its loops collapsed, inner ones first."""
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, For):
            inner = replace(statement, body=collapse_body(statement.body))
            result.extend(collapse_loop(inner))
        else:
            result.append(statement)
    return tuple(result)


def collapse_loop(outer: For) -> tuple[Statement, ...]:
    """What a loop becomes: its body if it runs once, a joint loop if it can be, or itself."""
    if outer.limit == 1 and outer.kind == "parallel":
        return substitute(outer.body, {outer.variable.name: 0})
    if len(outer.body) == 1 and isinstance(outer.body[0], For):
        inner = outer.body[0]
        if inner.kind == outer.kind in ("parallel", "serial") and is_even(outer, inner):
            return (joined(outer, inner),)
    return (outer,)


def is_even(outer: For, inner: For) -> bool:
    """Whether one step of the outer loop moves each offset as a whole inner loop does."""
    return outer.variable not in dim.variables(inner.limit) and all(
        advances_evenly(offset, outer, inner)
        for statement in statements(inner.body)
        for offset in sizes(statement)
    )


def advances_evenly(offset: Size, outer: For, inner: For) -> bool:
    """Whether an offset is a function of outer * limit(inner) + inner."""
    step = dim.coefficient(offset, outer.variable.name)
    unit = dim.coefficient(offset, inner.variable.name)
    return step is not None and unit is not None and step == unit * inner.limit


def joined(outer: For, inner: For) -> For:
    """One loop over all iterations of two."""
    both = loop(outer.variable.name, outer.limit * inner.limit, outer.kind, ())
    where: dict[str, Size] = {outer.variable.name: 0, inner.variable.name: variable(both)}
    return replace(both, body=substitute(inner.body, where))
