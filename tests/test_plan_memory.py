"""Memory: updates in place, buffers taken over, and where temporaries lie in the arena."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gx
from graphc.ir import scalar
from graphc.ir.dim import Size, symbol
from graphc.ir.kernel import Buffer, Kernel, Let, Statement, Store, loop, variable
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.ir.program import Allocation, CallKernel, Program
from graphc.ir.scalar import Load, Ref, Scalar
from graphc.ir.types import DType, TensorType, float32, float64, int32
from graphc.passes.memory_plan import MemoryPlan, aligned, check_plan, place
from graphc.passes.plan_memory import plan_memory

# --- programs ------------------------------------------------------------------------------------

I = variable(loop("i", 64, "vector", (), 8))  # noqa: E741


def load(buffer: str, offset: Size) -> Scalar:
    return Load(float32, buffer, offset, None)


def kernel(name: str, sources: str, *body: Statement, targets: str = "y") -> Kernel:
    """A kernel of one loop over i, with parameters of one letter each."""
    read = tuple(Buffer(letter, float32, 64) for letter in sources)
    written = tuple(Buffer(letter, float32, 64, written=True) for letter in targets)
    return Kernel(name, read + written, (loop("i", 64, "vector", body, 8),), ("model.py:3",))


def elementwise(name: str, sources: str) -> Kernel:
    """y[i] = 1 + the sum of the sources at i."""
    value = scalar.const(float32, 1)
    for source in sources:
        value = value + load(source, I)
    return kernel(name, sources, Store("y", I, value))


def allocation(name: str, kind: str, size: Size = 64, dtype: DType = float32) -> Allocation:
    return Allocation(name, kind, TensorType(dtype, (size,)))


KINDS = {"x": "input", "w": "state", "v": "state", "y": "output", "t": "temporary"}


def program(*calls: str, updates: str = "", outputs: str = "y") -> Program:
    """A program from calls like "t1 = w x" of elementwise kernels; a name's letter is its kind."""
    names = dict.fromkeys(f"{' '.join(calls)} {updates} {outputs}".replace("=", " ").split())
    sides = [call.split("=") for call in calls]
    arguments = [(*right.split(), left.strip()) for left, right in sides]
    counts = sorted({len(a) - 1 for a in arguments})
    pairs = (pair.split("=") for pair in updates.replace(" = ", "=").split())
    return Program(
        tuple(allocation(name, KINDS[name[0]]) for name in names),
        tuple(elementwise(f"k{n}", "abcdef"[:n]) for n in counts),
        tuple(CallKernel(f"k{len(a) - 1}", a) for a in arguments),
        tuple(outputs.split()),
        tuple((state, value) for state, value in pairs),
    )


def calls(planned: Program) -> list[str]:
    return [f"{c.kernel} {' '.join(c.arguments)}" for c in planned.calls]


def reasons(planned: Program, choice: str) -> str:
    return "; ".join(d.reason for d in planned.decisions if d.choice == choice)


def test_a_state_is_updated_in_place() -> None:
    planned = plan_memory(program("t = w x", "y = t", updates="w=t"))
    assert calls(planned) == ["k2 w x w", "k1 w y"]
    assert planned.updates == ()
    assert {a.name for a in planned.allocations} == {"w", "x", "y"}
    (decision,) = planned.decisions
    assert decision.choice == "update in place"
    assert decision.subject == "%w"
    assert decision.numbers == (("bytes", "256"),)
    assert decision.where == ("model.py:3",)


def test_a_state_still_read_later_is_copied_at_the_end() -> None:
    planned = plan_memory(program("t = w x", "y = w t", updates="w=t"))
    assert calls(planned) == ["k2 w x t", "k2 w t y", "copy t w"]
    assert "read after" in reasons(planned, "copy the next value")


def test_a_state_read_at_another_offset_is_copied() -> None:
    flipped = kernel("k1", "x", Store("y", I, load("x", 63 - I)))
    planned = plan_memory(replace(program("t = w", updates="w=t", outputs=""), kernels=(flipped,)))
    assert calls(planned) == ["k1 w t", "copy t w"]
    assert "different offset" in reasons(planned, "copy the next value")


def test_the_next_value_of_two_states_is_one_of_them() -> None:
    planned = plan_memory(program("t = x", updates="w=t v=t"))
    assert calls(planned) == ["k1 x w", "copy w v"]


