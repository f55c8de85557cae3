"""What fusing promises for every graph: the same values, each computed once, and a reason why not.

What it does with single patterns stands in passes/fuse/*.gc.
"""

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.program import Decision
from graphc.ir.verify import verify
from graphc.passes.fuse import fuse
from graphc.passes.fusion_group import is_elementary, is_free
from graphc.passes.fusion_refusals import LAUNCHED, MAX_OPERATORS
from graphc.passes.inline_fusions import inline_fusions
from graphc.passes.pipeline import run_passes
from tests.corpus import NETWORKS, random_case

GRAPHS = {name: build().graph for name, build in NETWORKS.items()}
GRAPHS |= {f"random_{seed}": random_case(seed).graph for seed in range(40)}

every_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())


def bodies(fused: Graph) -> list[Graph]:
    """The graph inside each fusion."""
    return [node.attrs["body"] for node in fused.walk() if node.op.name == "fusion"]


def computed(body: Graph) -> list[Node]:
    """The operators of a body that compute something."""
    return [node for node in body.walk() if node.inputs and not is_free(node)]


def decisions_of(graph: Graph) -> list[Decision]:
    """What fusing a graph decides."""
    return list(run_passes(graph, [fuse]).decisions)


@every_graph
def test_taken_apart_it_is_the_graph_there_was(graph: Graph) -> None:
    back = inline_fusions(fuse(graph))
    assert all(new is old for new, old in zip(back.roots, graph.roots, strict=True))
    assert back.inputs == graph.inputs


@every_graph
def test_it_is_valid_and_holds_fusions_alone(graph: Graph) -> None:
    fused = fuse(graph)
    verify(fused)
    names = {node.op.name for node in fused.walk()}
    assert names <= {"input", "variable", "constant", "fusion", "item"}


@every_graph
def test_every_value_is_computed_once(graph: Graph) -> None:
    """A movement, and what costs less than to store it, may be done in several kernels."""
    inside = [node for body in bodies(fuse(graph)) for node in computed(body)]
    dear = sorted(node.op.name for node in inside if not is_elementary(node))
    assert dear == sorted(node.op.name for node in computed(graph) if not is_elementary(node))
    cheap = Counter(node.op.name for node in inside if is_elementary(node))
    assert cheap >= Counter(node.op.name for node in computed(graph) if is_elementary(node))


@every_graph
def test_kernels_keep_to_their_limits(graph: Graph) -> None:
    for body in bodies(fuse(graph)):
        names = [node.op.name for node in computed(body)]
        assert len(names) <= MAX_OPERATORS
        assert names.count("matmul") <= 1


@every_graph
def test_every_value_that_is_stored_for_others_is_on_record(graph: Graph) -> None:
    decided = {decision.subject.partition(" with ")[0] for decision in decisions_of(graph)}
    for stored in read_by_kernels(fuse(graph)):
        (value,) = inline_fusions(Graph(graph.inputs, (stored,))).outputs
        assert value in set(graph.roots) or repr(value) in decided


@every_graph
def test_a_kernel_reads_what_another_computes_only_where_both_could_not_be_one(
    graph: Graph,
) -> None:
    """Each kernel that ends in a value for others was refused by one that reads it, on record."""
    refused = {d.subject.partition(" with ")[0] for d in decisions_of(graph) if d.choice != "fused"}
    fused = fuse(graph)
    for stored in read_by_kernels(fused):
        (value,) = inline_fusions(Graph(graph.inputs, (stored,))).outputs
        if stored.op.name == "fusion" and value not in set(graph.roots):
            assert repr(value) in refused


def read_by_kernels(fused: Graph) -> list[Node]:
    """The results of fusions that other fusions read."""
    read = {node for user in fused.walk() if user.op.name == "fusion" for node in user.inputs}
    return [node for node in read if node.op.name in ("fusion", "item")]


def test_a_decision_names_both_lines_and_a_reason() -> None:
    x = gx.input("x", (8, 16), "float32")
    total = gx.sum(x, axis=0)
    (decision,) = decisions_of(Graph((x,), (x - total,)))
    assert decision.choice == "separate"
    assert decision.subject == "<sum f32[16]> with <subtract f32[8, 16]>"
    assert "its loop would run again for each element" in decision.reason
    assert [place.rpartition("/")[2].partition(":")[0] for place in decision.where] == [
        "test_fuse.py", "test_fuse.py",
    ]  # fmt: skip


def test_a_long_chain_is_cut_into_kernels_of_the_largest_size() -> None:
    x = gx.input("x", (8,), "float32")
    graph = Graph((x,), (chain(x, 2 * MAX_OPERATORS + 10),))
    sizes = [len(computed(body)) for body in bodies(fuse(graph))]
    assert sorted(sizes) == [10, MAX_OPERATORS, MAX_OPERATORS]
    reasons = [d.reason for d in decisions_of(graph) if d.choice == "separate"]
    assert reasons == [f"the kernel has {MAX_OPERATORS} operators already"] * 2


