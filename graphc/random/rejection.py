"""Counts from proposals: search through probabilities, and rejection from a hat above them.

Both are loops over all elements at once, which go on while any element needs another step; each
step has a key of its own, so that numbers do not depend on which elements wait. Everything is
computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from graphc.ir.dim import Size
from graphc.ir.node import Node
from graphc.ir.types import float64, int64
from graphc.lang.arithmetic import abs, maximum, minimum
from graphc.lang.creation import full_like, zeros_like
from graphc.lang.exponential import log, log1p
from graphc.lang.indexing import take
from graphc.lang.loops import while_loop
from graphc.lang.operands import constant, to_node_dtype
from graphc.lang.reduction import any
from graphc.lang.rounding import floor
from graphc.lang.selection import where
from graphc.lang.special import stirling
from graphc.random.bits import fraction
from graphc.random.continuous import unit_positive
from graphc.random.keys import fold_in, split

Shape: TypeAlias = tuple[Size, ...]

MOST_COUNTED = 64
"""How far `search` goes. A count of mean 10 or less is larger with probability below 1e-28."""
MOST_PROPOSALS = 100
"""Hats accept with probability above 0.7: so many refusals have probability below 1e-52."""

EXACT = 16
ERRORS = [0.0] + [
    math.lgamma(k + 1) - (k * math.log(k) - k + 0.5 * math.log(2 * math.pi * k))
    for k in range(1, EXACT)
]
"""What Stirling's formula for log(k!) lacks where its series is not exact."""


def search(key: Node, first: Node, ratio: Callable[[Node], Node], active: Node, what: str) -> Node:
    """Counts by inversion: how many probabilities add up to less than a uniform number.

    first is the probability of 0, ratio(k) that of k divided by that of k - 1, for counts of mean
    10 or less. Elements that are not active give 0. Devroye: Non-uniform random variate generation
    (1986), chapter III.2.
    """
    unit = fraction(key, first.shape, float64, what)
    start = (constant(0), where(active, unit, -1.0), first, zeros_like(first, int64))

    def goes_on(state: tuple[Node, ...]) -> Node:
        step, rest, probability, _ = state
        return any(rest >= probability) & (step < MOST_COUNTED)

    def body(state: tuple[Node, ...]) -> tuple[Node, ...]:
        step, rest, probability, count = state
        beyond = rest >= probability
        after = where(beyond, rest - probability, -1.0)
        following = probability * ratio(to_node_dtype(step + 1, float64))
        return step + 1, after, following, count + to_node_dtype(beyond, int64)

    counts: Node = while_loop(goes_on, body, start)[3]
    return counts


@dataclass(frozen=True, slots=True, eq=False)
class Hat:
    """A curve that lies above a distribution of counts: Hörmann's transformed rejection.

    A uniform u in (-1/2, 1/2) proposes floor((2 a / s + b) u + c) with s = 1/2 - |u|. It is
    accepted at once where s >= 0.07 and v <= likely for a second uniform v, else where v * scale /
    (a / (s s) + b) is at most its probability; log_scale is the logarithm of scale.
    """

    a: Node
    b: Node
    c: Node
    likely: Node
    log_scale: Node


def reject(
    key: Node, hat: Hat, log_probability: Callable[[Node], Node], top: Node, active: Node, what: str
) -> Node:
    """Counts from 0 to top by proposals of a hat; 0 where not active.

    Hörmann: The transformed rejection method for generating Poisson random variables (1993), and
    The generation of binomial random variates (1993).
    """

    def goes_on(state: tuple[Node, ...]) -> Node:
        step, waiting, _ = state
        return any(waiting) & (step < MOST_PROPOSALS)

    def body(state: tuple[Node, ...]) -> tuple[Node, ...]:
        step, waiting, count = state
        first, second = split(fold_in(key, step))
        u = fraction(first, active.shape, float64, what) - 0.5
        v = unit_positive(second, active.shape, float64, what)
        room = 0.5 - abs(u)
        proposed = floor((2 * hat.a / room + hat.b) * u + hat.c)
        height = log(v) + hat.log_scale - log(hat.a / (room * room) + hat.b)
        good = ((room >= 0.07) & (v <= hat.likely)) | (height <= log_probability(proposed))
        taken = waiting & good & (room > 0) & (proposed >= 0) & (proposed <= top)
        return step + 1, waiting & ~taken, where(taken, proposed, count)

    counts: Node = while_loop(goes_on, body, (constant(0), active, full_like(hat.c, 0.0)))[2]
    return to_node_dtype(counts, int64)


def poisson_logarithm(k: Node, mean: Node) -> Node:
    """The logarithm of mean**k exp(-mean) / k!, for counts k of any size.

    Written with k!'s error beside Stirling's formula and the deviance, neither of which cancels.
    Loader: Fast and accurate computation of binomial probabilities (2000).
    """
    positive = maximum(k, 1.0)
    beyond = (positive - mean) / mean
    deviance = mean * ((1 + beyond) * log1p(beyond) - beyond)
    logarithm = -0.5 * log(2 * math.pi * positive) - stirling_error(positive) - deviance
    return where(k == 0, -mean, logarithm)


def stirling_error(k: Node) -> Node:
    """log(k!) less Stirling's formula, for whole numbers from 1 on."""
    place = to_node_dtype(minimum(k, EXACT - 1), int64)
    series = stirling(maximum(k, float(EXACT)))
    return where(k < EXACT, take(constant(ERRORS), place), series)
