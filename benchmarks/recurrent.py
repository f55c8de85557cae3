"""Time recurrent layers against PyTorch's built-in ones, interleaved in one run.

A layer of 256 units reads 64 steps of 32 examples with 256 features. "Forward" gives all its
outputs, "training" also the gradients of their sum of squares for all weights. Results are checked
before they are timed. Needs PyTorch (pip install -e '.[oracle]').
"""

import argparse
import sys
import time

import numpy as np
from timing import in_turns, medians, ratio, use_threads

import graphc as gx

STEPS, BATCH, FEATURES, UNITS = 64, 32, 256, 256
LAYERS = {"LSTM": (gx.nn.lstm, 4), "GRU": (gx.nn.gru, 3), "RNN": (gx.nn.rnn, 1)}


def arrays_for(gates):
    """The sequence and the weights of a layer with so many gates."""
    generator = np.random.default_rng(0)
    shapes = ((STEPS, BATCH, FEATURES), (gates * UNITS, FEATURES), (gates * UNITS, UNITS),
              (gates * UNITS,), (gates * UNITS,))  # fmt: skip
    return [generator.normal(scale=0.05, size=shape).astype(np.float32) for shape in shapes]


def graphc_layer(layer, arrays):
    """The layer as two compiled functions without arguments: forward and training."""
    names = ("x", "w_ih", "w_hh", "b_ih", "b_hh")
    nodes = [gx.input(n, a.shape, "float32") for n, a in zip(names, arrays, strict=True)]
    outputs, _ = layer(nodes[0], gx.nn.RecurrentWeights(*nodes[1:]))
    forward = gx.compile(nodes, outputs)
    training = gx.compile(nodes, gx.grad(gx.sum(outputs * outputs), nodes[1:]))
    return (lambda: forward(*arrays)), (lambda: training(*arrays))


def torch_layer(torch, name, arrays):
    """The same in PyTorch, eager."""
    layer = getattr(torch.nn, name)(FEATURES, UNITS)
    x, *weights = map(torch.from_numpy, arrays)
    parameters = list(layer.parameters())
    for parameter, weight in zip(parameters, weights, strict=True):
        parameter.data = weight.clone()

    def forward():
        with torch.no_grad():
            return layer(x)[0].numpy()

    def training():
        layer.zero_grad()
        layer(x)[0].square().sum().backward()
        return [parameter.grad.numpy() for parameter in parameters]

    return forward, training


def compare(torch, name, threads, rounds):
    """Print the median times of both, and the medians of the rounds' ratios."""
    use_threads(threads, torch)
    layer, gates = LAYERS[name]
    arrays = arrays_for(gates)
    line = f"{name:4} on {threads}"
    pairs = zip(graphc_layer(layer, arrays), torch_layer(torch, name, arrays), strict=True)
    for what, (ours, theirs) in zip(("forward", "training"), pairs, strict=True):
        for found, want in zip(as_list(ours()), as_list(theirs()), strict=True):
            np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-3 * abs(want).max())
        rows = in_turns((ours, theirs), rounds, time.perf_counter)
        mine, other = medians(rows)
        line += f"   {what} {mine:6.1f}, {other:6.1f} ms, ratio {ratio(rows):.2f}"
    print(line, flush=True)


def as_list(value):
    """A list of arrays as it is, one array as a list."""
    return [value] if isinstance(value, np.ndarray) else value


def main():
    """Read the options and compare all layers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("this comparison needs PyTorch: pip install -e '.[oracle]'")
    print("graphc, PyTorch eager")
    for threads in options.threads:
        for name in LAYERS:
            compare(torch, name, threads, options.rounds)


if __name__ == "__main__":
    main()