def test_no_kernel_waits_for_itself() -> None:
    """exp is needed by the product and by the sum that the product waits for."""
    x = gx.input("x", (8, 16), "float32")
    shared = gx.exp(x)
    graph = Graph((x,), (shared * gx.sum(shared, axis=0),))
    fused = fuse(graph)
    verify(fused)
    assert len(bodies(fused)) == 3
    assert "another kernel between the two would wait for its own result" in {
        d.reason for d in decisions_of(graph)
    }


def test_an_operand_without_elements_belongs_to_its_kernel() -> None:
    """A concatenation never reads it, so that no index of it is known."""
    x, none = gx.input("x", (4,), "float32"), gx.input("none", (0,), "float32")
    fused = fuse(Graph((x, none), (gx.concat([gx.exp(-none), x]),)))
    verify(fused)
    assert len(bodies(fused)) == 1


def test_a_product_of_one_number_has_no_columns() -> None:
    row, column = gx.input("row", (1, 4), "float32"), gx.input("column", (4,), "float32")
    fused = fuse(Graph((row, column), (row @ gx.reshape(column, (4, 1)),)))
    verify(fused)
    assert len(bodies(fused)) == 1


# --- large graphs --------------------------------------------------------------------------------


def chain(x: Node, length: int) -> Node:
    """Operators one after another."""
    for step in range(length):
        x = gx.sin(x) if step % 2 else gx.cos(x)
    return x


def diamonds(x: Node, levels: int) -> Node:
    """Two ways from each level to the next, so 2 ** levels paths."""
    for _ in range(levels):
        x = gx.sin(x) + gx.cos(x)
    return x


BUILDERS: dict[str, Callable[[Node, int], Node]] = {"chain": chain, "diamonds": diamonds}


@pytest.mark.parametrize(
    ("name", "size"), [("chain", 10_000), ("diamonds", 20), ("diamonds", 2_000)]
)
def test_large_graphs_compile_and_compute_the_same(name: str, size: int) -> None:
    x = gx.input("x", (16,), "float32")
    y = BUILDERS[name](x, size)
    step, reference = gx.compile([x], y), gx.compile([x], y, device="reference")
    print(f"\n{name} of {size}: {sum(step.seconds.values()):.2f} s")
    values = np.linspace(-1, 1, 16, dtype=np.float32)
    np.testing.assert_allclose(step(values), reference(values), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_work_of_compiling_grows_with_the_graph_and_no_faster(name: str) -> None:
    small, large = calls_to_compile(name, 300), calls_to_compile(name, 1200)
    assert large < 5 * small


def calls_to_compile(name: str, size: int) -> int:
    """How many functions are called to compile a graph."""
    x = gx.input("x", (16,), "float32")
    y = BUILDERS[name](x, size)
    profile = cProfile.Profile()
    profile.runcall(gx.compile, [x], y)
    return sum(count for count, *_ in pstats.Stats(profile).stats.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [100_000, 400_000])
@pytest.mark.parametrize("in_vectors", [True, False])
def test_devices_rather_compute_in_vain_than_launch_for_little(size: int, in_vectors: bool) -> None:
    x, y = gx.input("x", (size,), "float32"), gx.input("y", (size,), "float32")
    graph = Graph((x, y), (gx.pad(gx.exp(x), ((0, size),)) + gx.pad(gx.sin(y), ((size, 0),)),))
    fused = fuse(graph, in_vectors=in_vectors)
    alone = in_vectors or size > LAUNCHED / 2
    assert len(bodies(fused)) == (3 if alone else 1)


@pytest.mark.parametrize("size", ["n", 6])
def test_groups_do_not_wait_for_one_another_by_way_of_an_earlier_result(size: str | int) -> None:
    """A group may read so late a value for one result, and another group its earlier result."""
    a, b, x, y, z = (gx.input(name, (size,), "float32") for name in "abxyz")
    k = gx.input("k", (size,), "int64")
    equal = a == b
    chosen = gx.where(a >= 0, 0.0, x)
    reversed_ = gx.where(equal, chosen[::-1], 0.0)
    gathered = (gx.where(equal, y, 0.0) / z)[k] + chosen
    inputs, outputs = [a, b, x, y, z, k], [reversed_, gathered]
    random = np.random.default_rng(1)
    given = [random.integers(-1, 2, 6).astype(np.float32) for _ in range(4)]
    given += [np.full(6, 2, np.float32), random.integers(0, 6, 6)]
    found = gx.compile(inputs, outputs)(*given)
    expected = gx.compile(inputs, outputs, device="reference")(*given)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
