"""The text that a graph becomes on a kind of device, for who wants to read it."""

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.runtime.accelerator.pipeline import translate
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.cuda.dialect import CUDA, HOPPER
from graphc.runtime.device import find_device
from graphc.runtime.loaded import Options
from graphc.runtime.opencl.dialect import OPENCL

DIALECTS: dict[str, Dialect] = {"opencl": OPENCL, "cuda": CUDA, "cuda:sm_90a": HOPPER}
"""The C that kernels are written in, by the kind of device or GPU; none need be there."""


def code_for(graph: Graph, device: str) -> str:
    """The text that a graph becomes on a kind of device; C is written without one."""
    if device in DIALECTS:
        return translate(graph, DIALECTS[device]).module.text
    return find_device(device).load(graph, Options()).code("llvm")
