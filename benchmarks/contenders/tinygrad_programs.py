"""The programs in tinygrad, on its CPU device and under its TinyJit."""

from __future__ import annotations

import numpy as np
from tinygrad import Device, Tensor, TinyJit
from tinygrad.helpers import Context
from tinygrad.nn.optim import SGD, Adam
from workloads import REDUCTIONS, layer_pairs, reduced

RATES = {"adam": 1e-3, "sgd": 1e-2}
UNROLLED = ("lstm", "rnn", "resnet")


def prepare(threads):
    """Nothing: the environment says how many threads are taken."""


def missing(workload, options):
    """Why a workload is left out."""
    if workload.program in UNROLLED:
        return "minutes to compile, or seconds a step"
    return None if workload.program in PROGRAMS else "not written for it"


def elementwise(p, d, s):
    """Eleven operators on three vectors."""
    x, y, z = (d[name] for name in "xyz")
    return x * x.sigmoid() + y.tanh() * (-z * z).exp() + (x - y).relu()


def dense_layers(h, p, count):
    """Dense layers with rectifiers between them."""
    for at in range(count):
        h = h @ p[f"w{at}"] + p[f"b{at}"]
        h = h.relu() if at < count - 1 else h
    return h


def mlp(p, d, s):
    """The loss of a network of dense layers."""
    scores = dense_layers(d["x"], p, len(layer_pairs(s["layers"])))
    return scores.sparse_categorical_crossentropy(d["y"])


def lenet(p, d, s):
    """The loss of LeNet-5."""
    h = d["x"].conv2d(p["k1"], p["c1"], padding=2).relu().max_pool2d((2, 2))
    h = h.conv2d(p["k2"], p["c2"]).relu().max_pool2d((2, 2)).flatten(1)
    return dense_layers(h, p, 3).sparse_categorical_crossentropy(d["y"])


def transformer(p, d, s):
    """A block with the norms first, or its loss."""
    x, (batch, length, size) = d["x"], d["x"].shape
    h = x.layernorm(eps=1e-5) * p["g1"] + p["s1"]
    split = (h @ p["w_qkv"] + p["b_qkv"]).reshape(batch, length, 3, s["heads"], -1)
    q, k, v = (split.permute(2, 0, 3, 1, 4)[at] for at in range(3))
    heads = q.scaled_dot_product_attention(k, v).transpose(1, 2).reshape(batch, length, size)
    x = x + heads @ p["w_out"] + p["b_out"]
    h = x.layernorm(eps=1e-5) * p["g2"] + p["s2"]
    x = x + (h @ p["w_up"] + p["b_up"]).gelu() @ p["w_down"] + p["b_down"]
    return ((x - d["y"]) ** 2).mean() if "y" in d else x


def convolution(p, d, s):
    """One convolution."""
    return d["x"].conv2d(d["w"], stride=s["stride"], padding=s["padding"], groups=s["groups"])


def reduction(program):
    """The reduction that a name such as "mean1" says."""
    word, axis = reduced(program)
    options = {"correction": 0} if word == "var" else {}
    return lambda p, d, s: getattr(d["x"], word)(axis, **options)


PROGRAMS = {
    **{name: reduction(name) for name in REDUCTIONS if reduced(name)},
    "attention": lambda p, d, s: d["q"].scaled_dot_product_attention(d["k"], d["v"]),
    "convolution": convolution,
    "dense": lambda p, d, s: (d["x"] @ d["w"] + d["b"]).relu(),
    "elementwise": elementwise,
    "layernorm": lambda p, d, s: d["x"].layernorm(eps=1e-5) * d["g"] + d["b"],
    "lenet": lenet,
    "logsumexp": lambda p, d, s: d["x"].logsumexp(1),
    "mlp": mlp,
    "product": lambda p, d, s: d["a"] @ d["b"],
    "softmax": lambda p, d, s: d["x"].softmax(1),
    "transformer": transformer,
}


def build(workload, parameters, data, options):
    """Make the tensors; the first steps compile."""
    held, given = ({k: Tensor(a).realize() for k, a in d.items()} for d in (parameters, data))
    program, names, sizes = PROGRAMS[workload.program], list(given), workload.sizes

    def function(*tensors):
        return program(held, dict(zip(names, tensors, strict=True)), sizes)

    if workload.optimizer:
        function = training(workload.optimizer, function, held)
    return Jitted(function, list(given.values()), held, workload.optimizer is not None)


def training(optimizer, function, held):
    """The function of a whole step."""
    variables = list(held.values())
    if optimizer == "adam":
        steps = Adam(variables, lr=RATES["adam"])
    else:
        steps = SGD(variables, lr=RATES["sgd"], momentum=0.9)

    def step(*tensors):
        steps.zero_grad()
        loss = function(*tensors).backward()
        return loss.realize(*steps.schedule_step())

    return step


class Jitted:
    """A function with its data."""

    def __init__(self, function, tensors, held, trains):
        self.held, jitted = held, TinyJit(lambda *tensors: function(*tensors).realize())

        def step():
            with Context(TRAINING=int(trains)):
                result = jitted(*tensors)
            Device[Device.DEFAULT].synchronize()
            return result

        self.step = step

    def results(self, given):
        """What a step gave."""
        return [np.asarray(given.numpy())]

    def parameters(self):
        """The parameters' values."""
        return {name: tensor.numpy() for name, tensor in self.held.items()}
