"""The programs of start_up.py in graphc: each function gives a compiled step and its arguments."""

import numpy as np
import programs

import graphc as gx


def weights(*shape):
    """A variable with the weights of a layer."""
    return gx.variable(programs.draw(*shape), "weights")


def vector(size, value):
    """A variable of equal numbers."""
    return gx.variable(np.full(size, value, np.float32), "vector")


def train(loss, parameters, inputs):
    """A compiled step of Adam."""
    updates = gx.optim.adam(parameters, gx.grad(loss, parameters))
    return gx.compile(inputs, loss, updates=updates)


def mlp():
    """A training step of a perceptron of three layers: ReLU, softmax cross entropy, Adam."""
    images, labels = programs.digits()
    x = gx.input("x", images.shape, "float32")
    target = gx.input("target", labels.shape, "int64")
    hidden, parameters = x, []
    for last, (m, n) in enumerate(programs.LAYERS, start=1):
        parameters += [weights(m, n), vector(n, 0)]
        hidden = hidden @ parameters[-2] + parameters[-1]
        hidden = gx.maximum(hidden, 0) if last < len(programs.LAYERS) else hidden
    loss = gx.mean(gx.softmax_cross_entropy(hidden, target))
    return train(loss, parameters, [x, target]), (images, labels)


def convolved(x, channels, taps, stride):
    """A convolution, then batch normalisation as in inference."""
    kernel = weights(channels, x.shape[1], taps, taps)
    y = gx.nn.conv(x, kernel, stride=stride, padding=taps // 2)
    mean, variance, scale, bias = (vector(channels, value) for value in (0, 1, 1, 0))
    return gx.nn.batch_norm(y, mean, variance, scale, bias).output


def resnet18():
    """Inference of ResNet-18 for one image of 224 x 224."""
    pixels = programs.image()
    image = gx.input("image", pixels.shape, "float32")
    x = gx.maximum(convolved(image, 64, 7, 2), 0)
    x = gx.nn.max_pool(x, 3, stride=2, padding=1)
    for channels, first in programs.STAGES:
        for stride in (first, 1):
            y = gx.maximum(convolved(x, channels, 3, stride), 0)
            y = convolved(y, channels, 3, 1)
            same = stride == 1 and x.shape[1] == channels
            x = gx.maximum(y + (x if same else convolved(x, channels, 1, stride)), 0)
    scores = gx.mean(x, axis=(2, 3)) @ weights(x.shape[1], programs.CLASSES)
    return gx.compile([image], scores + vector(programs.CLASSES, 0)), (pixels,)


def transformer():
    """A training step of a block: attention of 8 heads, GELU, layer norms, squared error, Adam."""
    batch, time, width, heads, hidden = programs.BLOCK
    values = programs.sequences()
    x, target = (gx.input(name, values[0].shape, "float32") for name in ("x", "target"))
    parameters = []

    def dense(h, n):
        parameters.extend([weights(h.shape[-1], n), vector(n, 0)])
        return h @ parameters[-2] + parameters[-1]

    def norm(h):
        parameters.extend([vector(width, 1), vector(width, 0)])
        return gx.nn.layer_norm(h, (width,), parameters[-2], parameters[-1])

    parts = gx.reshape(dense(norm(x), 3 * width), (batch, time, 3, heads, -1))
    query, key, value = (gx.permute_dims(parts[:, :, part], (0, 2, 1, 3)) for part in range(3))
    mixed = gx.nn.scaled_dot_product_attention(query, key, value)
    y = x + dense(gx.reshape(gx.permute_dims(mixed, (0, 2, 1, 3)), x.shape), width)
    y += dense(gx.nn.gelu(dense(norm(y), hidden), approximate="tanh"), width)
    return train(gx.mean(gx.square(y - target)), parameters, [x, target]), values


def stages(step):
    """Where the time of compiling went, in seconds, and how many kernels the cache had."""
    emit, code = (step.seconds[stage] for stage in ("emit", "machine code"))
    return {
        "passes": sum(step.seconds.values()) - emit - code,
        "emit": emit,
        "machine code": code,
        "kernels": f"{step.loaded.found}/{len(step.program.kernels)}",
    }
