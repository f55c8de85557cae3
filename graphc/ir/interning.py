"""Interning: equal values are one object, for as long as somebody holds it."""

from __future__ import annotations

import struct
import weakref
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from graphc.locks import fork_safe_lock

Value = TypeVar("Value")

# Held while a value enters a table: two threads that make equal values must get the same object.
ENTERING = fork_safe_lock()


class InternTable(Generic[Value]):
    """The values that are alive, by key; a key must not hold the value itself."""

    def __init__(self) -> None:
        self.values: weakref.WeakValueDictionary[Hashable, Value] = weakref.WeakValueDictionary()

    def find(self, key: Hashable) -> Value | None:
        """The value of a key, or None if there is none alive."""
        return self.values.get(key)

    def enter(self, key: Hashable, value: Value) -> Value:
        """The value of a key: the one there is, else from now on the given one."""
        with ENTERING:
            return self.values.setdefault(key, value)


def identity(value: Any) -> Hashable:
    """A key that tells 0.0 from -0.0, 1 from 1.0 and True, and finds NaN equal to itself."""
    if isinstance(value, float):
        return ("float", struct.pack("<d", value))
    return (type(value), value)
