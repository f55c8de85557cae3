"""DeviceArray: a result that stays in its device's memory, or an array that others have there.

Other libraries take it without a copy through DLPack (https://dmlc.github.io/dlpack), by their
`from_dlpack`, and NumPy by way of the host, by `numpy.asarray`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.types import DType
from graphc.runtime.accelerator.dlpack import capsule_of
from graphc.runtime.accelerator.machine import Machine, Place
from graphc.runtime.loaded import Array

HOST = (1, 0)
"""The host's memory, as DLPack has it."""
ANY_STREAM = -1
"""A stream's number that asks for no order at all."""


@dataclass(frozen=True, eq=False, repr=False)
class DeviceArray:
    """An array in a device's memory: `numpy()` copies it to the host, and DLPack hands it on.

    A compiled step on the same device takes it as an argument. Its elements stay as they are,
    unless another library that was handed it writes there. borrowed says that the memory is of
    another library.
    """

    machine: Machine
    place: Place
    type: DType
    shape: tuple[int, ...]
    borrowed: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's dtype."""
        return self.type.numpy

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes."""
        return self.size * self.dtype.itemsize

    def numpy(self) -> Array:
        """A copy in the host's memory, once what computes the array has ended."""
        array = np.empty(self.shape, self.dtype)
        self.machine.read(self.place.memory, self.place.offset, array)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The copy for NumPy; ValueError where none may be made."""
        if copy is False:
            raise ValueError("an array of a device becomes one of NumPy by a copy alone")
        array = self.numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array without axes has no length")
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __float__(self) -> float:
        return float(self.numpy())

    def __repr__(self) -> str:
        name = self.machine.dialect.name
        return f"DeviceArray({self.numpy()!r}, device={name!r})"

    def __dlpack_device__(self) -> tuple[int, int]:
        """The kind and number of the device, in DLPack's words."""
        return HOST if self.machine.exchange is None else self.machine.exchange.device

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """The array as a capsule of DLPack, as the Array API standard describes it.

        Work that the taker gives to `stream` later finds the array computed. BufferError where the
        array would have to go to another device than the host.
        """
        exchange = self.machine.exchange
        device = self.__dlpack_device__() if dl_device is None else tuple(dl_device)
        if exchange is None or device != exchange.device:
            return self.host_capsule(device, copy)
        if copy:
            return self.copied().__dlpack__(stream=stream)
        if stream != ANY_STREAM:
            exchange.hold_back(stream)
        address, offset = exchange.address(self.place.memory), self.place.offset
        return capsule_of(self, address, offset, exchange.device, self.type, self.shape)

    def host_capsule(self, device: tuple[int, ...], copy: bool | None) -> Any:
        """A copy on the host as a capsule."""
        if device != HOST:
            raise BufferError(f"an array of {self.__dlpack_device__()} cannot go to {device}")
        if copy is False:
            raise BufferError("the array would have to be copied to the host")
        return self.numpy().__dlpack__()

    def copied(self) -> DeviceArray:
        """The same elements in memory of their own."""
        made = empty_array(self.machine, self.type, self.shape)
        self.machine.copy(self.place, made.place, self.nbytes)
        return made


def empty_array(machine: Machine, dtype: DType, shape: tuple[int, ...]) -> DeviceArray:
    """An array whose elements are to be computed; GraphError where there is no memory for it."""
    memory = machine.allocate(math.prod(shape) * dtype.bytes)
    return DeviceArray(machine, Place(memory, 0), dtype, shape)
