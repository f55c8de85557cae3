"""The neural functions against PyTorch: values, first and second derivatives, at random.

The bound of each comparison follows from the dtype and the longest sum: each operation rounds by
half a unit of the largest number about, and a derivative has some four times the operations of
what it is taken of.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import walk

torch = pytest.importorskip("torch")

import nn_loss_cases  # noqa: E402, F401 (fills CASES; needs PyTorch, as those below)
import nn_margin_cases  # noqa: E402, F401
import nn_recurrent_cases  # noqa: E402, F401
from nn_cases import CASES, Array, Config  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:reduction")]

CONFIGS = 24
"""Of each function."""
COMPILED = 3
"""Of these, how many run as machine code in float32 too."""
LOOPS = {
    "rnn",
    "gru",
    "lstm",
    "bidirectional_lstm",
    "peephole_lstm",
    "rnn_with_lengths",
    "ctc_loss",
}
"""Functions that are scans, which take longest to compile: of each one configuration is."""
OPERATIONS = 8
"""Roundings of a value that do not cancel, its sums apart."""


class Derivatives(NamedTuple):
    """A value, its gradients by the operands, and those of a weighted sum of the gradients."""

    value: list[Array]
    first: list[Array]
    second: list[Array]


def weights(shape: tuple[int, ...], seed: int) -> Array:
    """Numbers that tell elements apart."""
    return np.asarray(np.random.default_rng(seed).uniform(0.5, 1.5, shape))


def weighted(parts: list[Any], given: list[Any]) -> Any:
    """The sum of parts times weights."""
    total: Any = 0
    for part, weight in zip(parts, given, strict=True):
        total = total + (part * weight).sum()
    return total


def ours(config: Config, dtype: str, device: str, order: int) -> Derivatives:
    """What graphc computes."""
    nodes = [gx.input(f"x{i}", x.shape, dtype) for i, x in enumerate(config.arrays)]
    value = config.ours(*nodes)
    first = gradients(weighted([value], [typed(weights(value.shape, 0), dtype)]), nodes)
    given = [typed(weights(x.shape, 1 + i), dtype) for i, x in enumerate(config.arrays)]
    second = gradients(weighted(first, given), nodes) if order > 1 else []
    step = gx.compile(nodes, [[value], first, second], device=device)
    found = step(*(x.astype(dtype) for x in config.arrays))
    return Derivatives(*(list(part) for part in found))


def typed(array: Array, dtype: str) -> Array:
    """The weights in a dtype."""
    return array.astype(dtype)


def gradients(total: gx.Node, nodes: list[gx.Node]) -> list[gx.Node]:
    """The gradient of a sum by nodes, zeros where it does not depend on one."""
    reached = set(walk([total]))
    found = iter(gx.grad(total, [node for node in nodes if node in reached]))
    return [next(found) if node in reached else gx.zeros_like(node) for node in nodes]


def theirs(config: Config) -> Derivatives:
    """What PyTorch computes in float64."""
    tensors = [torch.tensor(x, requires_grad=True) for x in config.arrays]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        value = config.theirs(*tensors)
    first = torch_gradients(weighted([value], [torch.tensor(weights(value.shape, 0))]), tensors)
    given = [torch.tensor(weights(x.shape, 1 + i)) for i, x in enumerate(config.arrays)]
    second = torch_gradients(weighted(first, given), tensors)
    parts = [[value], first, second]
    return Derivatives(*([t.detach().numpy(force=True) for t in part] for part in parts))


def torch_gradients(total: Any, tensors: list[Any]) -> list[Any]:
    """The gradient of a sum by tensors, zeros where it does not depend on one."""
    if not total.requires_grad:
        return [torch.zeros_like(tensor) for tensor in tensors]
    found = torch.autograd.grad(total, tensors, create_graph=True, allow_unused=True)
    pairs = zip(found, tensors, strict=True)
    return [torch.zeros_like(t) if g is None else g for g, t in pairs]


def assert_near(got: Derivatives, want: Derivatives, config: Config, dtype: str) -> None:
    """No number is further from PyTorch's than the roundings of both can add up to."""
    eps = float(np.finfo(dtype).eps)
    largest = 0.1
    for order, (mine, yours) in enumerate(zip(got, want, strict=True)):
        largest = max([largest, *(float(np.abs(y).max()) for y in yours)])
        bound = eps * (OPERATIONS + config.length) * 4**order * largest
        for x, y in zip(mine, yours, strict=bool(mine)):
            assert x.shape == y.shape
            np.testing.assert_allclose(x, y, 0, bound, err_msg=f"order {order}, {dtype}")


def config_of(name: str, number: int) -> Config:
    """A configuration, decided by its number."""
    return CASES[name](np.random.default_rng([number, *name.encode()]))


@pytest.mark.parametrize("name", CASES)
def test_as_pytorch(name: str) -> None:
    for number in range(CONFIGS):
        config = config_of(name, number)
        want = theirs(config)
        assert_near(ours(config, "float64", "reference", 2), want, config, "float64")


@pytest.mark.parametrize("name", CASES)
def test_compiled_as_pytorch(name: str) -> None:
    for number in range(1 if name in LOOPS else COMPILED):
        config = config_of(name, number)
        want = theirs(config)
        assert_near(ours(config, "float32", "cpu", 1), want, config, "float32")
        assert_near(ours(config, "float64", "cpu", 2), want, config, "float64")


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_a_batch_equal_the_loop(name: str) -> None:
    config = config_of(name, 0)
    batches = [np.stack([x, np.flip(x)]) for x in config.arrays]
    nodes = [gx.input(f"x{i}", x.shape, "float64") for i, x in enumerate(batches)]

    def slopes(*one: gx.Node) -> list[gx.Node]:
        value = config.ours(*one)
        return gradients(weighted([value], [weights(value.shape, 0)]), list(one))

    each = [slopes(*(node[k] for node in nodes)) for k in range(2)]
    loop = [gx.stack(column) for column in zip(*each, strict=True)]
    step = gx.compile(nodes, [gx.vmap(slopes)(*nodes), loop], device="reference")
    got, want = step(*batches)
    for one, other in zip(got, want, strict=True):
        largest = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(one, other, 0, 1e-12 * largest)


def test_at_least_a_thousand_configurations() -> None:
    assert len(CASES) * CONFIGS >= 1000
