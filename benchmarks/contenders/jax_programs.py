"""The programs in JAX, jitted whole, with channels first or last; training donates its state."""

from __future__ import annotations

import chains
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from workloads import REDUCTIONS, layer_pairs, reduced, resnet_layers

IMAGES = ("convolution", "convolution_gradients", "lenet", "resnet")
RATES = {"adam": 1e-3, "sgd": 1e-2}


def prepare(threads):
    """Nothing: XLA takes as many threads as the process may use cores."""


def missing(workload, options):
    """Why a workload is left out."""
    if options.get("channels_last") and workload.program not in IMAGES:
        return "channels_last is a layout of images"
    return None


class Layout:
    """Where the channels of images and kernels stand."""

    def __init__(self, channels_last):
        self.last = channels_last
        first, last = ("NCHW", "OIHW", "NCHW"), ("NHWC", "HWIO", "NHWC")
        self.numbers, self.axes = (last, (1, 2)) if channels_last else (first, (2, 3))

    def convolution(self, x, w, stride=1, padding=0, groups=1):
        """A square convolution."""
        return lax.conv_general_dilated(
            x, w, (stride, stride), [(padding, padding)] * 2, dimension_numbers=self.numbers,
            feature_group_count=groups,
        )  # fmt: skip

    def channel(self, v):
        """A number for each channel, so that it broadcasts to images."""
        return v if self.last else v[:, None, None]

    def max_pool(self, x, taps, stride, padding=0):
        """The largest element of each square window."""
        window, strides, margins = [1] * 4, [1] * 4, [(0, 0)] * 4
        for axis in self.axes:
            window[axis], strides[axis], margins[axis] = taps, stride, (padding, padding)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, margins)


def elementwise(p, d, s, layout):
    """Eleven operators on three vectors."""
    x, y, z = (d[name] for name in "xyz")
    return x * jax.nn.sigmoid(x) + jnp.tanh(y) * jnp.exp(-z * z) + jax.nn.relu(x - y)


def dense_layers(h, p, count):
    """Dense layers with rectifiers between them."""
    for at in range(count):
        h = h @ p[f"w{at}"] + p[f"b{at}"]
        h = jax.nn.relu(h) if at < count - 1 else h
    return h


