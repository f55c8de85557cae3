"""What keys, updates and words of indices refuse, each with a message that says what would do."""

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx

x = gx.input("x", (2, 3), "float32")
n = gx.input("n", ("batch", 3), "float32")
k = gx.input("k", (2,), "int64")

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "mask": (lambda: x[x > 0], "where(mask, x, other) has that of x, compress"),
    "mask sizes": (lambda: x[[True, False, True]], "a mask of shape (3,) does not fit axes of"),
    "mask symbolic": (lambda: n[[True, False]], "does not fit axes of sizes (batch,)"),
    "floats": (lambda: x[x], "indices must be integers, not float32"),
    "known floats": (lambda: x[[0.5]], "indices must be integers, not float64: [0.5]"),
    "text": (lambda: x["rows"], "or an array of integers, not str"),
    "known index": (lambda: x[:, [0, 3]], "index 3 is out of range for axis 1, which has 3"),
    "known below": (lambda: x[:, [[-4]]], "index -4 is out of range for axis 1, which has 3"),
    "shapes": (lambda: x[k, [0, 1, 2]], "shapes (2,) and (3,) do not broadcast"),
    "too many": (lambda: x[k, k, k], "3 indices are too many for 2 axes"),
    "update shape": (
        lambda: x.at[k].set(np.ones((3, 3), "float32")),
        "shapes (3, 3) and (2, 3) do not broadcast",
    ),
    "update rank": (
        lambda: x.at[k].set(np.ones((1, 2, 3), "float32")),
        "at[...].set: values of shape (1, 2, 3) do not broadcast to (2, 3)",
    ),
    "update dtype": (
        lambda: k.at[0].add(0.5),
        "at[...].add: values of float64 do not fit into int64: convert them with astype",
    ),
    "update of bool": (lambda: (x > 0).at[k].add(True), "scatter: takes int or uint or float"),
    "take_along_axis": (
        lambda: gx.take_along_axis(x, gx.constant([[0, 1], [0, 1], [0, 1]]), 1),
        "shapes (2, 1) and (3, 1) do not broadcast",
    ),
    "put_along_axis": (
        lambda: gx.put_along_axis(x[:1], gx.constant([[0], [1]]), 1.0),
        "indices of shape (2, 1) do not broadcast to (1, 3) off axis 1",
    ),
    "put values": (
        lambda: gx.put_along_axis(x, gx.constant([[0], [1]]), np.ones(3)),
        "put_along_axis: values of shape (3,) do not broadcast to (2, 1)",
    ),
    "segment ids": (
        lambda: gx.segment_sum(x, [0, 1, 2], 3),
        "segment_sum: the ids must have the leading axes of the data",
    ),
    "segment floats": (
        lambda: gx.segment_max(x, [0.0, 1.0], 3),
        "segment_max: indices must be integers, these are float64",
    ),
    "segments": (lambda: gx.segment_min(x, k, -1), "segment_min: a size is an integer >= 0"),
    "window": (
        lambda: gx.dynamic_slice(x, (k[0], 0), (1, 4)),
        "a window of shape (1, 4) does not fit into (2, 3)",
    ),
    "window starts": (
        lambda: gx.dynamic_slice(x, (k[0],), (1, 1)),
        "needs one integer as a start for each of 2 axes",
    ),
    "window start": (
        lambda: gx.dynamic_slice(x, (k, k), (1, 1)),
        "needs one integer as a start for each of 2 axes",
    ),
    "window rank": (
        lambda: gx.dynamic_update_slice(x, np.ones(2, "float32"), (0, 0)),
        "the update f32[2] must have dtype and rank of f32[2, 3]",
    ),
    "nonzero": (lambda: gx.nonzero(gx.constant(1), size=1), "nonzero: needs an array with axes"),
    "nonzero size": (lambda: gx.flatnonzero(x, size=-1), "flatnonzero: a size is an integer >= 0"),
    "compress": (
        lambda: gx.compress([True] * 4, x, axis=1, size=2),
        "compress: the condition must be a vector no longer than axis 1 of x",
    ),
    "compress rank": (lambda: gx.compress(x > 0, x, axis=1, size=2), "must be a vector no longer"),
    "extract": (
        lambda: gx.extract([True], x, size=1),
        "extract: condition and x must have one shape",
    ),
    "ix_": (lambda: gx.ix_([[0]], [1]), "ix_: takes vectors"),
    "unravel": (lambda: gx.unravel_index(x, (2,)), "unravel_index: indices must be integers"),
    "ravel": (
        lambda: gx.ravel_multi_index((k,), (2, 3)),
        "ravel_multi_index: needs indices for each of 2 axes, not 1",
    ),
    "tril": (lambda: gx.tril_indices("n"), "tril_indices: sizes and diagonal are integers"),
    "diagonal": (lambda: gx.diag_indices(-1), "diag_indices: takes a size and a number of axes"),
    "diag": (lambda: gx.diag(gx.zeros((1, 1, 1))), "diag: takes a vector or a matrix"),
    "fill": (lambda: gx.fill_diagonal(k, 0), "fill_diagonal: takes a matrix, or more axes of one"),
    "fill dtype": (
        lambda: gx.fill_diagonal(gx.zeros((2, 2), "int8"), 0.5),
        "fill_diagonal: values of float64 do not fit into int8",
    ),
    "select": (lambda: gx.select([x > 0], []), "select: needs a choice for each condition"),
    "choose": (lambda: gx.choose(x, [x, x]), "choose: takes integers, not float32"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_message(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(gx.GraphError) as caught:
        build()
    said, _, line = str(caught.value).rpartition("\n  at ")
    assert message in said
    assert "test_indexing_errors.py" in line, "the user's line is missing"
