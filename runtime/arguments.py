"""The arguments of a call: matched to inputs, checked, and the symbolic sizes they decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphError, TypeRuleError, cause, shown
from graphc.ir import dim
from graphc.ir.dim import Dim, Size
from graphc.ir.graph import Graph
from graphc.ir.node import Node, made_at
from graphc.ir.types import TensorType, how_to_convert, show_shape
from graphc.runtime.loaded import Array


def match_arguments(
    inputs: Sequence[Node], given: Sequence[Any], named: Mapping[str, Any]
) -> list[Any]:
    """One value for each input, by position or by name; GraphError for missing or extra ones."""
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


def bind_sizes(inputs: Sequence[Node], arrays: Sequence[Array]) -> dict[str, int]:
    """The values of the symbolic sizes, by name in order.

    GraphError where shapes do not fit the declared ones.
    """
    sizes: dict[str, int] = {}
    source: dict[str, str] = {}
    for node, array in zip(inputs, arrays, strict=True):
        if array.ndim != node.tensor.rank:
            raise misfit(node, array, "")
        for size, actual in zip(node.shape, array.shape, strict=True):
            name = symbol_name(size)
            if name is not None and sizes.setdefault(name, actual) != actual:
                reason = f": size {name!r} is {actual} here and {sizes[name]} in {source[name]!r}"
                raise misfit(node, array, reason)
            if name is not None:
                source.setdefault(name, node.attrs["name"])
    check_shapes(inputs, arrays, sizes)
    return dict(sorted(sizes.items()))


def check_shapes(inputs: Sequence[Node], arrays: Sequence[Array], sizes: Mapping[str, int]) -> None:
    """Compare every size with what the bound symbols make of it."""
    for node, array in zip(inputs, arrays, strict=True):
        for axis, (size, actual) in enumerate(zip(node.shape, array.shape, strict=True)):
            expected = dim.evaluate(size, sizes)
            if expected != actual:
                known = f" ({size} is {expected})" if isinstance(size, Dim) else ""
                raise misfit(node, array, f": axis {axis} should be {expected}{known}")


def check_bound_types(graph: Graph, sizes: Mapping[str, int]) -> None:
    """GraphError where an operator refuses these values of the symbolic sizes.

    Such as an index that lies outside of its axis, or a window larger than what it slides over.
    """
    for node in walk_inside(graph):
        if not node.op.depends_on_sizes:
            continue
        types = (TensorType(o.dtype, shape_for(o.tensor, sizes)) for o in node.inputs)
        attrs = {name: bound(attr, sizes) for name, attr in node.attrs.items()}
        try:
            node.op.infer(*types, **attrs)
        except TypeRuleError as error:
            known = ", ".join(f"{name} = {size}" for name, size in sizes.items())
            raise GraphError(f"{node.op.name}: {error} (with {known}){made_at(node)}") from None


def bound(attr: Any, sizes: Mapping[str, int]) -> Any:
    """An attribute with numbers for the symbolic sizes in it."""
    if isinstance(attr, Dim):
        return dim.evaluate(attr, sizes)
    return tuple(bound(item, sizes) for item in attr) if isinstance(attr, tuple) else attr


def walk_inside(graph: Graph) -> list[Node]:
    """Every node of a graph, and of the graphs inside of it."""
    found: list[Node] = []
    graphs = [graph]
    while graphs:
        nodes = graphs.pop().walk()
        found += nodes
        graphs += (v for node in nodes for v in node.attrs.values() if isinstance(v, Graph))
    return found


def misfit(node: Node, array: Array, reason: str) -> GraphError:
    """The error for an argument of another shape."""
    expected = show_shape(node.tensor.shape)
    name = node.attrs["name"]
    message = f"argument {name!r} has shape {array.shape}, expected {expected}{reason}"
    return GraphError(message + made(node))


def symbol_name(size: Size) -> str | None:
    """The name of a size that is one symbol and nothing else."""
    if isinstance(size, Dim) and len(size.terms) == 1:
        (monomial, factor) = size.terms[0]
        if factor == 1 and len(monomial) == 1 and isinstance(monomial[0], dim.Symbol):
            return monomial[0].name
    return None


def bindable(inputs: Sequence[Node]) -> set[str]:
    """The symbolic sizes that arguments decide: those that are an input's size by themselves."""
    return {
        name
        for node in inputs
        for name in map(symbol_name, node.shape)
        if name is not None
    }  # fmt: skip


def shape_for(tensor: TensorType, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A shape with its symbolic sizes filled in."""
    return tuple(dim.evaluate(size, sizes) for size in tensor.shape)
