"""Time whole convolutional networks against PyTorch's, interleaved in one run on as many threads.

LeNet and ResNet-18 (its form for images of 32 x 32) take a training step: cross entropy, backward
and SGD with momentum. ResNet-18 for images of 224 x 224 infers. PyTorch runs eagerly in
channels_last. Losses and results are compared before anything is timed. Of all rounds the shortest
time counts; with one thread it is the process's own, which a busy machine does not lengthen.
"""

import argparse
import time

import numpy as np
import torch
from timing import clock_of, in_turns, use_threads
from torch.nn import functional

import graphc as gx

RATE, MOMENTUM = 0.01, 0.9
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))


def lenet_shapes():
    """The parameters of LeNet-5 with maximum pooling: kernels, then matrices, each with a bias."""
    kernels = {"c0": (6, 1, 5, 5), "c1": (16, 6, 5, 5)}
    return kernels | {"w0": (400, 120), "w1": (120, 84), "w2": (84, 10)}


def resnet_convolutions(small):
    """Name, channels before and after, taps, stride of each convolution of ResNet-18, in order."""
    yield ("stem", 3, 64, 3, 1) if small else ("stem", 3, 64, 7, 2)
    before = 64
    for stage, (channels, first) in enumerate(STAGES):
        for block in range(2):
            name, stride = f"s{stage}b{block}", first if block == 0 else 1
            yield f"{name}c0", before, channels, 3, stride
            yield f"{name}c1", channels, channels, 3, 1
            if stride != 1:
                yield f"{name}down", before, channels, 1, stride
            before = channels


def lenet_parameters(generator):
    """Arrays of LeNet's parameters by name."""
    made = {}
    for name, shape in lenet_shapes().items():
        fan, outputs = (shape[0], shape[1]) if len(shape) == 2 else (np.prod(shape[1:]), shape[0])
        made[name] = generator.normal(scale=np.sqrt(2 / fan), size=shape)
        made[f"{name}_bias"] = np.zeros(outputs)
    return as_floats(made)


def resnet_parameters(generator, small, classes):
    """Arrays of ResNet-18's parameters and statistics by name."""
    made = {}
    for name, before, after, taps, _ in resnet_convolutions(small):
        scale = np.sqrt(2 / (before * taps * taps))
        made[name] = generator.normal(scale=scale, size=(after, before, taps, taps))
        made[f"{name}_weight"] = 1 + generator.normal(scale=0.1, size=after)
        made[f"{name}_bias"] = generator.normal(scale=0.1, size=after)
    made["head"] = generator.normal(scale=0.03, size=(512, classes))
    made["head_bias"] = np.zeros(classes)
    return as_floats(made)


def as_floats(arrays):
    """The arrays in float32."""
    return {name: array.astype(np.float32) for name, array in arrays.items()}


class Ours:
    """The operators that the networks need, in graphc."""

    relu = staticmethod(gx.relu)
    conv = staticmethod(gx.nn.conv2d)
    pool = staticmethod(gx.nn.max_pool)

    @staticmethod
    def norm(x, weight, bias, training):
        """Batch normalisation by the batch's statistics, or by those of a standard normal."""
        zero, one = (gx.full(x.shape[1:2], number, dtype="float32") for number in (0.0, 1.0))
        return gx.nn.batch_norm(x, zero, one, weight, bias, training).output

    @staticmethod
    def mean(x):
        """The mean over the places of an image."""
        return gx.mean(x, (2, 3))

    @staticmethod
    def flat(x):
        """All that belongs to an example in one row."""
        return gx.reshape(x, (x.shape[0], -1))

    @staticmethod
    def loss(scores, labels):
        """The mean cross entropy."""
        return gx.mean(gx.softmax_cross_entropy(scores, labels))


class Theirs:
    """The same in PyTorch."""

    relu = staticmethod(functional.relu)
    conv = staticmethod(functional.conv2d)
    loss = staticmethod(functional.cross_entropy)

    @staticmethod
    def pool(x, window, stride=None, padding=0):
        """Maximum pooling."""
        return functional.max_pool2d(x, window, stride, padding)

    @staticmethod
    def norm(x, weight, bias, training):
        """Batch normalisation by the batch's statistics, or by those of a standard normal."""
        zero, one = torch.zeros(x.shape[1]), torch.ones(x.shape[1])
        return functional.batch_norm(x, zero, one, weight, bias, training)

    @staticmethod
    def mean(x):
        """The mean over the places of an image."""
        return x.mean((2, 3))

    @staticmethod
    def flat(x):
        """All that belongs to an example in one row."""
        return x.flatten(1)


def lenet(of, parameters, x):
    """The scores of LeNet-5 for images [N, 1, 28, 28]."""
    x = of.relu(of.conv(x, parameters["c0"], parameters["c0_bias"], padding=2))
    x = of.relu(of.conv(of.pool(x, 2), parameters["c1"], parameters["c1_bias"]))
    x = of.flat(of.pool(x, 2))
    for layer in range(3):
        x = x @ parameters[f"w{layer}"] + parameters[f"w{layer}_bias"]
        x = x if layer == 2 else of.relu(x)
    return x


