"""Random numbers for tests to judge, and how they are judged."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx

Array = np.ndarray[Any, Any]

COUNT = 200_000
"""How many numbers a distribution is judged by."""
SMALLEST_P = 1e-4
"""Below it a test fails: seeds are fixed, so it either always does or never."""


def run(outputs: Any, device: str = "cpu") -> Any:
    """The values of nodes without inputs."""
    return gx.compile([], outputs, device=device)()


def drawn(
    function: Callable[..., gx.Node], *arguments: Any, seed: int = 1, **options: Any
) -> Array:
    """Numbers of a seed, which is an input, so that nothing is known when compiling."""
    key = gx.input("key", (2,), "uint32")
    step = gx.compile([key], function(key, *arguments, **options))
    return np.asarray(step(np.array([0, seed], np.uint32)))


def chi_square(counts: Array, expected: Array) -> float:
    """The probability of a deviation at least as large, by Wilson and Hilferty's formula."""
    degrees = counts.size - 1
    value = float(((counts - expected) ** 2 / expected).sum())
    z = ((value / degrees) ** (1 / 3) - (1 - 2 / (9 * degrees))) / math.sqrt(2 / (9 * degrees))
    return math.erfc(z / math.sqrt(2)) / 2
