"""Residence: variables whose values stay on a device from call to call.

A device that runs a step takes the step's variables along and keeps them. Their words say so
(`graphc.ir.turn`), and whoever wants a value elsewhere has it brought home first: the user who
reads it, a step on another device, a process that forks.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphc.ir.state import State
from graphc.ir.turn import AWAY, Absence, leave_home
from graphc.runtime.accelerator.machine import Machine
from graphc.runtime.loaded import Array


@dataclass(slots=True)
class Resident:
    """A variable's memory on the device and at home; changed says that the first is newer."""

    memory: Any
    array: Array
    changed: bool = False


class Residence:
    """The variables that live on one machine, each until it dies."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.residents: dict[int, Resident] = {}

    def memory(self, state: State) -> Any:
        """The device's memory of a variable; what is in it is only right after `take`."""
        return self.resident(state).memory

    def resident(self, state: State) -> Resident:
        """The resident that a variable is, new on its first call."""
        key = id(state.users)
        if key not in self.residents:
            memory = self.machine.allocate(state.array.nbytes)
            self.residents[key] = Resident(memory, state.array)
            weakref.finalize(state.users, self.residents.pop, key, None)
        return self.residents[key]

    def take(self, state: State, changes: bool) -> None:
        """Have a variable's value on the device, in a turn of this residence."""
        resident = self.resident(state)
        if state.users[0] != AWAY:
            self.machine.write(resident.memory, 0, resident.array)
            leave_home(state.users, Absence(self, partial(self.bring_home, resident)))
        resident.changed |= changes

    def bring_home(self, resident: Resident) -> None:
        """Copy a value back, if it has changed."""
        if resident.changed:
            self.machine.read(resident.memory, 0, resident.array)
        resident.changed = False
