"""The operators: everything about each one in one class, one file a family.

Importing this package fills the table of operators.
"""

from graphc.ops import (
    arithmetic,
    barrier,
    bitwise,
    comparison,
    creation,
    custom_gradient,
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
    select,
    slicing,
    structure,
    trigonometric,
)

__all__ = [
    "arithmetic",
    "barrier",
    "bitwise",
    "comparison",
    "creation",
    "custom_gradient",
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
    "select",
    "slicing",
    "structure",
    "trigonometric",
]
