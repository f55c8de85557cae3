"""Layout in layers: every edge goes down, few edges cross, and neighbours stand near each other.

The method of Sugiyama, Tagawa and Toda (1981): put boxes into layers, order each layer by where
its neighbours stand, then give coordinates. Edges over several layers run through bends, one for
each layer on the way; all edges from one box share its bends, so that they run as one line until
they part.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeAlias

import networkx as nx

Vertex: TypeAlias = int | tuple[int, int]  # a box, or a bend of a box's edges: (box, layer)
Layers: TypeAlias = list[list[Vertex]]

SWEEPS = 24  # of ordering, up and down in turn
STRAIGHTENINGS = 30
GAP = 22.0  # between neighbours in a layer
LAYER_GAP = 46.0
BEND_WIDTH = 6.0
BEND_WEIGHT = 4.0  # how much more a bend wants to be straight than a box


@dataclass(frozen=True, slots=True)
class Size:
    """The width and height of a box."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands: centres of boxes and bends, and the picture's width and height.

    heights of bends are those of their layers, which edges cross straight down, so that they
    touch no box. lines are the pieces of edges between layers, as (upper, lower) vertices.
    """

    centres: dict[Vertex, tuple[float, float]]
    heights: dict[Vertex, float]
    lines: list[tuple[Vertex, Vertex]]
    width: float
    height: float


def layout(graph: nx.DiGraph, sizes: Mapping[int, Size]) -> Layout:
    """A layout for a graph without cycles whose boxes have these sizes."""
    layer = assign_layers(graph)
    layers, lines = with_bends(graph, layer)
    order(layers, lines)
    columns = place_columns(layers, lines, sizes)
    tall = [
        max((sizes[v].height for v in row if isinstance(v, int)), default=0.0) for row in layers
    ]
    tops = accumulate((height + LAYER_GAP for height in tall), initial=0.0)
    rows = [top + height / 2 for top, height in zip(tops, tall, strict=False)]
    centres = {v: (columns[v], rows[k]) for k, row in enumerate(layers) for v in row}
    heights = {
        v: sizes[v].height if isinstance(v, int) else tall[k]
        for k, row in enumerate(layers)
        for v in row
    }
    right = max((columns[v] + width_of(v, sizes) / 2 for v in columns), default=0.0)
    bottom = rows[-1] + tall[-1] / 2 if rows else 0.0
    return Layout(centres, heights, lines, right, bottom)


def assign_layers(graph: nx.DiGraph) -> dict[int, int]:
    """The layer of each box: below all it comes from, and a source right above its first user."""
    generations = enumerate(nx.topological_generations(graph))
    layer = {box: number for number, boxes in generations for box in boxes}
    for box in graph:
        if not graph.pred[box] and graph.succ[box]:
            layer[box] = min(layer[user] for user in graph.succ[box]) - 1
    return layer


def with_bends(
    graph: nx.DiGraph, layer: Mapping[int, int]
) -> tuple[Layers, list[tuple[Vertex, Vertex]]]:
    """The layers with bends put in, and the pieces of edges between neighbouring layers."""
    layers: Layers = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    lines: list[tuple[Vertex, Vertex]] = []
    for box in graph:
        layers[layer[box]].append(box)
        last = max((layer[user] for user in graph.succ[box]), default=layer[box])
        bends: list[Vertex] = [(box, number) for number in range(layer[box] + 1, last)]
        for number, bend in enumerate(bends, start=layer[box] + 1):
            layers[number].append(bend)
        path = [box, *bends]
        lines.extend(pairwise(path))
        lines.extend((path[layer[user] - layer[box] - 1], user) for user in graph.succ[box])
    return layers, lines


# --- order within layers -------------------------------------------------------------------------


class Neighbours:
    """For each vertex, those above and those below."""

    def __init__(self, lines: Sequence[tuple[Vertex, Vertex]]) -> None:
        self.above: dict[Vertex, list[Vertex]] = {}
        self.below: dict[Vertex, list[Vertex]] = {}
        for upper, lower in lines:
            self.above.setdefault(lower, []).append(upper)
            self.below.setdefault(upper, []).append(lower)


def order(layers: Layers, lines: Sequence[tuple[Vertex, Vertex]]) -> None:
    """Orders each layer in place so that few lines cross; keeps the best of several sweeps."""
    near = Neighbours(lines)
    best, fewest = [list(row) for row in layers], crossings(layers, near)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        downwards = sweep % 2 == 0
        sides = near.above if downwards else near.below
        rows = list(pairwise(layers)) if downwards else list(pairwise(reversed(layers)))
        for fixed, free in rows:
            order_layer(fixed, free, sides)
        found = crossings(layers, near)
        if found < fewest:
            best, fewest = [list(row) for row in layers], found
    layers[:] = best


def order_layer(
    fixed: list[Vertex], free: list[Vertex], sides: Mapping[Vertex, list[Vertex]]
) -> None:
    """Sorts a layer by the mean place of each vertex's neighbours in the layer beside it."""
    place = {vertex: position for position, vertex in enumerate(fixed)}
    wanted = {vertex: float(position) for position, vertex in enumerate(free)}
    for vertex in free:
        beside = [place[other] for other in sides.get(vertex, ())]
        if beside:
            wanted[vertex] = sum(beside) / len(beside)
    free.sort(key=wanted.__getitem__)


