"""Time Winograd convolutions against PyTorch's direct ones, interleaved in one run.

Layers of ResNet-18, forward and with both gradients, then the whole network: inference on images
of 224 x 224 with constant weights, whose batch norms are folded into biases, and a training step on
those of 32 x 32. PyTorch runs eagerly in its own layout and in channels_last, and the faster one
counts in each round. Results are checked before they are timed.
"""

import argparse
import time

import numpy as np
import torch
from timing import in_turns, medians, ratio, use_threads
from torch.nn import functional

import graphc as gx

# Examples, channels, size, kernels of layers with 3 x 3 taps.
LAYERS = (
    (8, 64, 56, 64), (8, 128, 28, 128), (8, 256, 14, 256), (8, 512, 7, 512),
    (32, 64, 32, 64), (32, 128, 16, 128), (32, 256, 8, 256), (32, 512, 4, 512),
)  # fmt: skip
LAYOUTS = (torch.contiguous_format, torch.channels_last)
CLASSES, RATE = 10, 1e-3


def compare(name, mine, peers, rounds, tolerance):
    """Check the results, then print times and the median of the ratios."""
    rights = [peer() for peer in peers]
    for result, tensor in zip(mine(), rights[0], strict=True):
        right = tensor.detach().numpy()
        error = np.abs(result - right).max() / np.abs(right).max()
        assert error < tolerance, (name, error)
    rows = in_turns((mine, *peers), rounds, time.process_time)
    ours, theirs = medians([(row[0], min(row[1:])) for row in rows])
    print(f"{name:36} {ours:8.2f} {theirs:8.2f} ms   ratio {ratio(rows):5.2f}", flush=True)


# --- layers ---------------------------------------------------------------------------------------


def layer(shape, rounds):
    """Compare one layer."""
    examples, channels, size, kernels = shape
    generator = np.random.default_rng(0)
    arrays = [
        generator.normal(size=sizes).astype(np.float32)
        for sizes in ((examples, channels, size, size), (kernels, channels, 3, 3))
    ]
    x, w = (gx.input(name, a.shape, "float32") for name, a in zip("xw", arrays, strict=True))
    y = gx.nn.conv2d(x, w, padding=1)
    forward = gx.compile([x, w], [y], winograd=True)
    gradients = gx.compile([x, w], gx.grad(gx.sum(y * y), [x, w]), winograd=True)
    peers = [of_torch(arrays, layout) for layout in LAYOUTS]
    for name, step, pick in (("forward", forward, 0), ("with gradients", gradients, 1)):
        others = [peer[pick] for peer in peers]
        compare(f"{shape!s:20} {name}", lambda s=step: s(*arrays), others, rounds, 1e-4)


def of_torch(arrays, layout):
    """A layer of PyTorch's, forward and with gradients, in a layout."""
    a, b = (torch.tensor(array).to(memory_format=layout).requires_grad_() for array in arrays)

    def forward():
        with torch.no_grad():
            return [functional.conv2d(a, b, padding=1)]

    def gradients():
        y = functional.conv2d(a, b, padding=1)
        return torch.autograd.grad((y * y).sum(), (a, b))

    return forward, gradients


# --- the network ----------------------------------------------------------------------------------


class Ours:
    """What the network is made of, in graphc."""

    relu = staticmethod(gx.relu)
    mean = staticmethod(lambda y: gx.mean(y, axis=(2, 3)))
    pool = staticmethod(lambda y: gx.nn.max_pool(y, 3, stride=2, padding=1))
    conv = staticmethod(lambda x, w, s, p: gx.nn.conv2d(x, w, stride=s, padding=p))

    @staticmethod
    def norm(y, scale, shift):
        """The batch's own statistics."""
        zero, one = gx.zeros_like(scale), gx.ones_like(scale)
        return gx.nn.batch_norm(y, zero, one, scale, shift, training=True)[0]


class Theirs:
    """The same, in PyTorch."""

    relu, mean = torch.relu, staticmethod(lambda y: y.mean((2, 3)))
    pool = staticmethod(lambda y: functional.max_pool2d(y, 3, 2, 1))
    conv = staticmethod(lambda x, w, s, p: functional.conv2d(x, w, None, s, p))

    @staticmethod
    def norm(y, scale, shift):
        """The batch's own statistics."""
        return functional.batch_norm(y, None, None, scale, shift, training=True)


