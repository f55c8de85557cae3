"""Complex numbers from their parts, and the parts of complex numbers.

Gradients of complex nodes follow one rule: the change of the loss is the real part of the gradient
times the change of the node. So the gradient by x + iy is dL/dx - i dL/dy, and an operator that
has a complex derivative passes the gradient times it, without conjugation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir.node import Node, apply
from graphc.ir.op import register
from graphc.ir.types import COMPLEX_OF, DType
from graphc.lang.complex_numbers import complex, imag, real
from graphc.ops.chain_rule import zeros
from graphc.ops.complex_parts import parts
from graphc.ops.kinds import Elementwise

Array = np.ndarray[Any, Any]


@register
class Complex(Elementwise):
    """The complex number of a real and an imaginary part."""

    name = "complex"
    arity = 2
    accepts = ("float",)
    steep = False

    def result(self, dtype: DType) -> DType:
        """complex64 for float32, complex128 for float64."""
        if dtype not in COMPLEX_OF:
            raise TypeRuleError(f"takes float32 or float64, not {dtype.name}")
        return COMPLEX_OF[dtype]

    def split(self, node: Node) -> Node:
        """The node: its operands are its parts."""
        return node

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The real part, and the imaginary one with its sign changed."""
        return [real(gradient), -imag(gradient)]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The complex number of the tangents."""
        pairs = list(zip(node.inputs, tangents, strict=True))
        if all(tangent is None for _, tangent in pairs):
            return None
        return complex(*(zeros(part) if d is None else d for part, d in pairs))

    def reference(self, *arrays: Array) -> Array:
        """The parts set in an array of complex numbers."""
        result = np.empty(arrays[0].shape, np.result_type(arrays[0], np.complex64))
        result.real, result.imag = arrays
        return result


class Part(Elementwise):
    """A part of a complex number."""

    accepts = ("complex",)
    steep = False

    def result(self, dtype: DType) -> DType:
        """The dtype of the parts."""
        return dtype.part

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The same part of the tangent."""
        return None if tangents[0] is None else apply(self.name, tangents[0])


@register
class Real(Part):
    """The real part of a complex number."""

    name = "real"
    reference = staticmethod(np.real)

    def split(self, node: Node) -> Node:
        """The first part."""
        return parts(node.inputs[0])[0]

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient, as a complex number."""
        return [complex(gradient, zeros(gradient))]


@register
class Imag(Part):
    """The imaginary part of a complex number."""

    name = "imag"
    reference = staticmethod(np.imag)

    def split(self, node: Node) -> Node:
        """The second part."""
        return parts(node.inputs[0])[1]

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """-i times the gradient, since Im(z) = Re(-i z)."""
        return [complex(zeros(gradient), -gradient)]
