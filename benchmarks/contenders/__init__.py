"""Who is timed, and what each must offer.

A contender is a module here that writes every program once in its framework's words, and:

- `prepare(threads)` fixes how many threads the framework uses;
- `missing(workload, options)` is why a workload is left out, or None;
- `build(workload, parameters, data, options)` is a `Job`; a `device` among the options is where
  those of `run_gpu.py` keep parameters, data and results.

A contender runs in a process of its own, so it may import its framework at the top, and may have
an interpreter of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

import numpy as np


class Job(Protocol):
    """A workload, ready to run."""

    def step(self) -> Any:
        """Run once, to the end; what it gives is the framework's own."""

    def results(self, given: Any) -> list[np.ndarray[Any, Any]]:
        """What a step gave, as arrays in the reference's layout."""

    def parameters(self) -> dict[str, np.ndarray[Any, Any]]:
        """The parameters as they are now; asked of training alone."""


@dataclass(frozen=True)
class Contender:
    """A framework in one way of using it.

    `package` is what must be installed. `environment` is set before its process begins; in its
    values {threads} stands for their number. `is_peer` is False for what is shown and not
    counted as the best peer.
    """

    module: str
    package: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    is_peer: bool = True

    def load(self) -> ModuleType:
        """The module; ImportError without the framework."""
        return importlib.import_module(f"contenders.{self.module}")


POOLS = {"OMP_NUM_THREADS": "{threads}", "OPENBLAS_NUM_THREADS": "{threads}"}
TORCH = POOLS | {"MKL_NUM_THREADS": "{threads}", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
JAX = POOLS | {"JAX_PLATFORMS": "cpu", "NPROC": "{threads}"}
PYTENSOR = POOLS | {
    "NUMBA_NUM_THREADS": "{threads}",
    "PYTENSOR_FLAGS": "floatX=float32,blas__ldflags=,cxx=",
}

CONTENDERS: dict[str, Contender] = {
    "graphc": Contender("graphc_programs", "graphc", is_peer=False),
    "numpy": Contender("numpy_programs", "numpy", environment=POOLS, is_peer=False),
    "torch": Contender("torch_programs", "torch", {}, TORCH),
    "torch_channels_last": Contender("torch_programs", "torch", {"channels_last": True}, TORCH),
    "torch_compile": Contender("torch_programs", "torch", {"compile": True}, TORCH),
    "jax": Contender("jax_programs", "jax", {}, JAX),
    "jax_channels_last": Contender("jax_programs", "jax", {"channels_last": True}, JAX),
    "onnxruntime": Contender("onnx_programs", "onnxruntime", {}, POOLS),
    "pytensor": Contender("pytensor_programs", "pytensor", {}, PYTENSOR),
    "tinygrad": Contender(
        "tinygrad_programs", "tinygrad", {}, {"DEV": "CPU", "NUM_CPU_THREADS": "{threads}"}
    ),
}
"""By the name that the command line takes."""

BY_DEFAULT = ("graphc", "torch", "torch_channels_last", "jax", "onnxruntime", "pytensor")
"""The others take long to compile, or are only of interest beside these."""
