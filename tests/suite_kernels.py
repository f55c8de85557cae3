"""The kernels that the whole suite makes for GPUs: `pytest --keep-kernels=FOLDER`.

Every graph that a test compiles for the device under test goes through the passes for CUDA besides,
and the folder gets the text of each kernel once, `kernel-HASH.gc`, and of each source in CUDA C
that a test writes, `source-HASH.cu`. Workers share the folder. `compile_kernels.py` compiles it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from graphc.ir.graph import Graph
from graphc.ir.kernel import Kernel, statements
from graphc.ir.printer import print_text
from graphc.passes.pipeline import run_passes
from graphc.runtime.accelerator.pipeline import pipeline_of
from graphc.runtime.cuda.dialect import CUDA, HOPPER
from graphc.runtime.device import Device, Load
from graphc.runtime.loaded import Loaded, Options

KEPT = pytest.StashKey["SuiteKernels"]()
"""Where pytest's configuration has them."""


class SuiteKernels:
    """Keeps each kernel once, whoever makes it, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: set[Path] = set()

    def watch(self, device: Device) -> Device:
        """The same device; the kernels that its graphs would be on a GPU are kept."""
        return replace(device, load=self.watching(device.load))

    def watching(self, load: Load) -> Load:
        """A load that keeps kernels."""

        def load_and_keep(graph: Graph, options: Options) -> Loaded:
            loaded = load(graph, options)  # what it refuses has no kernels
            with pytest.MonkeyPatch.context() as patch:
                for word in ("GRAPHC_DUMP", "GRAPHC_VERIFY"):  # the device's own passes had both
                    patch.delenv(word, raising=False)
                kernels = run_passes(graph, pipeline_of(CUDA)).result.kernels
                self.keep_kernels(kernels)
                if any(map(uses_units, kernels)):
                    self.keep_kernels(run_passes(graph, pipeline_of(HOPPER)).result.kernels)
            return loaded

        return load_and_keep

    def keep_kernels(self, kernels: Iterable[Kernel]) -> None:
        """Keep what is new of some kernels, without their names and the lines they come from."""
        for kernel in kernels:
            self.keep("kernel", print_text(replace(kernel, name="suite", origin=())), "gc")

    def keep_source(self, text: str) -> None:
        """Keep a source text in CUDA C."""
        self.keep("source", text, "cu")

    def keep(self, kind: str, text: str, suffix: str) -> None:
        """Keep a text in a file named by its content."""
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        path = self.folder / f"{kind}-{digest}.{suffix}"
        if path not in self.seen and not path.exists():
            path.write_text(text)
        self.seen.add(path)


def uses_units(kernel: Kernel) -> bool:
    """Whether units multiply matrices: it may be another kernel where warpgroups do."""
    return any(getattr(s, "kind", "") == "matrix" for s in statements(kernel.body))
