"""`checkpoint`: a function whose inside is computed again in the backward pass, not stored."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from graphc.ir.graph import substitute
from graphc.ir.node import Node, apply, build, standing_at
from graphc.ir.rules import Parts, Rule
from graphc.ops.chain_rule import gradients_at, slopes_along
from graphc.passes.custom_gradient import added_up, guarded, rules_for
from graphc.passes.trace import Trace, dependents, stand_in, trace

Nodes: TypeAlias = Sequence[Node]


def checkpoint(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function `fn`, whose intermediate values do not wait for the backward pass.

    Its gradient computes them again from the arguments and from the nodes that `fn` reads from
    outside. So only these are kept, at the price of computing `fn` twice. Values and derivatives
    are the same.
    """

    @functools.wraps(fn)
    def recomputed(*arguments: Any) -> Any:
        traced = closed(trace(fn, arguments))
        name = f"checkpoint {getattr(fn, '__name__', 'function')}"
        return guarded(traced, rules_for(name, backward_of(traced), forward_of(traced)))

    return recomputed


def closed(traced: Trace) -> Trace:
    """The call with what the function reads from outside among its arguments."""
    outside = traced.outside()
    done = {node: stand_in(node.type) for node in outside}
    inner = tuple(done.values())
    for node in dependents(traced.outputs, traced.stand_ins):
        with standing_at(node.where):
            operands = [done.get(operand, operand) for operand in node.inputs]
            done[node] = build(node.op, operands, node.attrs) if operands else node
    return dataclasses.replace(
        traced,
        nodes=(*traced.nodes, *outside),
        stand_ins=(*traced.stand_ins, *inner),
        outputs=tuple(done.get(root, root) for root in traced.outputs),
    )


def backward_of(traced: Trace) -> Rule:
    """The gradient with a second computation that begins when the gradients are there."""
    gradients = unknown(traced.outputs)
    targets = smooth(traced.stand_ins)
    found = gradients_at(added_up(traced.outputs, gradients), targets)

    def vjp(inputs: Nodes, outputs: Nodes, given: Parts) -> Parts:
        present = smooth(given)
        again = [apply("barrier", node, *present) for node in inputs]
        values = {**pairs(traced.stand_ins, again), **pairs(smooth(gradients), present)}
        return among(traced.stand_ins, substitute(found, values))

    return vjp


def forward_of(traced: Trace) -> Rule:
    """The tangents of the results; nothing is stored, so nothing is computed again."""
    tangents = unknown(traced.stand_ins)
    found = slopes_along(smooth(traced.outputs), smooth(traced.stand_ins), smooth(tangents))

    def jvp(inputs: Nodes, outputs: Nodes, given: Parts) -> Parts:
        values = {**pairs(traced.stand_ins, inputs), **pairs(smooth(tangents), smooth(given))}
        return among(traced.outputs, substitute(found, values))

    return jvp


def unknown(nodes: Nodes) -> list[Node | None]:
    """A stand-in for the derivative of each node; None where it can have none."""
    return [stand_in(node.type) if node.dtype.is_inexact else None for node in nodes]


def smooth(nodes: Parts) -> list[Node]:
    """Those nodes that can have derivatives."""
    return [node for node in nodes if node is not None and node.dtype.is_inexact]


def pairs(keys: Nodes, values: Nodes) -> dict[Node, Node]:
    """The value for each key."""
    return dict(zip(keys, values, strict=True))


def among(nodes: Nodes, parts: Nodes) -> list[Node | None]:
    """The parts at the places of the nodes that can have derivatives, None at the others."""
    rest = iter(parts)
    return [next(rest) if node.dtype.is_inexact else None for node in nodes]
