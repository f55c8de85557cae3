"""Residence: variables whose values stay on a device from call to call.

A device that runs a step takes the step's variables along and keeps them. Their words say so
(`graphc.ir.turn`), and whoever wants a value elsewhere has it brought home first: the user who
reads it, a step on another device, a process that forks.

A step that fails half way may have written some of a variable's elements. It then has the value at
home again, where that is the last one, and else none until the user assigns one.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphc.errors import GraphError
from graphc.ir.program import Allocation
from graphc.ir.state import State
from graphc.ir.turn import AWAY, Absence, forget, leave_home, note_return
from graphc.runtime.accelerator.machine import Machine
from graphc.runtime.loaded import Array


@dataclass(slots=True)
class Resident:
    """A variable's memory on the device and at home; changed says that the first is newer.

    lost is why there is no value any more, or empty.
    """

    name: str
    memory: Any
    array: Array
    changed: bool = False
    lost: str = ""

    def check(self) -> None:
        """Raise GraphError if the value is lost."""
        if self.lost:
            raise GraphError(
                f"variable {self.name!r} has lost its value, because a step that was to change it "
                f"failed: {self.lost}; assign a new value"
            )


class Residence:
    """The variables that live on one machine, each until it dies."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.residents: dict[int, Resident] = {}
        self.process = os.getpid()

    def check_process(self) -> None:
        """Raise GraphError in the child of a process that has opened the device."""
        if os.getpid() != self.process:
            name = self.machine.dialect.name
            raise GraphError(
                f"this process is a fork of one that uses the device {name!r}, and cannot use it "
                "as well: start processes by 'spawn' or 'forkserver'"
            )

    def memory(self, allocation: Allocation) -> Any:
        """The device's memory of a variable; what is in it is only right after `take`."""
        return self.resident(allocation).memory

    def resident(self, allocation: Allocation) -> Resident:
        """The resident that a variable is, new on its first call."""
        state = state_of(allocation)
        key = id(state.users)
        if key not in self.residents:
            memory = self.machine.allocate(state.array.nbytes)
            self.residents[key] = Resident(allocation.name, memory, state.array)
            weakref.finalize(state.users, self.residents.pop, key, None)
        return self.residents[key]

    def take(self, allocation: Allocation) -> None:
        """Have a variable's value on the device, in a turn of this residence."""
        resident, state = self.resident(allocation), state_of(allocation)
        if state.users[0] == AWAY:
            resident.check()
            return
        self.machine.write(resident.memory, 0, resident.array)
        resident.changed, resident.lost = False, ""
        leave_home(state.users, Absence(self, partial(self.bring_home, resident)))

    def bring_home(self, resident: Resident) -> None:
        """Copy a value back, if it has changed."""
        resident.check()
        if resident.changed:
            self.machine.read(resident.memory, 0, resident.array)
        resident.changed = False

    def note_changes(self, allocations: Iterable[Allocation]) -> None:
        """Say that a step has given variables new values."""
        for allocation in allocations:
            self.resident(allocation).changed = True

    def lose(self, allocations: Iterable[Allocation], why: str) -> None:
        """Give variables up that a step may have changed in part."""
        for allocation in allocations:
            resident = self.resident(allocation)
            if resident.changed:
                resident.lost = why
                note_return()
            else:
                forget(state_of(allocation).users)


def state_of(allocation: Allocation) -> State:
    """The state of an allocation that is one."""
    assert allocation.state is not None
    return allocation.state