def test_swapped_states_keep_their_old_values() -> None:
    planned = plan_memory(program("y = x", updates="v=w w=v"))
    assert calls(planned) == ["copy w w_before", "copy v w", "k1 x y", "copy w_before v"]
    assert [k.name for k in planned.kernels] == ["k1", "copy"]


def test_copies_have_a_text_that_reads_back() -> None:
    (copy,) = (k for k in plan_memory(program("y = x", updates="v=y")).kernels if k.name == "copy")
    copied = parse(print_text(copy))
    assert isinstance(copied, Kernel)
    assert copied.body == copy.body


def test_a_state_that_is_a_result_is_returned_as_it_was() -> None:
    planned = plan_memory(program("t = w x", updates="w=t", outputs="w"))
    assert calls(planned)[0] == "copy w w_before"
    assert planned.outputs == ("w_before",)
    assert "w_before" in {a.name for a in planned.allocations if a.kind == "temporary"}


def test_a_state_may_become_an_input_or_a_result() -> None:
    planned = plan_memory(program("y = x", updates="w=x v=y"))
    assert calls(planned) == ["k1 x y", "copy x w", "copy y v"]


def test_an_update_to_itself_is_nothing() -> None:
    assert calls(plan_memory(program("y = w", updates="w=w"))) == ["k1 w y"]


def test_a_chain_of_temporaries_shares_one_buffer() -> None:
    planned = plan_memory(program("t1 = x", "t2 = t1", "t3 = t2 x", "y = t3"))
    assert planned.reuses == (("t2", "t1"), ("t3", "t2"))
    plan = place(planned, {})
    check_plan(planned, plan)
    assert plan.arena == plan.lower_bound == 256
    assert set(plan.offsets.values()) == {0}


def test_an_operand_alive_later_is_kept() -> None:
    planned = plan_memory(program("t1 = x", "t2 = t1", "y = t1 t2"))
    assert planned.reuses == ()
    assert "%t1 is still alive later" in reasons(planned, "keep apart")


def test_an_operand_is_handed_on_once() -> None:
    value = Ref(float32, "s")
    body = Let("s", load("x", I)), Store("y", I, value), Store("z", I, value)
    two = kernel("two", "x", *body, targets="yz")
    start = program("t1 = x", "y = t2 t3")
    split = CallKernel("two", ("t1", "t2", "t3"))
    planned = plan_memory(
        replace(
            start,
            kernels=(*start.kernels, two),
            steps=(start.calls[0], split, start.calls[1]),
        )
    )
    assert planned.reuses == (("t2", "t1"),)


def test_what_the_caller_owns_is_left_alone() -> None:
    assert plan_memory(program("t1 = x", "y = t1")).reuses == ()
    assert plan_memory(program("t1 = w", "y = t1")).reuses == ()


@pytest.mark.parametrize(("size", "dtype", "shared"), [(32, float32, 0), (64, float64, 0),
                                                       (64, int32, 1)])  # fmt: skip
def test_sizes_must_agree(size: int, dtype: DType, shared: int) -> None:
    start = program("t1 = x", "t2 = t1", "y = t2")
    changed = tuple(
        allocation("t2", "temporary", size, dtype) if a.name == "t2" else a
        for a in start.allocations
    )
    assert len(plan_memory(replace(start, allocations=changed)).reuses) == shared


# --- places --------------------------------------------------------------------------------------

LIFETIMES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 12), st.integers(1, 3000)), min_size=1, max_size=60
)


def with_lifetimes(spans: list[tuple[int, int, int]]) -> Program:
    """A program with a temporary for each (first call, calls after it, elements)."""
    touched: list[list[str]] = [[] for _ in range(max(f + n for f, n, _ in spans) + 1)]
    for number, (first, after, _) in enumerate(spans):
        for time in {first, first + after}:
            touched[time].append(f"t{number}")
    return Program(
        tuple(allocation(f"t{n}", "temporary", size) for n, (_, _, size) in enumerate(spans)),
        tuple(Kernel(f"k{t}", tuple(Buffer(n, float32, 1, True) for n in names), ())
              for t, names in enumerate(touched)),
        tuple(CallKernel(f"k{t}", tuple(names)) for t, names in enumerate(touched)),
        (),
    )  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=150)
@given(LIFETIMES)
def test_no_two_live_temporaries_overlap(spans: list[tuple[int, int, int]]) -> None:
    written = with_lifetimes(spans)
    plan = place(written, {})
    check_plan(written, plan)
    alive = (
        sum(aligned(4 * size) for first, after, size in spans if first <= time <= first + after)
        for time in range(len(written.calls))
    )
    assert plan.arena >= plan.lower_bound == max(alive)