def resnet(of, parameters, x, small):
    """The scores of ResNet-18 for images [N, 3, H, W], those of small ones while it trains."""
    steps = {name: (taps, stride) for name, _, _, taps, stride in resnet_convolutions(small)}

    def layer(x, name):
        taps, stride = steps[name]
        x = of.conv(x, parameters[name], stride=stride, padding=taps // 2)
        weight, bias = parameters[f"{name}_weight"], parameters[f"{name}_bias"]
        return of.norm(x, weight, bias, small)

    x = of.relu(layer(x, "stem"))
    x = x if small else of.pool(x, 3, stride=2, padding=1)
    for stage in range(len(STAGES)):
        for block in range(2):
            name = f"s{stage}b{block}"
            inner = layer(of.relu(layer(x, f"{name}c0")), f"{name}c1")
            x = of.relu(inner + (layer(x, f"{name}down") if f"{name}down" in steps else x))
    return of.mean(x) @ parameters["head"] + parameters["head_bias"]


def graphc_step(network, arrays, x, labels):
    """A training step of graphc as a function without arguments, and what compiling took."""
    parameters = {name: gx.variable(array, name=name) for name, array in arrays.items()}
    speeds = [gx.variable(np.zeros_like(array), name=f"{n}_speed") for n, array in arrays.items()]
    image = gx.input("x", x.shape, "float32")
    target = gx.input("target", labels.shape, "int64")
    start = time.process_time()
    loss = Ours.loss(network(Ours, parameters, image), target)
    gradients = gx.grad(loss, list(parameters.values()))
    updates = {}
    for variable, speed, gradient in zip(parameters.values(), speeds, gradients, strict=True):
        updates[speed] = MOMENTUM * speed + gradient
        updates[variable] = variable - RATE * updates[speed]
    step = gx.compile([image, target], loss, updates=updates)
    return lambda: float(step(x, labels)), time.process_time() - start


def torch_step(network, arrays, x, labels):
    """The same step of PyTorch."""
    parameters = {name: as_tensor(array).requires_grad_() for name, array in arrays.items()}
    optimizer = torch.optim.SGD(parameters.values(), lr=RATE, momentum=MOMENTUM, foreach=True)
    image, target = as_tensor(x), torch.from_numpy(labels)

    def step():
        loss = Theirs.loss(network(Theirs, parameters, image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def as_tensor(array):
    """A copy as a tensor, images and kernels with their channels last."""
    tensor = torch.from_numpy(array.copy())
    return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def graphc_inference(network, arrays, x):
    """Inference of graphc as a function without arguments, and what compiling took."""
    parameters = {name: gx.variable(array, name=name) for name, array in arrays.items()}
    image = gx.input("x", x.shape, "float32")
    start = time.process_time()
    step = gx.compile([image], network(Ours, parameters, image))
    return lambda: step(x), time.process_time() - start


def torch_inference(network, arrays, x):
    """The same of PyTorch."""
    parameters = {name: as_tensor(array) for name, array in arrays.items()}
    image = as_tensor(x)

    def infer():
        with torch.inference_mode():
            return network(Theirs, parameters, image).numpy()

    return infer


def steps(name):
    """Both sides of a workload, and the seconds that graphc took to compile."""
    generator = np.random.default_rng(0)
    if name == "lenet_train_b64":
        arrays, x = lenet_parameters(generator), images(generator, 64, 1, 28)
        return pair_of_steps(lenet, arrays, x, generator)
    if name == "resnet18_cifar_train_b32":
        arrays, x = resnet_parameters(generator, True, 10), images(generator, 32, 3, 32)
        return pair_of_steps(lambda *a: resnet(*a, small=True), arrays, x, generator)
    arrays = resnet_parameters(generator, False, 1000)
    x = images(generator, int(name.removeprefix("resnet18_infer_b")), 3, 224)
    network = lambda *a: resnet(*a, small=False)  # noqa: E731 (as above)
    ours, compiling = graphc_inference(network, arrays, x)
    return ours, torch_inference(network, arrays, x), compiling


def pair_of_steps(network, arrays, x, generator):
    """A training step of both sides on one batch, and what graphc took to compile its own."""
    labels = generator.integers(0, 10, x.shape[0])
    ours, compiling = graphc_step(network, arrays, x, labels)
    return ours, torch_step(network, arrays, x, labels), compiling


def images(generator, count, channels, side):
    """Random images."""
    return generator.normal(size=(count, channels, side, side)).astype(np.float32)


def compare(name, rounds, threads):
    """Print the shortest times and their ratio."""
    ours, theirs, compiling = steps(name)
    for _ in range(3):
        np.testing.assert_allclose(ours(), theirs(), rtol=5e-3, atol=5e-3)
    rows = in_turns((ours, theirs), rounds, clock_of(threads))
    mine, peer = (min(column) * 1e3 for column in zip(*rows, strict=True))
    print(f"{name:26} {threads} {mine:9.2f} {peer:9.2f} ms   ratio {mine / peer:5.2f}   "
          f"compiled in {compiling:.2f} s", flush=True)  # fmt: skip


NAMES = ("lenet_train_b64", "resnet18_cifar_train_b32", "resnet18_infer_b1", "resnet18_infer_b8")


def main():
    """Read the options and compare all workloads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES, help="workloads; all unless given")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    use_threads(options.threads, torch)
    print("workload               threads    graphc   PyTorch")
    for name in options.names:
        compare(name, options.rounds, options.threads)


if __name__ == "__main__":
    main()
