"""The table of devices, and what each of them answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.runtime.accelerator.pipeline import translate
from graphc.runtime.cpu.device import load as load_cpu
from graphc.runtime.cuda.dialect import CUDA
from graphc.runtime.loaded import Loaded
from graphc.runtime.opencl.device import load as load_opencl
from graphc.runtime.opencl.dialect import OPENCL
from graphc.runtime.reference.device import load as load_reference

Load: TypeAlias = Callable[[Graph, bool], Loaded]


@dataclass(frozen=True, slots=True)
class Device:
    """A machine that runs graphs: its name and how it makes a graph ready to run.

    `load` takes the graph and whether convolutions may be done by Winograd's algorithm. `choose`
    gives the load for one of several such machines, by its name.
    """

    name: str
    load: Load
    choose: Callable[[str], Load] | None = None


DEVICES: dict[str, Device] = {
    "cpu": Device("cpu", load_cpu),
    "reference": Device("reference", load_reference),
    "opencl": Device("opencl", load_opencl, lambda name: partial(load_opencl, name=name)),
}

CODE: dict[str, Callable[[Graph], str]] = {
    "cpu": lambda graph: load_cpu(graph).code("llvm"),
    "reference": lambda graph: load_reference(graph).code("source"),
    "opencl": lambda graph: translate(graph, OPENCL).text,
    "cuda": lambda graph: translate(graph, CUDA).text,
}
"""The text that a graph becomes for each kind of machine, whether there is one or not."""


def find_device(name: str) -> Device:
    """The device of that name, or KIND:NAME; GraphError with the names there are."""
    kind, _, choice = name.partition(":")
    if kind not in DEVICES:
        raise GraphError(f"there is no device {kind!r}: the devices are {', '.join(DEVICES)}")
    device = DEVICES[kind]
    if not choice:
        return device
    if device.choose is None:
        raise GraphError(f"there is one device {kind!r} alone: {choice!r} is nothing to choose")
    return replace(device, load=device.choose(choice))
