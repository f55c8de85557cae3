"""What lowering and scheduling promise for every graph: valid kernels, small ones, right values.

What they make of single patterns stands in passes/{lower,collapse_loops,tile_loops}/*.gc.
"""

from collections.abc import Iterator

import numpy as np
import pytest

import graphc as gx
from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.graph import Graph
from graphc.ir.kernel import For, Kernel, Let, Statement, Store, sizes, statements, values
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.ir.program import Program
from graphc.ir.verify import verify
from graphc.passes.collapse_loops import collapse_loops
from graphc.passes.fuse import fuse
from graphc.passes.lower import lower
from graphc.passes.machine import Registers
from graphc.passes.tile_loops import tile_loops
from graphc.runtime.compiler import compile_graph
from graphc.runtime.reference.evaluate import evaluate
from tests.corpus import NETWORKS, Case, random_case

CASES = {name: build() for name, build in NETWORKS.items()}
CASES |= {f"random_{seed}": random_case(seed) for seed in range(100, 130)}

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def levels(graph: Graph) -> Iterator[Program]:
    """The program after lowering, after joining loops, and after scheduling for two targets."""
    lowered = lower(fuse(graph))
    collapsed = collapse_loops(lowered)
    yield lowered
    yield collapsed
    yield tile_loops(collapsed)
    yield tile_loops(collapsed, Registers(bits=128, count=16))


@every_case
def test_every_level_is_valid(case: Case) -> None:
    for program in levels(case.graph):
        verify(program)


@every_case
def test_every_level_prints_and_parses(case: Case) -> None:
    for program in levels(case.graph):
        text = print_text(program)
        assert print_text(parse(text)) == text


@every_case
@pytest.mark.parametrize("rows", [1, 5, 70])
def test_values_are_those_of_the_reference(case: Case, rows: int) -> None:
    graph, arguments = case.graph, case.with_rows(rows)
    expected = evaluate(graph, dict(zip(graph.inputs, arguments, strict=True)))
    before = {target: target.value for target, _ in graph.updates}
    actual = compile_graph(graph)(*arguments)
    actual += [target.value for target, _ in graph.updates]
    for target, value in before.items():
        target.value = value
    for value, wanted in zip(actual, expected, strict=True):
        loose = wanted.dtype == np.float16
        tolerance = 1e-2 if loose else 1e-9
        np.testing.assert_allclose(value, wanted, rtol=tolerance, atol=tolerance)


@every_case
def test_what_does_not_change_in_a_loop_stands_before_it(case: Case) -> None:
    for kernel in lower(fuse(case.graph)).kernels:
        for loop, let, free in lets_in_loops(kernel):
            assert loop.variable.name in free, f"{let} does not change with {loop.variable}"


def lets_in_loops(kernel: Kernel) -> Iterator[tuple[For, Let, set[str]]]:
    """Each let directly in a loop, and the loop variables that it depends on through names."""
    free: dict[str, set[str]] = {}
    for statement in statements(kernel.body):
        if not isinstance(statement, For):
            note(statement, free)
    for loop in (s for s in statements(kernel.body) if isinstance(s, For)):
        for let in loop.body:
            if isinstance(let, Let):
                yield loop, let, free[let.name]


def note(statement: Statement, free: dict[str, set[str]]) -> None:
    """Add to each name the variables that it depends on; for accumulators all they meet."""
    name = getattr(statement, "name", None)
    if name is None:
        return
    found = {v.name for size in sizes(statement) for v in dim.variables(size)}
    for part in scalar.walk(values(statement)):
        if isinstance(part, scalar.Ref):
            found |= free[part.name]
    bound = [v.removeprefix("%") for v in found if v.startswith("%v")]
    free.setdefault(name, set()).update(found, *(free[v] for v in bound if v in free))


@every_case
def test_kernels_differ_in_code_and_name(case: Case) -> None:
    kernels = lower(fuse(case.graph)).kernels
    assert len({(kernel.buffers, kernel.body) for kernel in kernels}) == len(kernels)
    assert len({kernel.name for kernel in kernels}) == len(kernels)


@every_case
def test_joining_loops_again_changes_nothing(case: Case) -> None:
    collapsed = collapse_loops(lower(fuse(case.graph)))
    assert collapse_loops(collapsed) == collapsed


@every_case
def test_only_outermost_loops_are_parallel_and_only_innermost_loops_over_results_vectors(
    case: Case,
) -> None:
    for program in list(levels(case.graph))[2:]:
        for kernel in program.kernels:
            for loop in (s for s in statements(kernel.body) if isinstance(s, For)):
                kinds = {s.kind for s in statements(loop.body) if isinstance(s, For)}
                assert "parallel" not in kinds
                assert not (loop.kind == "vector" and kinds - {"serial"})


@every_case
def test_every_element_of_a_result_is_stored_once(case: Case) -> None:
    """As many stores run as a result has elements, whatever the symbolic sizes are."""
    for kernel in lower(fuse(case.graph)).kernels:
        counts: dict[str, Size] = {b.name: 0 for b in kernel.buffers if b.written}
        for store, times in stores(kernel):
            counts[store.buffer] = counts[store.buffer] + times
        assert counts == {buffer.name: buffer.size for buffer in kernel.buffers if buffer.written}


def stores(kernel: Kernel) -> Iterator[tuple[Store, Size]]:
    """Each store of a kernel, and how often it runs."""
    blocks: list[tuple[tuple[Statement, ...], Size]] = [(kernel.body, 1)]
    while blocks:
        block, times = blocks.pop()
        for statement in block:
            if isinstance(statement, For):
                blocks.append((statement.body, times * statement.limit))
            elif isinstance(statement, Store):
                yield statement, times


def test_many_paths_to_a_value_are_one_let() -> None:
    """Twelve levels of x * x + x: 4,096 paths to x, and a line for each operator."""
    x = y = gx.input("x", (8,), "float32")
    for _ in range(12):
        y = y * y + y
    (kernel,) = lower(fuse(Graph((x,), (y,)))).kernels
    assert sum(isinstance(s, Let) for s in statements(kernel.body)) == 24


def test_a_value_read_at_shifted_places_is_a_let_for_each() -> None:
    x = gx.input("x", (8,), "float32")
    y = -x
    (kernel,) = lower(fuse(Graph((x,), (y[1:] + y[:-1],)))).kernels
    assert sum(isinstance(s, Let) for s in statements(kernel.body)) == 3


def test_a_kernel_knows_the_lines_that_it_came_from() -> None:
    x = gx.input("x", (8,), "float32")
    first = gx.exp(x)
    second = first + 1
    (kernel,) = lower(fuse(Graph((x,), (second,)))).kernels
    lines = [place.rpartition(": ")[2] for place in kernel.origin]
    assert lines == ["first = gx.exp(x)", "second = first + 1"]


def test_buffers_have_names_that_say_whose_they_are() -> None:
    x = gx.input("y0", (8,), "float32")
    w = gx.variable(np.zeros(8, np.float32), name="t0")
    program = lower(fuse(Graph((x,), (gx.sum(x + w),), ((w, w + x),))))
    kinds = {allocation.name: allocation.kind for allocation in program.allocations}
    assert kinds == {"y0": "input", "t0": "state", "y1": "output", "t1": "temporary"}
