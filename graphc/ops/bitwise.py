"""Bits of each element, of integers and bools; shifts of integers."""

from __future__ import annotations

import numpy as np

from graphc.ir.op import register
from graphc.ir.types import INTEGERS
from graphc.ops.primitive import Flat, Primitive


class Bitwise(Flat, Primitive):
    """A function of the bits of two elements."""

    arity = 2
    accepts = ("bool", *INTEGERS)


@register
class BitwiseAnd(Bitwise):
    """The bits set in both elements."""

    name = "bitwise_and"
    reference = staticmethod(np.bitwise_and)


@register
class BitwiseOr(Bitwise):
    """The bits set in either element."""

    name = "bitwise_or"
    reference = staticmethod(np.bitwise_or)


@register
class BitwiseXor(Bitwise):
    """The bits set in exactly one element."""

    name = "bitwise_xor"
    reference = staticmethod(np.bitwise_xor)


@register
class BitwiseInvert(Bitwise):
    """The bits not set in the element."""

    name = "bitwise_invert"
    arity = 1
    reference = staticmethod(np.bitwise_not)


class Shift(Bitwise):
    """The bits moved by a count; one that is negative or not below the width moves all out."""

    accepts = INTEGERS


@register
class BitwiseLeftShift(Shift):
    """The bits moved to higher places, zeros moving in."""

    name = "bitwise_left_shift"
    reference = staticmethod(np.left_shift)


@register
class BitwiseRightShift(Shift):
    """The bits moved to lower places, copies of the sign moving in (zeros where unsigned)."""

    name = "bitwise_right_shift"
    reference = staticmethod(np.right_shift)
