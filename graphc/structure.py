"""Nested lists, tuples and dicts: taking their leaves out and putting others in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

Rebuild: TypeAlias = Callable[[Sequence[Any]], Any]


def flatten(tree: Any) -> tuple[list[Any], Rebuild]:
    """The leaves of a structure in order, and the function that puts others in their places.

    Lists, tuples (named ones too) and dicts, in the order of their keys' insertion, are
    structure; everything else is a leaf. `rebuild(leaves)` gives the structure again.
    """
    leaves = list(leaves_of(tree))

    def rebuild(others: Sequence[Any]) -> Any:
        assert len(others) == len(leaves), f"{len(others)} leaves for {len(leaves)} places"
        return fill(tree, iter(others))

    return leaves, rebuild


def leaves_of(tree: Any) -> Iterator[Any]:
    """Every leaf of a structure, from first to last."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        yield from itertools.chain.from_iterable(map(leaves_of, tree))
    else:
        yield tree


def fill(tree: Any, leaves: Iterator[Any]) -> Any:
    """The structure with its leaves replaced by the next ones of an iterator."""
    if isinstance(tree, dict):
        return {key: fill(value, leaves) for key, value in tree.items()}
    if isinstance(tree, list):
        return [fill(value, leaves) for value in tree]
    if isinstance(tree, tuple):
        items = [fill(value, leaves) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    return next(leaves)


def same_structure(one: Any, other: Any) -> bool:
    """Whether two structures nest alike, whatever their leaves are; keys in the same order."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = zip(one.values(), other.values(), strict=False)
        return list(one) == list(other) and all(same_structure(*pair) for pair in pairs)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_structure, one, other))
    return not isinstance(one, dict | list | tuple) and not isinstance(other, dict | list | tuple)
