"""tune: every schedule gives the same bits; the fastest is found, recorded and remembered."""

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph

import graphc as gx
from graphc.errors import GraphError
from graphc.ir.kernel import Kernel
from graphc.ir.print_kernel import print_kernel
from graphc.ir.program import Decision
from graphc.passes.choose import Plans, Way, choose, choosing
from graphc.runtime.cpu import code_cache, findings, measure_machine, workshop


@pytest.fixture(autouse=True)
def own_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Findings of this test alone, and figures of the machine that nobody has to measure."""
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path))
    monkeypatch.setattr(findings, "known", {})
    monkeypatch.setattr(measure_machine, "measured", lambda: measure_machine.TYPICAL)
    code_cache.disk_cache.cache_clear()
    yield
    code_cache.disk_cache.cache_clear()


def draw(*shape: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


Graph = tuple[Callable[..., Any], list[tuple[int, ...]]]

GRAPHS: dict[str, Graph] = {
    "product": (lambda a, b: gx.relu(a @ b + 1), [(37, 50), (50, 41)]),
    "product of one row": (lambda a, b: a @ b, [(1, 300), (300, 130)]),
    "batch of products": (lambda a, b: a @ b, [(3, 17, 20), (3, 20, 33)]),
    "transposed product": (lambda a, b: a.T @ b, [(60, 24), (60, 40)]),
    "convolution": (lambda x, w: gx.nn.conv2d(x, w, padding=1), [(2, 5, 9, 9), (7, 5, 3, 3)]),
    "elementwise": (lambda x: gx.tanh(x) * gx.exp(-x), [(70, 333)]),
    "sums of columns": (lambda x: gx.sum(x * x, axis=0) + 1, [(700, 400)]),
    "transposition": (lambda x: gx.tanh(gx.exp(x.T)) * gx.sin(x.T), [(75, 131)]),
    "softmax": (lambda x: gx.softmax(x, axis=-1), [(30, 200)]),
    "norm of columns": (lambda x: x / gx.sqrt(gx.mean(x * x, axis=0)), [(90, 150)]),
}


def compiled(name: str, **options: Any) -> tuple[gx.Executable, list[Any]]:
    function, shapes = GRAPHS[name]
    inputs = [gx.input(f"x{at}", shape, "float32") for at, shape in enumerate(shapes)]
    arrays = [draw(*shape) for shape in shapes]
    return gx.compile(inputs, function(*inputs), **options), arrays


class Workshop(workshop.CpuWorkshop):
    """A CPU where times are what a test says, and nothing runs."""

    time: Callable[[Kernel], float] = staticmethod(lambda kernel: 1.0)
    ran: int

    def __init__(self, passes: Any, footprint: int) -> None:
        super().__init__(passes, footprint)
        Workshop.ran = 0

    def runner(self, kernel: Kernel) -> Callable[[], float]:
        Workshop.ran += 1
        seconds = Workshop.time(kernel)
        return lambda: seconds


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Kernel], float]], None]:
    """Says how long a kernel takes."""
    monkeypatch.setattr("graphc.runtime.cpu.device.CpuWorkshop", Workshop)
    return lambda time: monkeypatch.setattr(Workshop, "time", staticmethod(time))


def decisions(step: gx.Executable) -> list[Decision]:
    return [decision for decision in step.decisions if decision.stage == "tune"]


# --- same bits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.cpu("its own search")
def test_every_way_gives_the_same_bits(name: str, threads: int) -> None:
    usual, arrays = compiled(name)
    expected = usual(*arrays).tobytes()
    before = gx.get_num_threads()
    gx.set_num_threads(threads)
    plans = Plans()
    with choosing(plans):
        compiled(name)
    offered = {kernel: sites for kernel, sites in plans.offered.items()
               if any(len(ways) > 1 for ways in sites)}  # fmt: skip
    assert offered
    most = max(len(ways) for sites in offered.values() for ways in sites)
    for at in range(most):
        picked = {k: tuple(ways[at % len(ways)].name for ways in s) for k, s in offered.items()}
        with choosing(Plans(picked)):
            step, _ = compiled(name)
        assert step(*arrays).tobytes() == expected, picked
    gx.set_num_threads(before)


class AnyWay:
    """A chooser that takes ways at random."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.asked = 0

    def choose(self, kernel: str, ways: list[Way[Any]]) -> Way[Any]:
        self.asked += len(ways) > 1
        return ways[self.random.integers(len(ways))]


