"""What is timed: the names, sizes and work of the workloads. No framework is imported here.

A workload names a program, which every contender writes once in its own words, and the sizes to
run it at. Its work is what no implementation can avoid: floating-point operations, bytes read and
written, and transcendental functions. `roofline.py` turns them into the least possible time.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Sizes = Mapping[str, Any]
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Work:
    """What every implementation must do in one step."""

    operations: float = 0.0
    read: float = 0.0
    written: float = 0.0
    transcendentals: float = 0.0


@dataclass(frozen=True)
class Workload:
    """A program at given sizes.

    Without an optimizer a step gives the program's results for fixed data. With one, the result
    is a loss, and a step computes it, its gradients, and the next value of every parameter.
    """

    name: str
    group: str
    program: str
    sizes: dict[str, Any]
    optimizer: str | None = None
    work: Work = Work()
    tolerance: float = 2e-4  # of results, relative to the largest

    def small(self) -> Workload:
        """The same program at sizes that a test has time for."""
        sizes = {name: cut(name, size) for name, size in self.sizes.items()}
        return dataclasses.replace(self, sizes=sizes)

    def as_json(self) -> dict[str, Any]:
        """The workload as plain data; `from_json` reads it back."""
        return dataclasses.asdict(self)


def from_json(data: dict[str, Any]) -> Workload:
    """The workload that `as_json` wrote."""
    return Workload(**{**data, "work": Work(**data["work"])})


SMALL = {
    "m": 19, "k": 33, "n": 45, "elements": 1001, "rows": 13, "columns": 37, "batch": 3,
    "examples": 2, "channels": 8, "kernels": 8, "groups": 8, "size": 17, "width": 8, "image": 32,
    "steps": 5, "inputs": 12, "hidden": 12, "length": 9, "features": 16, "heads": 2, "wide": 24,
}  # fmt: skip
"""The largest size of each name in a quick run."""


def cut(name: str, size: Any) -> Any:
    """A size of a quick run; what is no size (a flag, a chain of names) stays."""
    if name == "layers":
        return (*(min(units, 20) for units in size[:-1]), size[-1])
    return min(size, SMALL[name]) if name in SMALL else size


# --- work ----------------------------------------------------------------------------------------


def product_work(m: int, k: int, n: int) -> Work:
    """The work of a matrix product."""
    return Work(2.0 * m * k * n, FLOAT * (m * k + k * n), FLOAT * m * n)


def taps_inside(size: int, taps: int, stride: int, padding: int) -> int:
    """How many pairs of an output and a tap meet inside the image, along one axis."""
    starts = range(-padding, size + padding - taps + 1, stride)
    return sum(max(0, min(start + taps, size) - max(start, 0)) for start in starts)


def convolved(size: int, taps: int, stride: int, padding: int) -> int:
    """How many outputs a convolution has along one axis."""
    return (size + 2 * padding - taps) // stride + 1


def convolution_operations(s: Sizes) -> float:
    """The operations of a square convolution, those on the padding left out."""
    inside = taps_inside(s["size"], s["taps"], s["stride"], s["padding"])
    return 2.0 * s["examples"] * s["kernels"] * s["channels"] // s["groups"] * inside**2


def convolution_work(s: Sizes, backward: bool) -> Work:
    """The work of a convolution, forward or with both gradients."""
    output = convolved(s["size"], s["taps"], s["stride"], s["padding"])
    image = FLOAT * s["examples"] * s["channels"] * s["size"] ** 2
    kernel = FLOAT * s["kernels"] * s["channels"] // s["groups"] * s["taps"] ** 2
    result = FLOAT * s["examples"] * s["kernels"] * output**2
    if not backward:
        return Work(convolution_operations(s), image + kernel, result)
    both = image + kernel + result
    return Work(3 * convolution_operations(s), both, both)


def training_work(forward: float, spared: float, parameters: float, optimizer: str) -> Work:
    """The work of a training step: each product has two gradients, but for the data's."""
    states = {"sgd": 2, "adam": 3}[optimizer]  # values kept for each parameter, itself included
    moved = FLOAT * states * parameters
    return Work(3 * forward - spared, moved, moved)


def layer_pairs(layers: tuple[int, ...]) -> list[tuple[int, int]]:
    """The inputs and outputs of each layer of a network."""
    return list(itertools.pairwise(layers))


def mlp_work(s: Sizes) -> Work:
    """The work of a training step of a network of dense layers."""
    weights = [inputs * outputs for inputs, outputs in layer_pairs(s["layers"])]
    forward = [2.0 * s["batch"] * count for count in weights]
    return training_work(sum(forward), forward[0], sum(weights), "adam")


@dataclass(frozen=True)
class Layer:
    """A convolution of ResNet-18."""

    name: str
    channels: int
    kernels: int
    taps: int
    stride: int
    size: int

    @property
    def padding(self) -> int:
        """What keeps the size but for the stride."""
        return self.taps // 2


