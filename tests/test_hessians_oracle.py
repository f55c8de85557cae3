"""Hessians, their products with vectors, and Jacobians of three small models, against JAX's.

Both compute in float64. They round differently, by a bound of `ROUNDINGS` units of the largest
element: each element is a sum of a few hundred products.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gx
from graphc import nn

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.oracle

Array = np.ndarray[Any, Any]
Parameters = list[Any]

ROUNDINGS = 1000


class Model(NamedTuple):
    """Outputs of parameters by both libraries, and values for the parameters."""

    ours: Callable[[Parameters], gx.Node]
    theirs: Callable[[Parameters], Any]
    values: list[Array]


def drawn(*shapes: tuple[int, ...]) -> list[Array]:
    """Random arrays."""
    random = np.random.default_rng(len(shapes))
    return [0.7 * random.normal(size=shape) for shape in shapes]


# --- models --------------------------------------------------------------------------------------


def mlp() -> Model:
    """Two layers, tanh and softmax cross entropy, for each of five examples."""
    x, labels = np.random.default_rng(5).normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])

    def ours(parameters: Parameters) -> gx.Node:
        v, b, w = parameters
        return nn.cross_entropy(gx.tanh(x @ v + b) @ w, labels, reduction="none")

    def theirs(parameters: Parameters) -> Any:
        v, b, w = parameters
        logs = jax.nn.log_softmax(jax.numpy.tanh(x @ v + b) @ w)
        return -logs[np.arange(5), labels]

    return Model(ours, theirs, drawn((3, 4), (4,), (4, 3)))


def recurrent() -> Model:
    """A scan of six steps of tanh; the outputs are the states of the last one."""
    xs = np.random.default_rng(6).normal(size=(6, 2))

    def ours(parameters: Parameters) -> gx.Node:
        w, u, h = parameters
        return nn.rnn(xs, (w, u), h)[1]

    def theirs(parameters: Parameters) -> Any:
        w, u, h = parameters
        return jax.lax.scan(lambda h, x: (jax.numpy.tanh(w @ x + u @ h), ()), h, xs)[0]

    return Model(ours, theirs, drawn((3, 2), (3, 3), (3,)))


def convolutional() -> Model:
    """Convolution with stride and padding, softplus, mean pooling, a dense layer."""
    image = np.random.default_rng(7).normal(size=(2, 2, 6, 5))

    def ours(parameters: Parameters) -> gx.Node:
        kernel, bias, w = parameters
        maps = gx.softplus(nn.conv2d(image, kernel, bias, stride=(2, 1), padding=1))
        return gx.reshape(nn.average_pool(maps, (1, 2)), (2, -1)) @ w

    def theirs(parameters: Parameters) -> Any:
        kernel, bias, w = parameters
        maps = jax.lax.conv_general_dilated(image, kernel, (2, 1), ((1, 1), (1, 1)))
        maps = jax.nn.softplus(maps + bias[:, None, None])
        window = ((1, 1, 1, 2),) * 2
        pooled = jax.lax.reduce_window(maps, 0.0, jax.lax.add, *window, "VALID") / 2
        return pooled.reshape(2, -1) @ w

    return Model(ours, theirs, drawn((3, 2, 3, 2), (3,), (27, 2)))


MODELS = {"mlp": mlp, "recurrent": recurrent, "convolutional": convolutional}
every_model = pytest.mark.parametrize("name", MODELS)


# --- comparisons ---------------------------------------------------------------------------------


def inputs_of(model: Model) -> list[gx.Node]:
    """Inputs for the parameters."""
    return [gx.input(f"p{k}", v.shape, v.dtype) for k, v in enumerate(model.values)]


def in_double(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of JAX's gives in float64; the setting holds for this call alone."""
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, jax.jit(function)(*arguments))


def assert_near(got: Any, want: Any) -> None:
    """Every array is as near as roundings allow."""
    mine, yours = jax.tree.leaves(got), jax.tree.leaves(want)
    assert len(mine) == len(yours) > 0
    for one, other in zip(mine, yours, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype == np.float64
        largest = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(one, other, 0, ROUNDINGS * 2.0**-53 * largest)


@every_model
def test_hessian(name: str) -> None:
    model = MODELS[name]()
    nodes = inputs_of(model)
    got = gx.compile(nodes, gx.hessian(gx.sum(gx.sin(model.ours(nodes))), nodes))(*model.values)

    def scalar(parameters: Parameters) -> Any:
        return jax.numpy.sum(jax.numpy.sin(model.theirs(parameters)))

    want = in_double(jax.hessian(scalar), model.values)
    assert np.abs(want[0][1]).max() > 1e-3
    assert_near(got, want)


@every_model
def test_hessian_times_a_vector(name: str) -> None:
    model = MODELS[name]()
    nodes, vector = inputs_of(model), drawn(*(v.shape for v in model.values))
    total = gx.sum(gx.square(model.ours(nodes)))
    got = gx.compile(nodes, gx.hvp(total, nodes, vector))(*model.values)

    def gradient(parameters: Parameters) -> Any:
        return jax.grad(lambda p: jax.numpy.sum(model.theirs(p) ** 2))(parameters)

    want = in_double(lambda p, v: jax.jvp(gradient, (p,), (v,))[1], model.values, vector)
    assert_near(got, want)


@every_model
def test_jacobians_in_both_modes(name: str) -> None:
    model = MODELS[name]()
    nodes = inputs_of(model)
    value = model.ours(nodes)
    modes = ("forward", "reverse")
    found = gx.compile(nodes, [gx.jacobian(value, nodes, mode) for mode in modes])(*model.values)
    for got, theirs in zip(found, (jax.jacfwd, jax.jacrev), strict=True):
        assert_near(got, in_double(theirs(model.theirs), model.values))


@every_model
def test_a_batch_of_gradients(name: str) -> None:
    """vmap over the parameters of the gradient: an ensemble of models."""
    model = MODELS[name]()
    batches = [np.stack([v, 0.5 * v, -v]) for v in model.values]
    nodes = [gx.input(f"p{k}", v.shape, v.dtype) for k, v in enumerate(batches)]

    def slopes(*parameters: gx.Node) -> Any:
        return gx.grad(gx.sum(gx.tanh(model.ours(list(parameters)))), list(parameters))

    got = gx.compile(nodes, gx.vmap(slopes)(*nodes))(*batches)

    def gradient(parameters: Parameters) -> Any:
        return jax.grad(lambda p: jax.numpy.sum(jax.numpy.tanh(model.theirs(p))))(parameters)

    assert_near(got, in_double(jax.vmap(gradient), batches))
