"""The programs of start_up.py in PyTorch, eager: each function gives a step and its arguments."""

import programs
import torch
from torch.nn import functional


def weights(*shape):
    """A parameter with the weights of a layer."""
    return torch.nn.Parameter(torch.from_numpy(programs.draw(*shape)))


def vector(size, value):
    """A parameter of equal numbers."""
    return torch.nn.Parameter(torch.full((size,), float(value)))


def train(loss, parameters):
    """A step of Adam, in one kernel where there is one."""
    optimizer = torch.optim.Adam(parameters, fused=True)

    def step(*arguments):
        value = loss(*arguments)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.item()

    return step


def mlp():
    """A training step of a perceptron of three layers: ReLU, softmax cross entropy, Adam."""
    parameters = [p for m, n in programs.LAYERS for p in (weights(m, n), vector(n, 0))]

    def loss(x, target):
        for w, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            x = torch.relu(torch.addmm(b, x, w))
        return functional.cross_entropy(torch.addmm(parameters[-1], x, parameters[-2]), target)

    return train(loss, parameters), tuple(map(torch.from_numpy, programs.digits()))


class Convolved:
    """A convolution, then batch normalisation as in inference."""

    def __init__(self, inputs, channels, taps, stride):
        """Make the weights."""
        self.kernel = weights(channels, inputs, taps, taps)
        self.vectors = [vector(channels, value) for value in (0, 1, 1, 0)]
        self.stride, self.padding = stride, taps // 2

    def __call__(self, x):
        return functional.batch_norm(
            functional.conv2d(x, self.kernel, stride=self.stride, padding=self.padding),
            *self.vectors,
        )


def resnet18():
    """Inference of ResNet-18 for one image of 224 x 224."""
    first, blocks, inputs = Convolved(3, 64, 7, 2), [], 64
    for channels, stride_of_first in programs.STAGES:
        for stride in (stride_of_first, 1):
            same = stride == 1 and inputs == channels
            blocks.append((
                Convolved(inputs, channels, 3, stride),
                Convolved(channels, channels, 3, 1),
                (lambda x: x) if same else Convolved(inputs, channels, 1, stride),
            ))  # fmt: skip
            inputs = channels
    last, bias = weights(inputs, programs.CLASSES), vector(programs.CLASSES, 0)

    @torch.inference_mode()
    def network(x):
        x = functional.max_pool2d(torch.relu(first(x)), 3, 2, 1)
        for one, two, across in blocks:
            x = torch.relu(two(torch.relu(one(x))) + across(x))
        return x.mean((2, 3)) @ last + bias

    return network, (torch.from_numpy(programs.image()),)


def transformer():
    """A training step of a block: attention of 8 heads, GELU, layer norms, squared error, Adam."""
    batch, time, width, heads, hidden = programs.BLOCK
    sizes = ((width, 3 * width), (width, width), (width, hidden), (hidden, width))
    parameters = [p for m, n in sizes for p in (weights(m, n), vector(n, 0))]
    parameters += [vector(width, value) for value in (1, 0, 1, 0)]

    def loss(x, target):
        w1, b1, w2, b2, w3, b3, w4, b4, scale1, bias1, scale2, bias2 = parameters
        h = functional.layer_norm(x, (width,), scale1, bias1)
        parts = (h @ w1 + b1).reshape(batch, time, 3, heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*parts)
        y = x + mixed.transpose(1, 2).reshape(x.shape) @ w2 + b2
        h = functional.layer_norm(y, (width,), scale2, bias2)
        y = y + functional.gelu(h @ w3 + b3, approximate="tanh") @ w4 + b4
        return functional.mse_loss(y, target)

    return train(loss, parameters), tuple(map(torch.from_numpy, programs.sequences()))


def stages(step):
    """Nothing is known."""
    return {}
