"""Kernels to run under Oclgrind, as a program: `python under_oclgrind.py NAME...`.

A name is an operator's or a network's. Values are checked as well.
"""

import sys
from collections.abc import Iterable, Mapping

from corpus import NETWORKS
from samples import SAMPLES, accepted
from test_every_op import BINDINGS, Step

from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.passes.memory_plan import MemoryPlan
from graphc.runtime import device
from graphc.runtime.accelerator.machine import Place
from graphc.runtime.accelerator.pipeline import Translated, translate
from graphc.runtime.accelerator.residence import Residence
from graphc.runtime.accelerator.step import AcceleratorStep
from graphc.runtime.c_source.emit import emit
from graphc.runtime.compiler import compile_graph
from graphc.runtime.device import Device
from graphc.runtime.loaded import Options
from graphc.runtime.opencl.device import residence


class ApartStep(AcceleratorStep):
    """A step whose allocations are apart, so that an access beyond one of them shows.

    So are its kernels: Oclgrind takes a block to need the local memory of all kernels of a program.
    """

    def __init__(
        self, graph: Graph, translated: Translated, home: Residence, options: Options
    ) -> None:
        super().__init__(graph, translated, home, options)
        for kernel in self.program.kernels:
            module = emit([kernel], self.machine.dialect)
            self.kernels[kernel.name] = (*module.entries, *self.machine.build(module))

    def arena(
        self, plan: MemoryPlan, names: Iterable[str], sizes: Mapping[str, int]
    ) -> dict[str, Place]:
        """A block of memory for each."""
        count = {n: dim.evaluate(self.program.allocation(n).bytes, sizes) for n in names}
        return {name: Place(self.machine.allocate(size), 0) for name, size in count.items()}


def load(graph: Graph, options: Options) -> ApartStep:
    """A graph for Oclgrind."""
    home = residence("oclgrind")
    return ApartStep(graph, translate(graph, home.machine.dialect), home, options)


def run(name: str) -> None:
    """Run the kernels of a name."""
    if name in NETWORKS:
        case = NETWORKS[name]()
        compile_graph(case.graph, "oclgrind")(*case.arguments)
    else:
        for dtype in dict.fromkeys((accepted(name)[0], accepted(name)[-1])):
            Step(name, dtype, SAMPLES[name].samples, "oclgrind").run_random(BINDINGS[0])


if __name__ == "__main__":
    device.DEVICES["oclgrind"] = Device("oclgrind", load)
    for each in sys.argv[1:]:
        run(each)
