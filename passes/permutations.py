"""Movements of axes: permutations as one, and what lies beneath permutations and reshapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from graphc.ir.dim import Size, product
from graphc.ir.node import Node
from graphc.lang.movement import permute_dims, reshape

Axes: TypeAlias = tuple[int, ...]
Moves: TypeAlias = list[tuple[Node, Axes]]
"""Movements, the last one first, each with where some axes stand in its result."""


def unpermuted(x: Node) -> tuple[Node, tuple[int, ...]]:
    """What a value is a permutation of, as it lies in memory, and the axes there of its own."""
    axes = tuple(range(x.ndim))
    while x.op.name == "permute_dims":
        axes = tuple(x.attrs["axes"][axis] for axis in axes)
        x = x.inputs[0]
    return x, axes


def permuted(x: Node, axes: Sequence[int]) -> Node:
    """permute_dims by one movement, also of what is permuted already: the same is the same node."""
    source, before = unpermuted(x)
    return permute_dims(source, [before[axis] for axis in axes])


def beneath(x: Node, axes: Sequence[int]) -> tuple[Node, Axes, Moves]:
    """What lies beneath movements in which some axes stay whole, where they are there, and how."""
    places, moves = tuple(axes), []
    while (below := places_below(x, places)) is not None:
        moves.append((x, places))
        x, places = x.inputs[0], below
    return x, places, moves


def places_below(x: Node, axes: Axes) -> Axes | None:
    """Where axes of a movement are in its operand; None if one is not, or it is no movement."""
    if x.op.name == "permute_dims":
        return tuple(x.attrs["axes"][axis] for axis in axes)
    if x.op.name != "reshape":
        return None
    before = x.inputs[0].shape
    found = [place_of(before, x.shape[axis], product(x.shape[:axis])) for axis in axes]
    return tuple(place for place in found if place is not None) if None not in found else None


def place_of(shape: Sequence[Size], size: Size, ahead: Size) -> int | None:
    """The axis of a size that has so many elements for one of its own ahead of it; None if none."""
    for place, each in enumerate(shape):
        if each == size and product(shape[:place]) == ahead:
            return place
    return None


def moved(source: Node, moves: Moves) -> Node:
    """A value moved as another one was, whose axes in question may have had other sizes."""
    for position in range(len(moves) - 1, -1, -1):
        move, axes = moves[position]
        if move.op.name == "permute_dims":
            source = permute_dims(source, move.attrs["axes"])
            continue
        below = places_below(move, axes)
        assert below is not None
        shape = list(move.shape)
        for axis, place in zip(axes, below, strict=True):
            shape[axis] = source.shape[place]
        source = reshape(source, shape)
    return source
