"""The programs in PyTensor 3 with its default back end, Numba. It has no convolutions any more."""

from __future__ import annotations

import warnings

import chains
import numpy as np
import pytensor
import pytensor.tensor as pt
from workloads import REDUCTIONS, layer_pairs, reduced

RATES = {"adam": 1e-3, "sgd": 1e-2}
f32 = np.float32


def prepare(threads):
    """Nothing but quiet: the environment says how many threads are taken."""
    warnings.simplefilter("ignore")


def missing(workload, options):
    """Why a workload is left out."""
    return None if workload.program in PROGRAMS else "no convolution or pooling"


def elementwise(p, d, s):
    """Eleven operators on three vectors."""
    x, y, z = (d[name] for name in "xyz")
    return x * pt.sigmoid(x) + pt.tanh(y) * pt.exp(-z * z) + pt.maximum(x - y, f32(0))


def mlp(p, d, s):
    """The loss of a network of dense layers."""
    h, count = d["x"], len(layer_pairs(s["layers"]))
    for at in range(count):
        h = h @ p[f"w{at}"] + p[f"b{at}"]
        h = pt.maximum(h, f32(0)) if at < count - 1 else h
    logs = pt.special.log_softmax(h, axis=1)
    return -logs[pt.arange(s["batch"]), d["y"]].mean(dtype="float32")


def normalised(x):
    """x with mean 0 and variance 1 over the last axis."""
    centred = x - x.mean(-1, keepdims=True, dtype="float32")
    spread = (centred * centred).mean(-1, keepdims=True, dtype="float32")
    return centred / pt.sqrt(spread + f32(1e-5))


def attended(q, k, v, features):
    """Attention of [batch, heads, length, features]."""
    scores = pt.matmul(q, k.swapaxes(-1, -2)) * f32(features**-0.5)
    return pt.matmul(pt.special.softmax(scores, axis=-1), v)


def lstm_cell(gates, h, c, matrix):
    """The next h and c."""
    gates, hidden = gates + h @ matrix, matrix.type.shape[0]
    i, f, g, o = (gates[:, at * hidden : (at + 1) * hidden] for at in range(4))
    c = pt.sigmoid(f) * c + pt.sigmoid(i) * pt.tanh(g)
    return pt.sigmoid(o) * pt.tanh(c), c


def rnn_cell(gates, h, matrix):
    """The next h."""
    return pt.tanh(gates + h @ matrix)


def recurrent(cell, states):
    """The program of a recurrent layer: all its states, or the loss of the last."""

    def program(p, d, s):
        rows = d["x"].reshape((s["steps"] * s["batch"], s["inputs"]))
        gates = pt.dot(rows, p["w_ih"].T).reshape((s["steps"], s["batch"], -1))
        start = pt.zeros((s["batch"], s["hidden"]), dtype="float32")
        outputs = pytensor.scan(
            cell, sequences=[gates + (p["b_ih"] + p["b_hh"])], outputs_info=[start] * states,
            non_sequences=[p["w_hh"].T], return_updates=False,
        )  # fmt: skip
        outputs = outputs[0] if states > 1 else outputs
        if "y" not in d:
            return outputs
        return ((outputs[-1] @ p["w"] + p["b"] - d["y"]) ** 2).mean(dtype="float32")

    return program