def loss_of(scores, labels):
    """The mean cross entropy."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], 1))


def mlp(p, d, s, layout):
    """The loss of a network of dense layers."""
    return loss_of(dense_layers(d["x"], p, len(layer_pairs(s["layers"]))), d["y"])


def lenet(p, d, s, layout):
    """The loss of LeNet-5."""
    h = layout.convolution(d["x"], p["k1"], padding=2) + layout.channel(p["c1"])
    h = layout.convolution(layout.max_pool(jax.nn.relu(h), 2, 2), p["k2"])
    h = layout.max_pool(jax.nn.relu(h + layout.channel(p["c2"])), 2, 2)
    h = h.transpose(0, 3, 1, 2) if layout.last else h
    return loss_of(dense_layers(h.reshape(h.shape[0], -1), p, 3), d["y"])


def convolution(p, d, s, layout):
    """One convolution."""
    return layout.convolution(d["x"], d["w"], s["stride"], s["padding"], s["groups"])


def convolution_gradients(p, d, s, layout):
    """One convolution, and its gradients."""
    y, back = jax.vjp(lambda x, w: convolution(p, {"x": x, "w": w}, s, layout), d["x"], d["w"])
    return (y, *back(d["slope"]))


def resnet(p, d, s, layout):
    """The scores of ResNet-18, or its loss."""
    layers = {layer.name: layer for layer in resnet_layers(s)}

    def step(x, name):
        layer = layers[name]
        y = layout.convolution(x, p[name], layer.stride, layer.padding)
        scale, shift = (p[f"{name}_{word}"] for word in ("scale", "shift"))
        if "y" in d:
            whole = normalised(y, (0, *layout.axes))
            return whole * layout.channel(scale) + layout.channel(shift)
        scale = scale * lax.rsqrt(p[f"{name}_var"] + 1e-5)
        return y * layout.channel(scale) + layout.channel(shift - p[f"{name}_mean"] * scale)

    x = jax.nn.relu(step(d["x"], "first"))
    x = x if s["cifar"] else layout.max_pool(x, 3, 2, 1)
    for block in [name.removesuffix("_1") for name in layers if name.endswith("_1")]:
        y = step(jax.nn.relu(step(x, f"{block}_1")), f"{block}_2")
        x = jax.nn.relu(y + (step(x, f"{block}_skip") if f"{block}_skip" in layers else x))
    scores = x.mean(layout.axes) @ p["w"] + p["b"]
    return loss_of(scores, d["y"]) if "y" in d else scores


def lstm_cell(gates, state):
    """The next h and c."""
    i, f, g, o = jnp.split(gates, 4, axis=1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def rnn_cell(gates, state):
    """The next h."""
    return (jnp.tanh(gates),)


def recurrent(cell, states):
    """The program of a recurrent layer: all its states, or the loss of the last."""

    def program(p, d, s, layout):
        from_input = d["x"] @ p["w_ih"].T + (p["b_ih"] + p["b_hh"])
        matrix, start = p["w_hh"].T, jnp.zeros((s["batch"], s["hidden"]), jnp.float32)

        def step(state, gates):
            state = cell(gates + state[0] @ matrix, state)
            return state, state[0]

        last, outputs = lax.scan(step, (start,) * states, from_input)
        if "y" not in d:
            return outputs
        return jnp.mean((last[0] @ p["w"] + p["b"] - d["y"]) ** 2)

    return program


def normalised(x, axes):
    """x with mean 0 and variance 1 over axes."""
    centred = x - x.mean(axes, keepdims=True)
    return centred * lax.rsqrt((centred**2).mean(axes, keepdims=True) + 1e-5)


def attended(q, k, v):
    """Attention of [batch, heads, length, features]."""
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) * np.float32(q.shape[-1] ** -0.5)
    return jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores, -1), v)


def transformer(p, d, s, layout):
    """A block with the norms first, or its loss."""
    x, (batch, length, size) = d["x"], d["x"].shape
    h = normalised(x, -1) * p["g1"] + p["s1"]
    split = (h @ p["w_qkv"] + p["b_qkv"]).reshape(batch, length, 3, s["heads"], -1)
    q, k, v = split.transpose(2, 0, 3, 1, 4)
    heads = attended(q, k, v).transpose(0, 2, 1, 3).reshape(batch, length, size)
    x = x + heads @ p["w_out"] + p["b_out"]
    h = normalised(x, -1) * p["g2"] + p["s2"]
    x = x + jax.nn.gelu(h @ p["w_up"] + p["b_up"], approximate=True) @ p["w_down"] + p["b_down"]
    return jnp.mean((x - d["y"]) ** 2) if "y" in d else x


def reduction(program):
    """The reduction that a name such as "mean1" says."""
    word, axis = reduced(program)
    return lambda p, d, s, layout: getattr(jnp, word)(d["x"], axis)


PROGRAMS = {
    **{name: reduction(name) for name in REDUCTIONS if reduced(name)},
    "attention": lambda p, d, s, layout: attended(d["q"], d["k"], d["v"]),
    "chain": lambda p, d, s, layout: chains.evaluate(s["chain"], d, jnp),
    "convolution": convolution,
    "convolution_gradients": convolution_gradients,
    "dense": lambda p, d, s, layout: jax.nn.relu(d["x"] @ d["w"] + d["b"]),
    "elementwise": elementwise,
    "layernorm": lambda p, d, s, layout: normalised(d["x"], -1) * d["g"] + d["b"],
    "lenet": lenet,
    "logsumexp": lambda p, d, s, layout: jax.nn.logsumexp(d["x"], 1),
    "lstm": recurrent(lstm_cell, 2),
    "mlp": mlp,
    "product": lambda p, d, s, layout: d["a"] @ d["b"],
    "resnet": resnet,
    "rnn": recurrent(rnn_cell, 1),
    "softmax": lambda p, d, s, layout: jax.nn.softmax(d["x"], 1),
    "transformer": transformer,
}


def build(workload, parameters, data, options):
    """Put the arrays where JAX wants them, and jit."""
    layout = Layout(bool(options.get("channels_last")))
    program, sizes = PROGRAMS[workload.program], workload.sizes

    def function(parameters, arrays):
        return program(parameters, dict(zip(data, arrays, strict=True)), sizes, layout)

    held = {name: placed(array, layout, True) for name, array in parameters.items()}
    arrays = [placed(array, layout, name == "w") for name, array in data.items()]
    if workload.optimizer:
        return Training(workload.optimizer, function, layout, held, arrays)
    return Inference(workload.program, function, layout, held, arrays)


def placed(array, layout, kernel):
    """An array of JAX's own; images and kernels in the layout."""
    if layout.last and array.ndim == 4:
        array = array.transpose((2, 3, 1, 0) if kernel else (0, 2, 3, 1))
    return jax.device_put(np.ascontiguousarray(array))


