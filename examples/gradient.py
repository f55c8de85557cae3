"""Derivatives are graphs: take them, look at them, take them again."""

import numpy as np

import graphc as gx
from graphc.ir.printer import print_text


def main():
    """The derivatives of one function, symbolically, numerically and as text."""
    x = gx.input("x", (5,), "float64")
    y = gx.sum(gx.tanh(x) * x)

    first = gx.grad(y, x)  # reverse mode: dy/dx, a graph like any other
    second = gx.grad(gx.sum(first), x)  # and so it has a derivative, too
    along = gx.jvp(y, x, gx.ones_like(x))  # forward mode: the slope along (1, 1, 1, 1, 1)

    print("The gradient of sum(tanh(x) * x) as a graph:\n")
    print(print_text(gx.Graph((x,), (first,))))

    evaluate = gx.compile([x], {"y": y, "first": first, "second": second, "along": along})
    point = np.linspace(-2, 2, 5)
    result = evaluate(point)

    step = 1e-5
    sides = [evaluate(point + sign * step * np.eye(5)[2])["y"] for sign in (1, -1)]
    print("point              ", point)
    print("first derivative   ", result["first"].round(6))
    print("second derivative  ", result["second"].round(6))
    print("along ones         ", round(float(result["along"]), 6))
    print("central difference ", round(float((sides[0] - sides[1]) / (2 * step)), 6),
          "for the middle element")  # fmt: skip
    assert np.isclose(result["along"], result["first"].sum())


if __name__ == "__main__":
    main()
