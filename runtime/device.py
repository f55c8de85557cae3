"""The table of devices, and what each of them answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.runtime.accelerator.pipeline import translate
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.cpu.device import load as load_cpu
from graphc.runtime.cuda.device import load as load_cuda
from graphc.runtime.cuda.dialect import CUDA
from graphc.runtime.loaded import Loaded, Options
from graphc.runtime.opencl.device import load as load_opencl
from graphc.runtime.opencl.dialect import OPENCL
from graphc.runtime.reference.device import load as load_reference

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


DEVICES: dict[str, Device] = {
    "cpu": Device("cpu", load_cpu),
    "reference": Device("reference", load_reference),
    "opencl": Device("opencl", load_opencl, lambda name: partial(load_opencl, name=name)),
    "cuda": Device("cuda", load_cuda, lambda name: partial(load_cuda, name=name)),
}

DIALECTS: dict[str, Dialect] = {"opencl": OPENCL, "cuda": CUDA}
"""The C that kernels are written in, by the kind of device; none of them need be there."""


def code_for(graph: Graph, device: str) -> str:
    """The text that a graph becomes on a kind of device; C is written without one."""
    if device in DIALECTS:
        return translate(graph, DIALECTS[device]).module.text
    return find_device(device).load(graph, Options()).code("llvm")


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
