"""The transforms under the Array API's names: sizes, axes and normalisation.

`norm` says which direction is divided by the number of elements: "backward" the inverse one,
"forward" the forward one, "ortho" both by its square root. n and s are the sizes to which axes are
cut, or filled up with zeros, before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from graphc.errors import GraphError
from graphc.fft.dft import dft, inverse_dft
from graphc.fft.real import inverse_real_dft, real_dft
from graphc.ir.dim import Dim, Size
from graphc.ir.node import Node, describe
from graphc.ir.types import COMPLEX_OF, float32
from graphc.lang.arithmetic import sqrt
from graphc.lang.complex_numbers import complex, conj
from graphc.lang.creation import zeros
from graphc.lang.movement import concat, moveaxis
from graphc.lang.operands import ArrayLike, to_axis, to_float, to_node_dtype
from graphc.lang.sizes import is_integer, size_value

NORMS = ("backward", "ortho", "forward")


def fft(x: ArrayLike, /, *, n: Size | None = None, axis: int = -1, norm: str = "backward") -> Node:
    """The discrete Fourier transform: the sum over j of x[j] exp(-2 pi i j k / n) for each k.

    The result is complex64 for float32 and complex64, else complex128. The axis may have a
    symbolic size, which takes n*n operations instead of n log n. GraphError for an empty axis.
    """
    return along(dft, "fft", to_complex(x), n, axis, norm_factor("fft", norm, forward=True))


def ifft(x: ArrayLike, /, *, n: Size | None = None, axis: int = -1, norm: str = "backward") -> Node:
    """The inverse of `fft`: the mean over k of x[k] exp(2 pi i j k / n) for each j."""
    factor = norm_factor("ifft", norm, forward=False)
    return along(inverse_dft, "ifft", to_complex(x), n, axis, factor)


def rfft(x: ArrayLike, /, *, n: Size | None = None, axis: int = -1, norm: str = "backward") -> Node:
    """The first n // 2 + 1 elements of `fft` for a real array; the others are their conjugates.

    GraphError for a complex array.
    """
    factor = norm_factor("rfft", norm, forward=True)
    return along(real_dft, "rfft", to_real("rfft", x), n, axis, factor)


def irfft(
    x: ArrayLike, /, *, n: Size | None = None, axis: int = -1, norm: str = "backward"
) -> Node:
    """The inverse of `rfft`: a real array of n elements, by default 2 * (m - 1) for m frequencies.

    The imaginary parts of frequency 0, and of n / 2, are taken as 0.
    """
    factor = norm_factor("irfft", norm, forward=False)
    node = to_complex(x)
    at = to_axis(axis, node.ndim, "irfft")
    count = to_count("irfft", 2 * (node.shape[at] - 1) if n is None else n, node)
    rows = moveaxis(resized(node, at, count // 2 + 1), at, -1)
    return moveaxis(factor(inverse_real_dft(rows, count), count), -1, at)


def hfft(x: ArrayLike, /, *, n: Size | None = None, axis: int = -1, norm: str = "backward") -> Node:
    """The real transform of a sequence whose second half is the conjugate of the first, mirrored.

    n is its number of elements, by default 2 * (m - 1) for the m of the first half.
    """
    return irfft(conj(to_complex(x)), n=n, axis=axis, norm=other_norm("hfft", norm))


def ihfft(
    x: ArrayLike, /, *, n: Size | None = None, axis: int = -1, norm: str = "backward"
) -> Node:
    """The inverse of `hfft`: the first n // 2 + 1 elements. GraphError for a complex array."""
    node = to_real("ihfft", x)
    return conj(rfft(node, n=n, axis=axis, norm=other_norm("ihfft", norm)))


