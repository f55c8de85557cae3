"""Binding: what calls of a step with the same sizes share: where everything lies, and the launches.

Arrays that lie on the device are read where they are, and results that stay there are written where
they stay: their memory is given with each call. What a call copies has a place that stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.ir import dim
from graphc.ir.program import Program
from graphc.ir.types import DType
from graphc.passes.memory_plan import MemoryPlan
from graphc.runtime.accelerator.device_array import DeviceArray
from graphc.runtime.accelerator.launches import Launches, count_users, why_not_recorded
from graphc.runtime.accelerator.machine import Given, Machine, Place
from graphc.runtime.interface import Interface
from graphc.runtime.loaded import Array
from graphc.runtime.sizes import shape_for

FREE = 2
"""Launches that are told of other memory in about the time in which a copy is launched."""
COPIED = 2 << 20
"""Bytes that a GPU copies while one launch is told of other memory."""


def given_by_calls(
    program: Program, names: Iterable[str], sizes: Mapping[str, int]
) -> dict[str, Given]:
    """Those of the caller's arrays whose memory each call gives, in their order.

    Each launch that uses one has to be told of other memory, where launches are recorded. Small
    arrays of many launches, such as the rows that a loop goes through, are copied in less time.
    """
    users = {} if why_not_recorded(program, sizes) else count_users(program, sizes)
    chosen: dict[str, Given] = {}
    for name in names:
        size = dim.evaluate(program.allocation(name).bytes, sizes)
        if size >= COPIED * (users.get(name, 0) - FREE):
            chosen[name] = Given(len(chosen))
    return chosen


@dataclass(frozen=True, slots=True)
class Target:
    """What a result is: which output, of which dtype and shape, and which result is it already."""

    output: str
    type: DType
    shape: tuple[int, ...]
    same: int | None


@dataclass(frozen=True, slots=True)
class Binding:
    """What calls with the same sizes share.

    inputs are names in the order of the arguments, and written says which results the outputs are
    that calls give memory for. kept has memory for inputs that are given, where arguments have
    been copied.
    """

    machine: Machine
    plan: MemoryPlan
    places: Mapping[str, Place]
    launches: Launches
    inputs: Sequence[str]
    targets: Sequence[Target]
    written: Sequence[int]
    stays: bool
    allocate: Callable[[int], Any]
    kept: dict[str, Any] = field(default_factory=dict)

    def bring(self, arguments: Sequence[Array | DeviceArray]) -> list[Any]:
        """Have arguments where launches read them; the memory of those that calls give."""
        memories = []
        for name, array in zip(self.inputs, arguments, strict=True):
            place = self.places[name]
            if not isinstance(place.memory, Given):
                self.put(array, place)
            elif isinstance(array, DeviceArray) and array.place.offset == 0:
                memories.append(array.place.memory)
            else:
                if name not in self.kept:
                    self.kept[name] = self.allocate(array.nbytes)
                self.put(array, Place(self.kept[name], 0))
                memories.append(self.kept[name])
        return memories

    def put(self, array: Array | DeviceArray, place: Place) -> None:
        """Copy an argument to a place."""
        if isinstance(array, DeviceArray):
            self.machine.copy(array.place, place, array.nbytes)
        else:
            self.machine.write(place.memory, place.offset, array)

    def empty(self) -> list[Any]:
        """An array for each result, on the device or on the host, made before anything runs."""
        if not self.stays:
            return [np.empty(target.shape, target.type.numpy) for target in self.targets]
        return [self.empty_there(target) for target in self.targets]

    def empty_there(self, target: Target) -> DeviceArray:
        """An array of the device for a result."""
        memory = self.allocate(math.prod(target.shape) * target.type.bytes)
        return DeviceArray(self.machine, Place(memory, 0), target.type, target.shape)

    def given(self, results: Sequence[Any]) -> list[Any]:
        """The memory of the results that launches write where they stay, in the outputs' order."""
        return [results[at].place.memory for at in self.written]

    def fetch(self, results: Sequence[Any]) -> None:
        """Copy what has been computed to where it is wanted and is not yet."""
        for array, target in zip(results, self.targets, strict=True):
            place = self.places[target.output]
            if not self.stays:
                self.machine.read(place.memory, place.offset, array)
            elif target.same is not None:
                self.machine.copy(results[target.same].place, array.place, array.nbytes)
            elif not isinstance(place.memory, Given):
                self.machine.copy(place, array.place, array.nbytes)


def targets_of(
    interface: Interface, outputs: Sequence[str], sizes: Mapping[str, int]
) -> list[Target]:
    """What each result is; outputs are the names of the interface's outputs."""
    first: dict[int, int] = {}
    targets = []
    for at, result in enumerate(interface.results):
        tensor = interface.outputs[result.output].type
        same = first.setdefault(result.output, at)
        name, shape = outputs[result.output], shape_for(tensor, sizes)
        targets.append(Target(name, tensor.dtype, shape, None if same == at else same))
    return targets
