"""Graphs evaluated in float64 whatever their dtypes, with noise on demand; where they are smooth.

The noise shows how far the roundings of a narrower dtype can carry a result: each operation is
wrong by a few units in the last place of its own dtype, at random.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.ir.graph import walk
from graphc.ir.node import Node
from graphc.ir.types import DType
from graphc.runtime.sizes import bound

Array = np.ndarray[Any, Any]
Sizes = Mapping[str, int]

UNIT = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
"""Half the distance from 1 to the next number."""
MOVES = {
    "reshape", "permute_dims", "broadcast", "flip", "slice", "pad", "concat", "gather",
    "dynamic_slice", "dynamic_update_slice", "input", "variable", "constant", "iota", "where",
    "stop_gradient", "max", "min", "maximum", "minimum", "negative", "abs", "relu", "size", "sort",
    "cumulative_max", "window_max", "permute_along_axis",
}  # fmt: skip
"""Operators that round nothing."""
AMPLITUDE = 4.0
RUNS = 3


def exact(values: dict[Node, Array], roots: Iterable[Node], sizes: Sizes) -> None:
    """Add the values of all nodes below some roots to those that are known."""
    with np.errstate(all="ignore"):
        for node in walk(roots):
            if node not in values:
                values[node] = value(node, [values[operand] for operand in node.inputs], sizes)


def value(node: Node, operands: Sequence[Array], sizes: Sizes) -> Array:
    """What an operator makes of operands; floats stay float64."""
    if node.op.name == "cast" and node.dtype.is_float:
        return operands[0].astype(np.float64)
    attrs = {name: bound(attr, sizes) for name, attr in node.attrs.items()}
    array = np.asarray(node.op.reference(*operands, **attrs))
    return array.astype(np.float64 if node.dtype.is_float else node.dtype.numpy, copy=False)


def noisy(
    given: Mapping[Node, Array], roots: Sequence[Node], sizes: Sizes, random: np.random.Generator
) -> list[Array]:
    """The roots with the operands and results of each operation wrong by a few roundings."""
    values = dict(given)
    with np.errstate(all="ignore"):
        for node in walk(roots):
            if node in values:
                continue
            operands = [values[operand] for operand in node.inputs]
            if node.op.name in MOVES or not node.dtype.is_float:
                values[node] = value(node, operands, sizes)
            else:
                shaken = [shake(array, node.dtype, random) for array in operands]
                values[node] = shake(value(node, shaken, sizes), node.dtype, random)
    return [values[root] for root in roots]


def shake(array: Array, dtype: DType, random: np.random.Generator) -> Array:
    """Floats moved by a few roundings of a dtype."""
    if array.dtype.kind != "f":
        return array
    size = random.uniform(0.5, 1, array.shape) * random.choice([-1.0, 1.0], array.shape)
    return np.asarray(array * (1 + AMPLITUDE * UNIT[dtype.name] * size))


def compare(
    got: Sequence[Array],
    given: Mapping[Node, Array],
    roots: Sequence[Node],
    sizes: Sizes,
    random: np.random.Generator,
) -> str | None:
    """What is wrong with computed roots; None if they are as near as roundings allow."""
    values = dict(given)
    exact(values, roots, sizes)
    runs = [noisy(given, roots, sizes, random) for _ in range(RUNS)]
    for place, (root, array) in enumerate(zip(roots, got, strict=True)):
        want, shaken = values[root], [run[place] for run in runs]
        if array.shape != want.shape or array.dtype != root.dtype.numpy:
            return f"result {place} is {array.dtype}{array.shape}, not {root.type}"
        bad = np.argwhere(~agrees(array, want, shaken, root.dtype))
        if len(bad):
            at = tuple(map(int, bad[0]))
            return f"result {place}, {root!r}, at {at}: {array[at]!r}, not {want[at]!r}"
    return None


def agrees(got: Array, want: Array, shaken: Sequence[Array], dtype: DType) -> Array:
    """Which elements are as near to the exact ones as the shaken ones are, four times over."""
    if not dtype.is_float:
        return np.asarray((got == want) | (np.stack(shaken) != want).any(axis=0))
    unit = UNIT[dtype.name]
    with np.errstate(all="ignore"):
        found = got.astype(np.float64)
        spread = np.max([np.abs(run - want) for run in shaken], axis=0)
        allowed = 4 * spread + 8 * unit * np.abs(want) + float(np.finfo(np.float32).tiny)
        same = (found == want) | (np.isnan(found) & np.isnan(want))
        undecided = np.isfinite(want) & ~np.isfinite(spread)
        return np.asarray(same | undecided | (np.abs(found - want) <= allowed))


# --- where a graph is smooth ---------------------------------------------------------------------


def apart(x: Array, y: Array) -> Array:
    """How far two operands are from a tie."""
    return np.abs(x.astype(float) - y.astype(float))


def from_integers(x: Array, *_: Array) -> Array:
    """How far from a jump of floor and its like."""
    return np.abs(x - np.rint(x))


def from_halves(x: Array) -> Array:
    """How far from a jump of round."""
    return np.abs(x - np.floor(x) - 0.5)


def from_zero(x: Array, *_: Array) -> Array:
    """How far from a kink at zero."""
    return np.abs(x)


def from_steps(x: Array, y: Array) -> Array:
    """How far a quotient is from a whole number."""
    return from_integers(x / y)


DISTANCES: dict[str, Callable[..., Array]] = {
    **dict.fromkeys(("abs", "sign", "relu", "copysign"), from_zero),
    **dict.fromkeys(("floor", "ceil", "trunc"), from_integers),
    **dict.fromkeys(("maximum", "minimum", "equal", "not_equal"), apart),
    **dict.fromkeys(("less", "less_equal", "greater", "greater_equal"), apart),
    **dict.fromkeys(("remainder", "floor_divide"), from_steps),
    "round": from_halves,
    "sqrt": lambda x: x,
    "rsqrt": lambda x: x,
    "log": lambda x: x,
    "log1p": lambda x: 1 + x,
    "divide": lambda x, y: np.abs(y),
    "power": lambda x, y: x,
    "hypot": np.hypot,
    "atan2": lambda y, x: np.where(x > 0, np.hypot(x, y), np.abs(y)),
    "asin": lambda x: 1 - np.abs(x),
    "acos": lambda x: 1 - np.abs(x),
    "atanh": lambda x: 1 - np.abs(x),
    "acosh": lambda x: x - 1,
}
"""For operators with kinks, jumps and poles: how far from them each element is."""


def distance(node: Node, operands: Sequence[Array]) -> float:
    """How far an operation is from the nearest place where it is not smooth."""
    name = node.op.name
    if not operands or operands[0].dtype.kind != "f" or not operands[0].size:
        return np.inf
    if name in ("max", "min", "argmax", "argmin"):
        axes = node.attrs["axes"] if "axes" in node.attrs else (node.attrs["axis"],)
        return gap(operands[0] if name.endswith("max") else -operands[0], axes)
    if name == "cast" and not node.dtype.is_float:
        return float(np.min(from_integers(operands[0])))
    if name in ("sort", "argsort", "cumulative_max", "window_max"):
        return closest(operands[0], node.attrs.get("axis", -1))
    measure = DISTANCES.get(name)
    return np.inf if measure is None else float(np.min(measure(*operands), initial=np.inf))


def gap(x: Array, axes: Sequence[int]) -> float:
    """The least difference between the largest element along some axes and the next."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    rows = np.transpose(x, (*kept, *axes)).reshape(*(x.shape[a] for a in kept), -1)
    if rows.shape[-1] < 2:
        return np.inf
    top = np.sort(rows, axis=-1)[..., -2:]
    return float(np.min(top[..., 1] - top[..., 0]))


def closest(x: Array, axis: int) -> float:
    """The least difference between two elements along an axis."""
    return float(np.min(np.diff(np.sort(x, axis=axis), axis=axis), initial=np.inf))


def smooth_within(values: Mapping[Node, Array], new: Iterable[Node]) -> float:
    """How far new nodes are from any kink; what no gradient passes through may be anywhere."""
    nodes = list(new)
    stopped = set(walk(n.inputs[0] for n in nodes if n.op.name == "stop_gradient"))
    measured = [n for n in nodes if n not in stopped]
    found = (distance(n, [values[operand] for operand in n.inputs]) for n in measured)
    return min(found, default=np.inf)