def transformer(p, d, s):
    """A block with the norms first, or its loss."""
    x, size, heads = d["x"], s["features"], s["heads"]
    rows = s["batch"] * s["length"]

    def dense(h, name):
        flat = h.reshape((rows, h.type.shape[-1]))
        return pt.dot(flat, p[f"w_{name}"]) + p[f"b_{name}"]

    shape = (s["batch"], s["length"], 3, heads, size // heads)
    split = dense(normalised(x) * p["g1"] + p["s1"], "qkv").reshape(shape).transpose(2, 0, 3, 1, 4)
    seen = attended(split[0], split[1], split[2], size // heads).transpose(0, 2, 1, 3)
    x = x + dense(seen.reshape((rows, size)), "out").reshape(x.type.shape)
    u = dense(normalised(x) * p["g2"] + p["s2"], "up")
    bell = 1 + pt.tanh(f32((2 / np.pi) ** 0.5) * (u + f32(0.044715) * u * u * u))
    x = x + dense(f32(0.5) * u * bell, "down").reshape(x.type.shape)
    return ((x - d["y"]) ** 2).mean(dtype="float32") if "y" in d else x


def reduction(program):
    """The reduction that a name such as "mean1" says."""
    word, axis = reduced(program)
    options = {"dtype": "float32"} if word in ("sum", "mean") else {}
    return lambda p, d, s: getattr(pt, word)(d["x"], axis=axis, **options)


PROGRAMS = {
    **{name: reduction(name) for name in REDUCTIONS if reduced(name)},
    "attention": lambda p, d, s: attended(d["q"], d["k"], d["v"], s["features"]),
    "chain": lambda p, d, s: chains.evaluate(s["chain"], d, pt),
    "dense": lambda p, d, s: pt.maximum(d["x"] @ d["w"] + d["b"], f32(0)),
    "elementwise": elementwise,
    "layernorm": lambda p, d, s: normalised(d["x"]) * d["g"] + d["b"],
    "logsumexp": lambda p, d, s: pt.logsumexp(d["x"], axis=1),
    "lstm": recurrent(lstm_cell, 2),
    "mlp": mlp,
    "product": lambda p, d, s: d["a"] @ d["b"],
    "rnn": recurrent(rnn_cell, 1),
    "softmax": lambda p, d, s: pt.special.softmax(d["x"], axis=1),
    "transformer": transformer,
}


def build(workload, parameters, data, options):
    """Compile a workload."""
    given = {k: pt.tensor(k, dtype=a.dtype.name, shape=a.shape) for k, a in data.items()}
    held = {k: shared(a) for k, a in parameters.items()}
    output, updates = PROGRAMS[workload.program](held, given, workload.sizes), {}
    if workload.optimizer:
        update = {"adam": adam, "sgd": momentum}[workload.optimizer]
        gradients = pytensor.grad(output, list(held.values()))
        updates = update(list(held.values()), gradients, f32(RATES[workload.optimizer]))
    borrowed = pytensor.Out(output, borrow=True)
    function = pytensor.function(list(given.values()), borrowed, updates=updates, mode="NUMBA")
    function.trust_input = True
    return Compiled(function, list(data.values()), held)


def shared(array):
    """A shared variable of fixed shape."""
    return pytensor.shared(array, shape=array.shape)


def adam(variables, gradients, rate):
    """The updates of Adam."""
    count = pytensor.shared(f32(0))
    now, updates = count + f32(1), {}
    updates[count] = now
    first, second = (f32(1) - f32(beta) ** now for beta in (0.9, 0.999))
    for variable, gradient in zip(variables, gradients, strict=True):
        mean, square = (shared(np.zeros_like(variable.get_value())) for _ in range(2))
        updates[mean] = f32(0.9) * mean + f32(0.1) * gradient
        updates[square] = f32(0.999) * square + f32(0.001) * gradient * gradient
        spread = pt.sqrt(updates[square] / second) + f32(1e-8)
        updates[variable] = variable - rate * (updates[mean] / first) / spread
    return updates


def momentum(variables, gradients, rate):
    """The updates of gradient descent with momentum."""
    updates = {}
    for variable, gradient in zip(variables, gradients, strict=True):
        velocity = shared(np.zeros_like(variable.get_value()))
        updates[velocity] = f32(0.9) * velocity + gradient
        updates[variable] = variable - rate * updates[velocity]
    return updates


class Compiled:
    """A compiled function with its data."""

    def __init__(self, function, arrays, held):
        self.step = lambda: function(*arrays)
        self.held = held

    def results(self, given):
        """What a step gave."""
        return [np.asarray(given)]

    def parameters(self):
        """The parameters' values."""
        return {name: variable.get_value() for name, variable in self.held.items()}
