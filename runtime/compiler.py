"""compile: from the user's nodes to a step that runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from graphc.errors import GraphError, shown
from graphc.garbage import collector_paused
from graphc.ir.graph import Graph
from graphc.ir.node import Node, made_at
from graphc.ir.state import Variable
from graphc.lang.operands import as_node
from graphc.runtime.arguments import listed
from graphc.runtime.device import find_device
from graphc.runtime.executable import Executable
from graphc.runtime.loaded import Options
from graphc.runtime.sizes import check_decided
from graphc.structure import Rebuild, flatten

USUAL = Options()


def compile(
    inputs: Node | Sequence[Node],
    outputs: Any,
    updates: Mapping[Node, Any] | None = None,
    device: str = "cpu",
    winograd: bool = False,
    tune: float | None = None,
    results: str = "host",
    tf32: bool = False,
) -> Executable:
    """Compile a step: from inputs to outputs and to new values of variables.

    inputs are `gx.input` nodes, in the order of the arguments. outputs is a node or a nested
    list, tuple or dict of them; the result of a call has the same structure. updates gives the
    next value of variables, all computed from the values before the call; outputs too see the
    values before. Symbolic sizes take any value at each call. device is "cpu", "reference",
    "opencl" or "cuda"; of several such devices "opencl:NAME" chooses one.

    winograd lets the device cpu compute 2-D convolutions of 3 x 3 taps and their gradients by
    Winograd's algorithm, with a quarter of the multiplications, where that is faster. Rounding
    errors are then about twice as large, and a NaN or an infinity spreads to the results around
    it (docs/accuracy.md).

    tune lets the devices cpu, opencl and cuda search for faster schedules of the kernels, for about
    so many seconds. They time them in place and remember the fastest, by kernel and device, on cpu
    by number of threads too; with 0 seconds, what earlier searches have found is used.
    Results have the same bits in any case. Kernels of symbolic sizes keep their usual schedule
    (docs/tuning.md).

    results says where they are: on the "host", as NumPy's arrays, or on the "device" in whose
    memory they were computed, as arrays that other libraries take by DLPack without a copy
    (docs/gpu.md). The devices cpu and reference work in the host's memory.

    tf32 lets the device cuda multiply large matrices of float32 on tensor cores, where a GPU has
    them, which round the factors to 11 bits: a result is off by up to 2**-10 of the sum of
    its terms' magnitudes, instead of about 2**-24 for each term (docs/gpu.md).

    Raises GraphError for an input that is missing, listed twice or not an input, an output that
    is not a node, an update of something else than a variable or of another type, a tune that is
    not a number of seconds, and another place for results.
    """
    nodes, structure = check_outputs(outputs)
    graph = Graph(check_inputs(inputs), nodes, check_updates(updates or {}))
    check_listed(graph)
    check_decided(graph)
    options = Options(winograd, check_tune(tune), check_results(results), tf32)
    return compile_graph(graph, device, structure, options)


def compile_graph(
    graph: Graph, device: str = "cpu", structure: Rebuild = list, options: Options = USUAL
) -> Executable:
    """Compile a graph as it stands; a call gives the list of its outputs."""
    with collector_paused():
        return Executable(graph, find_device(device).load(graph, options), structure, device)


def check_tune(tune: object) -> float | None:
    """The seconds of a search, or None; GraphError for anything else."""
    if tune is None:
        return None
    if isinstance(tune, bool) or not isinstance(tune, Real) or not float(tune) >= 0:
        raise GraphError(
            f"tune is the number of seconds to search for faster schedules, at least 0: {tune!r}"
        )
    return float(tune)


def check_results(results: object) -> str:
    """Where results are to be; GraphError for no such place."""
    if results not in ("host", "device"):
        raise GraphError(f"results are on the 'host' or on the 'device', not {results!r}")
    return str(results)


def check_inputs(inputs: Node | Sequence[Node]) -> tuple[Node, ...]:
    """The inputs as a tuple of input nodes, each listed once and under its own name."""
    if not isinstance(inputs, Node | Iterable):
        raise GraphError(f"inputs must be a list of nodes, this is {shown(inputs)}")
    nodes = (inputs,) if isinstance(inputs, Node) else tuple(inputs)
    names: dict[str, Node] = {}
    for node in nodes:
        if not isinstance(node, Node) or node.op.name != "input":
            raise GraphError(f"inputs must be made by gx.input, this is {named(node)}")
        check_name(node, names)
    return nodes


def check_name(node: Node, names: dict[str, Node]) -> None:
    """Remember an input by its name; GraphError where the name is taken."""
    name = node.attrs["name"]
    first = names.get(name)
    if first is node:
        raise GraphError(f"input {name!r} is listed twice{made_at(node)}")
    if first is not None:
        raise GraphError(
            f"two inputs are named {name!r}: give each a name of its own"
            f"{made_at(first)}{made_at(node)}"
        )
    names[name] = node


def check_outputs(outputs: Any) -> tuple[tuple[Node, ...], Rebuild]:
    """The outputs as nodes, and the function that gives results their structure."""
    leaves, structure = flatten(outputs)
    for leaf in leaves:
        if not isinstance(leaf, Node):
            raise GraphError(f"an output must be a node, this is {shown(leaf)}")
    return tuple(leaves), structure


def check_updates(updates: Mapping[Node, Any]) -> tuple[tuple[Node, Node], ...]:
    """The pairs of variable and next value, of equal types."""
    if not isinstance(updates, Mapping):
        raise GraphError(
            f"updates must be a dict from variables to their next values, this is {shown(updates)}"
        )
    return tuple((target, check_update(target, value)) for target, value in updates.items())


def check_update(target: Node, value: Any) -> Node:
    """The next value of a variable as a node of the variable's type."""
    if not isinstance(target, Variable):
        raise GraphError(
            f"only variables made by gx.variable have updates, this is {named(target)}"
        )
    node = as_node(value, target.dtype)
    if node.type != target.type:
        advice = (
            f"convert it with .astype({target.dtype.name!r})"
            if node.shape == target.shape
            else "the shapes must be equal"
        )
        raise GraphError(
            f"variable {target.attrs['name']!r} is {target.type}, its next value is {node.type}: "
            f"{advice}{made_at(node)}"
        )
    return node


def check_listed(graph: Graph) -> None:
    """GraphError for an input that is used and not listed."""
    listed_inputs = set(graph.inputs)
    names = [node.attrs["name"] for node in graph.inputs]
    for node in graph.walk():
        if node.op.name == "input" and node not in listed_inputs:
            raise GraphError(
                f"input {node.attrs['name']!r} is used but not listed: "
                f"the inputs are {listed(names)}{made_at(node)}"
            )


def named(value: Any) -> str:
    """A value in a few words, and where it was made if it is a node."""
    return shown(value) + (made_at(value) if isinstance(value, Node) else "")
