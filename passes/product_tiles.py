"""Products of matrices in register tiles: which form suits how many rows.

Columns of a large matrix go into panels where many rows share them. A single row reads a matrix
forward. All else is tiles of what lies in memory. Where the number of rows is symbolic a kernel has
several of these forms, and loops of those that do not suit a call run no iteration.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import For, Kernel, Statement, loop, substitute, variable
from graphc.passes.machine import Registers
from graphc.passes.pack_columns import in_panels, packing_of
from graphc.passes.register_tile import ENOUGH_TASKS, is_tileable, register_tile
from graphc.passes.stream_rows import is_small, is_streamable, stream_rows


def tiles(
    nest: For, registers: Registers, kernel: Kernel, threads: bool = True
) -> tuple[Statement, ...]:
    """The loops over rows and columns of products, on threads or not, in a kernel."""
    kind = "parallel" if threads else "serial"
    forms: list[tuple[Size, tuple[Statement, ...]]] = []
    packing = packing_of(nest, registers, ENOUGH_TASKS if threads else 1)
    if packing is not None:
        forms.append((packing.guard, in_panels(nest, packing, kind, kernel.name)))
    row = single_row(nest)
    if row is not None:
        forms.append((is_one(nest.limit), (stream_rows(row, kind, kernel),)))
    left: Size = 1
    for guard, _ in forms:
        left = left - guard
    if left != 0:
        forms.append((left, register_tile(nest, registers, kernel.name, threads)))
    return tuple(statement for guard, body in forms for statement in guarded(body, guard))


def strips_of_tiles(
    nest: For, registers: Registers, kernel: Kernel, threads: bool = True
) -> tuple[Statement, ...]:
    """Strips of rows around the loops of a product, in panels that all of them share.

    Nothing where the loop is not one over strips, or where no panel pays.
    """
    pair = nest.body[0] if len(nest.body) == 1 else None
    if not isinstance(pair, For) or pair.kind != "parallel" or not is_tileable(pair):
        return ()
    if not (isinstance(nest.limit, int) and nest.limit > 1 and isinstance(pair.limit, int)):
        return ()
    packing = packing_of(pair, registers, ENOUGH_TASKS if threads else 1, nest)
    if packing is None or packing.guard != 1:
        return ()
    return in_panels(pair, packing, "parallel" if threads else "serial", kernel.name)


def single_row(nest: For) -> For | None:
    """The loop over columns of the first row, where there may be no more and it can be streamed."""
    if isinstance(nest.limit, int) or dim.variables(nest.limit) or len(nest.body) != 1:
        return None
    (columns,) = substitute(nest.body, {nest.variable.name: 0})
    assert isinstance(columns, For)
    return columns if is_streamable(columns) and not is_small(columns) else None


def is_one(size: Size) -> Size:
    """1 where a size is 1, else 0."""
    return dim.minimum(1, size) - dim.minimum(1, dim.floor_divide(size, 2))


def guarded(body: tuple[Statement, ...], guard: Size) -> tuple[Statement, ...]:
    """Statements that run where the guard is 1: loops else have no iteration."""
    if guard == 1:
        return body
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, For) and statement.kind in ("serial", "parallel"):
            name = statement.variable.name
            outer = loop(name, statement.limit * guard, statement.kind, ())
            inside = substitute(statement.body, {name: variable(outer)})
            result.append(replace(outer, body=inside))
        else:
            result.append(loop("guard", guard, "serial", (statement,)))
    return tuple(result)
