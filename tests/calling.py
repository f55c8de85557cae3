"""Steps that tests call, and arrays to call them with."""

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx

Array = np.ndarray[Any, Any]


def ramp(*shape: int, dtype: str = "float32") -> Array:
    """0, 1, 2, ... in a shape."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def affine() -> gx.Executable:
    """2 x + y for x of symbolic rows, y of 3 columns."""
    x, y = gx.input("x", ("n", 3), "float32"), gx.input("y", (3,), "float32")
    return gx.compile([x, y], 2 * x + y)


def long_step(rounds: int = 2_000) -> tuple[gx.Executable, gx.Variable]:
    """A step that takes some hundredths of a second and adds its argument to each of a variable."""
    x = gx.input("x", (), "float64")
    w = gx.variable(np.zeros(1024), name="w")
    slow = gx.scan(lambda c, _: (gx.sin(c), c), gx.full((1024,), 1.0, "float64"), length=rounds)[0]
    return gx.compile([x], gx.sum(slow), updates={w: w + x + 0 * slow}), w


def with_any_threads(step: Callable[..., Any], *arguments: Any) -> Any:
    """What a step gives, after making sure that its bits do not depend on the threads."""
    before, results = gx.get_num_threads(), []
    try:
        for count in (1, 2, 3, 8):
            gx.set_num_threads(count)
            results.append(step(*arguments))
    finally:
        gx.set_num_threads(before)
    for result in results[1:]:
        assert bits(result) == bits(results[0])
    return results[0]


def bits(result: Any) -> list[bytes]:
    """The bytes of one array or of several."""
    arrays = result if isinstance(result, list | tuple) else [result]
    return [array.tobytes() for array in arrays]