def resnet_layers(s: Sizes) -> Iterator[Layer]:
    """The convolutions of ResNet-18 (He et al., 2016), in the order in which they run.

    `cifar` is the form for small images: a first layer of 3 x 3 taps, and no pooling after it.
    """
    width, size = s["width"], s["image"]
    yield Layer("first", 3, width, *((3, 1) if s["cifar"] else (7, 2)), size)
    size = size if s["cifar"] else size // 4
    channels = width
    for stage in range(4):
        kernels = width << stage
        for block in range(2):
            stride = 2 if stage and not block else 1
            name = f"block{stage}{block}"
            yield Layer(f"{name}_1", channels, kernels, 3, stride, size)
            yield Layer(f"{name}_2", kernels, kernels, 3, 1, size // stride)
            if channels != kernels:
                yield Layer(f"{name}_skip", channels, kernels, 1, stride, size)
            channels, size = kernels, size // stride


def resnet_work(s: Sizes, optimizer: str | None) -> Work:
    """The work of ResNet-18: inference, or a training step."""
    layers = list(resnet_layers(s))
    pairs = [
        layer.kernels * layer.channels
        * taps_inside(layer.size, layer.taps, layer.stride, layer.padding) ** 2
        for layer in layers
    ]  # fmt: skip
    operations = [2.0 * s["batch"] * count for count in pairs]
    parameters = sum(layer.kernels * layer.channels * layer.taps**2 for layer in layers)
    if optimizer:
        return training_work(sum(operations), operations[0], parameters, optimizer)
    images = s["batch"] * 3 * s["image"] ** 2
    return Work(sum(operations), FLOAT * (parameters + images), FLOAT * s["batch"] * s["classes"])


def lenet_work(s: Sizes) -> Work:
    """The work of a training step of LeNet-5 on images of 28 x 28."""
    first = 2.0 * s["batch"] * 6 * taps_inside(28, 5, 1, 2) ** 2
    dense = 400 * 120 + 120 * 84 + 84 * 10
    rest = 2.0 * s["batch"] * (16 * 6 * 100 * 25 + dense)
    return training_work(first + rest, first, 150 + 2400 + dense, "sgd")


def recurrent_work(s: Sizes, gates: int, trains: bool) -> Work:
    """The work of a recurrent layer; training adds the gradients of its input-less products."""
    cells = s["steps"] * s["batch"] * s["hidden"]
    from_input, from_state = (2.0 * cells * gates * s[name] for name in ("inputs", "hidden"))
    weights = gates * s["hidden"] * (s["inputs"] + s["hidden"])
    functions = cells * (5 if gates == 4 else 1)
    data = FLOAT * s["steps"] * s["batch"] * s["inputs"]
    if trains:
        step = training_work(from_input + from_state, from_input, weights, "sgd")
        return dataclasses.replace(step, read=step.read + data, transcendentals=functions)
    return Work(from_input + from_state, data + FLOAT * weights, FLOAT * cells, functions)


def attention_work(s: Sizes) -> Work:
    """The work of attention: two products and an exponential for each score."""
    scores = s["batch"] * s["heads"] * s["length"] ** 2
    part = FLOAT * s["batch"] * s["heads"] * s["length"] * s["features"]
    return Work(4.0 * scores * s["features"], 3 * part, part, scores)


def block_work(s: Sizes, trains: bool) -> Work:
    """The work of a transformer block, forward or as a training step."""
    rows, d = s["batch"] * s["length"], s["features"]
    weights = 4 * d * d + 2 * d * s["wide"]
    scores = s["batch"] * s["heads"] * s["length"] ** 2
    operations = 2.0 * rows * weights + 4.0 * scores * (d // s["heads"])
    functions = scores + rows * s["wide"]
    data = FLOAT * rows * d
    if trains:
        step = training_work(operations, 2.0 * rows * 3 * d * d, weights, "adam")
        return dataclasses.replace(step, read=step.read + 2 * data, transcendentals=functions)
    return Work(operations, data + FLOAT * weights, data, functions)


# --- the table -----------------------------------------------------------------------------------


@dataclass
class Table:
    """Workloads by their names."""

    workloads: dict[str, Workload] = field(default_factory=dict)

    def add(self, name: str, group: str, program: str, work: Work, /, **options: Any) -> None:
        """Add a workload; what `Workload` has no field for is a size."""
        known = {key: options.pop(key) for key in ("optimizer", "tolerance") if key in options}
        self.workloads[name] = Workload(name, group, program, options, work=work, **known)


def add_basic(table: Table) -> None:
    """Matrix products, element-wise work, rows, and a call so small that only the call counts."""
    sides = [(side, side, side) for side in (64, 128, 256, 512, 1024, 2048)]
    for m, k, n in (*sides, (64, 784, 256), (1, 1024, 4096), (4096, 64, 64)):
        name = f"gemm_{m}" if m == k == n else f"gemm_{m}x{k}x{n}"
        table.add(name, "gemm", "product", product_work(m, k, n), m=m, k=k, n=n)
    for count, name in ((10_000_000, "10M"), (65_536, "64K")):
        work = Work(0, FLOAT * 3 * count, FLOAT * count, 3 * count)
        table.add(f"ew_{name}", "elementwise", "elementwise", work, elements=count)
    for program in REDUCTIONS:
        rows, columns = 4096, 1024
        count = rows * columns
        whole = program in ("softmax", "layernorm")
        functions = count if program in ("softmax", "logsumexp") else 0
        work = Work(0, FLOAT * count, FLOAT * count if whole else 0, functions)
        table.add(f"red_{program}", "reduce", program, work, rows=rows, columns=columns)
    table.add("call_4x4", "call", "dense", product_work(4, 4, 4), m=4, k=4, n=4)


REDUCTIONS = (
    "softmax", "layernorm", "logsumexp", "sum0", "sum1", "sumall", "mean0", "mean1", "meanall",
    "var1", "argmax1",
)  # fmt: skip


def reduced(program: str) -> tuple[str, int | None] | None:
    """The function and the axis that a name such as "mean1" says; None for another name."""
    found = re.fullmatch(r"([a-z]+?)(0|1|all)", program)
    return found and (found[1], None if found[2] == "all" else int(found[2]))


CONVOLUTIONS = {
    "3x3_64_56": (64, 56, 64, 3, 1, 1, 1),
    "3x3_256_14": (256, 14, 256, 3, 1, 1, 1),
    "1x1_256_14": (256, 14, 256, 1, 1, 0, 1),
    "dw3x3_64_56": (64, 56, 64, 3, 1, 1, 64),
    "stem7x7s2": (3, 224, 64, 7, 2, 3, 1),
}
"""Channels, size, kernels, taps, stride, padding, groups."""


def add_networks(table: Table) -> None:
    """Dense and convolutional networks, and single convolutions."""
    for batch in (64, 512):
        sizes = {"batch": batch, "layers": (784, 512, 256, 10)}
        table.add(f"mlp_train_b{batch}", "mlp", "mlp", mlp_work(sizes), optimizer="adam", **sizes)
    names = ("channels", "size", "kernels", "taps", "stride", "padding", "groups")
    for name, numbers in CONVOLUTIONS.items():
        sizes = {"examples": 8, **dict(zip(names, numbers, strict=True))}
        forward, both = (convolution_work(sizes, backward) for backward in (False, True))
        table.add(f"conv_{name}_fwd", "conv", "convolution", forward, **sizes)
        table.add(f"conv_{name}_fwdbwd", "conv", "convolution_gradients", both, **sizes)
    lenet = {"batch": 64}
    table.add("lenet_train_b64", "lenet", "lenet", lenet_work(lenet), optimizer="sgd", **lenet)
    for batch in (1, 8):
        sizes = {"batch": batch, "cifar": False, "image": 224, "classes": 1000, "width": 64}
        work = resnet_work(sizes, None)
        table.add(f"resnet18_infer_b{batch}", "resnet", "resnet", work, tolerance=1e-3, **sizes)
    sizes = {"batch": 32, "cifar": True, "image": 32, "classes": 10, "width": 64}
    work = resnet_work(sizes, "sgd")
    table.add("resnet18_cifar_train_b32", "resnet", "resnet", work, optimizer="sgd", **sizes)


def add_sequences(table: Table) -> None:
    """Recurrent layers and transformers."""
    sizes = {"steps": 64, "batch": 32, "inputs": 256, "hidden": 256}
    for program, gates in (("lstm", 4), ("rnn", 1)):
        forward, train = (recurrent_work(sizes, gates, trains) for trains in (False, True))
        table.add(f"{program}_fwd", "recurrent", program, forward, **sizes)
        table.add(f"{program}_train", "recurrent", program, train, optimizer="sgd", **sizes)
    sizes = {"batch": 8, "length": 128, "features": 256, "heads": 8, "wide": 1024}
    forward, train = (block_work(sizes, trains) for trains in (False, True))
    table.add("tblock_fwd", "transformer", "transformer", forward, **sizes)
    table.add("tblock_train", "transformer", "transformer", train, optimizer="adam", **sizes)
    sizes = {"batch": 1, "heads": 8, "length": 1024, "features": 32}
    table.add("attn_1024", "transformer", "attention", attention_work(sizes), **sizes)


def table() -> dict[str, Workload]:
    """All workloads by name."""
    filled = Table()
    for add in (add_basic, add_networks, add_sequences):
        add(filled)
    return filled.workloads
