"""Time convolutions against PyTorch's, interleaved in one run on as many threads.

Each shape is timed forward, and forward with both gradients. PyTorch runs eagerly in its own
layout and in channels_last, and the faster one counts. Results are checked before they are timed.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from torch.nn.functional import conv2d

import graphc as gx

# Examples, channels, size, kernels, taps, stride: layers of ResNet and of LeNet.
SHAPES = (
    (8, 64, 56, 64, 3, 1), (8, 256, 14, 256, 3, 1), (8, 512, 7, 512, 3, 1),
    (8, 64, 56, 128, 3, 2), (8, 3, 224, 64, 7, 2), (8, 256, 14, 256, 1, 1),
    (32, 64, 32, 64, 3, 1), (64, 1, 28, 6, 5, 1), (64, 6, 14, 16, 5, 1),
)  # fmt: skip
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def ours(shape):
    """The convolution, and it with the gradients of the sum of its squares, compiled."""
    examples, channels, size, kernels, taps, stride = shape
    x = gx.input("x", (examples, channels, size, size), "float32")
    w = gx.input("w", (kernels, channels, taps, taps), "float32")
    y = gx.nn.conv2d(x, w, stride=stride, padding=taps // 2)
    return gx.compile([x, w], y), gx.compile([x, w], gx.grad(gx.sum(y * y), [x, w]))


def theirs(shape, x, w, layout):
    """The same of PyTorch, in a layout."""
    stride, padding = shape[5], shape[4] // 2
    a, b = (torch.tensor(array).to(memory_format=layout).requires_grad_() for array in (x, w))

    def forward():
        with torch.no_grad():
            return conv2d(a, b, stride=stride, padding=padding)

    def gradients():
        y = conv2d(a, b, stride=stride, padding=padding)
        return torch.autograd.grad((y * y).sum(), (a, b))

    return forward, gradients


def seconds(function):
    """How long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def check(shape, forward, gradients, other):
    """The results agree up to the rounding of their sums."""
    rights = [result.numpy() for result in (other[0](), *other[1]())]
    for mine, right in zip([forward(), *gradients()], rights, strict=True):
        error = np.abs(mine - right).max() / np.abs(right).max()
        assert error < 1e-6 * np.sqrt(shape[1]) * shape[2], (shape, error)


def compare(shape, rounds):
    """Print rates and the medians of the ratios."""
    generator = np.random.default_rng(0)
    examples, channels, size, kernels, taps, stride = shape
    x = generator.normal(size=(examples, channels, size, size)).astype(np.float32)
    w = generator.normal(size=(kernels, channels, taps, taps)).astype(np.float32)
    forward, gradients = (lambda f=f: f(x, w) for f in ours(shape))
    others = [theirs(shape, x, w, layout) for layout in LAYOUTS]
    check(shape, forward, gradients, others[0])
    size = -(-size // stride)
    work = 2e-9 * examples * kernels * size * size * channels * taps * taps
    for name, mine, peers, times in (
        ("forward", forward, [other[0] for other in others], work),
        ("with gradients", gradients, [other[1] for other in others], 3 * work),
    ):
        rows = [[seconds(f) for f in (mine, *peers)] for _ in range(rounds)]
        best = [min(row[1:]) for row in rows]
        ratio = statistics.median(row[0] / b for row, b in zip(rows, best, strict=True))
        rate = times / statistics.median(row[0] for row in rows)
        peer = times / statistics.median(best)
        print(f"{shape!s:28} {name:15} {rate:6.1f} {peer:6.1f} GFLOP/s   ratio {ratio:5.2f}",
              flush=True)  # fmt: skip


def main():
    """Read the options and compare all shapes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    gx.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    print("shape                                        graphc PyTorch")
    for shape in SHAPES:
        compare(shape, options.rounds)


if __name__ == "__main__":
    main()
