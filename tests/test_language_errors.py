"""What the language refuses, and the message it says so with."""

from collections.abc import Callable
from typing import Any

import pytest

import graphc as gx

x = gx.input("x", (2, 3), "float32")
y = gx.input("y", (4, 3), "float32")
n = gx.input("n", ("batch", 3), "float32")
labels = gx.input("labels", (2,), "int64")

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    # diagonals and shifts
    "roll": (lambda: gx.roll(x, 1.5), "roll: shift must be an integer or a size, not 1.5"),
    "eye": (lambda: gx.eye(3, k=1.5), "eye: a diagonal is named by an integer, not 1.5"),
    "tri": (lambda: gx.tri(3, k=None), "tri: a diagonal is named by an integer, not None"),
    "tril": (lambda: gx.tril(x, k=0.5), "tril: a diagonal is named by an integer, not 0.5"),
    "triu": (lambda: gx.triu(x, k="1"), "triu: a diagonal is named by an integer, not '1'"),
    "diag": (lambda: gx.diag(labels, "a"), "diag: a diagonal is named by an integer, not 'a'"),
    "trace": (lambda: gx.trace(x, offset=1.5), "diagonal is named by an integer, not 1.5"),
    # creation
    "symbolic name": (
        lambda: gx.input("a", ("batch size", 3), "float32"),
        "input: 'batch size' is no size: write a name that begins with a letter, or names and "
        "integers with + - * // %",
    ),
    "hidden name": (lambda: gx.input("a", ("_n",), "float32"), "'_n' is no size"),
    "negative size": (
        lambda: gx.input("a", (-1, 3), "float32"),
        "input: a size is an integer >= 0 or a name, not -1",
    ),
    "bool size": (lambda: gx.zeros((True,)), "a size is an integer >= 0 or a name, not True"),
    "input name": (lambda: gx.input("a-b", (), "float32"), "input: the name 'a-b' must be a name"),
    "dtype": (
        lambda: gx.input("a", (), "float31"),
        "'float31' is not a dtype; the dtypes are bool",
    ),
    "variable name": (
        lambda: gx.variable(1.0, "2"),
        "variable: the name (or its part) '2' must be",
    ),
    "variable of node": (lambda: gx.variable(x), "variable: the first value must be an array"),
    "constant": (lambda: gx.constant("word"), "'word' cannot be a constant"),
    "full": (lambda: gx.full((2,), x), "full: the fill value must have no axes, this is f32[2, 3]"),
    "arange step": (
        lambda: gx.arange(1, 5, 0),
        "arange: the step must be a number other than 0, not 0",
    ),
    "arange symbolic": (lambda: gx.arange(0.5, n.shape[0]), "every number must be an integer"),
    "linspace": (
        lambda: gx.linspace(0, 1, -1),
        "linspace: a size is an integer >= 0 or a name, not -1",
    ),
    # movement
    "reshape": (
        lambda: gx.reshape(x, (4, 2)),
        "reshape: shape (2, 3) has 6 elements and cannot become (4, 2), which has 8",
    ),
    "reshape symbolic": (
        lambda: gx.reshape(n, (2, 3)),
        "shape (batch, 3) has 3*batch elements and cannot become (2, 3), which has 6",
    ),
    "reshape -1": (
        lambda: gx.reshape(x, (4, -1)),
        "no size in place of -1 gives the 6 elements of shape (2, 3): the other sizes (4,) hold 4",
    ),
    "reshape -1 symbolic": (
        lambda: gx.reshape(gx.zeros("6*n + 3"), (2, -1)),
        "gives the 6*n + 3 elements",
    ),
    "reshape -1 empty": (lambda: gx.reshape(gx.zeros((0, 2)), (0, -1)), "hold 0"),
    "reshape two": (lambda: gx.reshape(x, (-1, -1)), "only one size can be -1, not 2"),
    "permute": (
        lambda: gx.permute_dims(x, (0, 0)),
        "axes (0, 0) must name each of the 2 axes once",
    ),
    "permute range": (lambda: gx.permute_dims(x, (0, 2)), "axis 2 is out of range for 2 axes"),
    "transpose": (lambda: gx.matrix_transpose(labels), "needs at least two axes, this is i64[2]"),
    "moveaxis": (lambda: gx.moveaxis(x, (0, 1), 0), "must be as many distinct axes"),
    "expand": (lambda: gx.expand_dims(x, 4), "expand_dims: axis 4 is out of range for 3 axes"),
    "squeeze": (lambda: gx.squeeze(x, 1), "squeeze: axis 1 of f32[2, 3] has size 3, not 1"),
    "broadcast_to": (
        lambda: gx.broadcast_to(x, (2, 4)),
        "shapes (2, 3) and (2, 4) do not broadcast",
    ),
    "broadcast_to fewer": (
        lambda: gx.broadcast_to(x, (3,)),
        "broadcast_to: shape (2, 3) does not broadcast to (3,)",
    ),
    "broadcast_to back": (lambda: gx.broadcast_to(x, (1, 3)), "does not broadcast to (1, 3)"),
    "broadcast": (lambda: x + y, "shapes (2, 3) and (4, 3) do not broadcast: axis -2 is 2 in one"),
    "flip": (lambda: gx.flip(x, (0, -2)), "flip: axis (0, -2) names an axis twice"),
    "concat": (
        lambda: gx.concat([x, y], 1),
        "concat: shapes (2, 3) and (4, 3) must agree in every axis but 1",
    ),
    "concat rank": (lambda: gx.concat([x, labels]), "shapes (2, 3) and (2,) must agree"),
    "concat none": (lambda: gx.concat([]), "concat: needs at least one array"),
    "stack": (lambda: gx.stack([x, y]), "stack: shapes must be equal, not (2, 3) and (4, 3)"),
    "pad": (lambda: gx.pad(x, (-1, 2)), "pad: widths are pairs of integers >= 0, not [-1, 2]"),
    "pad pairs": (lambda: gx.pad(x, ((1, 2),)), "needs a pair of widths for each of 2 axes, not 1"),
    # indexing
    "index": (lambda: x[2], "index 2 is out of range for axis 0, which has 2"),
    "index below": (lambda: x[:, -4], "index -4 is out of range for axis 1, which has 3"),
    "indices": (lambda: x[0, 0, 0], "3 indices are too many for 2 axes"),
    "dots": (lambda: x[..., ...], "an index can have only one ..."),
    "index bool": (lambda: x[True], "or an array of integers, not bool"),
    "step": (lambda: x[::0], "the step of a slice is an integer other than 0, not 0"),
    "bound": (lambda: x[1.5:], "a bound of a slice is an integer, a size or None, not 1.5"),
    "take": (
        lambda: gx.take_along_axis(x, labels),
        "take_along_axis: indices have 1 axes and x has 2: they must be equally many",
    ),
    "take dtype": (
        lambda: gx.take_along_axis(x, x),
        "take_along_axis: indices must be integers, these are float32",
    ),
    "take axis": (lambda: gx.take_along_axis(x, labels, 2), "axis 2 is out of range for 2 axes"),
    "one_hot": (lambda: gx.one_hot(x, 3), "one_hot: indices must be integers, these are float32"),
    # reduction
    "axis": (lambda: gx.sum(x, axis=2), "sum: axis 2 is out of range for 2 axes"),
    "axis type": (lambda: gx.sum(x, axis=1.0), "sum: axis must be an integer, not 1.0"),
    "axis twice": (lambda: x.sum(axis=(0, -2)), "sum: axis (0, -2) names an axis twice"),
    "empty max": (lambda: gx.max(gx.zeros((0, 3)), axis=0), "axis 0 of f64[0, 3] is empty"),
    "empty argmax": (lambda: gx.argmax(gx.zeros((3, 0)), axis=1), "axis 1 of f64[3, 0] is empty"),
    "max of bool": (lambda: gx.max(x > 0), "takes int or uint or float, not bool: use any or all"),
    # products
    "matmul": (
        lambda: x @ y,
        "matmul: shapes (2, 3) and (4, 3) do not multiply: 3 columns on the left, "
        "4 rows on the right",
    ),
    "matmul batch": (
        lambda: gx.zeros((2, 3, 4)) @ gx.zeros((5, 4, 3)),
        "shapes (2,) and (5,) do not broadcast",
    ),
    "matmul scalar": (lambda: gx.matmul(x, 2), "matmul: operands must have axes"),
    "matmul bool": (lambda: (x > 0) @ (x > 0).T, "takes int or uint or float or complex, not bool"),
    "tensordot": (
        lambda: gx.tensordot(x, y, ([0], [0])),
        "tensordot: axes [0] of (2, 3) and [0] of (4, 3) differ in size",
    ),
    # losses
    "labels": (
        lambda: gx.softmax_cross_entropy(y, labels),
        "labels of shape (2,) do not fit logits of shape (4, 3): they must be (...) and "
        "(..., classes)",
    ),
    "labels dtype": (lambda: gx.softmax_cross_entropy(x, x), "labels must be integers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_message(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(gx.GraphError) as caught:
        build()
    said, _, line = str(caught.value).rpartition("\n  at ")
    assert message in said  # which the user's line would hold in any case
    assert "test_language_errors.py" in line, "the user's line is missing"
