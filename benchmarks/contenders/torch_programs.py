"""The programs in PyTorch: eager, eager in channels_last, and compiled by inductor."""

from __future__ import annotations

import statistics

import chains
import numpy as np
import torch
import torch._dynamo
from torch.nn import functional
from workloads import REDUCTIONS, layer_pairs, reduced, resnet_layers

IMAGES = ("convolution", "convolution_gradients", "lenet", "resnet")
RATES = {"adam": 1e-3, "sgd": 1e-2}


def prepare(threads):
    """Take so many threads."""
    torch.set_num_threads(threads)
    torch._dynamo.config.cache_size_limit = 1000  # every workload comes through one function


def missing(workload, options):
    """Why a workload is left out."""
    if options.get("channels_last") and workload.program not in IMAGES:
        return "channels_last is a layout of images"
    if options.get("compile") and workload.program in ("lstm", "rnn"):
        return "inductor does not compile the built-in recurrent layers"
    return None


def elementwise(p, d, s):
    """Eleven operators on three vectors."""
    x, y, z = (d[name] for name in "xyz")
    return x * torch.sigmoid(x) + torch.tanh(y) * torch.exp(-z * z) + torch.relu(x - y)


def dense_layers(h, p, count):
    """Dense layers with rectifiers between them."""
    for at in range(count):
        h = torch.addmm(p[f"b{at}"], h, p[f"w{at}"])
        h = torch.relu(h) if at < count - 1 else h
    return h


def mlp(p, d, s):
    """The loss of a network of dense layers."""
    scores = dense_layers(d["x"], p, len(layer_pairs(s["layers"])))
    return functional.cross_entropy(scores, d["y"])


def lenet(p, d, s):
    """The loss of LeNet-5."""
    h = functional.conv2d(d["x"], p["k1"], p["c1"], padding=2)
    h = functional.conv2d(functional.max_pool2d(torch.relu(h), 2), p["k2"], p["c2"])
    h = functional.max_pool2d(torch.relu(h), 2).flatten(1)
    return functional.cross_entropy(dense_layers(h, p, 3), d["y"])


def convolution(p, d, s):
    """One convolution."""
    options = {"stride": s["stride"], "padding": s["padding"], "groups": s["groups"]}
    return functional.conv2d(d["x"], d["w"], **options)


def convolution_gradients(p, d, s):
    """One convolution, and its gradients."""
    y, back = torch.func.vjp(lambda x, w: convolution(p, {"x": x, "w": w}, s), d["x"], d["w"])
    return (y, *back(d["slope"]))


def resnet(p, d, s):
    """The scores of ResNet-18, or its loss."""
    layers = {layer.name: layer for layer in resnet_layers(s)}

    def step(x, name):
        layer = layers[name]
        y = functional.conv2d(x, p[name], stride=layer.stride, padding=layer.padding)
        mean, var = (p.get(f"{name}_{word}") for word in ("mean", "var"))
        affine = p[f"{name}_scale"], p[f"{name}_shift"]
        return functional.batch_norm(y, mean, var, *affine, training="y" in d)

    x = torch.relu(step(d["x"], "first"))
    x = x if s["cifar"] else functional.max_pool2d(x, 3, 2, 1)
    for block in [name.removesuffix("_1") for name in layers if name.endswith("_1")]:
        y = step(torch.relu(step(x, f"{block}_1")), f"{block}_2")
        x = torch.relu(y + (step(x, f"{block}_skip") if f"{block}_skip" in layers else x))
    scores = x.mean((2, 3)) @ p["w"] + p["b"]
    return functional.cross_entropy(scores, d["y"]) if "y" in d else scores


