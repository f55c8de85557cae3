"""The number of a graph's content: the same for what says the same, another for all else.

A graph is copied node by node with one thing changed, whether or not that makes sense: an
attribute, a type, an operand, an operator, a line, or which nodes are one and the same.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import corpus
import numpy as np
import pytest
from random_graphs import random_graph
from random_orders import random_order

import graphc as gx
from graphc.errors import Where
from graphc.ir.content import UnknownContentError, content_of
from graphc.ir.dim import Dim
from graphc.ir.graph import Graph, walk
from graphc.ir.literal import Literal
from graphc.ir.node import Node
from graphc.ir.op import OPS
from graphc.ir.rules import Rules
from graphc.ir.types import DType, TensorType, TupleType, float32, float64, int8

GRAPHS, ELSEWHERE = 8, Where("elsewhere.py", 1, "f")
Change = Callable[[Node], Node]


def number(graph: Graph) -> str:
    """The number of a graph."""
    return content_of(graph).number


def loops() -> Graph:
    """A graph with a scan, its derivative, a choice, a loop, and rules of derivatives."""
    x = gx.input("x", ("n", 3), "float32")
    w = gx.variable(np.ones(3, np.float32), "w")
    total, steps = gx.scan(
        lambda sum_, row: (sum_ + row * w, gx.tanh(sum_)), gx.zeros((3,), "float32"), x
    )
    y = gx.cond(gx.sum(total) > 0, lambda: total * 2, lambda: -total)
    z = gx.while_loop(lambda a: gx.sum(a) < 50, lambda a: a * 1.5 + 1, gx.abs(y))
    a = gx.input("a", (3, 3), "complex64")
    loss = gx.sum(gx.square(steps)) + gx.linalg.det(gx.constant(np.eye(3, dtype=np.float32)) + y)
    return Graph((x, a), (z, a * 1j, loss), ((w, w - gx.grad(loss, w)),))


def graphs() -> Iterator[Graph]:
    """Graphs of all kinds."""
    yield loops()
    yield from (case().graph for case in corpus.NETWORKS.values())
    for seed in range(GRAPHS):
        case = random_order(seed) if seed % 4 == 0 else random_graph(seed)
        yield Graph(tuple(case.inputs), tuple(case.outputs), tuple(case.updates.items()))


def copied(graph: Graph, changed: Node | None = None, change: Change = lambda node: node) -> Graph:
    """The graph made of new nodes, of which one is changed; those of graphs inside likewise."""
    done: dict[Node | Graph, Any] = {}

    def attribute(value: Any) -> Any:
        return copy_of(value) if isinstance(value, Graph) else value

    def copy_of(graph: Graph) -> Graph:
        if graph not in done:
            targets = tuple(target for target, _ in graph.updates)
            for node in walk((*graph.inputs, *targets, *graph.roots)):
                if node not in done:
                    attrs = {key: attribute(value) for key, value in node.attrs.items()}
                    copy = raw(node, inputs=tuple(map(done.get, node.inputs)), attrs=attrs)
                    done[node] = change(copy) if node is changed else copy
            ends = (tuple(map(done.get, nodes)) for nodes in (graph.inputs, graph.outputs))
            updates = tuple((done[target], done[value]) for target, value in graph.updates)
            done[graph] = Graph(*ends, updates)
        return done[graph]

    return copy_of(graph)


def raw(node: Node, **fields: Any) -> Node:
    """A node that differs in some fields, beside the table of nodes and without a type rule."""
    whole = {f: getattr(node, f) for f in ("op", "inputs", "attrs", "type", "where")} | fields
    return Node(**{**whole, "attrs": MappingProxyType(dict(whole["attrs"]))})


def others(value: Any) -> Iterator[Any]:
    """Values that are not this one, most of them nearly."""
    match value:
        case bool():
            yield from (not value, int(value))
        case int():
            yield from (value + 1, float(value), str(value))
        case float():
            yield from (np.nextafter(value, np.inf).item(), -value, str(value))
        case str():
            yield from (value + "'", f"{value}\n", (value,))
        case None:
            yield from (0, False, "None", ())
        case tuple():
            yield from ((*value, 0), (value,), value[:-1] if value else None)
            for place, item in enumerate(value):
                yield from ((*value[:place], o, *value[place + 1 :]) for o in others(item))
        case _:
            yield from other_objects(value)


def other_objects(value: Any) -> Iterator[Any]:
    """Sizes, types, constants, variables and graphs that are not this one, most of them nearly."""
    match value:
        case Dim():
            yield from (value + 1, value * 2, str(value), 7)
        case DType():
            yield from (float32, int8) if value is float64 else (float64,)
        case TensorType(dtype=dtype, shape=shape):
            yield from (TensorType(other, shape) for other in others(dtype))
            yield from (TensorType(dtype, other) for other in other_shapes(shape))
            yield TupleType((value,))
        case TupleType(items=items):
            yield from (TupleType((*items, items[0])), TupleType(items[1:]), items[0])
        case Literal(array=array):
            yield from (Literal(bits) for bits in flipped(array))
            yield from (Literal(array[None]), value.type)
        case Graph():
            yield from (graph() for _, graph in changed_graphs(value))
        case Rules():
            yield replace(value, name="another")


def other_shapes(shape: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Shapes that are not this one."""
    yield (*shape, 1)
    for place, size in enumerate(shape):
        yield (*shape[:place], size + 1, *shape[place + 1 :])


