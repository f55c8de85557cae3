"""gx.compare finds the first operator on which devices part, its element and the user's line."""

import re

import numpy as np
import pytest
from conftest import require_pocl

import graphc as gx
from graphc.ir.op import OPS
from graphc.runtime.compare import agree

OPENCL = "opencl:Portable Computing Language"
ROWS = np.random.default_rng(3).standard_normal((3, 5)).astype(np.float32)


def layer(x: gx.Node, w: gx.Node) -> list[gx.Node]:
    """A layer, its loss, and gradients."""
    loss = gx.sum(gx.log(gx.sum(gx.exp(gx.tanh(x @ w)), axis=1)))
    return [loss, *gx.grad(loss, [x, w])]


WEIGHT = np.random.default_rng(4).standard_normal((5, 4)).astype(np.float32)


@pytest.mark.parametrize("devices", [("cpu", "reference"), ("reference", "cpu", "cpu")])
def test_devices_agree(devices: tuple[str, ...]) -> None:
    assert gx.compare(layer, [ROWS, WEIGHT], devices=devices) is None


def test_opencl_agrees() -> None:
    require_pocl()
    assert gx.compare(layer, [ROWS, WEIGHT], devices=["cpu", OPENCL]) is None


def test_a_wrong_operator_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = OPS["tanh"].reference
    broken = lambda x: np.where(np.arange(x.size).reshape(x.shape) == 7, 0.25, right(x))  # noqa: E731
    monkeypatch.setattr(OPS["tanh"], "reference", broken, raising=False)
    found = gx.compare(layer, [ROWS, WEIGHT], devices=["cpu", "reference"])
    assert found is not None
    assert found.node.op.name == "tanh"
    assert found.element == (1, 3)
    assert found.devices == ("cpu", "reference")
    assert found.values[1] == 0.25
    assert found.node.where is not None
    assert "gx.tanh(x @ w)" in found.node.where.source
    said = str(found)
    assert re.match(r"<tanh f32\[3, 4\]>\[1, 3\] is .* on 'cpu' and .*0\.25.* on 'reference'", said)
    assert "test_compare.py" in said


def test_what_comes_after_a_wrong_operator_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPS["exp"], "reference", lambda x: np.exp(x) * 1.001, raising=False)
    found = gx.compare(lambda x: gx.sum(gx.sqrt(gx.exp(x))), [ROWS], devices=["reference", "cpu"])
    assert found is not None
    assert found.node.op.name == "exp"


def test_the_bound_is_the_callers() -> None:
    inputs = [ROWS.astype(np.float64)]
    assert gx.compare(gx.tanh, inputs) is None
    assert gx.compare(gx.sqrt, [np.abs(inputs[0])], ulps=0) is None
    slightly = lambda x: gx.sum(gx.exp(x) * 0.1, axis=0)  # noqa: E731
    assert gx.compare(slightly, [np.random.default_rng(0).normal(size=(999, 4))]) is None


def test_a_compiled_step_with_symbolic_sizes_and_variables() -> None:
    x = gx.input("x", ("n", 5), "float32")
    w = gx.variable(WEIGHT, name="w")
    loss = gx.mean(gx.square(x @ w))
    step = gx.compile([x], loss, updates={w: w - 0.1 * gx.grad(loss, w)})
    assert gx.compare(step, [ROWS]) is None
    np.testing.assert_array_equal(w.value, WEIGHT)


def test_loops_and_several_results() -> None:
    def program(x: gx.Node) -> list[gx.Node]:
        total, running = gx.scan(lambda s, row: (s + row, s * row), x[0], x)
        return [total, running, gx.while_loop(lambda v: gx.sum(v) < 10, lambda v: v + 1, total)]

    assert gx.compare(program, [ROWS]) is None


def test_nan_and_infinity_agree_with_themselves_alone() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert agree(values, values, np.zeros(4)).all()
    assert not agree(values, np.array([1.0, -np.inf, np.nan, np.inf]), np.ones(4)).any()


def test_one_device_is_nothing_to_compare() -> None:
    with pytest.raises(gx.GraphError, match="two devices"):
        gx.compare(gx.tanh, [ROWS], devices=["cpu"])


def test_arguments_without_a_dtype_of_graphc_are_refused() -> None:
    with pytest.raises(gx.GraphError, match="compare: argument 1: dtype\\('<U1'\\) is not a dtype"):
        gx.compare(lambda a, b: a + b, [np.ones(3), "q"])


def test_a_step_takes_what_it_takes_in_a_call() -> None:
    x = gx.input("x", ("n",), "float32")
    assert gx.compare(gx.compile([x], gx.exp(x)), [[1.0, 2.0]]) is None
