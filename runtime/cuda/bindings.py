"""NVIDIA's libraries through the package cuda-bindings, or a message that says what is missing."""

from __future__ import annotations

import importlib
from typing import Any

from graphc.errors import GraphError

INSTALL = "pip install 'graphc-compiler[cuda]'"
ANYWHERE = "the code for it is made anywhere: graphc emit --device=cuda FILE"


def import_cuda(module: str) -> Any:
    """A module of the package cuda.bindings, or a GraphError that says how to get it."""
    try:
        return importlib.import_module(f"cuda.bindings.{module}")
    except ImportError as error:
        raise GraphError(
            f"the device 'cuda' needs the package cuda-bindings: {INSTALL} ({error})"
        ) from None


def first_call(function: Any, *arguments: Any) -> Any:
    """Call a function whose library is loaded now; GraphError where there is no such library."""
    try:
        return function(*arguments)
    except RuntimeError as error:
        if not is_missing(error):
            raise
        if function.__name__.startswith("nvrtc"):
            said = f"the device 'cuda' needs the package nvidia-cuda-nvrtc: {INSTALL}"
        else:
            said = without_gpu("there is no driver (libcuda) on this machine")
        raise GraphError(said) from None


def is_missing(error: RuntimeError) -> bool:
    """Whether an error says that there is no such library.

    What cuda.pathfinder raises is of a class of its own; cuda-bindings 13.0 to 13.3 open the driver
    without it.
    """
    return "NotFound" in type(error).__name__ or "Failed to dlopen" in str(error)


def without_gpu(why: str) -> str:
    """What is said where there is nothing to run on."""
    return f"the device 'cuda' needs an NVIDIA GPU and its driver: {why}; {ANYWHERE}"
