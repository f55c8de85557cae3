"""The parameters and the data of a workload, drawn by a generator that its name seeds."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from workloads import REDUCTIONS, Layer, Sizes, Workload, convolved, layer_pairs, resnet_layers

Arrays = dict[str, np.ndarray[Any, Any]]
LENET_LAYERS = (400, 120, 84, 10)


class Draw:
    """Random arrays for the sizes of a workload."""

    def __init__(self, workload: Workload) -> None:
        self.generator = np.random.default_rng(zlib.crc32(workload.name.encode()))
        self.sizes: Sizes = workload.sizes
        self.trains = workload.optimizer is not None

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray[Any, Any]:
        """Normal numbers."""
        return self.generator.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    def weights(self, *shape: int, inputs: int) -> np.ndarray[Any, Any]:
        """Weights of a layer before a rectifier (He et al., 2015)."""
        return self.normal(*shape, scale=(2 / inputs) ** 0.5)

    def labels(self, count: int, classes: int) -> np.ndarray[Any, Any]:
        """Class numbers."""
        return self.generator.integers(0, classes, count).astype(np.int32)

    def dense(self, layers: tuple[int, ...]) -> Arrays:
        """The weights w0, w1, ... and the biases b0, b1, ... of dense layers."""
        drawn = {}
        for at, (inputs, outputs) in enumerate(layer_pairs(layers)):
            drawn[f"w{at}"] = self.weights(inputs, outputs, inputs=inputs)
            drawn[f"b{at}"] = np.zeros(outputs, np.float32)
        return drawn


def product(draw: Draw) -> tuple[Arrays, Arrays]:
    """Two matrices."""
    m, k, n = (draw.sizes[name] for name in "mkn")
    return {}, {"a": draw.normal(m, k), "b": draw.normal(k, n)}


def dense(draw: Draw) -> tuple[Arrays, Arrays]:
    """The rows, the weights and the biases of one layer, all of them arguments."""
    m, k, n = (draw.sizes[name] for name in "mkn")
    return {}, {"x": draw.normal(m, k), "w": draw.normal(k, n), "b": draw.normal(n)}


def elementwise(draw: Draw) -> tuple[Arrays, Arrays]:
    """Three vectors."""
    return {}, {name: draw.normal(draw.sizes["elements"]) for name in "xyz"}


def reduction(draw: Draw) -> tuple[Arrays, Arrays]:
    """A matrix whose mean is not quite 0."""
    return {}, {"x": draw.normal(draw.sizes["rows"], draw.sizes["columns"]) + np.float32(0.1)}


def layernorm(draw: Draw) -> tuple[Arrays, Arrays]:
    """A matrix, and what scales and shifts its columns."""
    columns = draw.sizes["columns"]
    affine = {"g": 1 + draw.normal(columns, scale=0.1), "b": draw.normal(columns, scale=0.1)}
    return {}, reduction(draw)[1] | affine


def mlp(draw: Draw) -> tuple[Arrays, Arrays]:
    """Dense layers, rows and labels."""
    layers, batch = draw.sizes["layers"], draw.sizes["batch"]
    data = {"x": draw.normal(batch, layers[0]), "y": draw.labels(batch, layers[-1])}
    return draw.dense(tuple(layers)), data


def convolution(draw: Draw) -> tuple[Arrays, Arrays]:
    """Images and a kernel, the weights of it an argument too."""
    s = draw.sizes
    channels = s["channels"] // s["groups"]
    kernel = (s["kernels"], channels, s["taps"], s["taps"])
    image = draw.normal(s["examples"], s["channels"], s["size"], s["size"])
    return {}, {"x": image, "w": draw.weights(*kernel, inputs=channels * s["taps"] ** 2)}


def convolution_gradients(draw: Draw) -> tuple[Arrays, Arrays]:
    """Images, a kernel, and the gradient of the result."""
    s = draw.sizes
    size = convolved(s["size"], s["taps"], s["stride"], s["padding"])
    data = convolution(draw)[1]
    return {}, data | {"slope": draw.normal(s["examples"], s["kernels"], size, size)}


def lenet(draw: Draw) -> tuple[Arrays, Arrays]:
    """Two convolutions, three dense layers, images and labels."""
    batch = draw.sizes["batch"]
    parameters = {
        "k1": draw.weights(6, 1, 5, 5, inputs=25), "c1": np.zeros(6, np.float32),
        "k2": draw.weights(16, 6, 5, 5, inputs=150), "c2": np.zeros(16, np.float32),
    }  # fmt: skip
    data = {"x": draw.normal(batch, 1, 28, 28), "y": draw.labels(batch, LENET_LAYERS[-1])}
    return parameters | draw.dense(LENET_LAYERS), data


def normalised_layer(draw: Draw, layer: Layer) -> Arrays:
    """The kernel of a convolution and what normalises its results."""
    name, kernels, inputs = layer.name, layer.kernels, layer.channels * layer.taps**2
    damping = 0.5 if name.endswith("_2") else 1.0  # keeps the sum with the skipped part in range
    drawn = {
        name: draw.weights(kernels, layer.channels, layer.taps, layer.taps, inputs=inputs),
        f"{name}_scale": damping * (1 + draw.normal(kernels, scale=0.1)),
        f"{name}_shift": draw.normal(kernels, scale=0.1),
    }
    if not draw.trains:
        drawn[f"{name}_mean"] = draw.normal(kernels, scale=0.1)
        drawn[f"{name}_var"] = 1 + draw.generator.random(kernels, dtype=np.float32)
    return drawn


def resnet(draw: Draw) -> tuple[Arrays, Arrays]:
    """All layers, images, and labels to train on."""
    s = draw.sizes
    parameters: Arrays = {}
    for layer in resnet_layers(s):
        parameters |= normalised_layer(draw, layer)
    last = 8 * s["width"]
    parameters["w"] = draw.weights(last, s["classes"], inputs=2 * last)
    parameters["b"] = np.zeros(s["classes"], np.float32)
    data = {"x": draw.normal(s["batch"], 3, s["image"], s["image"])}
    if draw.trains:
        data["y"] = draw.labels(s["batch"], s["classes"])
    return parameters, data


def recurrent(draw: Draw, gates: int) -> tuple[Arrays, Arrays]:
    """A recurrent layer; to train, a dense layer on its last state and targets."""
    s, hidden = draw.sizes, draw.sizes["hidden"]
    scale = hidden**-0.5
    parameters = {
        "w_ih": draw.normal(gates * hidden, s["inputs"], scale=scale),
        "w_hh": draw.normal(gates * hidden, hidden, scale=0.5 * scale),
        "b_ih": draw.normal(gates * hidden, scale=scale),
        "b_hh": draw.normal(gates * hidden, scale=scale),
    }
    data = {"x": draw.normal(s["steps"], s["batch"], s["inputs"])}
    if draw.trains:
        parameters["w"] = draw.normal(hidden, 16, scale=scale)
        parameters["b"] = np.zeros(16, np.float32)
        data["y"] = draw.normal(s["batch"], 16)
    return parameters, data


def lstm(draw: Draw) -> tuple[Arrays, Arrays]:
    """A layer of four gates."""
    return recurrent(draw, 4)


def rnn(draw: Draw) -> tuple[Arrays, Arrays]:
    """A layer without gates."""
    return recurrent(draw, 1)


def transformer(draw: Draw) -> tuple[Arrays, Arrays]:
    """A block, sequences, and targets to train on."""
    s, d = draw.sizes, draw.sizes["features"]
    parameters: Arrays = {}
    for at in "12":
        parameters[f"g{at}"] = 1 + draw.normal(d, scale=0.1)
        parameters[f"s{at}"] = draw.normal(d, scale=0.1)
    shapes = {"qkv": (d, 3 * d), "out": (d, d), "up": (d, s["wide"]), "down": (s["wide"], d)}
    for name, (inputs, outputs) in shapes.items():
        parameters[f"w_{name}"] = draw.normal(inputs, outputs, scale=inputs**-0.5)
        parameters[f"b_{name}"] = np.zeros(outputs, np.float32)
    shape = (s["batch"], s["length"], d)
    data = {"x": draw.normal(*shape)}
    return parameters, data | ({"y": draw.normal(*shape)} if draw.trains else {})


def attention(draw: Draw) -> tuple[Arrays, Arrays]:
    """Queries, keys and values."""
    shape = tuple(draw.sizes[name] for name in ("batch", "heads", "length", "features"))
    return {}, {name: draw.normal(*shape) for name in "qkv"}


DRAWN: dict[str, Callable[[Draw], tuple[Arrays, Arrays]]] = {
    **dict.fromkeys(REDUCTIONS, reduction),
    "attention": attention,
    "chain": elementwise,
    "convolution": convolution,
    "convolution_gradients": convolution_gradients,
    "dense": dense,
    "elementwise": elementwise,
    "layernorm": layernorm,
    "lenet": lenet,
    "lstm": lstm,
    "mlp": mlp,
    "product": product,
    "resnet": resnet,
    "rnn": rnn,
    "transformer": transformer,
}


def draw(workload: Workload) -> tuple[Arrays, Arrays]:
    """The parameters and the data of a workload, by their names: float32, class numbers int32."""
    return DRAWN[workload.program](Draw(workload))
