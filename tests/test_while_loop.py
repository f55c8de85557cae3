"""While loops: values, forward mode, one native loop, and what is refused."""

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.node import apply
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.ir.program import While
from graphc.passes.expand_while_gradient import expand_while_gradient
from graphc.passes.fuse import fuse
from graphc.passes.lower import lower
from graphc.passes.merge_loops import merge_loops

every_device = pytest.mark.parametrize("device", ["cpu", "reference"])


def newton(a: Any) -> Any:
    """The square root of a number, and how many steps it took."""
    return gx.while_loop(
        lambda v: gx.abs(v[0] * v[0] - a) > 1e-12 * a,
        lambda v: (0.5 * (v[0] + a / v[0]), v[1] + 1),
        (a, gx.constant(0)),
    )


@every_device
def test_a_loop_stops_when_the_condition_fails(device: str) -> None:
    a = gx.input("a", (), "float64")
    step = gx.compile(a, newton(a), device=device)
    for value in (2.0, 1.0, 1e6):
        root, count = step(value)
        np.testing.assert_allclose(root, np.sqrt(value))
        assert (count == 0) == (value == 1.0)


@every_device
def test_carries_change_places(device: str) -> None:
    limit = gx.input("limit", (), "int64")
    low, high = gx.while_loop(
        lambda v: v[1] < limit, lambda v: (v[1], v[0] + v[1]), (gx.constant(0), gx.constant(1))
    )
    step = gx.compile(limit, [low, high], device=device)
    assert [int(x) for x in step(np.int64(100))] == [89, 144]


@every_device
def test_a_while_loop_in_a_scan(device: str) -> None:
    xs = gx.input("xs", ("n",), "float64")
    roots = gx.map(lambda x: newton(x)[0], xs)
    values = np.array([4.0, 9.0, 2.0])
    np.testing.assert_allclose(gx.compile(xs, roots, device=device)(values), np.sqrt(values))


@every_device
def test_forward_mode_passes_through(device: str) -> None:
    a = gx.input("a", (), "float64")
    slope = gx.jvp(newton(a)[0], a, 1.0)
    np.testing.assert_allclose(gx.compile(a, slope, device=device)(2.0), 0.5 / np.sqrt(2))


def test_it_is_one_native_loop_that_is_read_as_it_is_written() -> None:
    a = gx.input("a", (), "float64")
    step = gx.compile(a, newton(a))
    assert sum(isinstance(part, While) for part in step.program.steps) == 1
    graph = gx.Graph((a,), newton(a))
    for what in (graph, fuse(graph), lower(fuse(graph))):
        text = print_text(what)
        assert print_text(parse(text)) == text


X = gx.input("x", (3,), "float32")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: gx.while_loop(lambda v: v < 1, lambda v: v, X),
            r"must give one bool, not bool\[3\]",
        ),
        (lambda: gx.while_loop(lambda v: gx.any(v < 1), gx.sum, X), r"begins as f32\[3\].*f32\[\]"),
        (lambda: gx.while_loop(lambda v: True, lambda v: (v, v), X), "the structure of init"),
        (lambda: gx.while_loop(lambda v: True, lambda v: v, X, checkpoints=0), "above 0, not 0"),
    ],
)
def test_refusals_name_what_is_wrong(make: Any, message: str) -> None:
    with pytest.raises(gx.GraphError, match=message) as error:
        make()
    assert error.value.where is not None
    assert error.value.where.file == __file__


def test_loops_that_run_alike_are_merged() -> None:
    a = gx.input("a", (), "float64")
    root, count = newton(a)
    outputs = (root, gx.grad(root, a), count)
    expanded = expand_while_gradient(gx.Graph((a,), outputs))
    loops = [node for node in expanded.walk() if node.op.name == "while_loop"]
    merged = merge_loops(expanded)
    (left,) = [node for node in merged.walk() if node.op.name == "while_loop"]
    assert sorted(len(loop.inputs) for loop in loops) == [5, 6]
    assert len(left.inputs) == 6
    assert merged.outputs[0].inputs[0] is left
    assert merged.outputs[2].attrs["index"] == 1


def test_a_loop_that_carries_tangents_is_the_loop_itself() -> None:
    a = gx.input("a", (), "float64")
    root, count = newton(a)
    merged = merge_loops(gx.Graph((a,), (root, gx.jvp(root, a, 1.0), count)))
    (left,) = [node for node in merged.walk() if node.op.name == "while_loop"]
    assert [output.inputs[0] is left for output in merged.outputs] == [True] * 3


def test_a_loop_is_not_merged_with_one_that_reads_it() -> None:
    a = gx.input("a", (), "float64")
    root, _ = newton(a)
    (loop,) = root.inputs
    body, split = loop.attrs["body"], loop.attrs["carries"]
    total, read = gx.input("total", (), "float64"), gx.input("read", (), "float64")
    inputs = (*body.inputs[:split], total, *body.inputs[split:], read)
    operands = (*loop.inputs[:split], a, *loop.inputs[split:], root)
    attrs = {"carries": split + 1, "checkpoints": loop.attrs["checkpoints"]}
    inside = gx.Graph(inputs, (*body.outputs, total + read))
    wider = apply("while_loop", *operands, body=inside, **attrs)
    graph = gx.Graph((a,), (root, apply("item", wider, index=split - 1)))
    assert sum(node.op.name == "while_loop" for node in merge_loops(graph).walk()) == 2


def test_loops_that_end_otherwise_are_not_merged() -> None:
    a = gx.input("a", (), "float64")
    loops = [gx.while_loop(lambda v, k=k: v < k, lambda v: v + 1, a) for k in (5.0, 6.0)]
    merged = merge_loops(gx.Graph((a,), tuple(loops)))
    assert sum(node.op.name == "while_loop" for node in merged.walk()) == 2


GRADIENT = """graph (%go: bool[], %x: f32[3], %g: f32[3]) {{
  %0 = while_gradient(%c0 = %go, %c1 = %x, %g0 = %g) {{{attributes}}} {{
    return {nexts}
  }} back {{
    return {gradients}
  }} : (f32[3])
  %1 = item %0 {{index = 0}} : f32[3]
  return %1
}}
"""
ATTRIBUTES = "carries = {carries}, checkpoints = {kept}, wrt = {wrt}"
RIGHT = {"carries": 2, "kept": 8, "wrt": [1], "nexts": "%c0, %c1", "gradients": "%g0"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, ""),
        ({"carries": 1}, "the first must be one bool"),
        ({"nexts": "%c0"}, "the next are bool[]; the first"),
        ({"kept": 0}, "needs at least one checkpoint, not 0"),
        ({"wrt": [2]}, "wrt [2] must name operands of the loop, 2 of them"),
        ({"wrt": [0]}, "wrt [0] must name operands of the loop"),
        ({"gradients": "%c0"}, "gradients must be f32[3]; they begin as f32[3], the next are bool"),
    ],
)
def test_the_gradient_of_a_loop_must_fit_it(changed: dict[str, Any], message: str) -> None:
    values = {**RIGHT, **changed}
    text = GRADIENT.format(attributes=ATTRIBUTES.format(**values), **values)
    if not message:
        assert print_text(parse(text)) == text
        return
    with pytest.raises(gx.GraphError) as error:
        parse(text)
    assert message in error.value.message