def test_random_ways_of_random_programs_give_the_same_bits() -> None:
    asked = 0
    for number in range(40):
        case = random_graph(number)
        arrays = [case.given[node] for node in case.inputs]
        results = []
        for chooser in (Plans(), AnyWay(number)):
            with choosing(chooser):
                step = gx.compile(case.inputs, case.outputs)
            results.append([np.asarray(result).tobytes() for result in step(*arrays)])
            asked += getattr(chooser, "asked", 0)
        assert results[0] == results[1], number
    assert asked


def test_a_search_on_this_machine_keeps_the_bits() -> None:
    usual, arrays = compiled("product")
    tuned, _ = compiled("product", tune=2)
    assert tuned(*arrays).tobytes() == usual(*arrays).tobytes()
    chosen, *others = decisions(tuned)
    assert "schedules that were timed" in chosen.reason
    assert others
    for decision in (chosen, *others):
        figures = dict(decision.numbers)
        assert float(figures["predicted us"]) > 0
        assert float(figures["measured us"]) > 0


# --- the search ----------------------------------------------------------------------------------


@pytest.mark.cpu("its own search")
def test_the_fastest_schedule_is_taken(times: Callable[..., None]) -> None:
    rows = "< 13 {"  # of the tiles

    times(lambda kernel: 1.0 if rows in print_kernel(kernel) else 2.0)
    usual, _ = compiled("product")
    tuned, _ = compiled("product", tune=math.inf)
    (kernel,) = tuned.program.kernels
    assert rows not in print_kernel(usual.program.kernels[0])
    assert rows in print_kernel(kernel)
    chosen = decisions(tuned)[0]
    assert "tile of 13 rows" in chosen.choice
    assert dict(chosen.numbers)["measured us"] == "1e+06"


@pytest.mark.cpu("its own search")
def test_equal_times_keep_the_usual_schedule(times: Callable[..., None]) -> None:
    times(lambda kernel: 1.0)
    usual, _ = compiled("product")
    tuned, _ = compiled("product", tune=math.inf)
    assert tuned.program.kernels == usual.program.kernels
    assert decisions(tuned)[0].choice.endswith("(as usual)")