def recurrent(layer, states):
    """The program of a recurrent layer: all its states, or the loss of the last."""

    def program(p, d, s):
        zeros = d["x"].new_zeros((1, s["batch"], s["hidden"]))
        weights = [p[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh")]
        start = (zeros, zeros) if states == 2 else zeros
        trained = "y" in d
        outputs = layer(d["x"], start, weights, True, 1, 0.0, trained, False, False)[0]
        if not trained:
            return outputs
        return functional.mse_loss(outputs[-1] @ p["w"] + p["b"], d["y"])

    return program


def transformer(p, d, s):
    """A block with the norms first, or its loss."""
    x, (batch, length, size) = d["x"], d["x"].shape
    h = functional.layer_norm(x, (size,), p["g1"], p["s1"])
    split = (h @ p["w_qkv"] + p["b_qkv"]).view(batch, length, 3, s["heads"], -1)
    q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
    heads = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
    x = x + heads.reshape(batch, length, size) @ p["w_out"] + p["b_out"]
    h = functional.layer_norm(x, (size,), p["g2"], p["s2"])
    h = functional.gelu(h @ p["w_up"] + p["b_up"], approximate="tanh")
    x = x + h @ p["w_down"] + p["b_down"]
    return functional.mse_loss(x, d["y"]) if "y" in d else x


def reduction(program):
    """The reduction that a name such as "mean1" says."""
    word, axis = reduced(program)
    options = {} if axis is None else {"dim": axis}
    options |= {"correction": 0} if word == "var" else {}
    return lambda p, d, s: getattr(torch, word)(d["x"], **options)


PROGRAMS = {
    **{name: reduction(name) for name in REDUCTIONS if reduced(name)},
    "attention": lambda p, d, s: functional.scaled_dot_product_attention(
        *(d[name] for name in "qkv")
    ),
    "chain": lambda p, d, s: chains.evaluate(s["chain"], d, torch),
    "convolution": convolution,
    "convolution_gradients": convolution_gradients,
    "dense": lambda p, d, s: torch.relu(d["x"] @ d["w"] + d["b"]),
    "elementwise": elementwise,
    "layernorm": lambda p, d, s: functional.layer_norm(d["x"], d["x"].shape[1:], d["g"], d["b"]),
    "lenet": lenet,
    "logsumexp": lambda p, d, s: torch.logsumexp(d["x"], 1),
    "lstm": recurrent(torch.lstm, 2),
    "mlp": mlp,
    "product": lambda p, d, s: d["a"] @ d["b"],
    "resnet": resnet,
    "rnn": recurrent(torch.rnn_tanh, 1),
    "softmax": lambda p, d, s: torch.softmax(d["x"], 1),
    "transformer": transformer,
}


def tensor(array, channels_last, device="cpu"):
    """An array as a tensor, class numbers as int64."""
    if array.dtype.name == "bfloat16":  # which PyTorch does not take from NumPy
        return torch.from_numpy(array.astype(np.float32)).bfloat16().to(device)
    made = torch.from_numpy(np.array(array)).to(device)
    made = made.long() if made.dtype == torch.int32 else made
    return made.to(memory_format=torch.channels_last) if channels_last and made.ndim == 4 else made


def build(workload, parameters, data, options):
    """Make the tensors, and compile if asked to."""
    images = options.get("channels_last") or options.get("compile")
    last, device = bool(images and workload.program in IMAGES), options.get("device", "cpu")
    held, given = ({k: tensor(a, last, device) for k, a in d.items()} for d in (parameters, data))
    job = make_job(workload, held, given, options)
    return Apart(job, device) if "device" in options else job


def make_job(workload, held, given, options):
    """The job over tensors."""
    if workload.optimizer:
        training = CompiledTraining if options.get("compile") else Training
        return training(workload, held, given)
    if workload.program == "convolution_gradients" and not options.get("compile"):
        return Gradients(workload, given)
    return Inference(workload, held, given, options.get("compile"))


class Apart:
    """A job beside others in one process: it has its own mode, and ends when its device has."""

    def __init__(self, job, device):
        self.job, self.results, self.device = job, job.results, device
        self.records = torch.is_grad_enabled()

    def step(self):
        """Run the step, and wait for its end."""
        with torch.set_grad_enabled(self.records):
            given = self.job.step()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return given

    def seconds_on_device(self):
        """What the card's own clock says of a step, the median of some."""
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        times = []
        for _ in range(10):
            begin.record()
            self.job.step()
            end.record()
            end.synchronize()
            times.append(1e-3 * begin.elapsed_time(end))
        return statistics.median(times)


class Inference:
    """A function of the data."""

    def __init__(self, workload, held, given, compiled):
        torch.set_grad_enabled(False)  # once: it is no part of what is timed
        program, names, sizes = PROGRAMS[workload.program], list(given), workload.sizes

        def function(*arrays):
            return program(held, dict(zip(names, arrays, strict=True)), sizes)

        if compiled:
            function = torch.compile(function, fullgraph=True, dynamic=False)
        arrays = list(given.values())
        self.step = lambda: function(*arrays)

    def results(self, given):
        """What a step gave, as arrays."""
        tensors = given if isinstance(given, tuple) else [given]
        return [as_array(tensor) for tensor in tensors]


def as_array(tensor):
    """A tensor as an array; one of bfloat16, which NumPy has not, as float32."""
    there = tensor.detach().contiguous().cpu()
    return (there.float() if there.dtype == torch.bfloat16 else there).numpy()


class Gradients(Inference):
    """A convolution with its gradients, by the tape."""

    def __init__(self, workload, given):
        torch.set_grad_enabled(True)
        x, w = (given[name].requires_grad_() for name in "xw")
        operands, sizes, slope = {"x": x, "w": w}, workload.sizes, given["slope"]

        def step():
            y = convolution({}, operands, sizes)
            return (y, *torch.autograd.grad(y, (x, w), slope))

        self.step = step


class Training(Inference):
    """A training step by the tape, with the fused optimizer."""

    def __init__(self, workload, held, given):
        torch.set_grad_enabled(True)
        program, rate = PROGRAMS[workload.program], RATES[workload.optimizer]
        variables = [variable.requires_grad_() for variable in held.values()]
        if workload.optimizer == "adam":
            optimizer = torch.optim.Adam(variables, rate, fused=True)
        else:
            optimizer = torch.optim.SGD(variables, rate, momentum=0.9, fused=True)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = program(held, given, workload.sizes)
            loss.backward()
            optimizer.step()
            return loss.detach()

        self.step, self.held = step, held

    def parameters(self):
        """The parameters' values."""
        return {k: v.detach().contiguous().cpu().numpy().copy() for k, v in self.held.items()}


class CompiledTraining(Training):
    """A training step with its optimizer in one compiled graph."""

    def __init__(self, workload, held, given):
        torch.set_grad_enabled(False)
        program, names = PROGRAMS[workload.program], list(held)
        variables, self.held = list(held.values()), held
        states = [[torch.zeros_like(v) for v in variables] for _ in range(2)]
        count = torch.zeros((), device=variables[0].device)
        update = adam if workload.optimizer == "adam" else momentum

        def loss_of(variables):
            return program(dict(zip(names, variables, strict=True)), given, workload.sizes)

        def whole(variables, states, count):
            gradients, loss = torch.func.grad_and_value(loss_of)(variables)
            update(variables, gradients, states, count, RATES[workload.optimizer])
            return loss

        compiled = torch.compile(whole, fullgraph=True, dynamic=False)
        self.step = lambda: compiled(variables, states, count)


def adam(variables, gradients, states, count, rate):
    """Adam, in place."""
    count.add_(1)
    for v, g, mean, square in zip(variables, gradients, *states, strict=True):
        mean.copy_(0.9 * mean + 0.1 * g)
        square.copy_(0.999 * square + 0.001 * g * g)
        spread = torch.sqrt(square / (1 - 0.999**count)) + 1e-8
        v.copy_(v - rate * mean / (1 - 0.9**count) / spread)


def momentum(variables, gradients, states, count, rate):
    """Gradient descent with momentum, in place."""
    for v, g, velocity in zip(variables, gradients, states[0], strict=True):
        velocity.copy_(0.9 * velocity + g)
        v.copy_(v - rate * velocity)
