"""Time convolutions against PyTorch's, interleaved in one run on as many threads.

Each shape is timed forward, and forward with both gradients, with the channels second (NCHW) and
with the channels last (NHWC). PyTorch runs eagerly in its own layout and in channels_last, and the
faster one counts. Results are checked before they are timed. Of all rounds the shortest time
counts; with one thread it is the process's own, which a busy machine does not lengthen.
"""

import argparse

import numpy as np
import torch
from timing import clock_of, in_turns, use_threads
from torch.nn.functional import conv2d

import graphc as gx

# Examples, channels, size, kernels, taps, stride, groups: layers of ResNet, MobileNet and LeNet.
SHAPES = (
    (8, 64, 56, 64, 3, 1, 1), (8, 256, 14, 256, 3, 1, 1), (8, 512, 7, 512, 3, 1, 1),
    (8, 64, 56, 128, 3, 2, 1), (8, 3, 224, 64, 7, 2, 1), (8, 256, 14, 256, 1, 1, 1),
    (32, 64, 32, 64, 3, 1, 1), (64, 1, 28, 6, 5, 1, 1), (64, 6, 14, 16, 5, 1, 1),
    (8, 64, 56, 64, 3, 1, 64), (8, 128, 28, 128, 3, 1, 32),
)  # fmt: skip
LAYOUTS = (torch.contiguous_format, torch.channels_last)
LAST = (0, 2, 3, 1)


def ours(shape, layout):
    """The convolution, and it with the gradients of the sum of its squares, compiled."""
    examples, channels, size, kernels, taps, stride, groups = shape
    places = (size, size)
    whole = (examples, channels, *places) if layout == "NCHW" else (examples, *places, channels)
    x = gx.input("x", whole, "float32")
    w = gx.input("w", (kernels, channels // groups, taps, taps), "float32")
    y = gx.nn.conv2d(x, w, stride=stride, padding=taps // 2, groups=groups, layout=layout)
    return gx.compile([x, w], y), gx.compile([x, w], gx.grad(gx.sum(y * y), [x, w]))


def theirs(shape, x, w, layout):
    """The same of PyTorch, in a layout."""
    options = {"stride": shape[5], "padding": shape[4] // 2, "groups": shape[6]}
    a, b = (torch.tensor(array).to(memory_format=layout).requires_grad_() for array in (x, w))

    def forward():
        with torch.no_grad():
            return conv2d(a, b, **options)

    def gradients():
        y = conv2d(a, b, **options)
        return torch.autograd.grad((y * y).sum(), (a, b))

    return forward, gradients


def check(shape, layout, forward, gradients, other):
    """The results agree up to the rounding of their sums."""
    y, dx, dw = (result.numpy() for result in (other[0](), *other[1]()))
    if layout == "NHWC":
        y, dx = y.transpose(LAST), dx.transpose(LAST)
    for mine, right in zip([forward(), *gradients()], (y, dx, dw), strict=True):
        error = np.abs(mine - right).max() / np.abs(right).max()
        assert error < 1e-6 * np.sqrt(shape[1]) * shape[2], (shape, error)


def prepared(shape, x, w, layout):
    """Both functions of graphc over arrays in a layout."""
    image = np.ascontiguousarray(x.transpose(LAST)) if layout == "NHWC" else x
    return [lambda f=f: f(image, w) for f in ours(shape, layout)]


def compare(shape, rounds, clock):
    """Print rates and ratios of the shortest times."""
    generator = np.random.default_rng(0)
    examples, channels, size, kernels, taps, stride, groups = shape
    x = generator.normal(size=(examples, channels, size, size)).astype(np.float32)
    w = generator.normal(size=(kernels, channels // groups, taps, taps)).astype(np.float32)
    mine = [prepared(shape, x, w, layout) for layout in ("NCHW", "NHWC")]
    others = [theirs(shape, x, w, layout) for layout in LAYOUTS]
    for layout, pair in zip(("NCHW", "NHWC"), mine, strict=True):
        check(shape, layout, *pair, others[0])
    places = (-(-size // stride)) ** 2
    work = 2e-9 * examples * kernels * places * (channels // groups) * taps * taps
    for which, name in enumerate(("forward", "with gradients")):
        calls = [pair[which] for pair in (*mine, *others)]
        rows = in_turns(calls, rounds, clock)
        second, last, *peers = map(min, zip(*rows, strict=True))
        done, peer = (work, 3 * work)[which], min(peers)
        rates = " ".join(f"{done / time:7.1f}" for time in (second, last, peer))
        print(f"{shape!s:30} {name:15} {rates} GFLOP/s   ratios {second / peer:5.2f} "
              f"{last / peer:5.2f}", flush=True)  # fmt: skip


def main():
    """Read the options and compare all shapes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--first", type=int, default=0, help="the shape to begin with")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    use_threads(options.threads, torch)
    clock = clock_of(options.threads)
    print("shape                                             NCHW    NHWC PyTorch")
    for shape in SHAPES[options.first :]:
        compare(shape, options.rounds, clock)


if __name__ == "__main__":
    main()
