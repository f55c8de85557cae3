"""In which order several arrays are multiplied pair by pair, so that it takes the fewest products.

Up to six factors the best order is found, by the best orders of all their subsets; beyond that the
pair that is cheapest comes next.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from graphc.ir.dim import Size

MOST_FOR_BEST = 6
TYPICAL = 64  # a symbolic size stands for

Pair = tuple[int, int]


def contraction_order(terms: Sequence[str], output: str, sizes: Mapping[str, Size]) -> list[Pair]:
    """Pairs of positions to multiply: both leave the list, the product joins it at the end."""
    costs = {label: size if isinstance(size, int) else TYPICAL for label, size in sizes.items()}
    if len(terms) <= MOST_FOR_BEST:
        return as_pairs(best_splits(terms, output, costs), len(terms))
    return greedy(list(terms), output, costs)


def cost(labels: set[str], sizes: Mapping[str, int]) -> int:
    """The number of products in multiplying two factors that have these labels together."""
    return math.prod(sizes[label] for label in labels)


def needed(labels: str, others: Sequence[str], output: str) -> str:
    """The labels of a product that others or the output still need, each once."""
    rest = set(output).union(*others)
    return "".join(label for label in dict.fromkeys(labels) if label in rest)


def greedy(terms: list[str], output: str, sizes: Mapping[str, int]) -> list[Pair]:
    """At each step the pair that takes the fewest products."""
    order = []
    while len(terms) > 1:
        pairs = itertools.combinations(range(len(terms)), 2)
        i, j = min(pairs, key=lambda pair: cost({*terms[pair[0]], *terms[pair[1]]}, sizes))
        order.append((i, j))
        second, first = terms.pop(j), terms.pop(i)
        terms.append(needed(first + second, terms, output))
    return order


def best_splits(terms: Sequence[str], output: str, sizes: Mapping[str, int]) -> dict[int, Pair]:
    """For each set of factors (as bits) the two sets it is best made of."""
    count, labels = len(terms), {1 << k: term for k, term in enumerate(terms)}
    total, split = dict.fromkeys(labels, 0), {}
    for bits in sorted(range(1, 1 << count), key=int.bit_count):
        if bits in labels:
            continue
        outside = [terms[k] for k in range(count) if not bits >> k & 1]
        parts = [(part, bits ^ part) for part in range(1, bits) if part & bits == part]
        prices = {
            (a, b): total[a] + total[b] + cost({*labels[a], *labels[b]}, sizes) for a, b in parts
        }
        a, b = split[bits] = min(prices, key=lambda pair: prices[pair])
        total[bits] = prices[a, b]
        labels[bits] = needed(labels[a] + labels[b], outside, output)
    return split


def as_pairs(split: Mapping[int, Pair], count: int) -> list[Pair]:
    """Splits as pairs of positions, the smallest sets first."""
    wanted, stack = [], [(1 << count) - 1]
    while stack:
        bits = stack.pop()
        if bits in split:
            wanted.append(bits)
            stack += split[bits]
    places, order = [1 << k for k in range(count)], []
    for bits in reversed(wanted):
        i, j = sorted(map(places.index, split[bits]))
        order.append((i, j))
        del places[j], places[i]
        places.append(bits)
    return order
