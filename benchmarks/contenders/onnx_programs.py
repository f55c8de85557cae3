"""The programs in ONNX Runtime: inference alone, with the weights as constants of the model."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from workloads import REDUCTIONS, reduced, resnet_layers

THREADS = [1]


def prepare(threads):
    """Take so many threads in every session."""
    THREADS[0] = threads


def missing(workload, options):
    """Why a workload is left out."""
    if workload.optimizer or workload.program == "convolution_gradients":
        return "inference only"
    return None if workload.program in PROGRAMS else "not written for it"


class Model:
    """An ONNX graph in the making: model.Relu("x") adds a node and gives its result's name."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def name(self):
        """A name not yet taken."""
        return f"v{len(self.nodes)}_{len(self.constants)}"

    def constant(self, array):
        """An array in the graph."""
        name = f"c{self.name()}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def integers(self, *numbers):
        """A vector of integers in the graph: sizes or axes."""
        return self.constant(np.array(numbers, np.int64))

    def __getattr__(self, operator):
        def add(*operands, results=1, **attributes):
            names = [f"{self.name()}_{at}" for at in range(results)]
            self.nodes.append(helper.make_node(operator, operands, names, **attributes))
            return names[0] if results == 1 else names

        return add


def elementwise(m, p, d, s):
    """Eleven operators on three vectors."""
    bell = m.Mul(m.Tanh("y"), m.Exp(m.Neg(m.Mul("z", "z"))))
    return m.Add(m.Add(m.Mul("x", m.Sigmoid("x")), bell), m.Relu(m.Sub("x", "y")))


def convolution(m, p, d, s):
    """One convolution, its kernel a constant."""
    return convolved(m, "x", d["w"], s["stride"], s["padding"], s["groups"])


def convolved(m, x, kernel, stride, padding, groups=1):
    """A square convolution."""
    shape = {"kernel_shape": kernel.shape[2:], "strides": [stride] * 2, "pads": [padding] * 4}
    return m.Conv(x, m.constant(kernel), group=groups, **shape)


