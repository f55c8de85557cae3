"""Constants that are put into order while compiling: which ones, and what kernels make of them."""

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply
from graphc.ir.placement import LINE
from graphc.passes.fold_constants import MOST_OPERAND_ELEMENTS
from graphc.passes.lay_out_constants import lay_out_constants


def laid_out(node: Node) -> Node:
    """What the pass makes of a staged node."""
    (found,) = lay_out_constants(Graph((), (apply("stage", node),))).outputs
    return found


def test_a_constant_is_in_order_and_aligned() -> None:
    array = np.arange(210, dtype=np.float32).reshape(5, 6, 7)
    turned = gx.permute_dims(gx.flip(gx.constant(array), axis=1), (2, 0, 1))
    (stored,) = laid_out(gx.reshape(turned, (7, 30))).inputs
    value = stored.attrs["value"].array
    np.testing.assert_array_equal(value, array[:, ::-1].transpose(2, 0, 1).reshape(7, 30))
    assert value.flags.c_contiguous
    assert value.__array_interface__["data"][0] % LINE == 0


def test_a_large_constant_is_not_stored_twice() -> None:
    array = np.zeros((2, MOST_OPERAND_ELEMENTS // 2 + 1), np.int8)
    staged = laid_out(gx.permute_dims(gx.constant(array), (1, 0)))
    assert staged.inputs[0].op.name == "permute_dims"


@pytest.mark.parametrize("groups", [1, 2])
def test_kernels_read_constants_as_arguments(groups: int) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, 8, 9, 9)).astype(np.float32)
    w = generator.normal(size=(96, 8 // groups, 3, 3)).astype(np.float32)
    images, kernel = gx.input("x", x.shape, "float32"), gx.input("w", w.shape, "float32")
    known = gx.nn.conv2d(images, gx.asarray(w), padding=1, groups=groups)
    given = gx.nn.conv2d(images, kernel, padding=1, groups=groups)
    expected = gx.compile([images, kernel], given)(x, w)
    np.testing.assert_array_equal(gx.compile([images], known)(x), expected)
