"""The programs of start_up.py in JAX: each function gives a jitted step and its arguments."""

import jax
import numpy as np
import programs
from jax import lax
from jax import numpy as jnp


def vector(size, value):
    """An array of equal numbers."""
    return np.full(size, value, np.float32)


def train(loss, parameters, arguments):
    """A jitted step of Adam, from its state and the arguments to the loss and the next state."""

    def step(state, *arguments):
        weights, means, scales, count = state
        value, gradients = jax.value_and_grad(loss)(weights, *arguments)
        count += 1
        means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients, strict=True)]
        scales = [0.999 * s + 0.001 * g * g for s, g in zip(scales, gradients, strict=True)]
        first, second = 1 / (1 - 0.9**count), 1 / (1 - 0.999**count)
        weights = [
            w - 1e-3 * m * first / (jnp.sqrt(s * second) + 1e-8)
            for w, m, s in zip(weights, means, scales, strict=True)
        ]
        return value, (weights, means, scales, count)

    zeros = [np.zeros_like(w) for w in parameters]
    jitted = jax.jit(step)
    return blocking(jitted), ((parameters, zeros, zeros, np.float32(0)), *arguments)


def blocking(step):
    """A step that returns when its results are there."""
    return lambda *arguments: jax.block_until_ready(step(*arguments))


def mlp():
    """A training step of a perceptron of three layers: ReLU, softmax cross entropy, Adam."""
    parameters = [a for m, n in programs.LAYERS for a in (programs.draw(m, n), vector(n, 0))]

    def loss(parameters, x, target):
        for w, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            x = jnp.maximum(x @ w + b, 0)
        scores = jax.nn.log_softmax(x @ parameters[-2] + parameters[-1])
        return -jnp.mean(jnp.take_along_axis(scores, target[:, None], 1))

    return train(loss, parameters, programs.digits())


def resnet18():
    """Inference of ResNet-18 for one image of 224 x 224."""
    parameters = []

    def convolved(x, shape, channels, taps, stride):
        parameters.append(programs.draw(channels, shape, taps, taps))
        parameters.append([vector(channels, value) for value in (0, 1, 1, 0)])
        return (len(parameters) - 2, stride, taps // 2, x)

    def apply(parameters, layer, x):
        at, stride, padding, _ = layer
        y = lax.conv_general_dilated(x, parameters[at], (stride, stride), [(padding, padding)] * 2)
        mean, variance, scale, bias = (v[:, None, None] for v in parameters[at + 1])
        return (y - mean) * lax.rsqrt(variance + 1e-5) * scale + bias

    first, blocks, shape = convolved(None, 3, 64, 7, 2), [], 64
    for channels, stride_of_first in programs.STAGES:
        for stride in (stride_of_first, 1):
            same = stride == 1 and shape == channels
            blocks.append((
                convolved(None, shape, channels, 3, stride),
                convolved(None, channels, channels, 3, 1),
                None if same else convolved(None, shape, channels, 1, stride),
            ))  # fmt: skip
            shape = channels
    parameters += [programs.draw(shape, programs.CLASSES), vector(programs.CLASSES, 0)]

    def network(parameters, x):
        x = jnp.maximum(apply(parameters, first, x), 0)
        padding = [(0, 0), (0, 0), (1, 1), (1, 1)]
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), padding)
        for one, two, across in blocks:
            y = apply(parameters, two, jnp.maximum(apply(parameters, one, x), 0))
            x = jnp.maximum(y + (apply(parameters, across, x) if across else x), 0)
        return x.mean((2, 3)) @ parameters[-2] + parameters[-1]

    return blocking(jax.jit(network)), (parameters, programs.image())


def transformer():
    """A training step of a block: attention of 8 heads, GELU, layer norms, squared error, Adam."""
    batch, time, width, heads, hidden = programs.BLOCK
    sizes = ((width, 3 * width), (width, width), (width, hidden), (hidden, width))
    parameters = [a for m, n in sizes for a in (programs.draw(m, n), vector(n, 0))]
    parameters += [vector(width, value) for value in (1, 0, 1, 0)]

    def norm(x, scale, bias):
        centred = x - x.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        return centred * lax.rsqrt(variance + 1e-5) * scale + bias

    def loss(parameters, x, target):
        w1, b1, w2, b2, w3, b3, w4, b4, scale1, bias1, scale2, bias2 = parameters
        parts = (norm(x, scale1, bias1) @ w1 + b1).reshape(batch, time, 3, heads, -1)
        query, key, value = parts.transpose(2, 0, 3, 1, 4)
        scores = jnp.einsum("bhqd,bhkd->bhqk", query, key) * (width // heads) ** -0.5
        mixed = jnp.einsum("bhqk,bhkd->bqhd", jax.nn.softmax(scores), value)
        y = x + mixed.reshape(x.shape) @ w2 + b2
        y += jax.nn.gelu(norm(y, scale2, bias2) @ w3 + b3, approximate=True) @ w4 + b4
        return jnp.mean(jnp.square(y - target))

    return train(loss, parameters, programs.sequences())


def stages(step):
    """Nothing is known."""
    return {}
