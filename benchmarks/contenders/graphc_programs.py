"""The programs in graphc. Weights of inference are constants, as in any deployed model."""

from __future__ import annotations

import chains
import numpy as np
from workloads import REDUCTIONS, layer_pairs, reduced, resnet_layers

import graphc as gx

RATES = {"adam": 1e-3, "sgd": 1e-2}


def prepare(threads):
    """Take so many threads."""
    gx.set_num_threads(threads)


def missing(workload, options):
    """Nothing is left out."""
    return


def elementwise(p, d, s):
    """Eleven operators on three vectors."""
    x, y, z = (d[name] for name in "xyz")
    return x * gx.sigmoid(x) + gx.tanh(y) * gx.exp(-z * z) + gx.relu(x - y)


def dense_layers(h, p, count):
    """Dense layers with rectifiers between them."""
    for at in range(count):
        h = h @ p[f"w{at}"] + p[f"b{at}"]
        h = gx.relu(h) if at < count - 1 else h
    return h


def loss_of(scores, labels):
    """The mean cross entropy."""
    return gx.mean(gx.softmax_cross_entropy(scores, labels))


def mlp(p, d, s):
    """The loss of a network of dense layers."""
    return loss_of(dense_layers(d["x"], p, len(layer_pairs(s["layers"]))), d["y"])


def lenet(p, d, s):
    """The loss of LeNet-5."""
    h = gx.nn.max_pool(gx.relu(gx.nn.conv2d(d["x"], p["k1"], p["c1"], padding=2)), 2)
    h = gx.nn.max_pool(gx.relu(gx.nn.conv2d(h, p["k2"], p["c2"])), 2)
    return loss_of(dense_layers(gx.reshape(h, (h.shape[0], -1)), p, 3), d["y"])


def convolution(p, d, s):
    """One convolution."""
    return gx.nn.conv2d(
        d["x"], d["w"], stride=s["stride"], padding=s["padding"], groups=s["groups"]
    )


def convolution_gradients(p, d, s):
    """One convolution, and its gradients."""
    y = convolution(p, d, s)
    return [y, *gx.grad(gx.sum(y * d["slope"]), [d["x"], d["w"]])]


def resnet(p, d, s):
    """The scores of ResNet-18, or its loss."""
    layers = {layer.name: layer for layer in resnet_layers(s)}

    def step(x, name):
        layer = layers[name]
        y = gx.nn.conv2d(x, p[name], stride=layer.stride, padding=layer.padding)
        zeros = np.zeros(layer.kernels, np.float32)  # running statistics that training leaves
        mean, var = (p.get(f"{name}_{word}", zeros) for word in ("mean", "var"))
        affine = p[f"{name}_scale"], p[f"{name}_shift"]
        return gx.nn.batch_norm(y, mean, var, *affine, training="y" in d).output

    x = gx.relu(step(d["x"], "first"))
    x = x if s["cifar"] else gx.nn.max_pool(x, 3, stride=2, padding=1)
    for block in [name.removesuffix("_1") for name in layers if name.endswith("_1")]:
        y = step(gx.relu(step(x, f"{block}_1")), f"{block}_2")
        x = gx.relu(y + (step(x, f"{block}_skip") if f"{block}_skip" in layers else x))
    scores = gx.mean(x, axis=(2, 3)) @ p["w"] + p["b"]
    return loss_of(scores, d["y"]) if "y" in d else scores


