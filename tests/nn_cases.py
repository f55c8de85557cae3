"""Random configurations of neural functions, each beside PyTorch's function of the same name."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gx
from graphc import nn
from graphc.ir.node import Node

torch = pytest.importorskip("torch")
F = torch.nn.functional

Array = np.ndarray[Any, Any]
Random = np.random.Generator


class Config(NamedTuple):
    """Both functions, the operands (floats are differentiated), and the longest sum in them."""

    ours: Callable[..., Node]
    theirs: Callable[..., Any]
    arrays: list[Array]
    length: int = 1


Case = Callable[[Random], Config]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Decorator: a configuration under the function's name."""
    CASES[function.__name__] = function
    return function


def pick(random: Random, *choices: Any) -> Any:
    """One of several values."""
    return choices[random.integers(len(choices))]


def sizes(random: Random, rank: int, least: int = 1) -> tuple[int, ...]:
    """A shape of small sizes."""
    return tuple(int(size) for size in random.integers(least, 6, rank))


def normal(random: Random, *shape: int) -> Array:
    """Normal numbers of variance 4, which meet both sides of most corners."""
    return np.asarray(2 * random.standard_normal(shape))


def probabilities(random: Random, *shape: int) -> Array:
    """Distributions along the second axis."""
    drawn = random.exponential(size=shape)
    return np.asarray(drawn / drawn.sum(1, keepdims=True))


# --- activations ---------------------------------------------------------------------------------

PLAIN: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "gelu": (nn.gelu, F.gelu),
    "gelu_tanh": (
        lambda x: nn.gelu(x, approximate="tanh"),
        lambda x: F.gelu(x, approximate="tanh"),
    ),
    "silu": (nn.silu, F.silu),
    "mish": (nn.mish, F.mish),
    "selu": (nn.selu, F.selu),
    "relu6": (nn.relu6, F.relu6),
    # PyTorch has no second derivative of its own hardsigmoid.
    "hard_sigmoid": (nn.hard_sigmoid, lambda x: F.relu6(x + 3) / 6),
    "hard_swish": (nn.hard_swish, F.hardswish),
    "softsign": (nn.softsign, F.softsign),
    "log_sigmoid": (nn.log_sigmoid, F.logsigmoid),
    "tanh_shrink": (nn.tanh_shrink, F.tanhshrink),
}
"""Activations without options."""

WITH_NUMBER: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "elu": (nn.elu, F.elu),
    # PyTorch's own celu rounds alpha to float32.
    "celu": (nn.celu, lambda x, a: torch.where(x > 0, x, a * torch.expm1(x / a))),
    "leaky_relu": (nn.leaky_relu, F.leaky_relu),
    "hard_shrink": (nn.hard_shrink, F.hardshrink),
    "soft_shrink": (nn.soft_shrink, F.softshrink),
    "softplus": (nn.softplus, lambda x, beta: F.softplus(x, beta, threshold=1e9)),
}
"""Activations with one positive number."""


def plain(ours: Callable[..., Any], theirs: Callable[..., Any]) -> Case:
    """Configurations of an activation without options."""
    return lambda random: Config(ours, theirs, [normal(random, *sizes(random, 2))])


def with_number(ours: Callable[..., Any], theirs: Callable[..., Any]) -> Case:
    """Configurations of an activation with one positive number."""

    def made(random: Random) -> Config:
        number = float(random.uniform(0.1, 2))
        operands = [normal(random, *sizes(random, 2))]
        return Config(lambda x: ours(x, number), lambda x: theirs(x, number), operands)

    return made


CASES |= {name: plain(*pair) for name, pair in PLAIN.items()}
CASES |= {name: with_number(*pair) for name, pair in WITH_NUMBER.items()}


@case
def threshold(random: Random) -> Config:
    low, value = (float(number) for number in random.standard_normal(2))
    x = normal(random, *sizes(random, 2))
    return Config(lambda x: nn.threshold(x, low, value), lambda x: F.threshold(x, low, value), [x])


