"""Functions of arrays with symbolic sizes: what `test_symbolic_sizes.py` runs at many sizes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import graphc as gx
from graphc import nn

FLOAT = "float32"
Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Case:
    """A function of float arrays; `empty` says whether arrays without elements make sense."""

    shapes: tuple[Shape, ...]
    function: Callable[..., Any]
    empty: bool = True


def case(*shapes: Shape, empty: bool = True) -> Callable[[Callable[..., Any]], Case]:
    """`case(shape, ...)(function)`."""
    return lambda function: Case(shapes, function, empty)


V, W, M = ("n",), ("m",), ("n", "m")
MK, STACK = ("m", "k"), ("k", "n", "m")
IMAGE = ("n", 3, "m")
KERNEL = (3, 3, 3)
HEADS = ("n", 2, "m", 4)


def decay(h: Any, x: Any) -> tuple[Any, Any]:
    """A step of a loop."""
    return h * 0.5 + x, h


CASES = {
    # --- shapes and parts
    "broadcasting": case(M, ("n", 1))(lambda a, b: a * b + b),
    "concat": case(V, W)(lambda a, b: gx.concat([a, b, a])),
    "concat columns": case(M, ("n", 3))(lambda a, b: gx.concat([a, b], axis=1)),
    "stack": case(M, M)(lambda a, b: gx.stack([a, b], axis=1)),
    "tile": case(M)(lambda a: gx.tile(a, (a.shape[1], 2))),
    "repeat": case(M)(lambda a: gx.repeat(a, a.shape[0], axis=1)),
    "flatten": case(M)(lambda a: gx.reshape(a, -1)),
    "rows put together": case(("2*n", 3))(lambda a: gx.reshape(a, (-1, 6))),
    "heads": case(("n", "4*m"))(lambda a: gx.reshape(a, (a.shape[0], 4, a.shape[1] // 4)).mT),
    "pairs": case(("n", "2*m"))(
        lambda a: gx.reshape(gx.reshape(a, (a.shape[0], a.shape[1] // 2, 2)) * 2, a.shape) + a
    ),
    "even part": case(M)(
        lambda a: gx.reshape(a[:, : a.shape[1] // 2 * 2], (a.shape[0], a.shape[1] // 2, 2))
    ),
    "permute": case(STACK)(lambda a: gx.permute_dims(a, (2, 0, 1))),
    "flip and roll": case(M)(lambda a: gx.roll(gx.flip(a), 2, axis=0) + gx.roll(a, -3)),
    "slices": case(M)(lambda a: (a[1:, ::2], a[::-2, -3:], a[-2:0:-1], a[3:1:-1])),
    "slices of a symbolic size": case(M)(lambda a: a[: a.shape[0] // 2, a.shape[1] // 3 :]),
    "halves": case(V)(
        lambda a: gx.concat([a[a.shape[0] // 2 :], a[: a.shape[0] // 2]]) + a
    ),
    "even and odd": case(V)(lambda a: gx.concat([a[::2], a[1::2]]) * a),
    "thirds": case(V)(lambda a: gx.concat([a[::3], a[1::3], a[2::3]]) * a),
    "head and tail": case(V)(lambda a: gx.concat([a[:2], a[2:]]) + a),
    "both ends": case(V)(lambda a: a[:3] * a[-3:]),
    "differences": case(M)(lambda a: (gx.diff(a, axis=0), gx.diff(a, axis=1, n=2))),
    "pad": case(M)(lambda a: gx.pad(a, ((1, 2), (0, 3)), 1.5)),
    "meshgrid": case(V, W)(gx.meshgrid),
    "broadcast_to": case(W)(lambda a: gx.broadcast_to(a, (3, a.shape[0]))),
    # --- made from sizes
    "arange": case(V)(lambda a: a * gx.arange(a.shape[0], dtype=FLOAT)),
    "arange by steps": case(V)(lambda a: gx.arange(2, 2 * a.shape[0] + 2, 3, FLOAT) + a.sum()),
    "arange downwards": case(V)(lambda a: gx.arange(a.shape[0], 0, -2, FLOAT) + a.sum()),
    "linspace": case(V)(lambda a: a * gx.linspace(-1, 3, a.shape[0])),
    "linspace without end": case(V)(lambda a: a * gx.linspace(0, 2, a.shape[0], endpoint=False)),
    "eye": case(M)(lambda a: a * gx.eye(*a.shape, k=1, dtype=FLOAT)),
    "one_hot": case(V)(lambda a: gx.one_hot(gx.arange(a.shape[0]), a.shape[0] + 1) * a.sum()),
    # --- products
    "einsum": case(M, MK, ("k",))(lambda a, b, c: gx.einsum("ij,jk,k->i", a, b, c)),
    "einsum of a diagonal": case(("n", "n"))(lambda a: gx.einsum("ii->i", a)),
    "matmul": case(M, MK)(lambda a, b: a @ b),
    "matmul of a stack": case(STACK, ("m", "n"))(lambda a, b: a @ b),
    "matmul with a vector": case(M, W)(lambda a, b: a @ b),
    "tensordot": case(("n", "m", "k"), MK)(lambda a, b: gx.tensordot(a, b, 2)),
    "outer and kron": case(V, MK)(lambda a, b: (gx.outer(a, a), gx.kron(b, b))),
    # --- indices and triangles
    "take": case(M)(lambda a: gx.take(a, gx.arange(a.shape[0]), axis=0)),
    "tril and triu": case(STACK)(lambda a: gx.tril(a, k=1) * gx.triu(a, k=-1)),
    "diagonals": case(M, ("n", "n"))(
        lambda a, b: (gx.diagonal(a), gx.diagonal(a, offset=1), gx.diagonal(b, offset=-2))
    ),
    "searchsorted": case(V, W)(
        lambda a, b: gx.searchsorted(gx.arange(a.shape[0], dtype=FLOAT), b)
    ),
    "isin": case(V, W)(gx.isin),
    # --- reductions
    "sums": case(M)(lambda a: (gx.sum(a), a.sum(axis=0), a.sum(axis=1, keepdims=True))),
    "mean and variance": case(M)(lambda a: (gx.mean(a, axis=1), gx.var(a, axis=0))),
    "extremes": case(M, empty=False)(lambda a: (a.max(axis=0), a.min(), a.argmax(axis=1))),
    "softmax": case(M, empty=False)(lambda a: (gx.softmax(a), gx.logsumexp(a, axis=0))),
    "norms": case(M, empty=False)(
        lambda a: (gx.vector_norm(a, axis=1), gx.vector_norm(a, ord=3), gx.matrix_norm(a))
    ),
    # --- loops and branches
    "scan": case(("n", 3))(lambda a: gx.scan(decay, gx.zeros(3, FLOAT), a)),
    "scan of a symbolic carry": case(M)(
        lambda a: gx.scan(decay, gx.zeros(a.shape[1], FLOAT), a, reverse=True)
    ),
    "scan of a length": case(M)(
        lambda a: gx.scan(lambda h, _: (h * 0.5, h.sum()), a, length=a.shape[1])
    ),
    "scan of every second": case(("2*n", "m"))(
        lambda a: gx.scan(decay, gx.zeros(a.shape[1], FLOAT), a[::2])
    ),
    "scan in segments": case(M)(
        lambda a: gx.scan(decay, gx.zeros(a.shape[1], FLOAT), a, checkpoint=2)
    ),
    "map": case(M)(lambda a: gx.map(lambda row: gx.sum(row) * row, a)),
    "fori_loop": case(M)(lambda a: gx.fori_loop(0, a.shape[0], lambda i, h: h * 0.5 + 1, a)),
    "window of the last ones": case(("n + 1",), W)(
        lambda a, b: gx.scan(lambda h, x: (gx.concat([h[1:], x[None]]), h.sum()), a, b)
    ),
    "carry in halves": case(V, W)(
        lambda a, b: gx.scan(lambda h, x: (gx.concat([h[1::2], h[::2]]) * x, h.sum()), a, b)
    ),
    "arms in halves": case(V)(
        lambda a: gx.cond(
            gx.sum(a) > 0,
            lambda v: gx.concat([v[::2], v[1::2]]),
            lambda v: gx.concat([v[:1], v[1:]]),
            a,
        )
    ),
    "cond": case(V)(lambda a: gx.cond(gx.sum(a) > 0, lambda v: v * 2, lambda v: v - 1, a)),
    "vmap": case(M, W)(lambda a, b: gx.vmap(lambda row: gx.sum(row * b) * row)(a)),
    "vmap of a product": case(STACK)(gx.vmap(lambda x: x.T @ x)),
    # --- derivatives
    "jacobian": case(V)(lambda a: gx.jacobian(gx.sin(a) * gx.sum(a), a)),
    "hessian": case(V)(lambda a: gx.hessian(gx.sum(a * a * a) * gx.sum(a), a)),
    # --- random numbers
    "random": case(M)(lambda a: a * gx.random.normal(gx.random.key(1), a.shape, FLOAT)),
    "random integers": case(V)(lambda a: gx.random.randint(gx.random.key(1), a.shape, 0, 10)),
    # --- layers and losses
    "layer_norm": case(M, empty=False)(lambda a: nn.layer_norm(a, a.shape[1])),
    "group_norm": case(("n", 4, "m"), empty=False)(lambda a: nn.group_norm(a, 2)),
    "local_response_norm": case(("n", 4, "m"))(lambda a: nn.local_response_norm(a, 3)),
    "conv": case(("n", 3, "m + 4"), (2, 3, 3))(
        lambda a, w: nn.conv1d(a, w, stride=2, padding=1)
    ),
    "conv on top of x": case(IMAGE, KERNEL, empty=False)(
        lambda a, w: nn.conv1d(a, w, padding="same") + nn.conv1d(a, w, padding=1) * a
    ),
    "conv with holes": case(("n", 3, "m + 6"), (2, 3, 3))(
        lambda a, w: nn.conv1d(a, w, dilation=2)
    ),
    "conv of images": case(("n", 3, "m + 3", "k + 3"), (2, 3, 3, 3))(nn.conv2d),
    "conv_transpose": case(IMAGE, (3, 2, 3), empty=False)(
        lambda a, w: nn.conv_transpose(a, w, stride=2)
    ),
    "pooling": case(("n", 3, "m + 3"))(
        lambda a: (nn.max_pool(a, 2), nn.average_pool(a, 3, stride=1))
    ),
    "global pooling": case(IMAGE, empty=False)(nn.global_average_pool),
    "down and up": case(("n", 3, "4*m"), KERNEL, empty=False)(
        lambda a, w: nn.resize(nn.max_pool(nn.conv1d(a, w, padding=1), 2), scale=2) + a
    ),
    "attention": case(HEADS, ("n", 2, "k", 4), ("n", 2, "k", 4), empty=False)(
        nn.scaled_dot_product_attention
    ),
    "causal attention": case(HEADS, HEADS, empty=False)(
        lambda q, k: nn.scaled_dot_product_attention(q, k, k, is_causal=True)
    ),
    "glu and maxout": case(("n", "2*m"))(lambda a: (nn.glu(a), nn.maxout(a, 2))),
    "embedding": case(V, ("m + 2", 4))(lambda a, t: nn.embedding(gx.cast(a > 0, "int64"), t)),
    "cross_entropy": case(M, empty=False)(
        lambda a: nn.cross_entropy(a, gx.zeros(a.shape[0], "int64"))
    ),
    "losses": case(M, M, empty=False)(
        lambda a, b: (nn.huber_loss(a, b), nn.kl_divergence(a, b), nn.cosine_similarity(a, b))
    ),
}  # fmt: skip
