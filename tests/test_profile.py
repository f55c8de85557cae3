"""step.profile(): its structure, what it counts, and that it leaves no trace."""

import numpy as np
import pytest

import graphc as gx
from graphc.errors import GraphError

ROWS, DEPTH, COLUMNS = 48, 32, 80


def product():
    """A step of one product, and its arguments."""
    x = gx.input("x", (ROWS, DEPTH), "float32")
    w = gx.input("w", (DEPTH, COLUMNS), "float32")
    arrays = [np.ones(node.shape, np.float32) for node in (x, w)]
    return gx.compile([x, w], x @ w), arrays


def test_a_product_counts_its_operations_and_bytes():
    step, arrays = product()
    profile = step.profile(*arrays)
    (call,) = profile.calls
    assert call.kernel == step.program.calls[0].kernel
    assert call.runs == 1
    assert call.operations == 2 * ROWS * DEPTH * COLUMNS
    assert call.bytes == 4 * (ROWS * DEPTH + DEPTH * COLUMNS + ROWS * COLUMNS)
    assert 0 < call.seconds <= profile.seconds
    assert call.operations_per_second == call.operations / call.seconds
    assert call.bytes_per_second == call.bytes / call.seconds


def test_each_call_of_the_program_has_its_row_and_the_users_line():
    x = gx.input("x", ("batch", 8), "float32")
    h = gx.exp(x) @ gx.asarray(np.ones((8, 4), np.float32))
    step = gx.compile([x], gx.sum(h * h))
    profile = step.profile(np.zeros((5, 8), np.float32))
    assert [call.kernel for call in profile] == [call.kernel for call in step.program.calls]
    assert all("test_profile.py" in place for call in profile for place in call.where)
    text = str(profile)
    assert all(call.kernel in text for call in profile)
    assert "test_profile.py" in text
    assert f"of {profile.rounds} rounds" in text


def test_operations_follow_symbolic_sizes():
    x = gx.input("x", ("n",), "float32")
    step = gx.compile([x], x * 2 + 1)
    (few,), (many,) = (step.profile(np.zeros(n, np.float32)) for n in (10, 1000))
    assert (few.operations, many.operations) == (20, 2000)
    assert (few.bytes, many.bytes) == (80, 8000)


def test_iterations_of_different_length_count_for_what_they_are():
    x = gx.input("x", (100, 100), "float32")
    whole, half = (
        gx.compile([x], f(x)).profile(np.eye(100, dtype=np.float32)).calls
        for f in (lambda x: x @ x, gx.linalg.cholesky)
    )
    products = 2 * 100**3
    assert sum(call.operations for call in whole) == products
    assert products / 8 < sum(call.operations for call in half) < products / 3


@pytest.mark.parametrize("count", [0, 3, 11])
def test_calls_in_a_loop_count_all_their_runs(count):
    x = gx.input("x", (4,), "float32")
    final, _ = gx.scan(lambda c, _: (gx.sin(c), ()), x, length=7)
    n = gx.input("n", (), "int32")
    looped = gx.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, gx.cos(s[1])), (n * 0, x))
    step = gx.compile([x, n], [final, looped[1]])
    profile = step.profile(np.ones(4, np.float32), np.int32(count))
    assert max(call.runs for call in profile if "sin" in call.kernel) == 7
    assert {call.runs for call in profile if "cos" in call.kernel} == {count}


def test_variables_are_as_before_and_calls_go_on():
    w = gx.variable(np.ones(3, np.float32), name="w")
    step = gx.compile([], gx.sum(w), updates={w: w * 2})
    step.profile()
    assert w.value.tolist() == [1, 1, 1]
    assert step() == 3
    assert step() == 6


def test_arguments_are_checked_and_the_reference_refuses():
    step, arrays = product()
    with pytest.raises(GraphError):
        step.profile(arrays[0])
    x = gx.input("x", (3,), "float32")
    with pytest.raises(GraphError, match="compile for 'cpu' to profile it"):
        gx.compile([x], gx.exp(x), device="reference").profile(np.zeros(3, np.float32))


@pytest.mark.cpu("LLVM code")
def test_the_step_of_calls_has_no_stamps():
    step, arrays = product()
    step.profile(*arrays)
    assert "counter" not in step.llvm_ir
