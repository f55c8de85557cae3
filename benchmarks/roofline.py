"""Measure what this machine can do at most: the roof that other benchmarks are to be read against.

One thread: fused multiply-adds in registers; a stream in and one out of the outer caches and of
memory; exp in the first cache. All threads: what it takes to start a parallel loop and to join. It
takes a few seconds and keeps the best of many short windows.

    python benchmarks/roofline.py
"""

import ctypes
import time

import numpy as np
from memory_bound import native_step

import graphc as gx
from graphc.runtime.cpu import jit
from graphc.runtime.cpu.pool import address as pool_address
from graphc.runtime.cpu.target import host

CHAINS = 12  # independent sums: more than the latency of a multiply-add times the units
STEPS = 100_000
WINDOW, WINDOWS = 0.002, 50  # seconds, and how many of them
STREAMS = {"256 KiB": 1 << 15, "4 MiB": 1 << 19, "256 MiB": 1 << 25}
"""What a stream in and one out take together, and how many elements of float32 each has."""

REGION = """
declare void @graphc_parallel_for(ptr, ptr, ptr, i64, i64)

define internal void @nothing(ptr %context, i64 %begin, i64 %end) {
  ret void
}

define void @region(ptr %pool) {
  call void @graphc_parallel_for(ptr %pool, ptr @nothing, ptr null, i64 64, i64 1000000)
  ret void
}
"""


def best_seconds(run, clock=time.process_time):
    """The least time of a call over many short windows."""
    run()
    start = clock()
    run()
    repeats = max(1, round(WINDOW / max(clock() - start, 1e-7)))
    best = float("inf")
    for _ in range(WINDOWS):
        start = clock()
        for _ in range(repeats):
            run()
        best = min(best, (clock() - start) / repeats)
    return best


def multiply_adds(element, bits):
    """A function of steps in LLVM text: sums in registers that each grow by a product."""
    kind = f"<{host().vector_bits // bits} x {element}>"
    name = f"llvm.fma.v{host().vector_bits // bits}f{bits}"
    numbers = range(CHAINS)
    lines = [f"define void @peak(ptr %out, i64 %steps) {{\nentry:\n  %x = load {kind}, ptr %out"]
    lines.append("  br label %loop\nloop:\n  %i = phi i64 [ 0, %entry ], [ %next, %loop ]")
    lines += [f"  %a{k} = phi {kind} [ %x, %entry ], [ %b{k}, %loop ]" for k in numbers]
    lines += [f"  %b{k} = call {kind} @{name}({kind} %a{k}, {kind} %x, {kind} %x)" for k in numbers]
    lines.append("  %next = add i64 %i, 1\n  %more = icmp slt i64 %next, %steps")
    lines.append("  br i1 %more, label %loop, label %done\ndone:")
    lines += [f"  store volatile {kind} %b{k}, ptr %out" for k in numbers]
    lines.append(f"  ret void\n}}\ndeclare {kind} @{name}({kind}, {kind}, {kind})")
    return "\n".join(lines)


def peak(element, bits):
    """Operations a nanosecond of fused multiply-adds, each of which is two."""
    library = jit.load(multiply_adds(element, bits))
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(library.address("peak"))
    memory = np.zeros(256, np.uint8)
    aligned = -(-memory.ctypes.data // 64) * 64
    seconds = best_seconds(lambda: function(aligned, STEPS))
    return 2e-9 * CHAINS * STEPS * (host().vector_bits // bits) / seconds


def elements_a_nanosecond(formula, count):
    """How fast a formula of one operand runs over so many elements of float32, but for the call."""
    seconds = []
    for size in (1, count):
        x = gx.input("x", (size,), "float32")
        run = native_step(gx.compile([x], formula(x)), [np.ones(size, np.float32)])
        seconds.append(best_seconds(run))
    return 1e-9 * count / (seconds[1] - seconds[0])


def region():
    """Seconds from the start of a parallel loop of nothing to its end, the workers awake."""
    library = jit.load(REGION)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("region"))
    return best_seconds(lambda: function(pool_address()), time.perf_counter)


def main():
    """Print the roof."""
    threads = gx.get_num_threads()
    gx.set_num_threads(1)
    for element, bits in (("float", 32), ("double", 64)):
        print(f"multiply-adds, float{bits}: {peak(element, bits):.1f} GFLOP/s")
    for label, count in STREAMS.items():
        rate = 8 * elements_a_nanosecond(lambda x: x + 1, count)
        print(f"a stream in and one out, {label}: {rate:.1f} GB/s")
    print(f"exp: {elements_a_nanosecond(gx.exp, 2048):.2f} elements a ns")
    gx.set_num_threads(threads)
    print(f"a parallel loop, {threads} threads: {region() * 1e6:.2f} us")


if __name__ == "__main__":
    main()
