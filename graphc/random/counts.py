"""Random counts: of events, of successes, and of trials."""

from __future__ import annotations

from collections.abc import Callable

from graphc.errors import GraphError
from graphc.ir.node import Node, apply, describe
from graphc.ir.types import DType, DTypeLike, float64, int64
from graphc.lang.arithmetic import maximum, minimum, sqrt
from graphc.lang.creation import full_like, zeros_like
from graphc.lang.exponential import exp, log, log1p
from graphc.lang.loops import scan
from graphc.lang.movement import moveaxis
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    to_node_dtype,
)
from graphc.lang.rounding import ceil, floor
from graphc.lang.selection import stop_gradient, where
from graphc.lang.sizes import ShapeLike, to_shape
from graphc.random.bits import parameter, parameters, to_integer_dtype
from graphc.random.continuous import unit_positive
from graphc.random.keys import fold_in, key_words, split
from graphc.random.rejection import Hat, poisson_logarithm, reject, search

LARGE = 10.0
"""From this mean on there is a hat, below it counts are searched."""


def poisson(
    key: ArrayLike, rate: ArrayLike, shape: ShapeLike | None = None, dtype: DTypeLike = int64
) -> Node:
    """Counts of events that happen at a rate; the shape defaults to that of the rate.

    Exact but for rounding in float64, at any rate: by inversion below 10, from there by Hörmann's
    transformed rejection (see `rejection`). -1 for a rate that is negative or not finite. No
    gradient flows to the rate. Counts beyond the dtype are its largest number, as is -1 in one
    without negative numbers.
    """
    kind = to_integer_dtype(dtype, "poisson")
    (rates,) = parameters([rate], shape, float64, "poisson")
    valid = (rates >= 0) & (rates < float("inf"))
    few, many = split(key_of(key, "poisson"))
    low, high = minimum(rates, LARGE), maximum(rates, LARGE)
    active = valid & (rates < LARGE)
    small = search(few, exp(-low), lambda k: low / k, active, "poisson")
    large = reject(
        many, poisson_hat(high), lambda k: poisson_logarithm(k, high),
        full_like(high, float("inf")), valid & (rates >= LARGE), "poisson",
    )  # fmt: skip
    return fitted(where(valid, where(rates < LARGE, small, large), -1), kind)


def poisson_hat(mean: Node) -> Hat:
    """Hörmann's hat for Poisson numbers (PTRS)."""
    b = 0.931 + 2.53 * sqrt(mean)
    return Hat(
        a=-0.059 + 0.02483 * b,
        b=b,
        c=mean + 0.43,
        likely=0.9277 - 3.6224 / (b - 2),
        log_scale=log(1.1239 + 1.1328 / (b - 3.4)),
    )


def binomial(
    key: ArrayLike, n: ArrayLike, p: ArrayLike, shape: ShapeLike | None = None,
    dtype: DTypeLike = int64,
) -> Node:  # fmt: skip
    """How many of n trials succeed, each with probability p; the shape defaults to theirs.

    Exact but for rounding in float64: by inversion where fewer than 10 of the rarer outcome are
    expected, else by Hörmann's transformed rejection. -1 where n is negative or p no probability.
    No gradient flows to p. A dtype that is too small holds what `poisson` says.
    """
    kind = to_integer_dtype(dtype, "binomial")
    if not as_node(n).dtype.is_integer:
        raise GraphError(f"binomial: n must be integers{describe([as_node(n)])}")
    trials, chance = parameters([n, p], shape, float64, "binomial")
    valid = (trials >= 0) & (chance >= 0) & (chance <= 1)
    rare = where(valid, minimum(chance, 1 - chance), 0.0)
    count = where(valid, trials, 0.0)
    number = minimum(rarer(key_of(key, "binomial"), count, rare), to_node_dtype(count, int64))
    mirrored = where(chance > 0.5, to_node_dtype(count, int64) - number, number)
    return fitted(where(valid, mirrored, -1), kind)


def rarer(key: Node, n: Node, p: Node) -> Node:
    """How many of n trials have the outcome of probability p up to 1/2."""
    few, many = split(key)
    is_large = n * p >= LARGE
    odds = p / (1 - p)
    first = exp(n * log1p(-p))
    small = search(few, first, lambda k: (n - k + 1) / k * odds, ~is_large, "binomial")
    # Where the mean is small the hat stands over another distribution, which is not used.
    count, chance = where(is_large, n, 100.0), where(is_large, p, 0.5)
    hat, logarithm = binomial_hat(count, chance)
    return where(is_large, reject(many, hat, logarithm, count, is_large, "binomial"), small)


