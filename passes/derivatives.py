"""Derivatives made of `grad`, `jvp` and `vmap`: of several outputs, and of second order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import GraphError, shown
from graphc.ir.dim import Size, is_nonnegative
from graphc.ir.node import Node
from graphc.lang.creation import eye
from graphc.lang.movement import moveaxis, reshape
from graphc.ops.chain_rule import gradients_at, slopes_along
from graphc.passes.batch import vmap
from graphc.passes.differentiate import (
    check_output,
    check_real,
    check_targets,
    grad,
    to_direction,
)
from graphc.structure import flatten, same_structure

MODES = ("forward", "reverse")


def vjp(outputs: Any, wrt: Any, cotangents: Any) -> Any:
    """The gradient of the sum of outputs times cotangents, in the structure of `wrt`.

    `cotangents` gives for each output an array or node of its type, in the same structure. See
    `grad`, which is this for one scalar and the cotangent 1. GraphError where something does not
    fit, or no output depends on one of `wrt`.
    """
    roots, _ = flatten(outputs)
    for root in roots:
        check_output("vjp", root)
    targets, rebuild = flatten(wrt)
    check_targets("vjp", roots, targets)
    if not same_structure(outputs, cotangents):
        raise GraphError("vjp: the cotangents must have the same structure as the outputs")
    totals: dict[Node, Node] = {}
    for root, value in zip(roots, flatten(cotangents)[0], strict=True):
        part = to_direction("vjp: the cotangent", root, value)
        totals[root] = totals[root] + part if root in totals else part
    return rebuild(gradients_at(totals, targets))


def jacobian(output: Node, wrt: Any, mode: str | None = None) -> Any:
    """The derivative of each element of an output by each of `wrt`, in the structure of `wrt`.

    Each result has the output's axes, then those of the node it is the derivative by. mode is
    "forward" (a pass for each element of `wrt`) or "reverse" (one for each of the output), all
    passes as one batch; without it, forward where `wrt` has surely fewer elements than the
    output. Sizes may be symbolic. GraphError as for `grad`, and where something is complex.
    """
    check_output("jacobian", output)
    targets, rebuild = flatten(wrt)
    check_targets("jacobian", [output], targets)
    for node in (output, *targets):
        check_real("jacobian", node)
    if mode is not None and mode not in MODES:
        raise GraphError(f"jacobian: mode is 'forward', 'reverse' or None, not {shown(mode)}")
    return rebuild(rows(output, targets, mode or cheaper_mode(output, targets)))


def cheaper_mode(output: Node, targets: Sequence[Node]) -> str:
    """The mode of fewer passes, reverse where that is undecided."""
    count: Size = 0
    for target in targets:
        count = count + target.size
    return "forward" if is_nonnegative(output.size - count - 1) else "reverse"


def rows(output: Node, targets: Sequence[Node], mode: str) -> list[Node]:
    """The Jacobian by each target."""
    if mode == "forward":
        return [columns(output, target) for target in targets]
    found = vmap(lambda row: gradients_at({output: row}, targets))(basis(output))
    pairs = zip(found, targets, strict=True)
    return [reshape(part, (*output.shape, *target.shape)) for part, target in pairs]


def columns(output: Node, target: Node) -> Node:
    """The Jacobian by one target, from its columns: one for each element of the target."""
    (found,) = vmap(lambda column: slopes_along([output], [target], [column]))(basis(target))
    return reshape(moveaxis(found, 0, -1), (*output.shape, *target.shape))


def basis(node: Node) -> Node:
    """For each element of a node an array of its type that is 1 there and 0 elsewhere."""
    return reshape(eye(node.size, dtype=node.dtype), (node.size, *node.shape))


def hessian(output: Node, wrt: Any) -> Any:
    """The second derivatives of a scalar: for each pair of `wrt` an array, with the axes of both.

    For one node it is an array; for a structure, that structure of such structures. It is the
    Jacobian of the gradient, forward over reverse. GraphError as for `jacobian`.
    """
    targets, rebuild = flatten(wrt)
    slopes = grad(output, targets)
    for node in targets:
        check_real("hessian", node)
    return rebuild([rebuild(rows(slope, targets, "forward")) for slope in slopes])


def hvp(output: Node, wrt: Any, vector: Any) -> Any:
    """The Hessian of a scalar times a vector, which is never larger than the gradient.

    `vector` gives for each node of `wrt` an array or node of its type, in the same structure, and
    so is the result. It is the derivative of the gradient along the vector. GraphError as for
    `grad` and `jvp`.
    """
    slopes = grad(output, wrt)
    targets, rebuild = flatten(wrt)
    if not same_structure(wrt, vector):
        raise GraphError("hvp: the vector must have the same structure as wrt")
    given = flatten(vector)[0]
    along = [to_direction("hvp: the vector", *pair) for pair in zip(targets, given, strict=True)]
    return rebuild(slopes_along(flatten(slopes)[0], targets, along))