@case
def hard_tanh(random: Random) -> Config:
    low, high = float(random.uniform(-2, 0)), float(random.uniform(0.1, 2))
    x = normal(random, *sizes(random, 3))
    return Config(lambda x: nn.hard_tanh(x, low, high), lambda x: F.hardtanh(x, low, high), [x])


@case
def prelu(random: Random) -> Config:
    shape = sizes(random, pick(random, 2, 3))
    weight = random.uniform(0, 1, pick(random, 1, shape[1]))
    return Config(nn.prelu, F.prelu, [normal(random, *shape), weight], int(np.prod(shape)))


@case
def softmin(random: Random) -> Config:
    axis = pick(random, 0, 1, -1)
    x = normal(random, *sizes(random, 3))
    return Config(lambda x: nn.softmin(x, axis), lambda x: F.softmin(x, axis), [x], 5)


@case
def glu(random: Random) -> Config:
    shape, axis = list(sizes(random, 3)), pick(random, 0, 1, -1)
    shape[axis] *= 2
    x = normal(random, *shape)
    return Config(lambda x: nn.glu(x, axis), lambda x: F.glu(x, axis), [x])


@case
def maxout(random: Random) -> Config:
    pieces, (rows, units) = int(random.integers(1, 5)), sizes(random, 2)
    x = normal(random, rows, units * pieces)
    shape = (rows, units, pieces)
    return Config(lambda x: nn.maxout(x, pieces), lambda x: x.reshape(shape).amax(-1), [x])


@case
def normalize(random: Random) -> Config:
    axis, p = pick(random, 0, 1, -1), pick(random, 1.0, 2.0, 3.0, np.inf)
    shape = sizes(random, 3, least=2)
    return Config(
        lambda x: nn.normalize(x, p, axis),
        lambda x: F.normalize(x, p, axis),
        [normal(random, *shape)],
        shape[axis],
    )


# --- normalisation -------------------------------------------------------------------------------


def channels_last(config: Config) -> Config:
    """A configuration whose first operand has its channels last, for both functions."""
    x, *rest = config.arrays
    layout = f"N{'DHW'[5 - x.ndim :]}C"
    return config._replace(
        ours=lambda x, *more: config.ours(x, *more, layout=layout),
        theirs=lambda x, *more: config.theirs(x.movedim(-1, 1), *more).movedim(1, -1),
        arrays=[np.moveaxis(x, 1, -1), *rest],
    )


def in_either_layout(random: Random, config: Config) -> Config:
    """A configuration with the channels at axis 1, or last."""
    return channels_last(config) if config.arrays[0].ndim > 2 and pick(random, 0, 1) else config


def optional(random: Random, shape: tuple[int, ...], count: int) -> list[Array]:
    """Weight and bias, the weight, or neither."""
    return [normal(random, *shape) for _ in range(int(random.integers(count + 1)))]


@case
def layer_norm(random: Random) -> Config:
    shape, last = sizes(random, 3, least=2), pick(random, 1, 2)
    inner = shape[-last:]
    arrays = [normal(random, *shape), *optional(random, inner, 2)]
    return Config(
        lambda x, *more: nn.layer_norm(x, inner, *more, eps=1e-3),
        lambda x, *more: F.layer_norm(x, inner, *more, eps=1e-3),
        arrays,
        int(np.prod(shape)),
    )


@case
def rms_norm(random: Random) -> Config:
    shape, eps = sizes(random, 3, least=2), pick(random, None, 1e-3)
    arrays = [normal(random, *shape), *optional(random, shape[-1:], 1)]
    return Config(
        lambda x, *more: nn.rms_norm(x, shape[-1], *more, eps=eps),
        lambda x, *more: F.rms_norm(x, shape[-1:], *more, eps=eps),
        arrays,
        int(np.prod(shape)),
    )


@case
def group_norm(random: Random) -> Config:
    groups, (batch, each, *rest) = int(random.integers(1, 4)), sizes(random, 4, least=2)
    arrays = [normal(random, batch, groups * each, *rest)]
    arrays += optional(random, (groups * each,), 2)
    config = Config(
        lambda x, *more, **where: nn.group_norm(x, groups, *more, eps=1e-3, **where),
        lambda x, *more: F.group_norm(x, groups, *more, eps=1e-3),
        arrays,
        int(np.prod(arrays[0].shape)),
    )
    return in_either_layout(random, config)


