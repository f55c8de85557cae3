"""The least time that the machine allows for a workload, by four measured limits.

The kernels that `graphc machine` measures with show what the cores reach at most: fused
multiply-adds from registers, exponentials, and streams of just as many bytes as a workload must
read and write. They share nothing with the code that is timed but LLVM.

    python benchmarks/roofline.py --threads 1 2
"""

from __future__ import annotations

import argparse

from graphc.runtime.cpu.machine_code import FLOAT
from graphc.runtime.cpu.machine_kernels import MachineKernels


class Roof:
    """What so many threads reach at most."""

    def __init__(self, threads):
        self.kernels = MachineKernels(threads)
        count, width = 1 << 16, self.kernels.width
        self.operations = 2 * width * count / self.kernels.seconds("peak", count)
        count = 256 * threads  # 16 KiB a thread stays in the first cache
        self.exponentials = width * count / self.kernels.seconds("exponential", count)

    def stream(self, read, written):
        """The least time in which so many bytes are read and written, wherever they lie."""
        bytes_a_vector = FLOAT * self.kernels.width
        both, rest = min(read, written), abs(read - written)
        one = ["read"] if read > written else ["write", "write_past"]
        return sum(
            min(self.kernels.seconds(name, round(size / bytes_a_vector)) for name in names)
            for names, size in ((["copy", "copy_past"], both), (one, rest))
            if size >= bytes_a_vector
        )

    def floor(self, work):
        """The least time of a workload: what its arithmetic or its memory needs, if more."""
        return max(
            work.operations / self.operations,
            work.transcendentals / self.exponentials,
            self.stream(work.read, work.written),
        )


def main():
    """Print the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    for threads in parser.parse_args().threads:
        roof = Roof(threads)
        print(f"{threads} threads: {roof.operations / 1e9:.1f} GFLOP/s, "
              f"{roof.exponentials / 1e9:.2f} G exponentials/s")  # fmt: skip
        for kibibytes in (16, 256, 4096, 65536, 262144):
            size = kibibytes * 1024
            rates = {
                name: size * factor / roof.stream(*split) / 1e9
                for name, factor, split in (
                    ("read", 1, (size, 0)), ("write", 1, (0, size)), ("copy", 2, (size, size)),
                )
            }  # fmt: skip
            line = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
            print(f"  {kibibytes:7} KiB: {line} GB/s")


if __name__ == "__main__":
    main()