class Inference:
    """A function of the data."""

    def __init__(self, program, function, layout, held, arrays):
        jitted = jax.jit(function) if held else jax.jit(lambda *arrays: function({}, arrays))
        operands = (held, arrays) if held else arrays
        self.step = lambda: jax.block_until_ready(jitted(*operands))
        self.layout, self.kernels = layout, 2 if program == "convolution_gradients" else None

    def results(self, given):
        """What a step gave, as arrays with the channels second."""
        arrays = [np.asarray(a) for a in (given if isinstance(given, tuple | list) else [given])]
        if not self.layout.last:
            return arrays
        return [first(array, at == self.kernels) for at, array in enumerate(arrays)]


def first(array, kernel):
    """An array with the channels of images and kernels where the reference has them."""
    if array.ndim != 4:
        return array
    return array.transpose((3, 2, 0, 1) if kernel else (0, 3, 1, 2))


class Training:
    """A training step with its optimizer."""

    def __init__(self, optimizer, function, layout, held, arrays):
        update, self.layout = {"adam": adam, "sgd": momentum}[optimizer], layout
        zeros = [{name: jnp.zeros_like(v) for name, v in held.items()} for _ in range(2)]

        def whole(state, arrays):
            loss, gradients = jax.value_and_grad(function)(state[0], arrays)
            return update(state, gradients, RATES[optimizer]), loss

        jitted = jax.jit(whole, donate_argnums=0)
        self.state = (held, *zeros, jnp.zeros((), jnp.float32))

        def step():
            self.state, loss = jitted(self.state, arrays)
            jax.block_until_ready(self.state)
            return loss

        self.step = step

    def results(self, given):
        """The loss."""
        return [np.asarray(given)]

    def parameters(self):
        """The parameters' values, with the channels second."""
        held = {name: np.array(v) for name, v in self.state[0].items()}
        return {name: first(v, True) if self.layout.last else v for name, v in held.items()}


def adam(state, gradients, rate):
    """Adam."""
    variables, means, squares, count = state
    count = count + 1
    means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
    squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
    first, second = 1 - 0.9**count, 1 - 0.999**count

    def moved(p, m, v):
        return p - rate * (m / first) / (jnp.sqrt(v / second) + 1e-8)

    return jax.tree.map(moved, variables, means, squares), means, squares, count


def momentum(state, gradients, rate):
    """Gradient descent with momentum."""
    variables, velocities, unused, count = state
    velocities = jax.tree.map(lambda m, g: 0.9 * m + g, velocities, gradients)
    moved = jax.tree.map(lambda p, m: p - rate * m, variables, velocities)
    return moved, velocities, unused, count
