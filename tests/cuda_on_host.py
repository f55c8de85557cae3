"""CUDA C as C++ for the processor: what is written in PTX gives way to functions of a header."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
HEADER, WARPGROUPS = FOLDER / "cuda_on_host.h", FOLDER / "warpgroups_on_host.h"
"""The latter is for kernels with warpgroups alone, since it takes long to compile."""
CONVERSION = re.compile(r'asm\("cvt[^"]*" : "=."\((\w+)\) : "."\((\w+)\)\);')
"""PTX that converts between float16 and float32."""
MULTIPLICATION = re.compile(
    r"^static __device__ (?:void|uint64_t) "
    r"(?:(?:multiply|load|round)_matrices|begin_copy|end_copies|multiply_warpgroup"
    r"|describe_matrix|show_copies|(?:begin|commit|end)_products|settle_sum)"
    r"[_(].*?^}$",
    re.MULTILINE | re.DOTALL,
)
"""Functions of PTX that load, round and multiply matrices, or copy to shared memory."""
GIVEN = re.compile(r"extern __shared__ (.*) (\w+)\[\];")
"""Shared memory that a kernel is launched with."""
MOST_GIVEN = {7: 64 << 10, 9: 227 << 10}
"""Bytes of it that a block may have, by the GPU's major compute capability; 7.5 is the oldest that
is supported."""


def on_host(text: str) -> tuple[str, dict[str, int]]:
    """CUDA C as a program of C++, with a function `run_NAME` for each kernel; their parameters.

    What is written in PTX gives way to functions of the header.
    """
    text = GIVEN.sub(rf"static \1 \2[{max(MOST_GIVEN.values())}];", text)
    text = MULTIPLICATION.sub("", CONVERSION.sub(r"\1 = convert_half(\2);", text))
    found = re.findall(r"^void (kernel_\w+)\(([^)]*)\)", text, re.MULTILINE)
    counts = {name: given.count(",") + bool(given) for name, given in found}
    runs = [
        f'extern "C" int run_{name}(unsigned blocks, unsigned threads, void **arguments) '
        f"{{ return launch(kernels::{name}, blocks, threads, arguments); }}"
        for name in counts
    ]
    headers = [HEADER, WARPGROUPS] if "multiply_warpgroup" in text else [HEADER]
    lines = [*(f'#include "{h}"' for h in headers), "namespace kernels {", text, "}", *runs]
    return "\n".join(lines), counts
