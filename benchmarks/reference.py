"""The results that every contender must have: the programs in float64, over NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import chains
import numpy as np
from tape import (
    Array,
    Value,
    convolution,
    exp,
    highest,
    log,
    max_pool,
    relu,
    sigmoid,
    slopes,
    sqrt,
    tanh,
)
from workload_data import draw
from workloads import Sizes, Workload, layer_pairs, resnet_layers

Values = Mapping[str, Value]
RATES = {"adam": 1e-3, "sgd": 1e-2}
MOMENTUM, BETAS, EPSILON = 0.9, (0.9, 0.999), 1e-8
NORMAL_EPSILON = 1e-5
STEPS = 3
"""How many steps of training are checked."""


# --- programs ------------------------------------------------------------------------------------


def elementwise(p: Values, d: Values, s: Sizes) -> Value:
    """Eleven operators on three vectors."""
    x, y, z = (d[name] for name in "xyz")
    return x * sigmoid(x) + tanh(y) * exp(z * z * -1) + relu(x - y)


def softmax(x: Value) -> Value:
    """The softmax over the last axis."""
    powers = exp(x - highest(x, -1))
    return powers / powers.sum((-1,), keepdims=True)


def logsumexp(x: Value) -> Value:
    """The logarithm of the sum of the exponentials over the last axis."""
    top = highest(x, -1)
    return log(exp(x - top).sum((-1,))) + top[..., 0]


def normalised(x: Value, axes: tuple[int, ...]) -> Value:
    """x with mean 0 and variance 1 over axes."""
    centred = x - x.mean(axes, keepdims=True)
    return centred / sqrt((centred * centred).mean(axes, keepdims=True) + NORMAL_EPSILON)


def cross_entropy(scores: Value, labels: Value) -> Value:
    """The mean of -log(softmax(scores)[label])."""
    rows = np.arange(len(scores.array))
    return (logsumexp(scores) - scores[rows, labels.array.astype(int)]).mean()


def dense_layers(h: Value, p: Values, count: int) -> Value:
    """Dense layers with rectifiers between them."""
    for at in range(count):
        h = h @ p[f"w{at}"] + p[f"b{at}"]
        h = relu(h) if at < count - 1 else h
    return h


def mlp(p: Values, d: Values, s: Sizes) -> Value:
    """The loss of a network of dense layers."""
    return cross_entropy(dense_layers(d["x"], p, len(layer_pairs(s["layers"]))), d["y"])


def lenet(p: Values, d: Values, s: Sizes) -> Value:
    """The loss of LeNet-5."""
    h = convolution(d["x"], p["k1"], 1, 2) + p["c1"].reshape(6, 1, 1)
    h = convolution(max_pool(relu(h), 2, 2), p["k2"], 1, 0) + p["c2"].reshape(16, 1, 1)
    h = max_pool(relu(h), 2, 2).reshape(s["batch"], 400)
    return cross_entropy(dense_layers(h, p, 3), d["y"])


def convolved(p: Values, d: Values, s: Sizes) -> Value:
    """One convolution."""
    return convolution(d["x"], d["w"], s["stride"], s["padding"], s["groups"])


def convolution_gradients(p: Values, d: Values, s: Sizes) -> list[Value]:
    """One convolution, and its gradients."""
    y = convolved(p, d, s)
    return [y, *(Value(g) for g in slopes(y, [d["x"], d["w"]], d["slope"].array))]


def resnet(p: Values, d: Values, s: Sizes) -> Value:
    """The scores of ResNet-18, or its loss; in training each batch is normalised by itself."""
    layers = {layer.name: layer for layer in resnet_layers(s)}

    def step(x: Value, name: str) -> Value:
        layer = layers[name]
        y = convolution(x, p[name], layer.stride, layer.padding)
        channel = {k: p[f"{name}_{k}"].reshape(-1, 1, 1) for k in ("scale", "shift")}
        if "y" in d:
            return normalised(y, (0, 2, 3)) * channel["scale"] + channel["shift"]
        mean, var = (p[f"{name}_{k}"].reshape(-1, 1, 1) for k in ("mean", "var"))
        return (y - mean) / sqrt(var + NORMAL_EPSILON) * channel["scale"] + channel["shift"]

    x = relu(step(d["x"], "first"))
    x = x if s["cifar"] else max_pool(x, 3, 2, 1)
    for block in [name.removesuffix("_1") for name in layers if name.endswith("_1")]:
        y = step(relu(step(x, f"{block}_1")), f"{block}_2")
        x = relu(y + (step(x, f"{block}_skip") if f"{block}_skip" in layers else x))
    scores = x.mean((2, 3)) @ p["w"] + p["b"]
    return cross_entropy(scores, d["y"]) if "y" in d else scores


def recurrent(cell: Callable[..., tuple[Value, ...]], states: int) -> Callable[..., Any]:
    """The program of a recurrent layer: all its states, or the loss of the last."""

    def program(p: Values, d: Values, s: Sizes) -> Value:
        state: tuple[Value, ...] = (Value(np.zeros((s["batch"], s["hidden"]))),) * states
        outputs = []
        for time in range(s["steps"]):
            gates = d["x"][time] @ p["w_ih"].permute(1, 0) + p["b_ih"] + p["b_hh"]
            state = cell(gates + state[0] @ p["w_hh"].permute(1, 0), state, s["hidden"])
            outputs.append(state[0])
        if "y" not in d:
            return Value(np.stack([output.array for output in outputs]))
        error = outputs[-1] @ p["w"] + p["b"] - d["y"]
        return (error * error).mean()

    return program


def lstm_cell(gates: Value, state: tuple[Value, ...], hidden: int) -> tuple[Value, ...]:
    """The next h and c."""
    i, f, g, o = (gates[:, at * hidden : (at + 1) * hidden] for at in range(4))
    c = sigmoid(f) * state[1] + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def rnn_cell(gates: Value, state: tuple[Value, ...], hidden: int) -> tuple[Value, ...]:
    """The next h."""
    return (tanh(gates),)


def attended(q: Value, k: Value, v: Value) -> Value:
    """Attention of [..., length, features]."""
    axes = (*range(k.array.ndim - 2), k.array.ndim - 1, k.array.ndim - 2)
    return softmax(q @ k.permute(*axes) * q.array.shape[-1] ** -0.5) @ v


def transformer(p: Values, d: Values, s: Sizes) -> Value:
    """A block with the norms first, or its loss."""
    x, (batch, length, size) = d["x"], d["x"].array.shape
    h = normalised(x, (-1,)) * p["g1"] + p["s1"]
    split = (h @ p["w_qkv"] + p["b_qkv"]).reshape(batch, length, 3, s["heads"], -1)
    q, k, v = (split.permute(2, 0, 3, 1, 4)[at] for at in range(3))
    heads = attended(q, k, v).permute(0, 2, 1, 3).reshape(batch, length, size)
    x = x + heads @ p["w_out"] + p["b_out"]
    h = normalised(x, (-1,)) * p["g2"] + p["s2"]
    u = h @ p["w_up"] + p["b_up"]
    bell = tanh((u + u * u * u * 0.044715) * (2 / np.pi) ** 0.5) + 1
    x = x + u * bell * 0.5 @ p["w_down"] + p["b_down"]
    error = x - d["y"] if "y" in d else x
    return (error * error).mean() if "y" in d else x


def variance(x: Value) -> Value:
    """The variance over the last axis."""
    centred = x - x.mean((-1,), keepdims=True)
    return (centred * centred).mean((-1,))


def chain(p: Values, d: Values, s: Sizes) -> Value:
    """Operators drawn at random, each on the result of the one before."""
    return Value(chains.evaluate(s["chain"], {name: v.array for name, v in d.items()}, np))


def of_x(function: Callable[[Value], Value]) -> Callable[..., Value]:
    """The program that applies a function to the one array."""
    return lambda p, d, s: function(d["x"])


PROGRAMS: dict[str, Callable[..., Any]] = {
    "argmax1": of_x(lambda x: Value(x.array.argmax(1))),
    "attention": lambda p, d, s: attended(d["q"], d["k"], d["v"]),
    "chain": chain,
    "convolution": convolved,
    "convolution_gradients": convolution_gradients,
    "dense": lambda p, d, s: relu(d["x"] @ d["w"] + d["b"]),
    "elementwise": elementwise,
    "layernorm": lambda p, d, s: normalised(d["x"], (-1,)) * d["g"] + d["b"],
    "lenet": lenet,
    "logsumexp": of_x(logsumexp),
    "lstm": recurrent(lstm_cell, 2),
    "mean0": of_x(lambda x: x.mean((0,))),
    "mean1": of_x(lambda x: x.mean((1,))),
    "meanall": of_x(lambda x: x.mean()),
    "mlp": mlp,
    "product": lambda p, d, s: d["a"] @ d["b"],
    "resnet": resnet,
    "rnn": recurrent(rnn_cell, 1),
    "softmax": of_x(softmax),
    "sum0": of_x(lambda x: x.sum((0,))),
    "sum1": of_x(lambda x: x.sum((1,))),
    "sumall": of_x(lambda x: x.sum()),
    "transformer": transformer,
    "var1": of_x(variance),
}


# --- results -------------------------------------------------------------------------------------


def results(workload: Workload) -> dict[str, Array]:
    """What a contender must have: results by number, or losses and parameters after training."""
    parameters, data = draw(workload)
    program, values = PROGRAMS[workload.program], as_values(data)
    if workload.optimizer is None:
        found = program(as_values(parameters), values, workload.sizes)
        outputs = found if isinstance(found, list) else [found]
        return {f"result{at}": value.array for at, value in enumerate(outputs)}
    losses, now = [], {name: array.astype(np.float64) for name, array in parameters.items()}
    optimizer = {"adam": Adam, "sgd": Momentum}[workload.optimizer]()
    for _ in range(STEPS):
        variables = as_values(now)
        loss = program(variables, values, workload.sizes)
        losses.append(loss.array)
        gradients = slopes(loss, list(variables.values()))
        now = optimizer.step(now, dict(zip(now, gradients, strict=True)))
    return {"losses": np.array(losses), **{f"parameter_{name}": now[name] for name in now}}


def as_values(arrays: Mapping[str, Array]) -> dict[str, Value]:
    """Arrays as values that begin a tape."""
    return {name: Value(array) for name, array in arrays.items()}


class Momentum:
    """Gradient descent with momentum."""

    def __init__(self) -> None:
        self.velocity: dict[str, Array] = {}

    def step(self, now: dict[str, Array], gradients: dict[str, Array]) -> dict[str, Array]:
        """The parameters after a step."""
        for name, gradient in gradients.items():
            self.velocity[name] = MOMENTUM * self.velocity.get(name, 0) + gradient
        return {name: now[name] - RATES["sgd"] * self.velocity[name] for name in now}


class Adam:
    """Adam (Kingma, Ba, 2015), its means corrected for their start."""

    def __init__(self) -> None:
        self.count = 0
        self.means: dict[str, tuple[Any, Any]] = {}

    def step(self, now: dict[str, Array], gradients: dict[str, Array]) -> dict[str, Array]:
        """The parameters after a step."""
        self.count += 1
        after = {}
        for name, gradient in gradients.items():
            old = self.means.get(name, (0, 0))
            powers = (gradient, gradient**2)
            new = [b * m + (1 - b) * g for b, m, g in zip(BETAS, old, powers, strict=True)]
            self.means[name] = (new[0], new[1])
            first, second = (m / (1 - b**self.count) for b, m in zip(BETAS, new, strict=True))
            after[name] = now[name] - RATES["adam"] * first / (np.sqrt(second) + EPSILON)
        return after
