"""The table of devices, and what each of them answers.

The modules of a device other than the cpu are loaded with the first graph for it: they are many,
and most programs need none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.runtime.cpu.device import load as load_cpu
from graphc.runtime.loaded import Loaded, Options

Load: TypeAlias = Callable[[Graph, Options], Loaded]


@dataclass(frozen=True, slots=True)
class Device:
    """A machine that runs graphs: its name and how it makes a graph ready to run.

    `load` takes the graph and the options of `gx.compile` that tell how. `choose` gives the load
    for one of several such machines, by its name.
    """

    name: str
    load: Load
    choose: Callable[[str], Load] | None = None


def load_reference(graph: Graph, options: Options) -> Loaded:
    """A graph made ready for NumPy."""
    device = importlib.import_module("graphc.runtime.reference.device")
    loaded: Loaded = device.load(graph, options)
    return loaded


def load_opencl(graph: Graph, options: Options, name: str = "") -> Loaded:
    """A graph compiled for an OpenCL device."""
    loaded: Loaded = importlib.import_module("graphc.runtime.opencl.device").load(
        graph, options, name
    )
    return loaded


def load_cuda(graph: Graph, options: Options, name: str = "0") -> Loaded:
    """A graph compiled for a GPU."""
    loaded: Loaded = importlib.import_module("graphc.runtime.cuda.device").load(
        graph, options, name
    )
    return loaded


DEVICES: dict[str, Device] = {
    "cpu": Device("cpu", load_cpu),
    "reference": Device("reference", load_reference),
    "opencl": Device("opencl", load_opencl, lambda name: partial(load_opencl, name=name)),
    "cuda": Device("cuda", load_cuda, lambda name: partial(load_cuda, name=name)),
}


def find_device(name: str) -> Device:
    """The device of that name, or KIND:NAME; GraphError with the names there are."""
    if not isinstance(name, str):
        raise GraphError(f"a device is given by its name, such as 'cpu', not by {name!r}")
    kind, _, choice = name.partition(":")
    if kind not in DEVICES:
        raise GraphError(f"there is no device {kind!r}: the devices are {', '.join(DEVICES)}")
    device = DEVICES[kind]
    if not choice:
        return device
    if device.choose is None:
        raise GraphError(f"there is one device {kind!r} alone: {choice!r} is nothing to choose")
    return replace(device, load=device.choose(choice))