def test_the_arena_is_near_its_lower_bound() -> None:
    ratios: list[float] = []

    @settings(derandomize=True, deadline=None, max_examples=100, database=None)
    @given(LIFETIMES)
    def collect(spans: list[tuple[int, int, int]]) -> None:
        plan = place(with_lifetimes(spans), {})
        ratios.append(plan.arena / plan.lower_bound)

    collect()
    assert sum(ratios) / len(ratios) < 1.05


NAMES = st.sampled_from(["x", "w", "v", *(f"t{n}" for n in range(8))])


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=8), st.data())
def test_planning_changes_no_value(reads: list[list[str]], data: st.DataObject) -> None:
    written = [*(f"t{n}" for n in range(len(reads))), "x", "w", "v"]
    known = [[n for n in dict.fromkeys(names) if n in written[:at] or n[0] != "t"] or ["x"]
             for at, names in enumerate(reads)]  # fmt: skip
    lines = [f"t{at} = {' '.join(names)}" for at, names in enumerate(known)]
    value = st.sampled_from(written)
    updates = f"w={data.draw(value)} v={data.draw(value)}"
    before = program(*lines, f"y = t{len(reads) - 1} w", updates=updates, outputs="y w")
    after = plan_memory(before)
    plan = place(after, {})
    check_plan(after, plan)
    assert run(after, dict(after.reuses)) == run(before, {})


def run(step: Program, owner: dict[str, str]) -> tuple[list[int], dict[str, int]]:
    """The results and next states, one number standing for each array."""
    memory = {"x": 3, "w": 5, "v": 7}

    def cell(name: str) -> str:
        while name in owner:
            name = owner[name]
        return name

    for call in step.calls:
        *sources, target = map(cell, call.arguments)
        total = sum(memory[s] * (at + 1) for at, s in enumerate(sources))
        memory[target] = memory[sources[0]] if "copy" in call.kernel else 3 * total + 1
    old = dict(memory)
    memory.update({state: old[cell(value)] for state, value in step.updates})
    return [old[cell(name)] for name in step.outputs], {s: memory[s] for s in "wv"}


def test_symbolic_sizes_take_the_values_given() -> None:
    n = symbol("n")
    start = replace(
        program("t1 = x", "y = t1"),
        allocations=tuple(allocation(a, KINDS[a[0]], 100 * n) for a in ("x", "t1", "y")),
    )
    assert place(start, {"n": 3}).arena == aligned(1200)
    assert place(start, {"n": 3}).outputs == 1200
    assert place(start, {"n": 0}).arena == 0
    with pytest.raises(KeyError, match="n"):
        place(start, {})


def test_a_plan_adds_up_and_says_what_is_alive() -> None:
    plan = place(program("t1 = x w", "t2 = t1", "y = t1 t2"), {})
    assert (plan.inputs, plan.state, plan.outputs, plan.arena) == (256, 256, 256, 512)
    assert plan.peak == 1024
    assert set(plan.alive) == {"t1", "t2"}
    assert "%t1" in str(plan)
    assert "1,024 bytes" in str(plan)


def test_the_check_finds_an_overlap() -> None:
    step = program("t1 = x", "t2 = t1", "y = t1 t2")
    good = place(step, {})
    check_plan(step, good)
    with pytest.raises(ValueError, match="%t1 and %t2 overlap"):
        check_plan(step, replace(good, offsets=dict.fromkeys(good.offsets, 0)))
    with pytest.raises(ValueError, match="beyond the arena"):
        check_plan(step, replace(good, arena=100))


def test_sizes_that_no_memory_has_are_refused() -> None:
    x = gx.input("x", ("n",), "float32")
    step = gx.compile([x], gx.expand_dims(x, 1) * x)
    assert "4,398,046,511,104 bytes" in str(step.memory(n=1 << 20))
    with pytest.raises(gx.GraphError) as caught:
        step.memory(n=1 << 31)
    assert "an array f32[n, n] would have 18,446,744,073,709,551,616 bytes" in str(caught.value)
    several = gx.compile([x], [gx.sum(gx.cumulative_sum(gx.expand_dims(x, 1) * x, axis=0))])
    with pytest.raises(gx.GraphError, match="bytes for n=1610612736, and no memory has so many"):
        several.memory(n=3 << 29)


def test_an_empty_program_needs_nothing() -> None:
    plan = place(Program((), (), (), ()), {})
    assert isinstance(plan, MemoryPlan)
    assert plan.peak == 0