def fftn(
    x: ArrayLike,
    /,
    *,
    s: Sequence[Size] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Node:
    """`fft` along several axes, by default all; s is a size for each of them, -1 for its own."""
    node = to_complex(x)
    return one_by_one(fft, node, pairs_of("fftn", node, s, axes), norm)


def ifftn(
    x: ArrayLike,
    /,
    *,
    s: Sequence[Size] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Node:
    """The inverse of `fftn`."""
    node = to_complex(x)
    return one_by_one(ifft, node, pairs_of("ifftn", node, s, axes), norm)


def rfftn(
    x: ArrayLike,
    /,
    *,
    s: Sequence[Size] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Node:
    """`rfft` along the last of several axes, then `fft` along the others."""
    node = to_real("rfftn", x)
    *others, (axis, size) = pairs_of("rfftn", node, s, axes)
    return one_by_one(fft, rfft(node, n=size, axis=axis, norm=norm), others, norm)


def irfftn(
    x: ArrayLike,
    /,
    *,
    s: Sequence[Size] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Node:
    """The inverse of `rfftn`; the last of s is the number of elements of the real array there."""
    node = to_complex(x)
    *others, (axis, size) = pairs_of("irfftn", node, s, axes)
    return irfft(one_by_one(ifft, node, others, norm), n=size, axis=axis, norm=norm)


def one_by_one(
    transform: Callable[..., Node], x: Node, pairs: Iterable[tuple[int, Size | None]], norm: str
) -> Node:
    """A transform along one axis after the other."""
    for axis, size in pairs:
        x = transform(x, n=size, axis=axis, norm=norm)
    return x


# --- arguments -----------------------------------------------------------------------------------

Factor = Callable[[Node, Size], Node]


def along(
    transform: Callable[[Node], Node], what: str, x: Node, n: Size | None, axis: int, factor: Factor
) -> Node:
    """A transform of the last axis done along another one, of a given size, and normalised."""
    at = to_axis(axis, x.ndim, what)
    size = to_count(what, x.shape[at] if n is None else n, x)
    rows = moveaxis(resized(x, at, size), at, -1)
    return moveaxis(factor(transform(rows), size), -1, at)


def to_complex(x: ArrayLike) -> Node:
    """An array as complex numbers."""
    node = to_float(x)
    return node if node.dtype.is_complex else complex(node, 0)


def to_real(what: str, x: ArrayLike) -> Node:
    """An array as real floats that complex numbers can be made of; GraphError for a complex one."""
    node = to_float(x)
    if node.dtype.is_complex:
        raise GraphError(f"{what}: takes a real array: use fft for a complex one{describe([node])}")
    return node if node.dtype in COMPLEX_OF else to_node_dtype(node, float32)


def to_count(what: str, n: Size, x: Node) -> Size:
    """A number of elements; GraphError unless it is an integer above 0, or symbolic."""
    if isinstance(n, Dim):
        return n
    if not is_integer(n) or n < 1:
        raise GraphError(
            f"{what}: the number of elements must be an integer above 0, not {n!r}{describe([x])}"
        )
    return int(n)


def resized(x: Node, axis: int, n: Size) -> Node:
    """The first n elements along an axis, with zeros where it has fewer."""
    size = x.shape[axis]
    if size == n:
        return x
    if not isinstance(size, int) or not isinstance(n, int) or size < n:
        shape = list(x.shape)
        shape[axis] = n - size if isinstance(size, int) and isinstance(n, int) else n
        x = concat([x, zeros(shape, x.dtype)], axis)
    return x[(*[slice(None)] * axis, slice(0, n))]


def norm_factor(what: str, norm: str, forward: bool) -> Factor:
    """What divides a result as a norm says for a direction."""
    check_norm(what, norm)
    if norm == "ortho":
        return lambda node, n: scaled(node, n, root=True)
    if (norm == "forward") == forward:
        return lambda node, n: scaled(node, n, root=False)
    return lambda node, n: node


def scaled(node: Node, n: Size, root: bool) -> Node:
    """A node divided by a size or by its square root."""
    if isinstance(n, int):
        return node * (1 / (math.sqrt(n) if root else n))
    size = size_value(n, node.dtype.part)
    return node / (sqrt(size) if root else size)


def other_norm(what: str, norm: str) -> str:
    """The norm that means for the inverse direction what one means for the forward one."""
    check_norm(what, norm)
    return NORMS[2 - NORMS.index(norm)]


def check_norm(what: str, norm: str) -> None:
    """GraphError for a norm that there is not."""
    if norm not in NORMS:
        raise GraphError(f"{what}: norm is 'backward', 'ortho' or 'forward', not {norm!r}")


def pairs_of(
    what: str, x: Node, s: Sequence[Size] | None, axes: Sequence[int] | None
) -> list[tuple[int, Size | None]]:
    """The axes of a transform along several ones, each with its size or None for its own."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(x.ndim - len(s), x.ndim)
    chosen = [to_axis(axis, x.ndim, what) for axis in axes]
    if not chosen or len(set(chosen)) < len(chosen):
        raise GraphError(f"{what}: needs at least one axis, and each once, not {tuple(axes)}")
    sizes: list[Size | None] = [None] * len(chosen) if s is None else list(s)
    if len(sizes) != len(chosen):
        raise GraphError(f"{what}: {len(sizes)} sizes do not fit {len(chosen)} axes")
    return [(a, None if size == -1 else size) for a, size in zip(chosen, sizes, strict=True)]