@case
def instance_norm(random: Random) -> Config:
    shape = sizes(random, pick(random, 3, 4), least=2)
    arrays = [normal(random, *shape), *optional(random, shape[1:2], 2)]

    def theirs(x: Any, weight: Any = None, bias: Any = None) -> Any:
        return F.instance_norm(x, weight=weight, bias=bias, eps=1e-3)

    config = Config(
        lambda x, *more, **where: nn.instance_norm(x, *more, eps=1e-3, **where),
        theirs,
        arrays,
        int(np.prod(shape)),
    )
    return in_either_layout(random, config)


@case
def batch_norm_eval(random: Random) -> Config:
    shape = sizes(random, pick(random, 2, 3, 4), least=2)
    moments = [normal(random, shape[1]), random.uniform(0.5, 2, shape[1])]
    arrays = [normal(random, *shape), *optional(random, shape[1:2], 2)]
    tensors = [torch.tensor(moment) for moment in moments]

    def ours(x: Node, *more: Node, **where: str) -> Node:
        return nn.batch_norm(x, *(gx.constant(m) for m in moments), *more, **where).output

    def theirs(x: Any, *more: Any) -> Any:
        return F.batch_norm(x, *(t.to(x.dtype) for t in tensors), *more)

    return in_either_layout(random, Config(ours, theirs, arrays, int(np.prod(shape))))


@case
def batch_norm_training(random: Random) -> Config:
    shape = sizes(random, pick(random, 2, 3, 4), least=2)
    arrays = [normal(random, *shape), *optional(random, shape[1:2], 2)]
    start = np.zeros(shape[1])

    def ours(x: Node, *more: Node, **where: str) -> Node:
        return nn.batch_norm(x, start, start, *more, training=True, eps=1e-3, **where).output

    def theirs(x: Any, *more: Any) -> Any:
        return F.batch_norm(x, None, None, *more, training=True, eps=1e-3)

    return in_either_layout(random, Config(ours, theirs, arrays, int(np.prod(shape))))


@case
def local_response_norm(random: Random) -> Config:
    shape, size = sizes(random, pick(random, 3, 4)), int(random.integers(1, 6))
    options = {"alpha": float(random.uniform(0.01, 1)), "beta": pick(random, 0.5, 0.75, 1.0)}
    config = Config(
        lambda x, **where: nn.local_response_norm(x, size, k=2.0, **options, **where),
        lambda x: F.local_response_norm(x, size, k=2.0, **options),
        [normal(random, *shape)],
        size,
    )
    return in_either_layout(random, config)


# --- attention and embedding ---------------------------------------------------------------------


@case
def attention(random: Random) -> Config:
    batch, heads, rows, keys, width, out = sizes(random, 6)
    shared = pick(random, False, True)
    kind = pick(random, "none", "causal", "bool", "float")
    mask = random.random((rows, keys)) < 0.6 if kind == "bool" else normal(random, rows, keys)
    options = {
        "is_causal": kind == "causal",
        "scale": pick(random, None, 0.3),
        "enable_gqa": shared,
    }
    given = mask if kind in ("bool", "float") else None

    def theirs(q: Any, k: Any, v: Any) -> Any:
        tensor = None if given is None else torch.tensor(given)
        if kind == "float":
            tensor = tensor.to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=tensor, **options)

    arrays = [
        normal(random, batch, heads * (2 if shared else 1), rows, width),
        normal(random, batch, heads, keys, width),
        normal(random, batch, heads, keys, out),
    ]
    return Config(
        lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, given, **options),
        theirs,
        arrays,
        rows * keys + width,
    )


@case
def embedding(random: Random) -> Config:
    rows, width = sizes(random, 2)
    ids = random.integers(0, rows, sizes(random, pick(random, 0, 1, 2)))
    padding = pick(random, None, 0, -1)
    return Config(
        lambda table: nn.embedding(ids, table, padding),
        lambda table: F.embedding(torch.tensor(ids), table, padding),
        [normal(random, rows, width)],
        int(ids.size),
    )
