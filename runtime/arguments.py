"""The arguments of a call: matched to inputs, and as arrays of their dtypes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphError, cause, shown
from graphc.ir.node import Node, made_at
from graphc.ir.types import how_to_convert
from graphc.runtime.loaded import Array


def match_arguments(
    inputs: Sequence[Node], given: Sequence[Any], named: Mapping[str, Any]
) -> list[Any]:
    """One value for each input, by position or by name; GraphError for missing or extra ones."""
    if not named and len(given) == len(inputs):
        return list(given)
    names = [node.attrs["name"] for node in inputs]
    if len(given) > len(names):
        raise GraphError(
            f"{len(given)} arguments were given, the step takes {len(names)}: {listed(names)}"
        )
    values = dict(zip(names, given, strict=False))
    for name, value in named.items():
        if name not in names:
            raise GraphError(f"there is no input {name!r}: the inputs are {listed(names)}")
        if name in values:
            raise GraphError(f"input {name!r} was given twice, by position and by name")
        values[name] = value
    missing = [name for name in names if name not in values]
    if missing:
        raise GraphError(
            f"no argument was given for {listed(missing)}: the inputs are {listed(names)}"
        )
    return [values[name] for name in names]


def listed(names: Sequence[str]) -> str:
    """Names for a message."""
    return ", ".join(map(repr, names)) or "none"


def to_array(node: Node, value: Any) -> Array:
    """An argument as a contiguous array of its input's dtype; no copy where it is one already.

    Python numbers and lists are converted; an array must convert without loss.
    """
    wanted = node.tensor.dtype.numpy
    array = value if type(value) is np.ndarray else from_python(node, value)
    if array.dtype != wanted:
        if not np.can_cast(array.dtype, wanted, casting="safe"):
            name = node.attrs["name"]
            raise GraphError(
                f"argument {name!r} has dtype {array.dtype}, expected {node.tensor.dtype.name}: "
                f"{how_to_convert(array.dtype, node.dtype)}{made(node)}"
            )
        array = array.astype(wanted)
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.array(array, order="C")


def from_python(node: Node, value: Any) -> Array:
    """A number, list or other array-like as an array; GraphError where it does not hold numbers."""
    name = node.attrs["name"]
    if isinstance(value, Node):
        raise GraphError(f"argument {name!r} is a node, {value}: a step is called with arrays")
    if isinstance(value, np.ma.MaskedArray):
        raise GraphError(f"argument {name!r} is a masked array: fill it with .filled(value) first")
    try:
        array = np.asarray(value)
        if array.dtype.kind in "OSU":
            raise TypeError(f"{shown(value)} does not hold numbers")
        kinds = "cfiub" if node.dtype.is_complex else "fiub"
        if array.dtype.kind in kinds and not hasattr(value, "dtype"):
            weak = np.array(value, node.tensor.dtype.numpy)
            # a float for an integer input would be cut off: leave it to be refused
            return array if array.dtype.kind == "f" and weak.dtype.kind in "iub" else weak
    except (ValueError, TypeError, OverflowError) as error:
        raise GraphError(
            f"argument {name!r} cannot become an array of {node.dtype.name}: {cause(error)}"
            f"{made(node)}"
        ) from None
    return array


def made(node: Node) -> str:
    """What an input was declared as, for a message."""
    return f"\n  input {node.type}{made_at(node, ', ')}"
