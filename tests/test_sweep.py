"""Rewriting to a fixpoint: large graphs in linear time, and rules that never end are stopped."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest

from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply
from graphc.lang.creation import input
from graphc.lang.exponential import exp
from graphc.lang.operands import constant
from graphc.passes.decisions import recording
from graphc.passes.fold_constants import MOST_ELEMENTS, fold_constants
from graphc.passes.pipeline import run_passes
from graphc.passes.remove_dead_code import remove_dead_code
from graphc.passes.remove_duplicates import remove_duplicates
from graphc.passes.remove_stop_gradient import remove_stop_gradient
from graphc.passes.simplify import simplify
from graphc.passes.stabilise import stabilise
from graphc.passes.sweep import MOST_SWEEPS, sweep

PASSES = (
    remove_stop_gradient, simplify, stabilise, fold_constants, remove_duplicates, remove_dead_code,
)  # fmt: skip


def chain(length: int, step: Callable[[Node], Node], dtype: str = "float32") -> Graph:
    """A graph of one step after another."""
    x = node = input("x", (4,), dtype)
    for _ in range(length):
        node = step(node)
    return Graph((x,), (node,))


def seconds(graph: Graph) -> float:
    """How long all passes take."""
    start = time.perf_counter()
    run_passes(graph, PASSES)
    return time.perf_counter() - start


def test_a_chain_of_ten_thousand_nodes_takes_linear_time() -> None:
    step = lambda x: x * 1.5 + 0.5  # noqa: E731
    seconds(chain(10, step))
    short = seconds(chain(1_000, step))
    assert seconds(chain(5_000, step)) < 15 * short


def test_a_chain_of_nothing_collapses() -> None:
    graph = simplify(chain(10_000, lambda x: -(x * 1) + 0))
    assert graph.outputs[0] is graph.inputs[0]


def test_a_chain_of_integers_is_added_up_in_one_sweep() -> None:
    graph = simplify(chain(10_000, lambda x: x + 1, "int32"))
    assert len(graph.walk()) == 4  # x, 10000, its broadcast, their sum


@pytest.mark.parametrize("step", [lambda x: x * x + x, lambda x: exp(x) / (1 + exp(x)) + x])
def test_stacked_diamonds_do_not_blow_up(step: Callable[[Node], Node]) -> None:
    graph = chain(20, step)
    after = run_passes(graph, PASSES).result
    assert len(after.walk()) <= len(graph.walk())


def test_diamonds_of_positive_numbers_do_not_blow_up() -> None:
    # The guards ask whether p is positive, through everything that it is made from.
    x = input("x", (4,), "float32")
    p = exp(x)
    for _ in range(40):
        p = p + p * p
    graph = Graph((x,), ((1 / p) * p,))
    start = time.perf_counter()
    stabilise(graph)
    assert time.perf_counter() - start < 5


def test_a_change_without_end_is_stopped_and_recorded() -> None:
    def swap(node: Node) -> Node | None:
        """x + y -> y + x, for ever."""
        return apply("add", *node.inputs[::-1]) if node.op.name == "add" else None

    x, y = input("x", (4,), "float32"), input("y", (4,), "float32")
    with recording() as decisions:
        sweep(Graph((x, y), (x + y,)), [swap], "swap")
    assert {decision.stage for decision in decisions} == {"swap"}
    assert "still changing after 100 steps" in decisions[0].reason


def test_rules_that_make_work_for_each_other_are_stopped_and_recorded() -> None:
    def wrap(node: Node) -> Node | None:
        """exp(x) -> -exp(-exp(x)), where the exp within is met in the next sweep."""
        made = node.op.name == "exp" and node.inputs[0].op.name != "negative"
        return -exp(-exp(node.inputs[0])) if made else None

    x = input("x", (4,), "float32")
    with recording() as decisions:
        sweep(Graph((x,), (exp(x),)), [wrap], "wrap")
    assert decisions[-1].reason == f"still changing after {MOST_SWEEPS} sweeps"


def test_growth_without_end_is_stopped_and_recorded() -> None:
    def grow(node: Node) -> Node | None:
        """exp(x) -> exp(exp(x))."""
        return exp(node) if node.op.name == "exp" else None

    x = input("x", (4,), "float32")
    with recording() as decisions:
        sweep(Graph((x,), (exp(x),)), [grow], "grow")
    assert decisions[-1].reason == "the graph grew beyond 108 nodes"


def test_what_is_too_large_to_fold_is_recorded() -> None:
    values = np.arange(float(math.isqrt(MOST_ELEMENTS) + 1))
    product = constant(values[:, None]) @ constant(values[None, :])
    with recording() as decisions:
        graph = fold_constants(Graph((), (product,)))
    assert graph.outputs[0].op.name == "matmul"
    (decision,) = decisions
    assert decision.choice == "kept"
    assert ("limit", str(MOST_ELEMENTS)) in decision.numbers


def test_what_cannot_be_computed_is_left_for_run_time() -> None:
    image = apply("matmul", constant(np.ones((2, 2))), constant(np.ones((2, 2))))
    refusing = type(image.op)
    with pytest.MonkeyPatch.context() as patch, recording() as decisions:
        patch.setattr(refusing, "reference", lambda *arrays, **attrs: 1 / 0)
        assert fold_constants(Graph((), (image,))).outputs[0] is image
    assert "division by zero" in decisions[0].reason
