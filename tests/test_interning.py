"""Equal nodes and equal scalars are one object, also across threads, and die when unused."""

import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import graphc as gx
from graphc.ir import scalar
from graphc.ir.node import TABLE
from graphc.ir.scalar import Const, Interned
from graphc.ir.types import float32, float64, int32

THREADS, ROUNDS, DEPTH = 8, 100, 100_000


@pytest.fixture
def restless():
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def made_by_threads(make: Callable[[], Any]) -> list[Any]:
    """What several threads make at the same time."""
    start, made = threading.Barrier(THREADS), []

    def work() -> None:
        start.wait()
        made.append(make())

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made


@pytest.mark.usefixtures("restless")
def test_threads_that_make_equal_values_get_one_object():
    x = gx.input("x", (3,), "float32")
    for number in range(ROUNDS):
        nodes = made_by_threads(lambda n=number: gx.sin(x * float(n)))
        assert all(node is nodes[0] for node in nodes)
        scalars = made_by_threads(lambda n=number: scalar.const(float32, n) + 0.5)
        assert all(value is scalars[0] for value in scalars)


def test_numbers_that_python_takes_for_equal_are_told_apart():
    assert scalar.const(float64, 0.0) is not scalar.const(float64, -0.0)
    assert scalar.const(float64, float("nan")) is scalar.const(float64, float("nan"))
    assert Const(int32, 1) is not Const(int32, True)
    assert gx.constant(0.0) is not gx.constant(-0.0)
    assert gx.constant(float("nan")) is gx.constant(float("nan"))


def test_unused_values_leave_the_tables_however_deep_they_are():
    x = gx.input("x", (3,), "float32")
    gc.collect()
    nodes, scalars = len(TABLE.values), len(Interned.table.values)
    node, value = x, scalar.const(float32, 1.0)
    for number in range(DEPTH):
        node = gx.sin(node)
        value = value + float(number)
    assert len(TABLE.values) >= nodes + DEPTH
    del node, value
    gc.collect()
    assert (len(TABLE.values), len(Interned.table.values)) == (nodes, scalars)
