"""llvmlite.binding, loaded when something of it is first used.

Loading LLVM takes as long as half of graphc; who only builds, prints or evaluates graphs need not
wait for it. Use this module as if it were llvmlite.binding.
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("llvmlite.binding"), name)
