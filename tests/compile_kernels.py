"""Compile the kernels that a run of the suite kept for GPUs, with no GPU or driver here.

    pytest --keep-kernels=FOLDER
    python tests/compile_kernels.py FOLDER

Every kernel becomes machine code of every architecture, or the text of the first one that NVRTC
refuses is shown and the exit code is 1. The last line has the counts.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice, product
from pathlib import Path

from cuda_compilation import ARCHITECTURES, compile_all, compile_text, compiling_fast

from graphc.ir.kernel import Kernel
from graphc.ir.parser import parse
from graphc.runtime.cuda.nvrtc import NvrtcError

BATCH = 100
"""Kernels in one source text: NVRTC takes longer to begin than for a kernel."""


def main(folder: Path) -> int:
    """Compile a folder; the exit code."""
    kernels, sources = sorted(folder.glob("*.gc")), sorted(folder.glob("*.cu"))
    if not kernels:
        print(f"there are no kernels in {folder}: pytest --keep-kernels={folder} keeps them")
        return 1
    work = [*product(batches(kernels), ARCHITECTURES), *product(batches(sources), ARCHITECTURES)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawn) as processes:
        for done, failure in enumerate(processes.map(compile_batch, *zip(*work, strict=True)), 1):
            if failure:
                processes.shutdown(cancel_futures=True)
                print(failure)
                return 1
            if done % 100 == 0:
                print(f"{done} of {len(work)} batches", flush=True)
    architectures = ", ".join(ARCHITECTURES)
    print(
        f"every kernel that the tests made compiles for {architectures}: "
        f"{len(kernels)} kernels, and {len(sources)} sources of text tests"
    )
    return 0


def batches(paths: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """The paths in groups."""
    rest = iter(paths)
    while batch := tuple(islice(rest, BATCH)):
        yield batch


def compile_batch(paths: Sequence[Path], architecture: str) -> str:
    """Compile what is in some files for an architecture; what is wrong, or nothing."""
    texts = {path: path.read_text() for path in paths}
    with compiling_fast():
        try:
            kernels = [as_kernel(t, p) for p, t in texts.items() if p.suffix == ".gc"]
            compile_all(kernels, architecture)
            for text in (t for p, t in texts.items() if p.suffix == ".cu"):
                compile_text(text, architecture)
        except NvrtcError as error:
            return str(error)
    return ""


def as_kernel(text: str, path: Path) -> Kernel:
    """The kernel that a text says."""
    kernel = parse(text, str(path))
    assert isinstance(kernel, Kernel)
    return kernel


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
