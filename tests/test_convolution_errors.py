"""Convolution: what is refused, each with its message and the user's line."""

from collections.abc import Callable
from typing import Any

import pytest

import graphc as gx
from graphc.ir.node import apply
from graphc.nn.convolution import conv, conv1d, conv2d, conv3d, conv_transpose

x = gx.input("x", (2, 6, 8, 8), "float32")
w = gx.input("w", (4, 3, 3, 3), "float32")

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "channels": (
        lambda: conv2d(x, w),
        "conv: x of shape (2, 6, 8, 8) has 6 channels, and kernels of shape (4, 3, 3, 3) in 1 "
        "groups take 3: they need kernels of shape (4, 6, ...)",
    ),
    "groups of channels": (
        lambda: conv2d(x, w, groups=4),
        "they need groups that divide the channels",
    ),
    "groups of kernels": (
        lambda: conv2d(x, w, groups=3),
        "conv: groups must be an integer >= 1 that divides 4, not 3",
    ),
    "axes": (
        lambda: conv1d(x, w),
        "conv1d: x must have 3 axes, N, C and W, this is f32[2, 6, 8, 8]",
    ),
    "axes of volumes": (lambda: conv3d(x, w), "conv3d: x must have 5 axes, N, C and D, H, W"),
    "axes of anything": (
        lambda: conv(gx.zeros((2, 3)), w),
        "conv: x must have the axes N, C and one to three spatial ones, this is f64[2, 3]",
    ),
    "kernel axes": (
        lambda: conv(x, gx.zeros((4, 3, 3))),
        "x of shape (2, 6, 8, 8) and kernels of shape (4, 3, 3) must have equally many axes",
    ),
    "size": (
        lambda: conv2d(x, w, dilation=(4, 1), groups=2),
        "conv: a window that spans 9 does not fit into axis H of size 8 padded by 0 and 0: "
        "shorten it or pad more",
    ),
    "bias": (
        lambda: conv2d(x, w, gx.zeros(3), groups=2),
        "conv: bias of shape (3,) does not fit a result of shape (2, 4, 6, 6): it must be (4,)",
    ),
    "stride": (
        lambda: conv2d(x, w, stride=0, groups=2),
        "conv: stride must be an integer >= 1, or one for each of 2 spatial axes, not 0",
    ),
    "strides": (
        lambda: conv2d(x, w, stride=(1, 1, 1), groups=2),
        "or one for each of 2 spatial axes, not (1, 1, 1)",
    ),
    "padding": (
        lambda: conv2d(x, w, padding="some", groups=2),
        'conv: padding is "valid", "same", "full" or numbers, not \'some\'',
    ),
    "padding numbers": (
        lambda: conv2d(x, w, padding=((1, 2), (-1, 0)), groups=2),
        "an integer or a pair (before, after) for each of 2 spatial axes, not ((1, 2), (-1, 0))",
    ),
    "layout": (
        lambda: conv2d(x, w, layout="CHWN"),
        'conv: the layout of f32[2, 6, 8, 8] is "NCHW" or "NHWC", not \'CHWN\'',
    ),
    "transposed channels": (
        lambda: conv_transpose(x, w),
        "conv_transpose: x of shape (2, 6, 8, 8) has 6 channels, and kernels of shape (4, 3, 3, 3) "
        "take 4: they must be (6, out channels / groups, ...)",
    ),
    "output padding": (
        lambda: conv_transpose(x, gx.zeros((6, 3, 3, 3)), stride=2, output_padding=2),
        "output_padding must be less than the stride 2 or the dilation 1, not 2",
    ),
    "operator": (
        lambda: apply("convolution", x, w, strides=(1, 1), low=(0, 0), high=(0, 0),
                      x_dilation=(1, 1), w_dilation=(1, 1), groups=1),
        "convolution: shapes (2, 6, 8, 8) and (4, 3, 3, 3) do not fit: 6 channels, and kernels of "
        "3 in 1 groups, must be equally many",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_message(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(gx.GraphError) as caught:
        build()
    assert message in str(caught.value)
    assert "test_convolution_errors.py" in str(caught.value), "the user's line is missing"
