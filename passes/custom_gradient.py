"""`custom_gradient`: a function whose derivatives the user gives.

The values are computed as the function says; a node of operator "custom_gradient" stands between
them and their users and answers with the user's rules when it is differentiated. The rules are
written in the language, so that they can be differentiated and batched themselves. Where only one
mode has a rule, the other is its transpose: both are linear in the direction that they are given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from graphc.errors import GraphError, shown
from graphc.ir.graph import walk
from graphc.ir.node import Node, apply, made_at
from graphc.ir.rules import Parts, Rule, Rules
from graphc.lang.operands import as_node
from graphc.ops.chain_rule import gradients_at
from graphc.passes.batch import vmap
from graphc.passes.trace import Trace, source, stand_in, trace
from graphc.structure import flatten, same_structure

Nodes: TypeAlias = Sequence[Node]


def custom_gradient(
    fn: Callable[..., Any],
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """The function `fn` with derivatives that the user gives, in either mode and of any order.

    vjp(arguments, result, gradient) returns a tuple of the gradient by each argument, in its
    structure, None for none. jvp(arguments, result, tangents) returns the tangent of the result.
    `arguments` is the tuple that `fn` was called with. One of the two is enough: the other mode
    is its transpose, so it must be linear in the last argument. GraphError where `fn` reads a
    node from outside that could change, or where a rule returns what does not fit.
    """
    if vjp is None and jvp is None:
        raise GraphError("custom_gradient: needs a rule for vjp, for jvp, or for both")

    @functools.wraps(fn)
    def with_rules(*arguments: Any) -> Any:
        traced = trace(fn, arguments)
        for node in traced.outside():
            found = source(node)
            raise GraphError(
                f"custom_gradient: the function reads {found} from outside, for which the rules "
                f"have no derivative: make it an argument{made_at(node)}"
            )
        name = getattr(fn, "__name__", "custom")
        return guarded(traced, rules_for(name, *both_modes(traced, vjp, jvp)))

    return with_rules


def both_modes(
    traced: Trace, vjp: Callable[..., Any] | None, jvp: Callable[..., Any] | None
) -> tuple[Rule, Rule]:
    """The user's rules on plain lists, the missing one as the transpose of the other."""
    backward = None if vjp is None else functools.partial(call_vjp, vjp, traced)
    forward = None if jvp is None else functools.partial(call_jvp, jvp, traced)
    if backward is None:
        assert forward is not None
        return transposed(forward, takes_inputs=True), forward
    return backward, forward or transposed(backward, takes_inputs=False)


def guarded(traced: Trace, rules: Rules) -> Any:
    """The results of a call in their structure, with rules for their derivatives."""
    values = traced.on(traced.nodes)
    operands = (*values, *traced.nodes)
    return traced.results(
        [
            apply("custom_gradient", *operands, rules=rules, outputs=len(values), index=index)
            for index in range(len(values))
        ]
    )


# --- the user's rules on plain lists -------------------------------------------------------------


def call_vjp(
    rule: Callable[..., Any], traced: Trace, inputs: Nodes, outputs: Nodes, gradients: Parts
) -> list[Node | None]:
    """What a user's rule says of gradients: a part for each node among the arguments."""
    arguments = traced.arguments(inputs)
    parts = rule(arguments, traced.results(outputs), traced.results(gradients))
    if not isinstance(parts, list | tuple) or len(parts) != len(arguments):
        raise GraphError(
            f"custom_gradient: the rule for vjp must return a tuple with an entry for each of "
            f"{len(arguments)} arguments, not {shown(parts)}"
        )
    spread = [same_parts(*pair) for pair in zip(parts, arguments, strict=True)]
    leaves = [part for entry in spread for part in entry]
    kept = [part for part, argument in zip(leaves, flatten(arguments)[0], strict=True)
            if isinstance(argument, Node)]  # fmt: skip
    return [checked("vjp", *pair) for pair in zip(kept, inputs, strict=True)]


