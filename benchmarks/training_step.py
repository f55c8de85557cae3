"""Time a training step against PyTorch's, interleaved in one run on the same threads.

The step is that of examples/digits.py: 784-256-10, ReLU, softmax cross entropy, forward,
backward and Adam. Both get the same weights and data, and must agree on the loss before they are
timed. Rounds alternate; the ratio is taken within each round, so that a busy machine slows both.

    pip install -e '.[oracle]' && python benchmarks/training_step.py --threads 1 2
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from timing import medians, ratio, seconds_per_call, use_threads

import graphc as gx

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
import digits


def graphc_step(weights):
    """The compiled step as a function of images and labels, and what compiling took."""
    first, second = ([gx.variable(a, name=n + k) for k, a in zip("wb", pair, strict=True)]
                     for n, pair in zip(("first_", "second_"), weights, strict=True))  # fmt: skip
    x = gx.input("x", ("batch", digits.PIXELS), "float32")
    target = gx.input("target", ("batch",), "int64")
    logits = digits.network(x, first, second)
    loss = gx.mean(gx.softmax_cross_entropy(logits, target))
    start = time.perf_counter()
    step = gx.compile([x, target], loss, updates=digits.adam(loss, first + second))
    return step, time.perf_counter() - start


def torch_step(torch, weights):
    """The same step in PyTorch, eager, with the fused Adam if it has one."""
    parameters = [torch.nn.Parameter(torch.from_numpy(a.copy())) for pair in weights for a in pair]
    optimizer = torch.optim.Adam(parameters, lr=digits.RATE, fused=True)
    w1, b1, w2, b2 = parameters

    def step(images, labels):
        logits = torch.relu(torch.addmm(b1, images, w1))
        loss = torch.nn.functional.cross_entropy(torch.addmm(b2, logits, w2), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def initial_weights():
    """Weights and biases of both layers as arrays."""
    generator = np.random.default_rng(0)
    shapes = ((digits.PIXELS, digits.HIDDEN), (digits.HIDDEN, digits.CLASSES))
    return [
        (generator.normal(scale=np.sqrt(2 / m), size=(m, n)).astype(np.float32),
         np.zeros(n, np.float32))
        for m, n in shapes
    ]  # fmt: skip


def compare(torch, threads, batch, rounds, repeats):
    """Print the median times and the median of the rounds' ratios."""
    use_threads(threads, torch)
    generator = np.random.default_rng(1)
    images = generator.random((batch, digits.PIXELS), dtype=np.float32)
    labels = generator.integers(0, digits.CLASSES, batch)
    ours, compiling = graphc_step(initial_weights())
    theirs = torch_step(torch, initial_weights())
    torch_images, torch_labels = torch.from_numpy(images), torch.from_numpy(labels)
    for _ in range(3):
        np.testing.assert_allclose(ours(images, labels), theirs(torch_images, torch_labels), 1e-4)
    calls = (lambda: ours(images, labels), lambda: theirs(torch_images, torch_labels))
    rows = [[seconds_per_call(call, repeats, time.perf_counter) for call in calls]
            for _ in range(rounds)]  # fmt: skip
    mine, other = (1e3 * milliseconds for milliseconds in medians(rows))
    print(f"threads {threads}, batch {batch}: graphc {mine:7.0f} us, torch eager {other:7.0f} us, "
          f"ratio {ratio(rows):.2f}; compiled in {compiling:.3f} s")  # fmt: skip


def main():
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("this comparison needs PyTorch: pip install -e '.[oracle]'")
    for threads in options.threads:
        compare(torch, threads, options.batch, options.rounds, options.repeats)


if __name__ == "__main__":
    main()
