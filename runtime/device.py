"""The table of devices, and what each of them answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.runtime.cpu.device import load as load_cpu
from graphc.runtime.loaded import Loaded, Options
from graphc.runtime.reference.device import load as load_reference


@dataclass(frozen=True, slots=True)
class Device:
    """A machine that runs graphs: its name and how it makes a graph ready to run.

    `load` takes the graph and the options of `gx.compile` that tell how.
    """

    name: str
    load: Callable[[Graph, Options], Loaded]


DEVICES: dict[str, Device] = {
    "cpu": Device("cpu", load_cpu),
    "reference": Device("reference", load_reference),
}


def find_device(name: str) -> Device:
    """The device of that name; GraphError with the names there are."""
    if name not in DEVICES:
        raise GraphError(f"there is no device {name!r}: the devices are {', '.join(DEVICES)}")
    return DEVICES[name]
