"""Words for complex numbers and their parts."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Node, apply, describe, say, word
from graphc.ir.types import COMPLEX_OF, float32
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    to_float,
    to_node_dtype,
    together_as_floats,
)


@word
def complex(real: ArrayLike, imag: ArrayLike, /) -> Node:
    """The complex numbers of two parts, which broadcast and promote as in arithmetic.

    float64 parts, and integers, give complex128; shorter floats are float32 and give complex64.
    GraphError where a part is complex.
    """
    nodes = together_as_floats(real, imag)
    if nodes[0].dtype.is_complex:
        raise GraphError(f"complex: the parts must be real{describe(nodes)}")
    if nodes[0].dtype not in COMPLEX_OF:
        nodes = tuple(to_node_dtype(node, float32) for node in nodes)
    return apply("complex", *nodes)


@word
def real(x: ArrayLike, /) -> Node:
    """The real part; a real array as it is."""
    node = as_node(x)
    return apply("real", node) if node.dtype.is_complex else node


@word
def imag(x: ArrayLike, /) -> Node:
    """The imaginary part; zeros for a real array."""
    node = as_node(x)
    return apply("imag", node) if node.dtype.is_complex else say("zeros_like", node)


@word
def conj(x: ArrayLike, /) -> Node:
    """The complex conjugate: the imaginary part with its sign changed; a real array as it is."""
    node = as_node(x)
    return complex(real(node), -imag(node)) if node.dtype.is_complex else node


@word
def angle(x: ArrayLike, /) -> Node:
    """The angle in [-pi, pi] of a complex number from the positive real axis, in radians.

    A real number counts as a complex one: 0 or pi. Its gradient is NaN at 0.
    """
    node = to_float(x)
    return say("atan2", imag(node), real(node))
