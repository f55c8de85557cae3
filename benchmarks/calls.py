"""Time calls that do little work against NumPy, PyTorch eager and jax.jit, in one run, one thread.

Two steps, so small that the call is most of it: relu(x @ w + b) on 4 x 4 arrays, all of them
arguments; and a step of training, 8-16-1 with tanh, squared error and gradient descent on 16
examples. All must agree before they are timed. Rounds alternate between the libraries, and the best
round of each counts, since nothing but the machine's other work makes a call slower. Those that
are not installed are left out.

    pip install -e '.[oracle]' && OPENBLAS_NUM_THREADS=1 python benchmarks/calls.py
"""

import argparse
import importlib.util
import time

import numpy as np
from timing import seconds_per_call

import graphc as gx

RATE = 0.01


def layer_arrays():
    """x, w and b."""
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype(np.float32) for shape in ((4, 4), (4, 4), (4,))]


def network_arrays():
    """Inputs, targets, and the weights and biases of two layers."""
    generator = np.random.default_rng(1)
    shapes = ((16, 8), (16, 1), (8, 16), (16,), (16, 1), (1,))
    return [generator.normal(size=shape).astype(np.float32) / 3 for shape in shapes]


def graphc_layer():
    """The call on new outputs, and into an array given."""
    inputs = [gx.input(name, shape, "float32") for name, shape in
              (("x", (4, 4)), ("w", (4, 4)), ("b", (4,)))]  # fmt: skip
    step = gx.compile(inputs, gx.maximum(inputs[0] @ inputs[1] + inputs[2], 0))
    (x, w, b), out = layer_arrays(), np.empty((4, 4), np.float32)
    return {"graphc": lambda: step(x, w, b), "graphc, out=": lambda: step(x, w, b, out=out)}


def numpy_layer():
    """The layer in NumPy."""
    x, w, b = layer_arrays()
    return {"NumPy": lambda: np.maximum(x @ w + b, 0)}


def torch_layer(torch):
    """The layer in PyTorch, eager."""
    x, w, b = map(torch.from_numpy, layer_arrays())
    return {"PyTorch": lambda: torch.relu(torch.addmm(b, x, w))}


def jax_layer(jax):
    """The layer in JAX, compiled."""
    step = jax.jit(lambda x, w, b: jax.nn.relu(x @ w + b))
    x, w, b = map(jax.numpy.asarray, layer_arrays())
    return {"jax.jit": lambda: step(x, w, b).block_until_ready()}


def graphc_training():
    """The step of training: its variables change with each call."""
    inputs, targets, *weights = network_arrays()
    x, t = gx.input("x", (16, 8), "float32"), gx.input("t", (16, 1), "float32")
    parameters = [gx.variable(array) for array in weights]
    w1, b1, w2, b2 = parameters
    loss = gx.mean(gx.square(gx.tanh(x @ w1 + b1) @ w2 + b2 - t))
    gradients = gx.grad(loss, parameters)
    updates = {p: p - RATE * g for p, g in zip(parameters, gradients, strict=True)}
    step = gx.compile([x, t], loss, updates=updates)
    return {"graphc": lambda: step(inputs, targets)}


def torch_training(torch):
    """The step in PyTorch, eager, with its own optimizer."""
    inputs, targets, *weights = map(torch.from_numpy, network_arrays())
    parameters = [torch.nn.Parameter(array) for array in weights]
    optimizer = torch.optim.SGD(parameters, lr=RATE)
    w1, b1, w2, b2 = parameters

    def step():
        hidden = torch.tanh(torch.addmm(b1, inputs, w1))
        loss = torch.nn.functional.mse_loss(torch.addmm(b2, hidden, w2), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return {"PyTorch": step}


def jax_training(jax):
    """The step in JAX, compiled; the old weights are given up to the new ones."""
    inputs, targets, *weights = map(jax.numpy.asarray, network_arrays())

    def loss(weights):
        w1, b1, w2, b2 = weights
        return ((jax.numpy.tanh(inputs @ w1 + b1) @ w2 + b2 - targets) ** 2).mean()

    def update(weights):
        value, gradients = jax.value_and_grad(loss)(weights)
        return value, [w - RATE * g for w, g in zip(weights, gradients, strict=True)]

    compiled, state = jax.jit(update, donate_argnums=0), [weights]

    def step():
        value, state[0] = compiled(state[0])
        return value.block_until_ready()

    return {"jax.jit": step}


def compare(title, calls, rounds, seconds):
    """Print the best time of each."""
    results = [np.asarray(call()) for call in calls.values()]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-4, atol=1e-5)
    clock = time.perf_counter
    repeats = {
        name: int(seconds / seconds_per_call(call, 100, clock)) + 1 for name, call in calls.items()
    }
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], seconds_per_call(call, repeats[name], clock))
    print(title)
    for name, time_taken in best.items():
        print(f"  {name:14} {time_taken * 1e6:8.2f} us  {time_taken / best['graphc']:7.1f}")


def main():
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.005, help="of a round of one library")
    options = parser.parse_args()
    gx.set_num_threads(1)
    layer, training = graphc_layer() | numpy_layer(), graphc_training()
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        layer |= torch_layer(torch)
        training |= torch_training(torch)
    if importlib.util.find_spec("jax"):
        import jax

        jax.config.update("jax_platforms", "cpu")
        layer |= jax_layer(jax)
        training |= jax_training(jax)
    compare("relu(x @ w + b), 4 x 4", layer, options.rounds, options.seconds)
    compare("training, 8-16-1, 16 examples", training, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
