"""Variable: a node whose value lives across calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import GraphError, cause, shown, user_line
from graphc.ir.node import Node
from graphc.ir.turn import Word, turn, word
from graphc.ir.types import DType, TensorType, how_to_convert, show_shape


class State:
    """The memory behind a variable: one contiguous array that compiled steps read and update.

    users counts the native calls in flight that read it, or is -1 where one changes it
    (`graphc.ir.turn`).
    """

    __slots__ = ("array", "users")

    def __init__(self, array: np.ndarray[Any, Any], users: Word | None = None) -> None:
        self.array = array
        self.users = word() if users is None else users

    def seen_as(self, dtype: DType, shape: tuple[int, ...]) -> State:
        """The same memory seen as elements of another dtype, in another shape of as many bytes."""
        elements = self.array.reshape(-1).view(dtype.numpy)
        return State(elements.reshape(shape), self.users)


class Variable(Node):
    """A node of operator "variable": read `value`, or assign it, between calls."""

    __slots__ = ()

    @property
    def value(self) -> np.ndarray[Any, Any]:
        """A copy of the current value."""
        state: State = self.attrs["state"]
        with turn([state.users]):
            return state.array.copy()

    @value.setter
    def value(self, new: Any) -> None:
        """Copies a value of the same shape in; GraphError where it does not fit."""
        array = checked(self, new)
        state: State = self.attrs["state"]
        with turn([state.users], assigns=True):
            state.array[...] = array

    def __setattr__(self, name: str, value: Any) -> None:
        """Only `value` can be assigned; a node is otherwise immutable."""
        if name != "value":
            raise AttributeError(f"a variable's {name} cannot be assigned, only its value")
        object.__setattr__(self, name, value)


def checked(variable: Variable, new: Any) -> np.ndarray[Any, Any]:
    """The new value as an array of the variable's type, or a GraphError that names both."""
    tensor: TensorType = variable.tensor
    name = variable.attrs["name"]
    try:
        array = np.asarray(new)
    except (ValueError, TypeError) as error:
        raise GraphError(f"variable {name!r} cannot be {shown(new)}: {cause(error)}") from None
    if array.shape != tensor.shape:
        raise GraphError(
            f"variable {name!r} has shape {show_shape(tensor.shape)}, "
            f"the assigned value has {show_shape(array.shape)}",
            user_line(),
        )
    whole = array.dtype.kind in "iu" and tensor.dtype.is_integer
    if not (whole or np.can_cast(array.dtype, tensor.dtype.numpy, casting="same_kind")):
        raise GraphError(
            f"variable {name!r} is {tensor.dtype.name}, the assigned value is {array.dtype}: "
            f"{how_to_convert(array.dtype, tensor.dtype)}",
            user_line(),
        )
    with np.errstate(over="ignore"):  # too large for a float is infinity, as in NumPy
        converted = array.astype(tensor.dtype.numpy)
    if whole and not np.array_equal(converted, array):
        raise GraphError(
            f"variable {name!r} is {tensor.dtype.name}, the assigned value has numbers beyond it",
            user_line(),
        )
    return converted
