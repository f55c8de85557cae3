"""The basic programs in plain NumPy: what there is without a compiler."""

from __future__ import annotations

import chains
import numpy as np
from workloads import REDUCTIONS, reduced


def prepare(threads):
    """Nothing: the environment says how many threads its BLAS takes."""


def missing(workload, options):
    """Why a workload is left out."""
    return None if workload.program in {*PROGRAMS, "chain"} else "only basic programs"


def elementwise(d):
    """Eleven operators on three vectors."""
    x, y, z = (d[name] for name in "xyz")
    return x / (1 + np.exp(-x)) + np.tanh(y) * np.exp(-z * z) + np.maximum(x - y, 0)


def softmax(d):
    """The softmax of rows."""
    powers = np.exp(d["x"] - d["x"].max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def logsumexp(d):
    """The logarithm of the sum of each row's exponentials."""
    top = d["x"].max(1)
    return np.log(np.exp(d["x"] - top[:, None]).sum(1)) + top


def layernorm(d):
    """Rows with mean 0 and variance 1, scaled and shifted."""
    centred = d["x"] - d["x"].mean(1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(1, keepdims=True) + np.float32(1e-5))
    return centred / spread * d["g"] + d["b"]


def reduction(program):
    """The reduction that a name such as "mean1" says."""
    word, axis = reduced(program)
    return lambda d: getattr(d["x"], word)(axis)


PROGRAMS = {
    **{name: reduction(name) for name in REDUCTIONS if reduced(name)},
    "dense": lambda d: np.maximum(d["x"] @ d["w"] + d["b"], 0),
    "elementwise": elementwise,
    "layernorm": layernorm,
    "logsumexp": logsumexp,
    "product": lambda d: d["a"] @ d["b"],
    "softmax": softmax,
}


def build(workload, parameters, data, options):
    """Bind a program to its data."""
    if workload.program == "chain":
        return Bound(lambda d: chains.evaluate(workload.sizes["chain"], d, np), data)
    return Bound(PROGRAMS[workload.program], data)


class Bound:
    """A program with its data."""

    def __init__(self, function, data):
        self.step = lambda: function(data)

    def results(self, given):
        """What a step gave."""
        return [np.asarray(given)]
