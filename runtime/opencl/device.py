"""The device "opencl": which of the machine's OpenCL devices it is, and what `load` does there.

`gx.compile(..., device="opencl:NAME")` or the environment variable GRAPHC_OPENCL choose by a part
of the platform's or of the device's name. Without a name there must be one device alone: the first
of several would be chance.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import Any

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.runtime.accelerator.residence import Residence
from graphc.runtime.accelerator.step import AcceleratorStep, load_on
from graphc.runtime.loaded import Options
from graphc.runtime.opencl.machine import OpenClMachine, import_pyopencl

VARIABLE = "GRAPHC_OPENCL"
OPENING = threading.Lock()


def load(graph: Graph, options: Options, name: str = "") -> AcceleratorStep:
    """A graph compiled for the OpenCL device of a name, by default that of GRAPHC_OPENCL.

    Convolutions are computed directly, whatever the options.
    """
    return load_on(graph, residence(name or os.environ.get(VARIABLE, "")), options)


def residence(name: str) -> Residence:
    """The machine of a name, opened on first use, with the variables that live there."""
    device = choose(name)
    with OPENING:
        return opened(device)


@cache
def opened(device: Any) -> Residence:
    """The one machine that a device is, whatever names it is chosen by."""
    return Residence(OpenClMachine(device))


def choose(name: str) -> Any:
    """The one device whose name or platform's name has a part; GraphError with all there are."""
    found = [(platform, device) for platform in platforms() for device in platform.get_devices()]
    fitting = [(p, d) for p, d in found if name.lower() in f"{p.name} {d.name}".lower()]
    if len(fitting) == 1:
        return fitting[0][1]
    listed = "".join(f"\n  {p.name}: {d.name}" for p, d in found) or " none"
    wanted = f"has {name!r} in its name" if name else "can be chosen without a name"
    count = "no" if not fitting else "more than one"
    raise GraphError(
        f"{count} OpenCL device {wanted}: say device='opencl:NAME' or {VARIABLE}=NAME "
        f"with a part of one platform's or device's name. There are:{listed}"
    )


def platforms() -> list[Any]:
    """The platforms that the OpenCL loader finds; none where there is no driver."""
    cl = import_pyopencl()
    try:
        found: list[Any] = cl.get_platforms()
    except cl.LogicError:
        return []
    return found