def crossings(layers: Layers, near: Neighbours) -> int:
    """How many pairs of lines cross."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {vertex: position for position, vertex in enumerate(lower)}
        seen: list[int] = []
        for vertex in upper:
            ends = sorted(place[other] for other in near.below.get(vertex, ()))
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


# --- coordinates ---------------------------------------------------------------------------------


def width_of(vertex: Vertex, sizes: Mapping[int, Size]) -> float:
    """The width of a box or bend."""
    return sizes[vertex].width if isinstance(vertex, int) else BEND_WIDTH


def place_columns(
    layers: Layers, lines: Sequence[tuple[Vertex, Vertex]], sizes: Mapping[int, Size]
) -> dict[Vertex, float]:
    """The middle of each vertex from the left, near the middle of its neighbours."""
    near = Neighbours(lines)
    widest = max((packed(row, sizes)[1] for row in layers), default=0.0)
    columns: dict[Vertex, float] = {}
    for row in layers:
        places, width = packed(row, sizes)
        columns |= {v: x + (widest - width) / 2 for v, x in zip(row, places, strict=True)}
    for turn in range(STRAIGHTENINGS):
        downwards, early = turn % 2 == 0, turn < STRAIGHTENINGS // 3
        # First what stands above and what stands below in turn, then both, and edges straight.
        sides = (near.above, near.below) if downwards else (near.below, near.above)
        bends = {} if early else middles_of_bends(columns)
        for row in layers if downwards else reversed(layers):
            wanted = wanted_columns(row, columns, sides[:1] if early else sides, bends)
            straighten(row, columns, wanted, sizes)
    left = min((columns[v] - width_of(v, sizes) / 2 for v in columns), default=0.0)
    return {vertex: x - left for vertex, x in columns.items()}


def packed(row: Sequence[Vertex], sizes: Mapping[int, Size]) -> tuple[list[float], float]:
    """The middles of a layer's vertices side by side, and its width."""
    places, right = [], 0.0
    for vertex in row:
        width = width_of(vertex, sizes)
        places.append(right + width / 2)
        right += width + GAP
    return places, max(right - GAP, 0.0)


def middles_of_bends(columns: Mapping[Vertex, float]) -> dict[Vertex, float]:
    """For each bend, the mean place of all bends of the same box: there the edge is straight."""
    bends: dict[int, list[Vertex]] = {}
    for vertex in columns:
        if isinstance(vertex, tuple):
            bends.setdefault(vertex[0], []).append(vertex)
    means = {box: sum(columns[v] for v in chain) / len(chain) for box, chain in bends.items()}
    return {vertex: means[box] for box, chain in bends.items() for vertex in chain}


def wanted_columns(
    row: Iterable[Vertex],
    columns: Mapping[Vertex, float],
    sides: Sequence[Mapping[Vertex, list[Vertex]]],
    known: Mapping[Vertex, float],
) -> dict[Vertex, float]:
    """Where each vertex of a layer wants to be: as known, or at the mean of its neighbours."""
    wanted: dict[Vertex, float] = {}
    for vertex in row:
        beside = [columns[other] for side in sides for other in side.get(vertex, ())]
        if vertex in known:
            wanted[vertex] = known[vertex]
        elif beside:
            wanted[vertex] = sum(beside) / len(beside)
    return wanted


def straighten(
    row: Sequence[Vertex],
    columns: dict[Vertex, float],
    wanted: Mapping[Vertex, float],
    sizes: Mapping[int, Size],
) -> None:
    """Moves a layer's vertices as near to where they want to be as order and widths allow.

    The least squares for a fixed order: without widths the places must not decrease, so groups
    that would overlap are merged at their mean (isotonic regression, pooling adjacent violators).
    """
    offsets, _ = packed(row, sizes)
    groups: list[tuple[float, float, int]] = []  # weighted mean, weight, how many
    for vertex, offset in zip(row, offsets, strict=True):
        mean, count = wanted.get(vertex, columns[vertex]) - offset, 1
        weight = BEND_WEIGHT if isinstance(vertex, tuple) else 1.0 if vertex in wanted else 0.1
        while groups and groups[-1][0] > mean:
            other, heavy, number = groups.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + number
        groups.append((mean, weight, count))
    shifts = [mean for mean, _, count in groups for _ in range(count)]
    for vertex, offset, shift in zip(row, offsets, shifts, strict=True):
        columns[vertex] = offset + shift
