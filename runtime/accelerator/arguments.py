"""Arguments that lie on the device already: taken without a copy to the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir.node import Node
from graphc.runtime.accelerator.device_array import DeviceArray
from graphc.runtime.accelerator.dlpack import take
from graphc.runtime.accelerator.machine import Exchange, Machine
from graphc.runtime.arguments import made, to_array
from graphc.runtime.loaded import Array


def argument(machine: Machine, node: Node, value: Any) -> Array | DeviceArray:
    """An argument of an input: where it lies on the device as it is, else as a host's array.

    An array of another dtype is converted on the host, if that loses nothing.
    """
    if type(value) is np.ndarray:
        return to_array(node, value)
    found = on_device(machine, node, value)
    if found is None:
        return to_array(node, value)
    return found if found.type is node.dtype else to_array(node, found.numpy())


def on_device(machine: Machine, node: Node, value: Any) -> DeviceArray | None:
    """A value that lies on the device; None for any other."""
    if isinstance(value, DeviceArray) and value.machine is machine:
        return value
    exchange = machine.exchange
    if exchange is None or not hasattr(type(value), "__dlpack_device__"):
        return None
    kind, number = value.__dlpack_device__()
    if (int(kind), int(number)) != exchange.device:
        return None
    return borrowed(machine, exchange, node, value)


def borrowed(machine: Machine, exchange: Exchange, node: Node, value: Any) -> DeviceArray:
    """An array of another library, which is kept alive; GraphError for one that cannot be taken."""
    name = node.attrs["name"]
    try:
        taken = take(value.__dlpack__(stream=exchange.stream))
    except (BufferError, TypeError, ValueError, RuntimeError) as error:
        raise GraphError(f"argument {name!r} cannot be taken: {error}{made(node)}") from None
    if taken.dtype is None:
        raise GraphError(f"argument {name!r} is of a dtype that there is not here{made(node)}")
    if not taken.contiguous:
        raise GraphError(
            f"argument {name!r} is not contiguous in row-major order: "
            f"pass a contiguous copy of it{made(node)}"
        )
    place = exchange.adopt(taken.address, taken.offset, taken.owner)
    return DeviceArray(machine, place, taken.dtype, taken.shape, True)
