"""What the programs of start_up.py are made of, whoever runs them: sizes, weights and data."""

import math

import numpy as np

LAYERS = ((784, 512), (512, 256), (256, 10))  # of the multilayer perceptron
BATCH = 64
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels and first stride of ResNet-18's stages
CLASSES = 1000
BLOCK = (8, 128, 256, 8, 1024)  # a transformer's batch, sequence, width, heads and hidden width


def draw(*shape):
    """Weights of a layer, (in, out) or (out, in, taps, taps), small enough for any depth."""
    inputs = shape[0] if len(shape) == 2 else math.prod(shape[1:])
    draws = np.random.default_rng(inputs).random(shape, np.float32)
    draws -= 0.5
    draws *= 4 / math.sqrt(inputs)
    return draws


def digits():
    """Images and labels for the perceptron."""
    return draw(BATCH, LAYERS[0][0]), np.arange(BATCH) % LAYERS[-1][1]


def image():
    """An image for the residual network."""
    return draw(1, 3, 224, 224)


def sequences():
    """Input and target for the transformer."""
    batch, time, width, *_ = BLOCK
    return draw(batch * time, width).reshape(batch, time, width), np.zeros(
        (batch, time, width), np.float32
    )
