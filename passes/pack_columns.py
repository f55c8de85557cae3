"""Register tiles whose columns lie in a panel: those of a large matrix, in a local buffer.

A tile reads the same few columns of every row of a matrix. In a wide one these lie far apart, and
where its rows are a power of two long, in few sets of the cache. So the first tile of rows stores
the columns that it reads, while it multiplies by them, and all other tiles find them in a panel
that stays in the second cache. What is converted is converted once for all rows. Rows that come in
strips, as those of a transposed matrix do, share a panel likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import (
    Accumulate,
    For,
    Let,
    Local,
    Statement,
    Store,
    loop,
    substitute,
    variable,
)
from graphc.ir.program import Decision
from graphc.ir.scalar import Call, Load, Ref, Scalar
from graphc.passes.decisions import record
from graphc.passes.machine import SECOND_CACHE, Registers
from graphc.passes.panels import PANELS
from graphc.passes.register_tile import (
    lanes_of,
    tile,
    tile_count,
    tile_loop,
)
from graphc.passes.stage_rows import without_unread
from graphc.passes.tile_shape import (
    USUAL_VECTORS,
    Part,
    column_parts,
    most_rows,
    row_parts,
)

# Bytes of a panel that stays in the second cache while rows and results pass by.
PANEL = SECOND_CACHE // 2
# Smaller matrices stay in cache as they are, in bytes.
LARGE = SECOND_CACHE // 2
# A tile is as wide as this part of the registers, which leaves some six rows.
WIDTH = 8
# Tiles of rows that share a panel, at least: the first one stores it.
ENOUGH_TILES = 3


@dataclass(frozen=True, slots=True)
class Packing:
    """How a product's columns are packed.

    strips is the loop around the pair over strips of rows, if there is one that shares the panels.
    value is what the reduction's body multiplies by, where it stands; guard is 1 where sizes are
    such that a panel pays, else 0.
    """

    strips: For | None
    reduction: For
    value: Scalar
    rows: list[Part]
    columns: list[Part]
    depth: int
    guard: Size


def packing_of(
    nest: For, registers: Registers, tasks: int, strips: For | None = None
) -> Packing | None:
    """How the columns of a pair of loops are packed; None where that never pays.

    Panels have to make so many tasks, at least. strips is a loop around the pair, which has a strip
    of the rows in each iteration.
    """
    columns = nest.body[-1]
    assert isinstance(columns, For)
    reduction = next(s for s in columns.body if isinstance(s, For))
    if any(dim.variables(each.limit) for each in (nest, columns, reduction)):
        return None
    over_rows = {each.variable.name for each in (nest, strips) if each is not None}
    value = column_value(reduction, over_rows, columns.variable.name)
    if value is None:
        return None
    lanes, size = lanes_of(columns, registers), value.dtype.bytes
    panel = reduction.limit * lanes * size
    rows, vectors = panel_shape(nest.limit, columns.limit, panel, registers)
    parts = panel_parts(columns.limit, vectors, lanes)
    most = PANEL // (vectors * lanes * size)
    guard = many_tiles(nest.limit, rows, strips) * at_most(reduction.limit, most)
    large = reduction.limit * columns.limit * size
    small = isinstance(large, int) and large < LARGE and isinstance(value, Load | Ref)
    if guard == 0 or small or tile_count(parts) < tasks:
        return None
    depth = reduction.limit if isinstance(reduction.limit, int) else most
    return Packing(strips, reduction, value, rows, parts, depth, guard)


def panel_shape(
    rows: Size, columns: Size, panel: Size, registers: Registers
) -> tuple[list[Part], int]:
    """The tiles of rows, and how many vectors wide they are; narrower where sizes are symbolic.

    panel is the bytes of a panel that is one vector wide. A symbolic number of rows has tiles of
    one height, the last of which begins early enough to be whole: what two tiles compute is the
    same.
    """
    vectors = USUAL_VECTORS
    if isinstance(rows, int) and isinstance(columns, int) and isinstance(panel, int):
        vectors = max(vectors, min(registers.count // WIDTH, PANEL // max(1, panel)))
    height = most_rows(vectors, registers.count)
    if isinstance(rows, int):
        return row_parts(rows, height), vectors
    return [Part(0, (rows + height - 1) // height, height, rows)], vectors


def panel_parts(columns: Size, vectors: int, lanes: int) -> list[Part]:
    """The columns in tiles; what is left of a symbolic number of them in tiles of one vector."""
    if isinstance(columns, int):
        return column_parts(columns, vectors, lanes)
    width = vectors * lanes
    left = dim.remainder(columns, width)
    return [
        Part(0, dim.floor_divide(columns, width), width),
        Part(columns - left, (left + lanes - 1) // lanes, lanes, columns),
    ]


def many_tiles(rows: Size, parts: list[Part], strips: For | None = None) -> Size:
    """1 where rows, of all strips together, make enough tiles to share a panel, else 0."""
    if isinstance(rows, int):
        count = 1 if strips is None else strips.limit
        assert isinstance(count, int)
        return int(tile_count(parts) * count >= ENOUGH_TILES)
    return dim.minimum(1, dim.floor_divide(rows, parts[0].width * (ENOUGH_TILES - 1)))


def at_most(size: Size, most: int) -> Size:
    """1 where a size is no more than so many, else 0."""
    if isinstance(size, int):
        return int(size <= most)
    return 1 - dim.minimum(1, dim.floor_divide(size, most + 1))


def column_value(reduction: For, rows: set[str], column: str) -> Scalar | None:
    """What a sum of products takes from columns, if that lies apart in memory and can be packed."""
    *lets, last = reduction.body
    if not isinstance(last, Accumulate) or not all(isinstance(s, Let) for s in lets):
        return None
    if not isinstance(last.value, Call) or last.value.function != "multiply":
        return None
    formulas = {s.name: s.value for s in lets if isinstance(s, Let)}
    mine = [v for v in last.value.arguments if column in indices(v, formulas)]
    if len(mine) != 1 or rows & indices(mine[0], formulas):
        return None
    found = [part for part in parts_of(mine[0], formulas) if isinstance(part, Load)]
    if len(found) != 1 or found[0].guard is not None:
        return None
    step = dim.coefficient(found[0].offset, reduction.variable.name)
    in_panels = isinstance(step, int) and step <= PANELS[0]
    beside = dim.coefficient(found[0].offset, column) == 1
    return mine[0] if beside and step is not None and not in_panels else None


def parts_of(value: Scalar, formulas: Mapping[str, Scalar]) -> list[Scalar]:
    """The parts of a formula, with those of the values in a block that it names."""
    pending, found = [value], dict[Scalar, None]()
    while pending:
        for part in scalar.walk([pending.pop()]):
            if part not in found and isinstance(part, Ref) and part.name in formulas:
                pending.append(formulas[part.name])
            found[part] = None
    return list(found)


def indices(value: Scalar, formulas: Mapping[str, Scalar]) -> set[str]:
    """The names that the offsets and indices of a formula depend on."""
    sizes = [
        part.offset if isinstance(part, Load) else part.value
        for part in parts_of(value, formulas)
        if isinstance(part, Load | scalar.Index)
    ]
    return {symbol.name for size in sizes for symbol in dim.symbols(size)}


def in_panels(nest: For, packing: Packing, kind: str, kernel: str) -> tuple[Statement, ...]:
    """All rows of a panel of columns before the next one."""
    record(Decision(
        "tile_loops", "panels", kernel, "a panel of columns stays in cache while all rows pass by",
        (("columns of a panel", str(packing.columns[0].width)), ("where", str(packing.guard))),
    ))  # fmt: skip
    columns = nest.body[-1]
    assert isinstance(columns, For)
    name = columns.variable.name
    result: list[Statement] = []
    for part in packing.columns:
        panel = Local(
            f"panel_{name.removeprefix('%')}", packing.value.dtype, packing.depth * part.width
        )
        offset = variable(packing.reduction) * part.width + variable(columns) - part.first(name)
        storing = with_sum(nest, stored(packing, panel.name, offset))
        loading = with_sum(nest, loaded(packing, panel.name, offset))
        body = (panel, first_tile(storing, packing, part), *other_tiles(loading, packing, part))
        result.append(loop(f"{name}o", part.tiles, kind, body))
    return tuple(result)


def first_tile(nest: For, packing: Packing, part: Part) -> Statement:
    """The tile that stores a panel; in the first of several strips the last one of its height."""
    rows = packing.rows[0]
    if packing.strips is None:
        return tile(nest, 0, rows.width, part)
    block = tile(nest, (rows.tiles - 1) * rows.width, rows.width, part)
    (first,) = substitute((block,), {packing.strips.variable.name: 0})
    return first


def other_tiles(nest: For, packing: Packing, part: Part) -> tuple[Statement, ...]:
    """The tiles of rows but the one that stores their panel; each strip but the first has all."""
    first, *others = packing.rows
    strips = packing.strips
    if strips is None:
        rest = replace(first, start=first.start + first.width, tiles=first.tiles - 1)
    else:
        rest = replace(first, tiles=first.tiles - 1 + dim.minimum(1, variable(strips)))
    row = nest.variable.name
    body: list[Statement] = []
    for rows in (rest, *others):
        if rows.tiles != 0:
            block = tile(nest, first_row(rows, row), rows.width, part)
            body.extend(tile_loop(f"{row}o", rows, "serial", (block,)))
    return tuple(body) if strips is None else (replace(strips, kind="serial", body=tuple(body)),)


def first_row(rows: Part, row: str) -> Size:
    """The first row of a tile; one that would be partial begins earlier."""
    first = rows.first(row)
    return first if rows.limit is None else dim.minimum(first, rows.limit - rows.width)


def with_sum(nest: For, reduction: For) -> For:
    """The pair of loops with another loop of its sum."""
    columns = nest.body[-1]
    assert isinstance(columns, For)
    body = tuple(reduction if isinstance(s, For) else s for s in columns.body)
    return replace(nest, body=(*nest.body[:-1], replace(columns, body=body)))


def stored(packing: Packing, panel: str, offset: Size) -> For:
    """The loop of a sum that stores the columns that it reads."""
    store = Store(panel, offset, packing.value)
    return replace(packing.reduction, body=(*packing.reduction.body, store))


def loaded(packing: Packing, panel: str, offset: Size) -> For:
    """The loop of a sum with its columns from a panel."""
    load = Load(packing.value.dtype, panel, offset, None)
    *lets, last = packing.reduction.body
    assert isinstance(last, Accumulate)
    assert isinstance(last.value, Call)
    arguments = tuple(load if v is packing.value else v for v in last.value.arguments)
    product = replace(last, value=Call(last.value.dtype, last.value.function, arguments))
    return replace(packing.reduction, body=without_unread([*lets, product]))
