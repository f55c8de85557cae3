"""Locks that survive a fork: the child of a fork finds them free."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from typing import Any


def fork_safe_lock() -> AbstractContextManager[Any]:
    """A lock that no other thread holds at the moment of a fork, for such would never let go."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