def resnet(x, words, take, stem):
    """ResNet-18, of words for its parts; `take` gives the next weights of a shape.

    The stem is "imagenet", with norms that have become biases, or "cifar", with those of a batch.
    """
    small = stem == "cifar"

    def normal(y):
        count = y.shape[1]
        if small:
            return words.norm(y, take((count,)), take((count,)))
        return y + take((count,)).reshape(1, -1, 1, 1)

    def conv(y, kernels, taps, stride):
        w = take((kernels, y.shape[1], taps, taps))
        return normal(words.conv(y, w, stride, taps // 2))

    x = words.relu(conv(x, 64, 3 if small else 7, 1 if small else 2))
    x = x if small else words.pool(x)
    for block in range(8):
        kernels = 64 << block // 2
        stride = 2 if block % 2 == 0 and block else 1
        y = words.relu(conv(x, kernels, 3, stride))
        y = conv(y, kernels, 3, 1)
        x = words.relu(y + (x if x.shape[1] == kernels else conv(x, kernels, 1, stride)))
    return words.mean(x) @ take((512, CLASSES))


class Weights:
    """Weights made in the order in which they are asked for, or taken again in that order."""

    def __init__(self, wrap):
        self.generator, self.wrap = np.random.default_rng(0), wrap
        self.made, self.next = [], None

    def __call__(self, shape):
        """The next weights, such that magnitudes are kept through a layer."""
        if self.next is not None:
            return next(self.next)
        deviation = 1 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[1:]))
        array = self.generator.normal(0, deviation, shape).astype(np.float32)
        self.made.append(self.wrap(array))
        return self.made[-1]

    def again(self):
        """The same weights from the first one on."""
        self.next = iter(self.made) if self.made else None
        return self


def inference(batch, rounds):
    """Compare inference."""
    image = np.random.default_rng(1).normal(size=(batch, 3, 224, 224)).astype(np.float32)
    x = gx.input("x", image.shape, "float32")
    step = gx.compile(x, [resnet(x, Ours, Weights(gx.constant), "imagenet")], winograd=True)

    def of_torch(layout):
        a, take = laid_out(image, layout), Weights(lambda array: laid_out(array, layout))

        def run():
            with torch.no_grad():
                return [resnet(a, Theirs, take.again(), "imagenet")]

        return run

    peers = [of_torch(layout) for layout in LAYOUTS]
    compare(f"ResNet-18, {batch} of 224 x 224", lambda: step(image), peers, rounds, 1e-3)


def training(batch, rounds):
    """Compare a step of gradient descent."""
    generator = np.random.default_rng(1)
    image = generator.normal(size=(batch, 3, 32, 32)).astype(np.float32)
    wanted = generator.normal(size=(batch, CLASSES)).astype(np.float32)
    x, t = (gx.input(n, a.shape, "float32") for n, a in (("x", image), ("t", wanted)))
    take = Weights(gx.variable)
    loss = gx.mean(gx.square(resnet(x, Ours, take, "cifar") - t))
    gradients = zip(take.made, gx.grad(loss, take.made), strict=True)
    updates = {w: w - RATE * g for w, g in gradients}
    step = gx.compile([x, t], [loss], updates, winograd=True)

    def of_torch(layout):
        a, b = laid_out(image, layout), torch.tensor(wanted)
        take = Weights(lambda array: laid_out(array, layout).requires_grad_())

        def run():
            loss = (resnet(a, Theirs, take.again(), "cifar") - b).square().mean()
            gradients = torch.autograd.grad(loss, take.made)
            with torch.no_grad():
                torch._foreach_add_(take.made, gradients, alpha=-RATE)
            return [loss]

        return run

    peers = [of_torch(layout) for layout in LAYOUTS]
    compare(
        f"ResNet-18, step, {batch} of 32 x 32", lambda: step(image, wanted), peers, rounds, 1e-3
    )


def laid_out(array, layout):
    """A tensor, in a layout if it has four axes."""
    tensor = torch.tensor(array)
    return tensor.to(memory_format=layout) if tensor.ndim == 4 else tensor


def main():
    """Read the options and compare all layers and both networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the name of what is timed")
    options = parser.parse_args()
    use_threads(options.threads, torch)
    print(f"{'':36}   graphc  PyTorch")
    for shape in LAYERS:
        layer(shape, options.rounds)
    for batch in (1, 8):
        inference(batch, max(3, options.rounds // 3))
    training(32, max(3, options.rounds // 3))


if __name__ == "__main__":
    main()