@pytest.mark.cpu("its own search")
def test_what_was_found_is_remembered(
    times: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    times(lambda kernel: 1.0 / len(print_kernel(kernel)))
    first, _ = compiled("product", tune=math.inf)
    assert Workshop.ran > 1
    monkeypatch.setattr(findings, "known", {})  # as in another process
    for seconds in (0, 5):
        again, _ = compiled("product", tune=seconds)
        assert Workshop.ran == 0
        assert again.program.kernels == first.program.kernels
        chosen = decisions(again)[0]
        assert chosen.reason.startswith("remembered from a search")
        assert chosen.numbers == decisions(first)[0].numbers


@pytest.mark.cpu("its own search")
def test_a_plain_compilation_uses_nothing_that_was_found(times: Callable[..., None]) -> None:
    times(lambda kernel: 1.0 / len(print_kernel(kernel)))
    before, _ = compiled("product")
    tuned, _ = compiled("product", tune=math.inf)
    after, _ = compiled("product")
    assert before.program.kernels == after.program.kernels != tuned.program.kernels
    assert not decisions(after)


@pytest.mark.cpu("its own search")
def test_without_time_nothing_is_timed(times: Callable[..., None]) -> None:
    step, _ = compiled("product", tune=0)
    (decision,) = decisions(step)
    assert Workshop.ran == 0
    assert decision.choice == "usual schedule"
    assert "no time" in decision.reason


@pytest.mark.cpu("its own search")
def test_a_search_goes_on_where_time_was_up(
    times: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    times(lambda kernel: 1.0 / len(print_kernel(kernel)))
    with monkeypatch.context() as patch:
        patch.setattr("graphc.runtime.search_schedules.time.monotonic", lambda: next(clock))
        first, _ = compiled("product", tune=14)
    ran = Workshop.ran
    assert ran > 1
    assert decisions(first)[0].reason.endswith("until the time was up")
    second, _ = compiled("product", tune=math.inf)
    assert not decisions(second)[0].reason.endswith("until the time was up")
    assert len(decisions(second)) > len(decisions(first))
    new = len(decisions(second)) - len(decisions(first))
    assert new <= Workshop.ran <= new + 2  # the usual one and the best so far are run again


@pytest.mark.cpu("its own search")
def test_symbolic_sizes_are_left_alone_and_say_so(times: Callable[..., None]) -> None:
    x, w = gx.input("x", ("n", 50), "float32"), gx.input("w", (50, 40), "float32")
    step = gx.compile([x, w], x @ w, tune=1)
    assert Workshop.ran == 0
    assert step(draw(3, 50), draw(50, 40)).shape == (3, 40)
    refused = {d.reason for d in decisions(step)}
    assert refused <= {"its sizes are symbolic"}


@pytest.mark.cpu("its own search")
def test_kernels_without_choices_are_not_timed(times: Callable[..., None]) -> None:
    x = gx.input("x", (4,), "int64")
    step = gx.compile([x], gx.sort(x), tune=1)
    assert Workshop.ran == 0
    assert not decisions(step)


@pytest.mark.cpu("its own search")
def test_another_number_of_threads_is_another_search(times: Callable[..., None]) -> None:
    before = gx.get_num_threads()
    for threads in (1, 2):
        gx.set_num_threads(threads)
        compiled("product", tune=math.inf)
        assert Workshop.ran > 1
    gx.set_num_threads(before)


# --- the parts -----------------------------------------------------------------------------------


def test_a_plan_of_another_version_is_the_usual_one() -> None:
    ways = [Way("a", 1, 1.0), Way("b", 2, 1.0)]
    for plan, value in (((), 1), (("b",), 2), (("gone",), 1)):
        plans = Plans({"kernel": plan})
        with choosing(plans):
            assert choose("kernel", ways[0], lambda: ways).value == value
        assert [len(offered) for offered in plans.offered["kernel"]] == [2]


def test_without_a_chooser_others_are_not_even_made() -> None:
    def others() -> list[Way[int]]:
        raise AssertionError

    assert choose("kernel", Way("usual", 1, 0.0), others).value == 1


@pytest.mark.parametrize("seconds", [-1, math.nan, "a", True, [1], 1j, -math.inf])
def test_what_is_no_number_of_seconds_is_refused(seconds: object) -> None:
    x = gx.input("x", (4,), "float32")
    with pytest.raises(GraphError, match="tune is the number of seconds") as caught:
        gx.compile([x], x + 1, tune=seconds)  # type: ignore[arg-type]
    assert repr(seconds) in str(caught.value)


def test_the_reference_has_nothing_to_tune() -> None:
    x = gx.input("x", (4,), "float32")
    assert (
        gx.compile([x], x + 1, device="reference", tune=1)(np.ones(4, np.float32)).tolist()
        == [2] * 4
    )


def test_progress_is_one_line_on_a_terminal(
    times: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("graphc.runtime.progress.INTERVAL", 0)
    compiled("product", tune=5)
    shown = capsys.readouterr().err
    assert "timing schedules of" in shown
    assert "1 of 1 kernels" in shown
    assert "\n" not in shown
    assert shown.rpartition("\r")[2] == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    compiled("softmax", tune=5)
    assert capsys.readouterr().err == ""
