"""For every operator, sample operands: shapes, attributes, dtypes, where it is smooth, how exact.

`SAMPLES` is the table that `test_every_op.py` walks. A new operator needs a row here: without one
the tests fail.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sample import KINDS, Row, Sample
from samples_cumulative import CUMULATIVE
from samples_elementwise import CAST, ELEMENTWISE, POLYGAMMA, WHERE
from samples_indexing import DYNAMIC_SLICE, DYNAMIC_UPDATE_SLICE, GATHER, SCATTER
from samples_matrices import MATRICES
from samples_movement import BARRIER, CREATION, MOVEMENT, STAGE
from samples_reduction import REDUCTIONS
from samples_sorting import SORTING
from samples_tiles import ADD_TILES, TRANSFORM_TILES
from samples_windows import CONVOLUTION, POOLING

import graphc as gx
from graphc.ir.node import Node, apply
from graphc.ir.op import OPS
from graphc.ir.types import DTYPES, DType

SAMPLES: dict[str, Row] = {
    **ELEMENTWISE,
    **MOVEMENT,
    **REDUCTIONS,
    **CREATION,
    **CUMULATIVE,
    **POOLING,
    **SORTING,
    "convolution": CONVOLUTION,
    "where": WHERE,
    "cast": CAST,
    "polygamma": POLYGAMMA,
    "gather": GATHER,
    "scatter": SCATTER,
    "dynamic_slice": DYNAMIC_SLICE,
    "dynamic_update_slice": DYNAMIC_UPDATE_SLICE,
    "barrier": BARRIER,
    "stage": STAGE,
    "transform_tiles": TRANSFORM_TILES,
    "add_tiles": ADD_TILES,
}

STRUCTURE: dict[str, Callable[[DType], Node]] = {
    "input": lambda dtype: gx.input("x", (2, 3), dtype),
    "variable": lambda dtype: gx.variable(np.zeros((2, 3), dtype.numpy), name="v"),
    "constant": lambda dtype: gx.constant(np.ones((2, 3)), dtype),
}
"""Operators whose value comes from outside."""

MADE_BY_PASSES = {"fusion", "item"}
"""Operators that only `fuse` makes: tests/passes and test_random_graphs.py run them."""

HOLD_GRAPHS = {"cond", "scan", "while_gradient", "while_loop"}
"""Operators over graphs of the user's: test_scan.py and its kin run them."""

ROWS = {**SAMPLES, **MATRICES}
"""Those too whose values leave signs and bases open: test_matrices.py and test_linalg.py."""

WITH_RULES = {"custom_gradient"}
"""Operators whose derivatives the user gives: test_custom_gradient.py."""


def accepted(name: str) -> list[DType]:
    """The dtypes that an operator takes, as its row says; real ones last, the widest at the end."""
    row = ROWS[name]
    found = [d for d in DTYPES if d.kind in KINDS[row.accepts] and d.name not in row.without]
    return sorted(found, key=lambda dtype: not dtype.is_complex)


def attrs_for(row: Row, sample: Sample, dtype: DType) -> dict[str, Any]:
    """The attributes of a sample; an operator without operands has the dtype among them."""
    return dict(sample.attrs) if sample.shapes else {**sample.attrs, "dtype": dtype}


def node_of(name: str, sample: Sample, dtype: DType, prefix: str = "x") -> tuple[list[Node], Node]:
    """Inputs for a sample, and the operator applied to them."""
    types = enumerate(sample.types(dtype))
    inputs = [gx.input(f"{prefix}{place}", t.shape, t.dtype) for place, t in types]
    return inputs, apply(name, *inputs, **attrs_for(ROWS[name], sample, dtype))


def infer(name: str, sample: Sample, dtype: DType) -> Any:
    """What the type rule makes of a sample."""
    return OPS[name].infer(*sample.types(dtype), **attrs_for(ROWS[name], sample, dtype))


def each_operator(*, floats: bool = False) -> Iterator[tuple[str, DType]]:
    """Every operator of the table with every dtype it takes, or with every float one."""
    for name in SAMPLES:
        for dtype in accepted(name):
            if dtype.is_float or not floats:
                yield name, dtype
