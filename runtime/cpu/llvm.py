"""llvmlite.binding, loaded when something of it is first used.

Loading LLVM takes as long as half of graphc; who only builds, prints or evaluates graphs need not
wait for it. Use this module as if it were llvmlite.binding.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from graphc.locks import Rank, guard_forks


def __getattr__(name: str) -> Any:
    return getattr(binding(), name)


@cache
def binding() -> Any:
    """The module, whose lock around all of LLVM is free in the child of a fork.

    The lock is no part of what llvmlite documents: without it, nothing can be done.
    """
    loaded = importlib.import_module("llvmlite.binding")
    lock = getattr(loaded.ffi.lib, "_lock", None)
    if lock is not None:
        guard_forks(Rank.LLVM, lock.__enter__, lambda: lock.__exit__(None, None, None))
    return loaded
