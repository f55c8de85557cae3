"""graphc: array programs in Python, differentiated, fused and compiled to native code.

    import graphc as gx

    x = gx.input("x", ("batch", 784), "float32")
    w = gx.variable(w0, name="w")
    loss = gx.mean(gx.square(x @ w))
    step = gx.compile([x], loss, updates={w: w - 0.1 * gx.grad(loss, w)})

This is the front door: every name a user types. Functions of arrays have the Array API's names.
"""

import sys
from math import e, inf, nan, pi

import graphc.ops  # noqa: F401 (fills the table of operators)
from graphc import fft, linalg, nn, optim, random
from graphc.errors import GraphError, short_errors
from graphc.ir.dim import Dim
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.state import Variable
from graphc.ir.types import (
    DType,
    TensorType,
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from graphc.ir.types import bool_ as bool  # the Array API's name
from graphc.lang import *  # noqa: F403 (its __all__ is the list of the language's words)
from graphc.lang import __all__ as _words
from graphc.passes.batch import vmap
from graphc.passes.checkpoint import checkpoint
from graphc.passes.custom_gradient import custom_gradient
from graphc.passes.derivatives import hessian, hvp, jacobian, vjp
from graphc.passes.differentiate import grad, jvp, value_and_grad
from graphc.runtime.compare import Difference, compare
from graphc.runtime.compiler import compile
from graphc.runtime.cpu.measure_machine import machine
from graphc.runtime.cpu.pool import get_num_threads, set_num_threads
from graphc.runtime.executable import Executable
from graphc.version import VERSION

__version__ = VERSION

newaxis = None

__all__ = [  # noqa: PLE0604 (the words are strings)
    *_words,
    "DType", "Difference", "Dim", "Executable", "Graph", "GraphError", "Node", "TensorType",
    "Variable", "bfloat16", "bool", "checkpoint", "compare", "compile", "complex64", "complex128",
    "custom_gradient", "e", "fft", "float16", "float32", "float64", "get_num_threads", "grad",
    "hessian", "hvp", "inf", "int8", "int16", "int32", "int64", "jacobian", "jvp", "linalg",
    "machine", "nan", "newaxis", "nn", "optim", "pi", "random", "set_num_threads", "uint8",
    "uint16", "uint32", "uint64", "value_and_grad", "vjp", "vmap",
]  # fmt: skip

sys.excepthook = short_errors(sys.excepthook)
