"""Recent: what was made for keys met lately, so that new keys do not fill memory for ever."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MOST = 128  # sizes that a step remembers plans and tables for, some kilobytes each


class Recent(Generic[Key, Value]):
    """Values by key; of more than `most`, those asked for longest ago are forgotten.

    Any number of threads may ask and enter: each method goes on where another has been between.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.values: OrderedDict[Key, Value] = OrderedDict()

    def find(self, key: Key) -> Value | None:
        """The value of a key, or None if there is none."""
        value = self.values.get(key)
        if value is not None:
            self.touch(key)
        return value

    def enter(self, key: Key, value: Value) -> Value:
        """The value of a key: the one there is, else from now on the given one."""
        value = self.values.setdefault(key, value)
        self.touch(key)
        while len(self.values) > self.most:
            with suppress(KeyError):  # another thread has emptied it
                self.values.popitem(last=False)
        return value

    def touch(self, key: Key) -> None:
        """Note that a key was met."""
        with suppress(KeyError):  # another thread has let go of it
            self.values.move_to_end(key)
