"""Rounding of each element to an integer of the same floating-point type."""

from __future__ import annotations

import numpy as np

from graphc.ir.op import register
from graphc.ops.complex_parts import PartByPart
from graphc.ops.primitive import Flat, FloatPrimitive, InexactPrimitive


@register
class Floor(Flat, FloatPrimitive):
    """The largest integer not above each element."""

    name = "floor"
    reference = staticmethod(np.floor)


@register
class Ceil(Flat, FloatPrimitive):
    """The smallest integer not below each element."""

    name = "ceil"
    reference = staticmethod(np.ceil)


@register
class Round(PartByPart, Flat, InexactPrimitive):
    """The nearest integer to each element, the even one of two equally near; to each part."""

    name = "round"
    reference = staticmethod(np.rint)


@register
class Trunc(Flat, FloatPrimitive):
    """The nearest integer to each element towards 0."""

    name = "trunc"
    reference = staticmethod(np.trunc)
