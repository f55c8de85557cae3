"""The operators: everything about each one in one class, one file a family.

Importing this package fills the table of operators.
"""

from graphc.ops import (
    arithmetic,
    bitwise,
    comparison,
    convolution,
    creation,
    error_function,
    exponential,
    fusion,
    hyperbolic,
    indexing,
    linear_algebra,
    logical,
    movement,
    pooling,
    powers,
    reduction,
    rounding,
    select,
    slicing,
    structure,
    trigonometric,
)

__all__ = [
    "arithmetic",
    "bitwise",
    "comparison",
    "convolution",
    "creation",
    "error_function",
    "exponential",
    "fusion",
    "hyperbolic",
    "indexing",
    "linear_algebra",
    "logical",
    "movement",
    "pooling",
    "powers",
    "reduction",
    "rounding",
    "select",
    "slicing",
    "structure",
    "trigonometric",
]
