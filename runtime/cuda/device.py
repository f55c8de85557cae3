"""The device "cuda": which of the machine's GPUs it is, and what `load` does there.

`gx.compile(..., device="cuda:1")` chooses by the driver's number, "cuda:NAME" by a part of the
name. "cuda" is the first GPU that CUDA_VISIBLE_DEVICES lets the driver see.
"""

from __future__ import annotations

import threading
from functools import cache

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.runtime.accelerator.residence import Residence
from graphc.runtime.accelerator.step import AcceleratorStep, load_on
from graphc.runtime.cuda.driver import Driver, list_devices
from graphc.runtime.cuda.machine import CudaMachine
from graphc.runtime.loaded import Options

OPENING = threading.Lock()


def load(graph: Graph, options: Options, name: str = "0") -> AcceleratorStep:
    """A graph compiled for a GPU.

    Convolutions are computed directly, whatever the options.
    """
    return load_on(graph, residence(name), options)


def residence(name: str) -> Residence:
    """The GPU of a number or name, opened on first use, with the variables that live there."""
    number, full = choose(name)
    with OPENING:
        return opened(number, full)


@cache
def opened(number: int, name: str) -> Residence:
    """The one machine that a GPU is, whatever it is chosen by."""
    return Residence(CudaMachine(Driver(number, name)))


def choose(name: str) -> tuple[int, str]:
    """The GPU of a number, or with a part of its name; GraphError with all there are."""
    found = list(enumerate(list_devices()))
    for number, full in found:
        if name == str(number) or (not name.isdecimal() and name.lower() in full.lower()):
            return number, full
    listed = "".join(f"\n  {number}: {full}" for number, full in found) or " none"
    raise GraphError(f"there is no GPU {name!r}. There are:{listed}")
