"""Rules: derivatives that a user gives for a part of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from graphc.ir.node import Node

Rule: TypeAlias = "Callable[[Sequence[Node], Sequence[Node], Sequence[Node | None]], Parts]"
Parts: TypeAlias = "Sequence[Node | None]"


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What differentiation and batching do in place of what a graph says; an attribute of nodes.

    Both derivatives are given the inputs, the outputs, and a direction for each output (`vjp`) or
    input (`jvp`), None where it has no derivative; they return a part for each input or output.
    `batched` gives the rules for a whole batch of inputs. In a text it is its name, and what is
    read back is no more than that.
    """

    name: str
    vjp: Rule
    jvp: Rule
    batched: Callable[[], Rules]
