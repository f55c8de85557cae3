"""Two operators that the package does not have, each defined in one class.

`gelu` works element by element; `diagonal` says itself what its shape is and where it reads.
docs/new-op.md walks through this file.

    python examples/new_op.py
"""

import math

import numpy as np

import graphc as gx
from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.node import apply
from graphc.ir.op import register
from graphc.ir.printer import print_text
from graphc.ops.kinds import Elementwise, Linear


@register
class Gelu(Elementwise):
    """x * P(X < x) for a normally distributed X: the Gaussian error linear unit."""

    name = "gelu"
    accepts = ("float",)

    def formula(self, *values):
        """x/2 * (1 + erf(x / sqrt(2)))."""
        (x,) = values
        return x * 0.5 * (scalar.call("erf", x * math.sqrt(0.5)) + 1.0)

    def vjp(self, node, gradient):
        """The probability below x, and x times its density."""
        (x,) = node.inputs
        below = 0.5 * (1 + gx.erf(x * math.sqrt(0.5)))
        density = gx.exp(-0.5 * gx.square(x)) / math.sqrt(2 * math.pi)
        return [gradient * (below + x * density)]

    def reference(self, *arrays):
        """The same with Python's error function."""
        (x,) = arrays
        return x * 0.5 * (np.vectorize(math.erf, otypes=[x.dtype])(x * math.sqrt(0.5)) + 1)


@register
class Diagonal(Linear):
    """The elements of a square matrix whose row and column are equal."""

    name = "diagonal"

    def infer(self, x):
        """A vector as long as the matrix is wide."""
        if x.rank != 2 or x.shape[0] != x.shape[1]:
            raise TypeRuleError(f"takes a square matrix, not {x}")
        return gx.TensorType(x.dtype, x.shape[:1])

    def element(self, node, index, read):
        """Element i is the operand's element (i, i)."""
        (i,) = index
        return read(0, (i, i))

    def vjp(self, node, gradient):
        """The gradient on the diagonal of a matrix of zeros."""
        (size,) = node.shape
        return [gx.expand_dims(gradient, 1) * gx.eye(size, dtype=gradient.dtype)]

    def batch(self, node, operands, batched):
        """The diagonal of each matrix of a batch."""
        return gx.diagonal(operands[0])

    def reference(self, *arrays):
        """numpy.diagonal."""
        return np.diagonal(arrays[0])


def gelu(x):
    """The word for the operator, as a user writes it."""
    return apply("gelu", x)


def diagonal(x):
    """The diagonal of a square matrix."""
    return apply("diagonal", x)


def slope_by_differences(function, point, step=1e-6):
    """The gradient of a function of an array by central differences, element by element."""
    slope = np.zeros_like(point)
    for place in np.ndindex(point.shape):
        for sign in (1, -1):
            moved = point.copy()
            moved[place] += sign * step
            slope[place] += sign * function(moved) / (2 * step)
    return slope


def main():
    """Compile a function of both operators and compare it with NumPy and with differences."""
    x = gx.input("x", ("n", "n"), "float64")
    y = gx.sum(diagonal(gelu(x @ x)))
    step = gx.compile([x], {"y": y, "slope": gx.grad(y, x)})
    oracle = gx.compile([x], {"y": y, "slope": gx.grad(y, x)}, device="reference")

    point = np.random.default_rng(0).normal(size=(4, 4))
    native, numpy = step(point), oracle(point)
    differences = slope_by_differences(lambda moved: step(moved)["y"], point)

    print("The function as a graph:\n")
    print(print_text(gx.Graph((x,), (y,))))
    print(f"value        {native['y']:.12f} native, {numpy['y']:.12f} by NumPy")
    for name, other in (("NumPy's", numpy["slope"]), ("differences", differences)):
        print(f"gradient     differs by {np.abs(native['slope'] - other).max():.0e} from {name}")
    print(f"kernels      {', '.join(call.kernel for call in step.program.calls)}")

    try:
        diagonal(gx.input("z", (2, 3), "float32"))
    except gx.GraphError as error:
        print(f"\nA matrix that is not square is refused at the user's line:\n\n{error}")

    assert np.isclose(native["y"], numpy["y"], rtol=1e-12)
    assert np.allclose(native["slope"], numpy["slope"], rtol=1e-12)
    assert np.allclose(native["slope"], differences, atol=1e-7)


if __name__ == "__main__":
    main()
