"""Target: what the emitter must know of a processor."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.runtime.cpu import llvm

LINE = 64
"""Bytes of a line of the cache."""


@dataclass(frozen=True, slots=True)
class Target:
    """A processor: the width and number of its vector registers, and LLVM's words for it.

    An empty cpu leaves the choice of instructions to LLVM's default for the triple.
    """

    vector_bits: int = 128
    registers: int = 16
    triple: str = ""
    cpu: str = ""
    features: str = ""

    @property
    def stores_past_cache(self) -> bool:
        """Whether vectors can be stored past the caches, line by line."""
        return self.triple.startswith("x86_64")

    @property
    def scales(self) -> bool:
        """Whether vectors of every width have an instruction that multiplies by powers of two."""
        return "+avx512vl" in self.features.split(",")

    @property
    def masks(self) -> bool:
        """Whether an instruction can leave lanes out at no cost, by a register of its own."""
        return "+avx512f" in self.features.split(",")


def host() -> Target:
    """The processor that this process runs on."""
    features = llvm.get_host_cpu_features()
    triple = llvm.get_process_triple()
    bits, registers = vector_registers(triple, dict(features))
    return Target(bits, registers, triple, llvm.get_host_cpu_name(), features.flatten())


def vector_registers(triple: str, features: dict[str, bool]) -> tuple[int, int]:
    """Bits in a vector register, and how many there are."""
    if triple.startswith(("aarch64", "arm64")):
        return 128, 32
    if features.get("avx512f"):
        return 512, 32
    return (256, 16) if features.get("avx") else (128, 16)