def same_parts(part: Any, argument: Any) -> list[Any]:
    """The leaves of a gradient, one for each of an argument; None stands for all of them."""
    if part is None:
        return [None] * len(flatten(argument)[0])
    if not same_structure(part, argument):
        raise GraphError(
            "custom_gradient: the rule for vjp must return each gradient in the structure of "
            f"its argument, not {shown(part)} for {shown(argument)}"
        )
    return flatten(part)[0]


def call_jvp(
    rule: Callable[..., Any], traced: Trace, inputs: Nodes, outputs: Nodes, tangents: Parts
) -> list[Node | None]:
    """What a user's rule says of tangents: a part for each of the results."""
    results = traced.results(outputs)
    made = rule(traced.arguments(inputs), results, traced.arguments(tangents))
    if not same_structure(made, results):
        raise GraphError(
            "custom_gradient: the rule for jvp must return a tangent in the structure of the "
            f"result, not {shown(made)} for {shown(results)}"
        )
    return [checked("jvp", *pair) for pair in zip(flatten(made)[0], outputs, strict=True)]


def checked(mode: str, part: Any, like: Node) -> Node | None:
    """A part of a derivative as a node; GraphError unless of the type of what it belongs to."""
    if part is None or not like.dtype.is_inexact:
        return None
    node = as_node(part, like.dtype)
    if node.type != like.type:
        raise GraphError(
            f"custom_gradient: the rule for {mode} must return {like.type} for {like}, "
            f"this is {node.type}{made_at(node)}"
        )
    return node


# --- rules from rules ----------------------------------------------------------------------------


def rules_for(name: str, vjp: Rule, jvp: Rule) -> Rules:
    """Rules that can be batched: on a batch of inputs they are those of each example."""

    @functools.cache  # all results of one function must have the same rules
    def batched() -> Rules:
        return rules_for(name, over_examples(vjp), over_examples(jvp))

    return Rules(name, vjp, jvp, batched)


def over_examples(rule: Rule) -> Rule:
    """A rule for one example as a rule for a batch of them."""

    def batched(inputs: Nodes, outputs: Nodes, directions: Parts) -> Parts:
        kept: list[bool] = []

        def present(*given: Any) -> list[Node]:
            parts = rule(*given)
            kept[:] = [part is not None for part in parts]
            return [part for part in parts if part is not None]

        axes = [None if part is None else 0 for part in directions]
        found = iter(vmap(present, (0, 0, axes))(list(inputs), list(outputs), list(directions)))
        return [next(found) if flag else None for flag in kept]

    return batched


def transposed(rule: Rule, takes_inputs: bool) -> Rule:
    """The other mode of a rule, which takes a direction for each input or for each output.

    A rule is a linear map of its directions, so the other mode is the gradient by them.
    """

    def other(inputs: Nodes, outputs: Nodes, directions: Parts) -> Parts:
        over = inputs if takes_inputs else outputs
        unknown = [stand_in(node.type) if node.dtype.is_inexact else None for node in over]
        parts = rule(inputs, outputs, unknown)
        wanted = [node for node in unknown if node is not None]
        found = gradients_at(added_up(parts, directions), wanted)
        check_linear(found, wanted, "jvp" if takes_inputs else "vjp")
        rest = iter(found)
        return [None if node is None else next(rest) for node in unknown]

    return other


def added_up(nodes: Parts, cotangents: Parts) -> dict[Node, Node]:
    """The cotangent of each node, added up where a node stands several times."""
    totals: dict[Node, Node] = {}
    for node, part in zip(nodes, cotangents, strict=True):
        if node is not None and part is not None:
            totals[node] = totals[node] + part if node in totals else part
    return totals


def check_linear(found: Nodes, directions: Nodes, mode: str) -> None:
    """GraphError where a transpose still depends on the directions that it has been taken by."""
    below = set(walk(found))
    if any(node in below for node in directions):
        given, missing = ("gradient", "jvp") if mode == "vjp" else ("tangents", "vjp")
        raise GraphError(
            f"custom_gradient: the rule for {mode} is not linear in the {given}, so that it does "
            f"not give the other mode: write a rule for {missing} too"
        )