def resnet(m, p, d, s):
    """The scores of ResNet-18."""
    layers = {layer.name: layer for layer in resnet_layers(s)}

    def step(x, name):
        y = convolved(m, x, p[name], layers[name].stride, layers[name].padding)
        words = ("scale", "shift", "mean", "var")
        statistics = [m.constant(p[f"{name}_{word}"]) for word in words]
        return m.BatchNormalization(y, *statistics, epsilon=1e-5)

    x = m.Relu(step("x", "first"))
    if not s["cifar"]:
        x = m.MaxPool(x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for block in [name.removesuffix("_1") for name in layers if name.endswith("_1")]:
        y = step(m.Relu(step(x, f"{block}_1")), f"{block}_2")
        x = m.Relu(m.Add(y, step(x, f"{block}_skip") if f"{block}_skip" in layers else x))
    return m.Gemm(m.Flatten(m.GlobalAveragePool(x)), m.constant(p["w"]), m.constant(p["b"]))


def recurrent(operator, order):
    """The program of a recurrent layer: all its states. ONNX has the gates in another order."""

    def program(m, p, d, s):
        def gates(array):
            parts = np.split(array, len(order))
            return np.concatenate([parts[at] for at in order])[None]

        matrices = [m.constant(gates(p[name])) for name in ("w_ih", "w_hh")]
        bias = m.constant(np.concatenate([gates(p["b_ih"]), gates(p["b_hh"])], 1))
        states = getattr(m, operator)("x", *matrices, bias, hidden_size=s["hidden"])
        return m.Squeeze(states, m.integers(1))

    return program


def attended(m, q, k, v, features):
    """Attention; the keys come transposed."""
    scores = m.Mul(m.MatMul(q, k), m.constant(np.float32(features**-0.5)))
    return m.MatMul(m.Softmax(scores, axis=-1), v)


def attention(m, p, d, s):
    """Attention alone."""
    return attended(m, "q", m.Transpose("k", perm=[0, 1, 3, 2]), "v", s["features"])


def transformer(m, p, d, s):
    """A block with the norms first."""
    batch, length, size, heads = (s[name] for name in ("batch", "length", "features", "heads"))

    def dense(h, name):
        return m.Add(m.MatMul(h, m.constant(p[f"w_{name}"])), m.constant(p[f"b_{name}"]))

    def norm(h, at):
        affine = (m.constant(p[f"g{at}"]), m.constant(p[f"s{at}"]))
        return m.LayerNormalization(h, *affine, axis=-1, epsilon=1e-5)

    shape = m.integers(batch, length, 3, heads, size // heads)
    split = m.Split(m.Reshape(dense(norm("x", 1), "qkv"), shape), results=3, axis=2, num_outputs=3)
    orders = ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
    q, k, v = (
        m.Transpose(m.Squeeze(part, m.integers(2)), perm=order)
        for part, order in zip(split, orders, strict=True)
    )
    seen = m.Transpose(attended(m, q, k, v, size // heads), perm=[0, 2, 1, 3])
    x = m.Add("x", dense(m.Reshape(seen, m.integers(batch, length, size)), "out"))
    return m.Add(x, dense(m.Gelu(dense(norm(x, 2), "up"), approximate="tanh"), "down"))


def reduction(program):
    """The reduction that a name such as "mean1" says."""
    word, axis = reduced(program)
    axes = (0, 1) if axis is None else (axis,)
    operator = {"sum": "ReduceSum", "mean": "ReduceMean"}.get(word)

    def program_of(m, p, d, s):
        if word == "argmax":
            return m.ArgMax("x", axis=axis, keepdims=0)
        if word == "var":
            centred = m.Sub("x", m.ReduceMean("x", m.integers(*axes), keepdims=1))
            return m.ReduceMean(m.Mul(centred, centred), m.integers(*axes), keepdims=0)
        return getattr(m, operator)("x", m.integers(*axes), keepdims=0)

    return program_of


PROGRAMS = {
    **{name: reduction(name) for name in REDUCTIONS if reduced(name)},
    "attention": attention,
    "convolution": convolution,
    "dense": lambda m, p, d, s: m.Relu(m.Add(m.MatMul("x", "w"), "b")),
    "elementwise": elementwise,
    "layernorm": lambda m, p, d, s: m.LayerNormalization("x", "g", "b", axis=-1, epsilon=1e-5),
    "logsumexp": lambda m, p, d, s: m.ReduceLogSumExp("x", m.integers(1), keepdims=0),
    "lstm": recurrent("LSTM", (0, 3, 1, 2)),
    "product": lambda m, p, d, s: m.MatMul("a", "b"),
    "resnet": resnet,
    "rnn": recurrent("RNN", (0,)),
    "softmax": lambda m, p, d, s: m.Softmax("x", axis=1),
    "transformer": transformer,
}


def build(workload, parameters, data, options):
    """Write the model and open a session on it."""
    model = Model()
    result = PROGRAMS[workload.program](model, parameters, data, workload.sizes)
    if workload.program == "convolution":
        data = {"x": data["x"]}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in data.items()
    ]
    kind = TensorProto.INT64 if workload.program.startswith("argmax") else TensorProto.FLOAT
    output = helper.make_tensor_value_info(result, kind, None)
    graph = helper.make_graph(model.nodes, workload.name, inputs, [output], model.constants)
    opset = [helper.make_opsetid("", 20)]
    return Session(helper.make_model(graph, opset_imports=opset, ir_version=10), data)


class Session:
    """A model with its data."""

    def __init__(self, model, data):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = THREADS[0], 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.step = lambda: session.run(None, data)

    def results(self, given):
        """What a step gave."""
        return [np.asarray(array) for array in given]
