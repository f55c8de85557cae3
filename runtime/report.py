"""What `print(step)` shows: kernels, what each fused, and memory."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.ir.program import Allocation, Program
from graphc.runtime.loaded import Loaded


def report(device: str, loaded: Loaded) -> str:
    """A step in a few lines for people: its kernels with their lines, and its buffers."""
    seconds = sum(seconds for _, seconds in loaded.seconds)
    if loaded.program is None:
        return f"compiled for {device}: evaluated node by node"
    program = loaded.program
    lines = [
        f"compiled for {device}: {len(program.calls)} calls of {len(program.kernels)} kernels, "
        f"{loaded.found} from the cache, in {seconds:.3f} s"
    ]
    lines += [line for number, call in enumerate(program.calls) for line in shown(program, number)]
    return "\n".join([*lines, *buffers(program)])


def shown(program: Program, number: int) -> list[str]:
    """A call: its kernel, buffers, and the user's lines that it came from."""
    call = program.calls[number]
    kernel = program.kernel(call.kernel)
    places = [f"         from {place}" for place in kernel.origin]
    return [f"  {number:3}  {call.kernel}({', '.join(call.arguments)})", *places]


def buffers(program: Program) -> list[str]:
    """The buffers by who owns their memory."""
    lines = []
    reuses = dict(program.reuses)
    for kind in ("input", "state", "constant", "temporary", "output"):
        owned = [a for a in program.allocations if a.kind == kind]
        if owned:
            lines.append(f"  {kind}: " + ", ".join(described(a, reuses) for a in owned))
    return lines


def described(allocation: Allocation, reuses: Mapping[str, str]) -> str:
    """A buffer: its name and type, and whose memory it takes over."""
    reused = reuses.get(allocation.name)
    return f"{allocation.name} {allocation.type}" + (f" in {reused}" if reused else "")