def recurrent(layer, last_state):
    """The program of a recurrent layer: all its states, or the loss of the last."""

    def program(p, d, s):
        states, last = layer(d["x"], [p[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh")])
        if "y" not in d:
            return states
        return gx.mean(gx.square(last_state(last) @ p["w"] + p["b"] - d["y"]))

    return program


def transformer(p, d, s):
    """A block with the norms first, or its loss."""
    x = d["x"]
    batch, length, size = x.shape
    h = gx.nn.layer_norm(x, (size,), p["g1"], p["s1"])
    split = gx.reshape(h @ p["w_qkv"] + p["b_qkv"], (batch, length, 3, s["heads"], -1))
    q, k, v = (gx.permute_dims(split, (2, 0, 3, 1, 4))[at] for at in range(3))
    heads = gx.permute_dims(gx.nn.scaled_dot_product_attention(q, k, v), (0, 2, 1, 3))
    x = x + gx.reshape(heads, (batch, length, size)) @ p["w_out"] + p["b_out"]
    h = gx.nn.layer_norm(x, (size,), p["g2"], p["s2"])
    h = gx.nn.gelu(h @ p["w_up"] + p["b_up"], approximate="tanh")
    x = x + h @ p["w_down"] + p["b_down"]
    return gx.mean(gx.square(x - d["y"])) if "y" in d else x


def reduction(program):
    """The reduction that a name such as "mean1" says, along an axis or all."""
    word, axis = reduced(program)
    return lambda p, d, s: getattr(gx, word)(d["x"], axis=axis)


PROGRAMS = {
    **{name: reduction(name) for name in REDUCTIONS if reduced(name)},
    "attention": lambda p, d, s: gx.nn.scaled_dot_product_attention(*(d[name] for name in "qkv")),
    "chain": lambda p, d, s: chains.evaluate(s["chain"], d, gx),
    "convolution": convolution,
    "convolution_gradients": convolution_gradients,
    "dense": lambda p, d, s: gx.relu(d["x"] @ d["w"] + d["b"]),
    "elementwise": elementwise,
    "layernorm": lambda p, d, s: gx.nn.layer_norm(d["x"], d["x"].shape[1:], d["g"], d["b"]),
    "lenet": lenet,
    "logsumexp": lambda p, d, s: gx.logsumexp(d["x"], axis=1),
    "lstm": recurrent(gx.nn.lstm, lambda last: last[0]),
    "mlp": mlp,
    "product": lambda p, d, s: d["a"] @ d["b"],
    "resnet": resnet,
    "rnn": recurrent(gx.nn.rnn, lambda last: last),
    "softmax": lambda p, d, s: gx.softmax(d["x"], axis=1),
    "transformer": transformer,
}


def build(workload, parameters, data, options):
    """Compile a workload."""
    if "device" in options:
        return build_on_device(workload, parameters, data, options["device"])
    inputs = {name: gx.input(name, a.shape, a.dtype.name) for name, a in data.items()}
    if workload.optimizer is None:
        held = {name: gx.asarray(array) for name, array in parameters.items()}
        outputs = PROGRAMS[workload.program](held, inputs, workload.sizes)
        return Compiled(gx.compile(list(inputs.values()), outputs), data, {})
    held, loss, updates = with_optimizer(workload, parameters, inputs)
    return Compiled(gx.compile(list(inputs.values()), loss, updates=updates), data, held)


def with_optimizer(workload, parameters, inputs):
    """The variables of a workload, its loss and its updates."""
    held = {name: gx.variable(array, name=name) for name, array in parameters.items()}
    loss = PROGRAMS[workload.program](held, inputs, workload.sizes)
    variables = list(held.values())
    gradients, rate = gx.grad(loss, variables), RATES[workload.optimizer]
    if workload.optimizer == "adam":
        return held, loss, gx.optim.adam(variables, gradients, rate)
    return held, loss, gx.optim.sgd(variables, gradients, rate, momentum=0.9)


def build_on_device(workload, parameters, data, device):
    """Compile a workload whose data are variables and whose results stay where they are computed.

    What is compiled is of the variables, so that nothing but a loss is copied in a call.
    """
    there = {name: gx.variable(array, name=name) for name, array in data.items()}
    held, updates = {}, {}
    if workload.optimizer:
        held, outputs, updates = with_optimizer(workload, parameters, there)
    else:
        outputs = PROGRAMS[workload.program](parameters, there, workload.sizes)
    step = gx.compile([], outputs, updates, device=device, results="device")
    return Compiled(step, {}, held, getattr(step.loaded, "machine", None))


class Compiled:
    """A compiled step with its data; on a machine of its own it ends when that has finished."""

    def __init__(self, function, data, held, machine=None):
        arrays = list(data.values())
        self.function, self.machine, self.held = function, machine, held
        self.step = self.step_there if machine else lambda: function(*arrays)

    def step_there(self):
        """Run the step, and wait for its end."""
        given = self.function()
        self.machine.finish()
        return given

    def results(self, given):
        """What a step gave, as arrays."""
        return [np.asarray(a) for a in (given if isinstance(given, list | tuple) else [given])]

    def parameters(self):
        """The variables' values."""
        return {name: np.array(variable.value) for name, variable in self.held.items()}
