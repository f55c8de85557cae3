"""Optimizers, as functions from gradients to the updates of a step.

    w = gx.variable(w0, name="w")
    updates = gx.optim.adam([w], [gx.grad(loss, w)], learning_rate=1e-3)
    step = gx.compile([x], loss, updates=updates)

An optimizer makes the variables it needs, of zeros, and returns new values for them and for the
parameters. A step reads all values as they were before it. Names and options are PyTorch's.
"""

from graphc.optim.adaptive import adagrad, adam, adamw, rmsprop
from graphc.optim.clipping import clip_by_global_norm, clip_by_value, global_norm
from graphc.optim.sgd import sgd

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "clip_by_global_norm",
    "clip_by_value",
    "global_norm",
    "rmsprop",
    "sgd",
]
