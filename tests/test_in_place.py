"""Which kernels may write a result over an operand."""

import numpy as np
import pytest

import graphc as gx
from graphc.ir import dim, scalar
from graphc.ir.dim import Size, symbol
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    Buffer,
    For,
    Kernel,
    Let,
    Statement,
    Store,
    loop,
    variable,
)
from graphc.ir.scalar import Load, Ref, Scalar
from graphc.ir.types import float32
from graphc.passes.in_place import obstacle


def over(name: str, limit: Size, *body: Statement, kind: str = "vector") -> For:
    """A loop over a variable that the body names by `at`."""
    return loop(name, limit, kind, body, lanes=8 if kind == "vector" else 1)


def at(name: str, limit: Size) -> Size:
    return variable(loop(name, limit, "serial", ()))


def load(buffer: str, offset: Size) -> Scalar:
    return Load(float32, buffer, offset, None)


def kernel(*body: Statement, size: Size = 64) -> Kernel:
    """A kernel from x to y."""
    parameters = (Buffer("x", float32, size), Buffer("y", float32, size, written=True))
    return Kernel("k", parameters, body)


I = at("i", 64)  # noqa: E741


def test_an_elementwise_kernel_may_write_over_its_operand() -> None:
    body = over("i", 64, Store("y", I, load("x", I) + load("z", 63 - I)))
    assert obstacle(kernel(body), ["x"], "y") == ""
    assert obstacle(kernel(body), ["x", "z"], "y") != ""


def test_a_value_loaded_before_the_store_is_safe() -> None:
    body = Let("t", load("x", I)), Store("y", I, Ref(float32, "t"))
    assert obstacle(kernel(over("i", 64, *body)), ["x"], "y") == ""


def test_loops_over_parts_of_a_result_are_safe() -> None:
    def part(first: Size, length: Size) -> For:
        place = first + at("j", length)
        return over("j", length, Store("y", place, load("x", place)))

    assert obstacle(kernel(part(0, 40), part(40, 24)), ["x"], "y") == ""
    assert obstacle(kernel(part(0, 40), part(32, 32)), ["x"], "y") != ""
    strip = over("i", 3, part(24 * I, dim.minimum(24, 64 - 24 * I)), kind="serial")
    assert obstacle(kernel(strip, part(64, 8), size=72), ["x"], "y") == ""
    assert obstacle(kernel(strip, part(64, symbol("n")), size=72), ["x"], "y") != ""


def test_forms_of_which_guards_choose_one_are_safe() -> None:
    few = dim.minimum(1, dim.floor_divide(symbol("n"), 5))

    def form(guard: Size, length: Size = 64) -> For:
        place = at("j", length)
        body = over("j", length, Store("y", place, load("x", place)))
        return over("i", guard, body, kind="serial")

    assert obstacle(kernel(form(few), form(1 - few)), ["x"], "y") == ""
    assert obstacle(kernel(form(few), form(1 - few, 65)), ["x"], "y") != ""
    assert obstacle(kernel(form(few), form(1)), ["x"], "y") != ""
    # one of the limits may be below 0, so that the other form stores more than once
    assert obstacle(kernel(form(2 * few), form(1 - 2 * few)), ["x"], "y") != ""
    n = symbol("n")
    assert obstacle(kernel(form(n), form(1 - n)), ["x"], "y") != ""


def test_an_update_by_the_gradient_of_symbolic_examples_is_in_place() -> None:
    x, g = gx.input("x", ("n", 784), "float32"), gx.input("g", ("n", 256), "float32")
    w = gx.variable(np.zeros((784, 256), np.float32), name="w")
    step = gx.compile([x, g], gx.sum(g), updates={w: w - 0.5 * (x.T @ g)})
    assert step.memory(n=64).arena == 0
    random, expected = np.random.default_rng(5), np.zeros((784, 256))
    for n in (0, 1, 7, 64, 3000):
        a, b = random.integers(-2, 3, (n, 784)), random.integers(-2, 3, (n, 256))
        step(a.astype(np.float32), b.astype(np.float32))
        expected -= 0.5 * (a.T @ b)
        np.testing.assert_array_equal(w.value, expected)


def test_parts_that_read_elsewhere_are_refused() -> None:
    first = over("j", 32, Store("y", at("j", 32), load("x", at("j", 32))))
    second = over("k", 32, Store("y", 32 + at("k", 32), load("x", at("k", 32))))
    assert obstacle(kernel(first, second), ["x"], "y") != ""


def test_two_loops_with_steps_like_digits_are_safe() -> None:
    n = symbol("n")
    offset = at("r", 4) * n + at("i", n)
    body = over("r", 4, over("i", n, Store("y", offset, load("x", offset))), kind="parallel")
    assert obstacle(kernel(body, size=4 * n), ["x"], "y") == ""


REFUSALS = {
    "a different offset": (
        over("i", 64, Store("y", I, load("x", 63 - I))),
        "different offset",
    ),
    "loaded in a loop before": (
        Accumulator("s", "sum", float32),
        over("i", 64, Accumulate("s", load("x", I))),
        over("i", 64, Store("y", I, load("x", I) * Ref(float32, "s"))),
        "another loop",
    ),
    "loaded in a loop inside": (
        over(
            "i",
            64,
            Accumulator("s", "sum", float32),
            over("j", 4, Accumulate("s", load("x", I))),
            Store("y", I, Ref(float32, "s")),
            kind="serial",
        ),
        "another loop",
    ),
    "loaded after the store": (
        over("i", 64, Store("y", I, scalar.const(float32, 1)), Let("t", load("x", I))),
        "after the store",
    ),
    "every row the same": (
        over("r", 4, over("i", 64, Store("y", I, load("x", I))), kind="serial"),
        "collide",
    ),
    "rows that overlap": (
        over(
            "r",
            4,
            over("i", 64, Store("y", I + 8 * at("r", 4), load("x", I + 8 * at("r", 4)))),
            kind="serial",
        ),
        "collide",
    ),
    "stored twice": (
        over("i", 64, Store("y", I, load("x", I)), Store("y", I, load("x", I))),
        "several places",
    ),
    "read back": (
        over("i", 64, Store("y", I, load("x", I)), Let("t", load("y", I))),
        "also read",
    ),
    "an offset from memory": (
        over(
            "i",
            64,
            Store("y", symbol("t", "value"), load("x", symbol("t", "value"))),
        ),
        "collide",
    ),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_refusals(case: tuple[Statement | str, ...]) -> None:
    *body, reason = case
    statements = tuple(s for s in body if not isinstance(s, str))
    assert isinstance(reason, str)
    assert reason in obstacle(kernel(*statements), ["x"], "y")


@pytest.mark.parametrize("shape", [(7,), (4096,), (4097,), (100, 100), (33, 1001)])
def test_states_of_every_size_are_updated_in_place(shape: tuple[int, ...]) -> None:
    w = gx.variable(np.zeros(shape, "float32"), name="w")
    step = gx.compile([], [], updates={w: w * 2 + 1})
    assert [d.choice for d in step.decisions if d.stage == "plan_memory"] == ["update in place"]
    step()
    step()
    np.testing.assert_array_equal(w.value, np.full(shape, 3))
