"""Outline groups of operators: each becomes a fusion node that holds them as its body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from graphc.ir.graph import Graph, items_of
from graphc.ir.node import Node, apply, build, standing_at
from graphc.ir.op import OPS
from graphc.ops.kept_products import CONTRACTIONS
from graphc.passes.fusion_group import REDUCTIONS, Group, is_leaf


def outline(graph: Graph, groups: list[Group], inside: Callable[[Graph], Graph]) -> Graph:
    """The graph over fusions, in an order in which each is made after what it reads.

    inside is what becomes of the graphs that loops and branches hold.
    """
    done: dict[Node, Node] = {node: node for node in graph.walk() if is_leaf(node)}
    results: dict[Node, Node] = {}
    for group in in_order(groups):
        new = made(group, done) if group.is_kernel else over_fusions(group, done, inside)
        results.update(new)
        done.update({node: fusion for node, fusion in new.items() if not is_leaf(node)})
    return graph.replace_roots({**done, **results})


def in_order(groups: list[Group]) -> list[Group]:
    """Groups after the groups whose outputs they read."""
    maker = {node: group for group in groups for node in group.outputs if not is_leaf(node)}
    order: list[Group] = []
    state: dict[Group, bool] = {}
    for first in reversed(groups):
        stack = [(first, False)]
        while stack:
            group, ready = stack.pop()
            if ready:
                order.append(group)
                state[group] = False
            elif group not in state:
                state[group] = True
                stack.append((group, True))
                needs = [maker[n] for n in boundary(group) if n in maker]
                assert not any(map(state.get, needs)), f"{heart(group)!r} waits for its own result"
                stack.extend((need, False) for need in reversed(needs))
    return order


def boundary(group: Group) -> list[Node]:
    """The values that a group reads from memory."""
    return [node for node in group.reads if node not in group.members]


def made(group: Group, done: Mapping[Node, Node]) -> dict[Node, Node]:
    """The fusion node of a group, by the nodes that it computes."""
    outside = boundary(group)
    inside = {node: parameter(node, f"in{k}") for k, node in enumerate(outside)}
    outputs = list(group.outputs)
    copies = copy_inside(outputs, inside)
    body = Graph(tuple(inside.values()), tuple(copies[node] for node in outputs))
    with standing_at(heart(group).where):
        fusion = apply("fusion", *(done[node] for node in outside), body=body)
        if len(outputs) == 1:
            return {outputs[0]: fusion}
        return dict(zip(outputs, items_of(fusion), strict=True))


def over_fusions(
    group: Group, done: Mapping[Node, Node], inside: Callable[[Graph], Graph]
) -> dict[Node, Node]:
    """The results of a node that is no kernel, over what its operands and graphs have become."""
    node = next(iter(group.members))
    attrs = {k: inside(v) if isinstance(v, Graph) else v for k, v in node.attrs.items()}
    with standing_at(node.where):
        loop = build(node.op, (done[operand] for operand in node.inputs), attrs)
        return {
            item: loop if item is node else build(item.op, (loop,), item.attrs)
            for item in group.outputs
        }


def heart(group: Group) -> Node:
    """The operator that a kernel is mostly about: a product, a reduction, or its first output."""
    hearts = [n for n in group.members if n.op.name in CONTRACTIONS]
    hearts += [n for n in group.members if n.op.name in REDUCTIONS]
    return (hearts + list(group.outputs))[0]


def parameter(node: Node, name: str) -> Node:
    """An input of a body that stands for a node outside."""
    with standing_at(node.where):
        return build(OPS["input"], (), {"name": name, "type": node.type})


def copy_inside(outputs: Iterable[Node], inside: Mapping[Node, Node]) -> dict[Node, Node]:
    """The nodes between a body's inputs and its outputs, built again over the inputs."""
    done = dict(inside)
    stack = [(node, False) for node in outputs]
    while stack:
        node, ready = stack.pop()
        if node in done:
            continue
        if ready or not node.inputs:
            operands = tuple(done[operand] for operand in node.inputs)
            with standing_at(node.where):
                done[node] = build(node.op, operands, node.attrs) if operands else node
        else:
            stack.append((node, True))
            stack.extend((operand, False) for operand in node.inputs)
    return done
