"""Chains of element-wise operators, written once for every framework that has NumPy's names."""

UNARY = {
    "tanh": lambda f, v: f.tanh(v),
    "abs": lambda f, v: f.abs(v),
    "gaussian": lambda f, v: f.exp(-v * v),
    "relu6": lambda f, v: f.clip(v, 0, 6),
    "softplus": lambda f, v: f.log1p(f.exp(-f.abs(v))),
    "softsign": lambda f, v: v / (f.abs(v) + 1),
    "root": lambda f, v: f.sqrt(v * v + 1),
    "affine": lambda f, v: v * 0.5 + 1,
}
"""On one value; what each gives stays small enough for the next."""
BINARY = {
    "add": lambda f, v, w: v + w,
    "subtract": lambda f, v, w: v - w,
    "multiply": lambda f, v, w: v * w,
    "maximum": lambda f, v, w: f.maximum(v, w),
    "minimum": lambda f, v, w: f.minimum(v, w),
}
"""On a value and one of the operands."""


def evaluate(chain, operands, functions):
    """The last value of a chain that begins at x.

    A chain lists (name, operand), with None for the operand of a function of one value; functions
    is the framework's module, or anything with its names.
    """
    value = operands["x"]
    for name, operand in chain:
        if operand is None:
            value = UNARY[name](functions, value)
        else:
            value = BINARY[name](functions, value, operands[operand])
    return value
