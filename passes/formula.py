"""The formulas of a fusion's body as named values: one `let` for each node and index.

Formulas are followed from the stores inwards with a list of work instead of recursion, and
remembered by (node, index, guard), so that a value reached along several paths is one let and
the kernel is never larger than the graph times the indices that it is read at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from graphc.ir import dim, scalar
from graphc.ir.dim import Dim, Size
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.scalar import Load, Reduce, Ref, Scalar
from graphc.passes.fusion_group import linear_offset


class Formulas:
    """Collects named values: `values[name]` is a formula over loads and other names."""

    def __init__(self, body: Graph, buffers: Mapping[Node, str]) -> None:
        self.buffers = buffers
        self.values: dict[str, Scalar] = {}
        self.known: dict[tuple[Node, tuple[Size, ...], Scalar | None], Scalar] = {}
        self.work: list[tuple[str, Node, tuple[Size, ...], Scalar | None]] = []
        self.bound: set[str] = set()
        self.plain: dict[str, Scalar] = {}
        self.loops = 0

    def read(self, node: Node, index: Sequence[Size], guard: Scalar | None) -> Scalar:
        """The element of a node: a load, a constant, or the name that its formula gets."""
        if node in self.buffers:
            offset = linear_offset(index, node.shape)
            return Load(node.dtype, self.buffers[node], offset, guard)
        if node.op.name == "constant":
            return scalar.const(node.dtype, node.attrs["value"].array.item())
        key = (node, tuple(index), guard)
        if key not in self.known:
            name = f"t{len(self.known)}"
            self.known[key] = Ref(node.dtype, name)
            self.work.append((name, *key))
        return self.known[key]

    def follow(self) -> None:
        """Write down the formula of everything that is named and not yet written."""
        while self.work:
            name, node, index, guard = self.work.pop()
            reader = Reader(self, node, guard)
            self.values[name] = self.without_reductions(node.op.element(node, index, reader), name)

    def without_reductions(self, value: Scalar, name: str) -> Scalar:
        """The formula with each reduction inside it as a named value of its own."""
        if isinstance(value, Reduce):
            return value
        return scalar.rebuild(value, lambda part: self.name_reduction(part, name))

    def name_reduction(self, part: Scalar, name: str) -> Scalar | None:
        """A name for a reduction; None for anything else."""
        if not isinstance(part, Reduce):
            return None
        inner = f"{name}_{part.kind}"
        self.values[inner] = part
        return Ref(part.dtype, inner)

    def drop_guards(self) -> None:
        """Replace where(guard, x, 0) by x where that is loaded under the same guard: it is zero."""
        self.values = {
            name: scalar.rebuild(value, self.without_guard) for name, value in self.values.items()
        }

    def without_guard(self, part: Scalar) -> Scalar | None:
        """What a guarded load is without a second question; None for anything else."""
        if not isinstance(part, scalar.Call) or part.function != "where":
            return None
        guard, value, otherwise = part.arguments
        found = self.values.get(value.name) if isinstance(value, Ref) else value
        if not isinstance(found, Load) or found.guard is not guard:
            return None
        return value if isinstance(otherwise, scalar.Const) and is_zero(otherwise.value) else None

    def resolve_names(self) -> None:
        """Replace names that only stand for another name, a load of it or a constant."""
        plain: dict[str, Scalar] = {
            name: value
            for name, value in self.values.items()
            if isinstance(value, Ref | scalar.Const) and name not in self.bound
        }
        self.plain = {name: last_name(plain, value) for name, value in plain.items()}
        self.values = {n: self.resolved(v) for n, v in self.values.items() if n not in self.plain}

    def resolved(self, value: Scalar) -> Scalar:
        """The formula over names that stand for themselves."""
        return scalar.rebuild(
            value, lambda part: self.plain.get(part.name) if isinstance(part, Ref) else None
        )


def is_zero(number: scalar.Number) -> bool:
    """Whether a number has the bits of what a load gives that its guard forbids."""
    return number == 0 and math.copysign(1, number) > 0


def last_name(plain: Mapping[str, Scalar], value: Scalar) -> Scalar:
    """What a value is in the end, when names only stand for others."""
    while isinstance(value, Ref) and value.name in plain:
        value = plain[value.name]
    return value


class Reader:
    """The `Read` that an operator's formula gets, for one node under one guard."""

    def __init__(self, formulas: Formulas, node: Node, guard: Scalar | None) -> None:
        self.formulas = formulas
        self.node = node
        self.guard = guard

    def __call__(self, position: int, index: Sequence[Size], guard: Scalar | None = None) -> Scalar:
        both = guard if self.guard is None else self.guard if guard is None else self.guard & guard
        return self.formulas.read(self.node.inputs[position], index, both)

    def bind(self, value: Scalar) -> Dim:
        """A symbol for an int64 value, which stays a let under that name."""
        name = f"v{len(self.formulas.bound)}"
        self.formulas.bound.add(name)
        self.formulas.values[name] = value
        return dim.symbol(f"%{name}", "value")

    def variable(self, limit: Size) -> Dim:
        """A loop variable of its own for a reduction."""
        self.formulas.loops += 1
        return dim.symbol(f"%k{self.formulas.loops - 1}", "index", limit)