def flipped(array: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """The array with one bit of its first byte flipped, then of its last."""
    for place in {0, array.nbytes - 1} if array.nbytes else ():
        data = bytearray(array.tobytes())
        data[place] ^= 1
        yield np.frombuffer(bytes(data), array.dtype).reshape(array.shape)


def changed_nodes(node: Node) -> Iterator[tuple[str, Change]]:
    """Changes of a node, each with its name."""
    for key, value in node.attrs.items():
        for other in others(value):
            yield f"{key} = {other!r}", lambda n, k=key, o=other: raw(n, attrs={**n.attrs, k: o})
    for kind in others(node.type):
        yield f"type {kind}", lambda n, k=kind: raw(n, type=k)
    yield "one more attribute", lambda n: raw(n, attrs={**n.attrs, "more": 1})
    yield "one more operand", lambda n: raw(n, inputs=(*n.inputs, n))
    yield "another operator", lambda n: raw(n, op=OPS["floor" if n.op.name == "ceil" else "ceil"])
    yield from (("operands", lambda n, k=k: without_sharing(n, k)) for k in range(len(node.inputs)))
    if node.inputs and node.inputs[0] is not node.inputs[-1]:
        yield "order of operands", lambda n: raw(n, inputs=n.inputs[::-1])
    here = node.where or ELSEWHERE
    places = (replace(here, line=here.line + 1), replace(here, function="g"), None)
    yield from ((f"at {place}", lambda n, p=place: raw(n, where=p)) for place in places
                if place != node.where)  # fmt: skip


def without_sharing(node: Node, place: int) -> Node:
    """The node with one operand replaced by a copy that takes it for an operand."""
    wrapped = raw(node.inputs[place], inputs=(node.inputs[place],))
    return raw(node, inputs=(*node.inputs[:place], wrapped, *node.inputs[place + 1 :]))


def changed_graphs(graph: Graph) -> Iterator[tuple[str, Callable[[], Graph]]]:
    """The graph with one thing changed, and what that was."""
    return itertools.chain(changed_nodes_of(graph), changed_ends(graph))


def changed_nodes_of(graph: Graph) -> Iterator[tuple[str, Callable[[], Graph]]]:
    """The graph with one node changed, and how."""
    for node in graph.walk():
        for name, change in changed_nodes(node):
            yield f"{node}: {name}", partial(copied, graph, node, change)


def changed_ends(graph: Graph) -> Iterator[tuple[str, Callable[[], Graph]]]:
    """The graph with other inputs, outputs or updates, and what is other."""
    yield "one more output", partial(replace, graph, outputs=(*graph.outputs, *graph.outputs[:1]))
    for name in ("inputs", "outputs", "updates"):
        parts = getattr(graph, name)
        if parts and parts[0] is not parts[-1]:
            yield f"order of {name}", partial(replace, graph, **{name: parts[::-1]})
        if parts:
            yield f"without {name}", partial(replace, graph, **{name: ()})


def test_copies_have_the_same_number_and_changed_ones_have_others() -> None:
    checked = 0
    for graph in graphs():
        plain = number(graph)
        assert number(copied(graph)) == plain
        some = itertools.islice(changed_nodes_of(graph), 0, None, 1 + len(graph.walk()) // 20)
        for change, other in itertools.chain(some, changed_ends(graph)):
            assert number(other()) != plain, change
            checked += 1
    assert checked > 3_000, checked


def test_an_operator_from_outside_has_no_content() -> None:
    class Mine(type(OPS["exp"])):  # type: ignore[misc]
        """Whatever."""

    x = gx.input("x", (3,), "float32")
    mine = raw(gx.exp(x), op=Mine())
    with pytest.raises(UnknownContentError, match="exp is from"):
        content_of(Graph((x,), (mine,)))


@pytest.mark.parametrize("value", [np.float32(1), [1], {"a": 1}, object(), print])
def test_an_attribute_of_another_type_has_no_content(value: Any) -> None:
    x = gx.input("x", (3,), "float32")
    with pytest.raises(UnknownContentError, match="an attribute is of type"):
        content_of(Graph((x,), (raw(x, attrs={**x.attrs, "more": value}),)))


def test_the_value_of_a_variable_is_no_part_of_the_number() -> None:
    w = gx.variable(np.zeros(3), "w")
    graph = Graph((), (w * 2,))
    before = number(graph)
    w.value = np.ones(3)
    assert number(graph) == before


def test_constants_and_variables_come_in_the_order_in_which_they_are_met() -> None:
    a, b = gx.variable(np.zeros(3), "a"), gx.variable(np.zeros(3), "b")
    ones, twos = gx.constant(np.ones(3)), gx.constant(np.full(3, 2.0))
    content = content_of(Graph((), ((a + ones) * (b - twos) + a,)))
    assert [state.array is v.attrs["state"].array
            for state, v in zip(content.states, (a, b), strict=True)] == [True, True]  # fmt: skip
    assert content.literals == (ones.attrs["value"], twos.attrs["value"])


def test_a_long_chain_has_a_number() -> None:
    x = y = gx.input("x", (3,), "float32")
    for _ in range(5000):
        y = gx.sin(y)
    assert number(Graph((x,), (y,))) != number(Graph((x,), (gx.sin(y),)))


PRINTED = """
import numpy as np
from graphc.ir.content import content_of
from test_content import loops
print(content_of(loops()).number)
"""


def test_the_number_is_the_same_in_every_process() -> None:
    folder = str(Path(__file__).parent)
    found = {
        subprocess.run(
            [sys.executable, "-c", PRINTED],
            env=os.environ | {"PYTHONPATH": folder, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
