"""Records: the launches of a step as a CUDA graph, whose memory may change from call to call.

The graph is built launch by launch, each after the one before. Capturing the stream would give the
same graph, but while it lasts nothing may free or copy memory there, in any thread.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

from graphc.errors import GraphError
from graphc.runtime.accelerator.machine import Given, NothingLaunchedError
from graphc.runtime.cuda.driver import Driver, Owned

WORD = 8  # bytes of an argument: an address or an integer


class Function(NamedTuple):
    """A kernel, the module that it is in, which stays loaded, and the bytes a block shares."""

    handle: Any
    module: Owned
    shared: int


class Words:
    """The arguments of a launch, and the array of their addresses that the driver takes."""

    def __init__(self, arguments: Sequence[Any]) -> None:
        self.values = array("q", [a if isinstance(a, int) else a.value for a in arguments])
        first, count = self.values.buffer_info()
        self.places = array("q", range(first, first + WORD * count, WORD))
        self.address, _ = self.places.buffer_info()


class Node(NamedTuple):
    """A launch in a graph: its handle there, and its parameters, which refer to the words."""

    handle: Any
    parameters: Any
    words: Words


class Record:
    """Launches that a graph does one after another; `run` gives it memory for each `Given`."""

    def __init__(self, driver: Driver, stream: Any) -> None:
        self.driver = driver
        self.stream = stream
        self.modules: set[Owned] = set()
        handle = driver.ask("cuGraphCreate", 0)
        self.graph: Owned | None = driver.own(handle, "cuGraphDestroy", self.modules)
        self.last: list[Any] = []
        self.users: dict[int, list[tuple[Node, int]]] = {}
        self.given: list[int] = []

    def add(self, function: Function, blocks: int, threads: int, arguments: Sequence[Any]) -> None:
        """Add a launch; the driver copies the words, and is told where they change."""
        assert self.graph is not None
        words = Words([0 if isinstance(a, Given) else a for a in arguments])
        parameters = self.parameters(function, blocks, threads, words)
        add = (self.graph.value, self.last, len(self.last), parameters)
        self.last = [self.driver.ask("cuGraphAddKernelNode", *add)]
        self.modules.add(function.module)
        node = Node(self.last[0], parameters, words)
        for at, argument in enumerate(arguments):
            if isinstance(argument, Given):
                self.users.setdefault(argument.number, []).append((node, at))

    def parameters(self, function: Function, blocks: int, threads: int, words: Words) -> Any:
        """What the driver is told about a launch."""
        parameters = self.driver.api.CUDA_KERNEL_NODE_PARAMS()
        parameters.func = function.handle
        parameters.gridDimX, parameters.gridDimY, parameters.gridDimZ = blocks, 1, 1
        parameters.blockDimX, parameters.blockDimY, parameters.blockDimZ = threads, 1, 1
        parameters.sharedMemBytes = function.shared
        parameters.kernelParams = words.address
        return parameters

    def finish(self) -> None:
        """Make the graph ready to run; what it was made from is kept for changes alone."""
        assert self.graph is not None
        handle = self.driver.ask("cuGraphInstantiate", self.graph.value, 0)
        self.step = self.driver.own(handle, "cuGraphExecDestroy", self.modules)
        if not self.users:
            self.graph = None

    def run(self, memories: Sequence[Any]) -> None:
        """Do the launches with memory for each `Given`, by its number."""
        given = [memory.value for memory in memories]
        if given != self.given:
            try:
                self.change(given)
            except GraphError as error:
                raise NothingLaunchedError(error.message) from None
        self.driver.ask("cuGraphLaunch", self.step.value, self.stream)

    def change(self, given: list[int]) -> None:
        """Let the launches have other memory; those of earlier runs keep what they had."""
        changed: dict[int, Node] = {}
        before: Sequence[int | None] = self.given or [None] * len(given)
        self.given = []  # until all launches are known to have the new one
        for number, (old, new) in enumerate(zip(before, given, strict=True)):
            for node, at in self.users.get(number, ()) if old != new else ():
                node.words.values[at] = new
                changed[id(node)] = node
        for node in changed.values():
            change = (self.step.value, node.handle, node.parameters)
            self.driver.ask("cuGraphExecKernelNodeSetParams", *change)
        self.given = given
