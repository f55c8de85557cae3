"""The operators: everything about each one in one class, one file a family.

Importing this package fills the table of operators.
"""

from graphc.ops import (
    arithmetic,
    bitwise,
    comparison,
    cond,
    creation,
    error_function,
    exponential,
    fusion,
    hyperbolic,
    indexing,
    linear_algebra,
    logical,
    movement,
    powers,
    reduction,
    rounding,
    scan,
    select,
    slicing,
    structure,
    trigonometric,
    while_loop,
)

__all__ = [
    "arithmetic",
    "bitwise",
    "comparison",
    "cond",
    "creation",
    "error_function",
    "exponential",
    "fusion",
    "hyperbolic",
    "indexing",
    "linear_algebra",
    "logical",
    "movement",
    "powers",
    "reduction",
    "rounding",
    "scan",
    "select",
    "slicing",
    "structure",
    "trigonometric",
    "while_loop",
]
