"""Derivatives as graphs: reverse mode (`grad`) and forward mode (`jvp`), of any order.

Each operator says in the language what it passes on, so that a derivative is a graph like any
other and can be differentiated again. The new nodes stand at the user's lines whose derivatives
they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import GraphError, shown
from graphc.ir.graph import walk
from graphc.ir.node import Node, made_at
from graphc.ir.types import show_shape
from graphc.lang.operands import as_node, constant
from graphc.ops.chain_rule import gradients_at, slopes_along
from graphc.structure import flatten, same_structure


def grad(output: Node, wrt: Any) -> Any:
    """The gradient of a scalar by nodes: a node of each one's type, in the structure of `wrt`.

    `wrt` is a node or nested lists, tuples and dicts of nodes, of a floating-point dtype; any
    node will do, not inputs and variables alone. The gradient by a complex node x + iy is
    dL/dx - i dL/dy. GraphError where the output is not a real scalar of a floating-point dtype, or
    does not depend on one of them.
    """
    check_output("grad", output)
    check_real("grad", output)
    if output.shape != ():
        raise GraphError(
            f"grad: the output must be a scalar, this one has shape {show_shape(output.shape)}: "
            f"reduce it with gx.sum or gx.mean{made_at(output)}"
        )
    targets, rebuild = flatten(wrt)
    check_targets("grad", [output], targets)
    return rebuild(gradients_at({output: constant(1, output.dtype)}, targets))


def value_and_grad(output: Node, wrt: Any) -> tuple[Node, Any]:
    """The output itself and its gradient (see `grad`)."""
    return output, grad(output, wrt)


def jvp(outputs: Any, wrt: Any, tangents: Any) -> Any:
    """The derivative of outputs along a direction, in the structure of `outputs`.

    `tangents` gives the direction: for each node of `wrt` an array or node of its type, in the
    same structure. GraphError where something does not fit, or no output depends on one of `wrt`.
    """
    roots, rebuild = flatten(outputs)
    for root in roots:
        check_output("jvp", root)
    targets, _ = flatten(wrt)
    check_targets("jvp", roots, targets)
    if not same_structure(wrt, tangents):
        raise GraphError("jvp: the tangents must have the same structure as wrt")
    given = flatten(tangents)[0]
    along = [to_direction("jvp: the tangent", *pair) for pair in zip(targets, given, strict=True)]
    return rebuild(slopes_along(roots, targets, along))


def check_output(what: str, output: Any) -> None:
    """GraphError unless the output is a node of a floating-point dtype."""
    if not isinstance(output, Node):
        raise GraphError(f"{what}: the output must be a node, not {shown(output)}")
    if not output.dtype.is_inexact:
        raise GraphError(
            f"{what}: the output must be of a floating-point dtype, this one is "
            f"{output.dtype.name}{made_at(output)}"
        )


def check_real(what: str, node: Node) -> None:
    """GraphError for a complex node, of which the derivative is not one complex number."""
    if node.dtype.is_complex:
        raise GraphError(
            f"{what}: {node} is complex, its derivative need not be one complex number: "
            f"take its real and imaginary parts, or use gx.vjp or gx.jvp{made_at(node)}"
        )


def check_targets(what: str, outputs: Sequence[Node], targets: Sequence[Any]) -> None:
    """GraphError unless all targets are floating-point nodes that some output depends on."""
    reached = set(walk(outputs))
    for target in targets:
        if not isinstance(target, Node):
            raise GraphError(f"{what}: wrt must hold nodes, not {shown(target)}")
        if not target.dtype.is_inexact:
            raise GraphError(
                f"{what}: {target} has no derivatives, its dtype is {target.dtype.name}: "
                f"make it a float{made_at(target)}"
            )
        if target not in reached:
            raise GraphError(f"{what}: the output does not depend on {target}{made_at(target)}")


def to_direction(what: str, node: Node, value: Any) -> Node:
    """A tangent or cotangent given for a node as a node; GraphError unless of its type."""
    given = as_node(value, node.dtype)
    if given.type != node.type:
        raise GraphError(
            f"{what} of {node} must be {node.type}, this one is {given.type}{made_at(node)}"
        )
    return given