def binomial_hat(n: Node, p: Node) -> tuple[Hat, Callable[[Node], Node]]:
    """Hörmann's hat for binomial numbers (BTRS), and the logarithms of their probabilities.

    A binomial number is a Poisson one given its sum with another, so that its probability is a
    quotient of theirs.
    """

    def logarithm(k: Node) -> Node:
        inside = maximum(minimum(k, n), 0.0)
        both = poisson_logarithm(inside, n * p) + poisson_logarithm(n - inside, n * (1 - p))
        return both - poisson_logarithm(n, n)

    deviation = sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    scale = log((2.83 + 5.1 / b) * deviation) + logarithm(floor((n + 1) * p))
    a = -0.0873 + 0.0248 * b + 0.01 * p
    return Hat(a=a, b=b, c=n * p + 0.5, likely=0.92 - 4.2 / b, log_scale=scale), logarithm


def geometric(
    key: ArrayLike, p: ArrayLike, shape: ShapeLike | None = None, dtype: DTypeLike = int64
) -> Node:
    """The number of the first trial that succeeds, from 1 on, where each does with probability p.

    ceil(log(u) / log(1 - p)) of a uniform u; the shape defaults to that of p. Numbers beyond the
    dtype are its largest one. -1 where p is no probability, in a dtype without negative numbers
    the largest. No gradient flows to p.
    """
    kind = to_integer_dtype(dtype, "geometric")
    (chance,) = parameters([p], shape, float64, "geometric")
    unit = unit_positive(key_of(key, "geometric"), chance.shape, float64, "geometric")
    valid = (chance >= 0) & (chance <= 1)
    trials = maximum(ceil(log(unit) / log1p(-where(valid, chance, 1.0))), 1.0)
    return where(valid, to_node_dtype(trials, kind), to_node_dtype(as_node(-1, int64), kind))


def multinomial(
    key: ArrayLike, n: ArrayLike, p: ArrayLike, shape: ShapeLike | None = None,
    dtype: DTypeLike = int64,
) -> Node:  # fmt: skip
    """How many of n trials fall into each class, with probabilities p in the last axis.

    p is divided by its sum. The shape is that of the result, classes last, and defaults to that of
    p, where n, of the shape without classes, must broadcast to it. Each class is a binomial number
    of the trials that are left. No gradient flows to p.
    """
    kind, node = to_integer_dtype(dtype, "multinomial"), as_node(p, float64)
    trials = as_node(n)
    if not node.ndim or not trials.dtype.is_integer:
        raise GraphError(
            "multinomial: n must be integers and p have an axis of classes"
            f"{describe([trials, node])}"
        )
    sizes = node.shape if shape is None else to_shape(shape, "multinomial")
    chances = moveaxis(stop_gradient(parameter(node, float64, sizes, "multinomial")), -1, 0)
    start = parameter(trials, int64, sizes[:-1], "multinomial")
    given, places = key_of(key, "multinomial"), apply("iota", shape=sizes[-1:], axis=0, dtype=int64)

    def add(total: Node, chance: Node) -> tuple[Node, Node]:
        return total + chance, total + chance

    def step(left: Node, row: tuple[Node, Node, Node]) -> tuple[Node, Node]:
        place, chance, rest = row
        part = minimum(where(rest > 0, chance / rest, 0.0), 1.0)
        taken = binomial(fold_in(given, place), left, part)
        return left - taken, taken

    tails = scan(add, zeros_like(chances[0]), chances, reverse=True)[1]
    counts = scan(step, start, (places, chances, tails))[1]
    return fitted(moveaxis(counts, 0, -1), kind)


def fitted(counts: Node, dtype: DType) -> Node:
    """Counts, and the -1 that stands for none, in a dtype; larger ones are its largest number."""
    whole = to_node_dtype(counts, int64)
    highest = dtype.limits[1]
    return to_node_dtype(minimum(whole, int(highest)) if dtype.bits < 64 else whole, dtype)


def key_of(key: ArrayLike, what: str) -> Node:
    """A key as a node; GraphError unless it is one."""
    key_words(key, what)
    return as_node(key)
