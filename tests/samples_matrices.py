"""Rows of the operators on matrices, for their type rules; their values are in matrix_cases.py."""

from sample import B, N, Row, Sample

from graphc.ir.types import int32, int64

SHORT_FLOATS = ("float16", "bfloat16")
TRIANGLE = {"lower": True, "transpose": False, "unit_diagonal": False}
ORDERS = {1: int64, 2: int64}


def row_of_one(*, square: bool, **attrs: bool) -> Row:
    """The row of an operator on one matrix."""
    refused = [(), (5,), *([(2, 3)] if square else [])]
    return Row(
        "float",
        (Sample(((3, 3),), attrs), Sample(((B, N, N),), attrs)),
        refused=tuple(Sample((shape,), attrs) for shape in refused),
        without=SHORT_FLOATS,
    )


MATRICES: dict[str, Row] = {
    "cholesky": row_of_one(square=True),
    "eigh": row_of_one(square=True),
    "lu": row_of_one(square=False),
    "qr": row_of_one(square=False, complete=False),
    "svd": row_of_one(square=False, full_matrices=True),
    "triangular_solve": Row(
        "float",
        (Sample(((3, 3), (3, 2)), TRIANGLE),),
        refused=(
            Sample(((3, 2), (3, 2)), TRIANGLE),
            Sample(((3, 3), (4, 1)), TRIANGLE),
            Sample(((2, 3, 3), (3, 1)), TRIANGLE),
            Sample(((3, 3), (3,)), TRIANGLE),
            Sample(((3, 3), (3, 2)), TRIANGLE, {1: int64}),
        ),
        without=SHORT_FLOATS,
    ),
    "permute_rows": Row(
        "any",
        (Sample(((3, 2), (3,), (3,)), {}, ORDERS),),
        refused=(
            Sample(((3,), (3,), (3,)), {}, ORDERS),
            Sample(((2, 3), (3,), (2,)), {}, ORDERS),
            Sample(((2, 3, 4), (2, 3), (2, 4)), {}, ORDERS),
            Sample(((3, 2), (3,), (3,)), {}, {1: int64, 2: int32}),
        ),
    ),
}
