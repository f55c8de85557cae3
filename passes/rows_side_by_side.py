"""Rows side by side: two rows of elementwise work that load the same vectors once for both.

    for parallel %i < n {                      for parallel %i < n/2 {
      for parallel %k < columns {                for vector %k < columns {
        ... load %x[columns*%i + %k]               for unrolled %r < 2 {
        ... load %scale[%k]                          ... load %x[2*columns*%i + columns*%r + %k]
      }                                              ... load %scale[%k]
    }                                              }
                                                 }
                                               }

Where rows are scaled and shifted, as by a norm, most loads are of what all rows share. More rows
would save less and less. Long rows that come from memory stay one by one: a processor reads ahead
along a page, and worse along two.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir import dim
from graphc.ir.kernel import For, Let, Store, accesses, loads, loop, substitute, variable
from graphc.ir.program import Decision
from graphc.ir.scalar import Load
from graphc.passes.decisions import record
from graphc.passes.machine import TYPICAL

ROWS = 2
FEWEST_SHARED = 2
"""Vectors that rows share from which on it pays to load them once for two."""
SHORT_ROW = 512
"""Bytes of a row two of which are read like one, since they lie in a page."""
NEAR = TYPICAL.caches[-1] // 16
"""Bytes of rows that surely come from a cache, in whatever order they are read."""


def shares_vectors(nest: For) -> bool:
    """Whether a loop over rows holds elementwise work, much of whose operands all rows share."""
    if len(nest.body) != 1 or not isinstance(nest.limit, int) or nest.limit % ROWS:
        return False
    (columns,) = nest.body
    if not isinstance(columns, For) or columns.kind != "parallel":
        return False
    if not all(isinstance(s, Let | Store) for s in columns.body):
        return False
    row, column = nest.variable, columns.variable
    if not isinstance(columns.limit, int) or not is_near(columns, nest.limit):
        return False
    if not all(is_forward(access, column.name) for access in accesses(columns.body)):
        return False
    shared = {
        (load.buffer, load.offset)
        for load in loads(columns.body)
        if row not in dim.variables(load.offset) and dim.coefficient(load.offset, column.name) == 1
    }
    return len(shared) >= FEWEST_SHARED


def is_forward(access: Load | Store, column: str) -> bool:
    """Whether vectors of an access lie as they are in memory, and nothing asks whether it is."""
    if isinstance(access, Load) and access.guard is not None:
        return False
    return dim.coefficient(access.offset, column) in (0, 1)


def is_near(columns: For, rows: int) -> bool:
    """Whether two rows lie in a page, or all of them in cache."""
    assert isinstance(columns.limit, int)
    width = max((load.dtype.bytes for load in loads(columns.body)), default=1)
    length = columns.limit * width
    return length <= SHORT_ROW or length * rows <= NEAR


def rows_side_by_side(nest: For, kind: str, lanes: int, name: str) -> For:
    """The rows two at a time, as the given kind, around vectors along them."""
    (columns,) = nest.body
    assert isinstance(columns, For)
    assert isinstance(nest.limit, int)
    record(Decision(
        "tile_loops", f"{ROWS} rows side by side", name,
        "a vector that rows share is loaded once for all of them",
    ))  # fmt: skip
    index = nest.variable.name
    outer = loop(f"{index}o", nest.limit // ROWS, kind, ())
    inner = loop(f"{index}i", ROWS, "unrolled", ())
    at = {index: variable(outer) * ROWS + variable(inner)}
    body = replace(inner, body=substitute(columns.body, at))
    vector = replace(columns, kind="vector", lanes=lanes, body=(body,))
    return replace(outer, body=(vector,))
