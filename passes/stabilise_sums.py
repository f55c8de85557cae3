"""Stable forms of softmax, of the logarithm of a sum of exponentials, and of their gradients.

All subtract the maximum first. Below, e is exp(x), t the sum of e over some axes, and a softmax
is e / broadcast(t).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.ir.node import Node, apply, build
from graphc.lang.comparison import isfinite
from graphc.lang.exponential import exp, log
from graphc.lang.selection import where
from graphc.ops.reduction import kept, spread
from graphc.passes.guards import DEEPEST
from graphc.passes.splat import splat

MOST_SEARCHED = 64
"""How many nodes of a gradient are searched for the sum that it divides by."""


def shift_log_of_sum(node: Node) -> Node | None:
    """log(sum(exp(x))) -> log(sum(exp(x - m))) + m, where m is the maximum."""
    if node.op.name != "log" or not is_total(node.inputs[0]):
        return None
    (total,) = node.inputs
    x, axes = total.inputs[0].inputs[0], total.attrs["axes"]
    if is_shifted(x, axes):
        return None
    return log(apply("sum", exp(shifted(x, axes)), axes=axes)) + finite_maximum(x, axes)


def shift_softmax(node: Node) -> Node | None:
    """exp(x) / sum(exp(x)) -> the same of x - m, where m is the maximum."""
    total = total_of_softmax(node)
    if total is None or is_shifted(node.inputs[0].inputs[0], total.attrs["axes"]):
        return None
    return softmax(total)


def split_log_of_softmax(node: Node) -> Node | None:
    """log(exp(x) / sum(exp(x))) -> x - log(sum(exp(x))), with x shifted by its maximum."""
    total = total_of_softmax(node.inputs[0]) if node.op.name == "log" else None
    if total is None:
        return None
    axes = total.attrs["axes"]
    below = shifted(total.inputs[0].inputs[0], axes)
    return below - spread(log(apply("sum", exp(below), axes=axes)), below, axes)


def cancel_sum(node: Node) -> Node | None:
    """(g / broadcast(t)) * e -> g * softmax, whatever linear terms in g / broadcast(t) there are.

    A softmax that is shifted already cannot overflow. It is left alone, unless the gradient
    divides by the softmax itself, which may be 0.
    """
    if node.op.name != "multiply":
        return None
    for factor, e in (node.inputs, node.inputs[::-1]):
        total = total_below(factor, e) if e.op.name == "exp" else None
        if total is None:
            continue
        divided = Divided(total, spread(total, e, total.attrs["axes"]))
        cleared = clear(factor, divided.spread, divided) if divided.is_risky(factor) else None
        if cleared is not None:
            return cleared * softmax(total)
    return None


def total_below(factor: Node, e: Node) -> Node | None:
    """The sum of e that a factor is made from."""
    return find(factor, lambda x: is_total(x) and x.inputs[0] is e)


@dataclass(frozen=True, slots=True)
class Divided:
    """What a gradient is divided by: the sum of exponentials, and the sum repeated."""

    total: Node
    spread: Node

    def is_risky(self, factor: Node) -> bool:
        """Whether its exponentials may overflow, or the factor is divided by the softmax."""
        (e,) = self.total.inputs
        if not is_shifted(e.inputs[0], self.total.attrs["axes"]):
            return True
        quotient = apply("divide", e, self.spread)
        return find(factor, lambda x: x.op.name == "divide" and x.inputs[1] is quotient) is not None


def clear(node: Node, divisor: Node, divided: Divided, depth: int = DEEPEST) -> Node | None:
    """The node times the divisor, if each of its terms is divided by it; else None."""
    if node.op.name == "divide" and node.inputs[1] is divisor:
        return node.inputs[0]
    inside = divisor_inside(node, divisor, divided)
    if inside is None or depth == 0:
        return None
    places = range(1 if node.op.name == "divide" else len(node.inputs))
    cleared = {at: clear(node.inputs[at], inside, divided, depth - 1) for at in places}
    found = {at: operand for at, operand in cleared.items() if operand is not None}
    if not found or (node.op.name in TERMS and len(found) < len(places)):
        return None
    if node.op.name not in TERMS:  # one factor is enough, and only one may take the divisor
        found = dict(list(found.items())[:1])
    operands = (found.get(at, operand) for at, operand in enumerate(node.inputs))
    return build(node.op, operands, node.attrs)


TERMS = frozenset({"add", "subtract", "negative"})
"""Operators whose operands must all be divided by the sum; of factors, one."""


def divisor_inside(node: Node, divisor: Node, divided: Divided) -> Node | None:
    """What the operands must be divided by, so that the node is by the divisor; None if nothing."""
    if node.op.name in TERMS or node.op.name in {"multiply", "divide"}:
        return divisor
    if node.op.name == "broadcast" and divisor is divided.spread:
        return divided.total if node.attrs == divisor.attrs else None
    if node.op.name == "sum" and divisor is divided.total:
        return divided.spread if node.attrs == divisor.attrs else None
    return None


def softmax(total: Node) -> Node:
    """The softmax that a sum of exponentials belongs to, shifted."""
    (e,), axes = total.inputs, total.attrs["axes"]
    powers = exp(shifted(e.inputs[0], axes))
    return powers / spread(apply("sum", powers, axes=axes), powers, axes)


def shifted(x: Node, axes: Sequence[int]) -> Node:
    """x less its maximum along axes, as it is if that has been done."""
    return x if is_shifted(x, axes) else x - spread(finite_maximum(x, axes), x, tuple(axes))


def finite_maximum(x: Node, axes: Sequence[int]) -> Node:
    """The maximum along axes, 0 where it is infinite or NaN: then no shift would help."""
    top = apply("max", x, axes=axes)
    return where(isfinite(top), top, 0)


def is_shifted(x: Node, axes: Sequence[int]) -> bool:
    """Whether a node is another less its own maximum along axes, 0 where that is infinite."""
    if x.op.name != "subtract" or x.inputs[1].op.name != "broadcast":
        return False
    whole, repeated = x.inputs
    (top,) = repeated.inputs
    found = top.inputs[1] if is_finite_choice(top) else top
    is_maximum = found.op.name == "max" and found.inputs[0] is whole
    along = kept(x.ndim, axes)
    return is_maximum and found.attrs["axes"] == axes and repeated.attrs["axes"] == along


def is_finite_choice(node: Node) -> bool:
    """Whether a node is another where that is finite, and 0 elsewhere."""
    if node.op.name != "where" or node.inputs[0].op.name != "isfinite":
        return False
    condition, chosen, other = node.inputs
    value = splat(other)
    return condition.inputs[0] is chosen and value is not None and bool(value.array == 0)


def is_total(node: Node) -> bool:
    """Whether a node is a sum of exponentials along axes that are not surely empty."""
    if node.op.name != "sum" or node.inputs[0].op.name != "exp":
        return False
    return all(node.inputs[0].shape[axis] != 0 for axis in node.attrs["axes"])


def total_of_softmax(node: Node) -> Node | None:
    """The sum that exponentials are divided by, if the node is a softmax."""
    if node.op.name != "divide" or node.inputs[1].op.name != "broadcast":
        return None
    e, divisor = node.inputs
    (total,) = divisor.inputs
    if not is_total(total) or total.inputs[0] is not e:
        return None
    return total if divisor.attrs["axes"] == kept(e.ndim, total.attrs["axes"]) else None


def find(root: Node, wanted: Callable[[Node], bool]) -> Node | None:
    """The nearest node at or below a root that is wanted, among the first few."""
    seen, queue = {root}, deque([root])
    for _ in range(MOST_SEARCHED):
        if not queue:
            return None
        node = queue.popleft()
        if wanted(node):
            return node
        new = [operand for operand in node.inputs if operand not in seen]
        seen.update(new)
        queue.extend(new)
    return None


FORMS = (shift_log_of_sum, shift_softmax, split_log_of_softmax, cancel_sum)
