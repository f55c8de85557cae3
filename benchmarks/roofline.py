"""The least time that the machine allows for a workload, by four measured limits.

Small kernels, written as LLVM IR and compiled by llvmlite, measure what the cores reach at most:
fused multiply-adds from registers, exponentials, and streams of just as many bytes as a workload
must read and write. They share nothing with graphc but the compiler, and need no other one.

    python benchmarks/roofline.py --threads 1 2
"""

from __future__ import annotations

import argparse
import ctypes
import threading
import time

import llvmlite.binding as llvm
import numpy as np

FLOAT = 4
CHAINS = (
    12  # independent ones: enough to fill two pipelines of latency 4, few enough for 16 registers
)
UNROLLED = 8
SECONDS = 0.01  # that a run of a kernel lasts at least
RUNS = 5
ALIGNED = 64

# --- kernels -------------------------------------------------------------------------------------

LOOPS = """
define float @{name}(ptr %a, ptr %b, i64 %count, i64 %repeats, float %f, float %g) {{
entry:
  %x1 = insertelement <{w} x float> poison, float %f, i64 0
  %y1 = insertelement <{w} x float> poison, float %g, i64 0
  %x = shufflevector <{w} x float> %x1, <{w} x float> poison, <{w} x i32> zeroinitializer
  %y = shufflevector <{w} x float> %y1, <{w} x float> poison, <{w} x i32> zeroinitializer
  br label %again
again:
  %repeat = phi i64 [0, %entry], [%repeat.next, %done]
  br label %body
body:
  %i = phi i64 [0, %again], [%i.next, %body]
{phis}
{body}
  %i.next = add i64 %i, {step}
  %more = icmp ult i64 %i.next, %count
  br i1 %more, label %body, label %done
done:
  %repeat.next = add i64 %repeat, 1
  %another = icmp ult i64 %repeat.next, %repeats
  br i1 %another, label %again, label %end
end:
{end}
}}
"""
"""A pass over `count` vectors of `w` floats, so many at once, repeated."""


def loops(name, width, step, phis, body, end="  ret float 0.0"):
    """The text of a kernel."""
    lines = {"phis": "\n".join(phis), "body": "\n".join(body), "end": end}
    return LOOPS.format(name=name, w=width, step=step, **lines)


def accumulating(name, width, count, step, update):
    """A kernel that carries `count` sums, and gives one lane of each added up."""
    vector = f"<{width} x float>"
    phis = [f"  %s{k} = phi {vector} [%x, %again], [%t{k}, %body]" for k in range(count)]
    body = [line for k in range(count) for line in update(k)]
    end, total = [], "%e0"
    end.append(f"  %e0 = extractelement {vector} %t0, i64 0")
    for k in range(1, count):
        end.append(f"  %e{k} = extractelement {vector} %t{k}, i64 0")
        end.append(f"  %f{k} = fadd float {total}, %e{k}")
        total = f"%f{k}"
    return loops(name, width, step, phis, body, "\n".join([*end, f"  ret float {total}"]))


def peak(width):
    """Fused multiply-adds on registers alone."""
    v = f"<{width} x float>"
    call = f"call {v} @llvm.fma.v{width}f32({v} %s{{k}}, {v} %x, {v} %y)"
    return accumulating("peak", width, CHAINS, CHAINS, lambda k: [f"  %t{k} = {call.format(k=k)}"])


def address(pointer, width, k):
    """The lines that make the address of the k-th vector from here."""
    return [
        f"  %{pointer}i{k} = add i64 %i, {k}",
        f"  %{pointer}p{k} = getelementptr <{width} x float>, ptr %{pointer}, i64 %{pointer}i{k}",
    ]


def load(pointer, width, k):
    """The lines that load the k-th vector from here as %v."""
    loaded = f"  %v{k} = load <{width} x float>, ptr %{pointer}p{k}, align {ALIGNED}"
    return [*address(pointer, width, k), loaded]


def store(value, width, k, past_cache):
    """The lines that store a value as the k-th vector of b, perhaps past the caches."""
    hint = ", !nontemporal !0" if past_cache else ""
    stored = f"  store <{width} x float> {value}, ptr %bp{k}, align {ALIGNED}{hint}"
    return [*address("b", width, k), stored]


def read(width):
    """Sums of all elements of a."""
    vector = f"<{width} x float>"
    return accumulating(
        "read", width, UNROLLED, UNROLLED,
        lambda k: [*load("a", width, k), f"  %t{k} = fadd {vector} %s{k}, %v{k}"],
    )  # fmt: skip


def write(width, past_cache):
    """One vector into all of b."""
    body = [line for k in range(UNROLLED) for line in store("%x", width, k, past_cache)]
    return loops(f"write{'_past' * past_cache}", width, UNROLLED, [], body)


def copy(width, past_cache):
    """All of a into b."""
    body = [
        line
        for k in range(UNROLLED)
        for line in [*load("a", width, k), *store(f"%v{k}", width, k, past_cache)]
    ]
    return loops(f"copy{'_past' * past_cache}", width, UNROLLED, [], body)


LOG2_E = 1.4426950408889634
TAYLOR = [0.6931471805599453**n / np.prod(np.arange(1, n + 1, dtype=float)) for n in range(6)]


def exponential(width):
    """exp of all of a into b: 2**n times a polynomial of degree 5, to about seven digits."""
    body = [line for k in range(UNROLLED) for line in exponential_lines(width, k)]
    return loops("exponential", width, UNROLLED, [], body)


def exponential_lines(width, k):
    """The lines of one vector of exponentials."""
    v, whole = f"<{width} x float>", f"<{width} x i32>"
    name = f"v{width}f32"

    def constant(number):
        (bits,) = np.float32([number]).astype(np.float64).view(np.int64)
        return f"<{', '.join([f'float 0x{bits:016X}'] * width)}>"

    lines = [
        *load("a", width, k),
        f"  %m{k} = fmul {v} %v{k}, {constant(LOG2_E)}",
        f"  %n{k} = call {v} @llvm.rint.{name}({v} %m{k})",
        f"  %r{k} = fsub {v} %m{k}, %n{k}",
    ]
    power = constant(TAYLOR[-1])
    for place, coefficient in reversed(list(enumerate(TAYLOR[:-1]))):
        operands = f"{v} {power}, {v} %r{k}, {v} {constant(coefficient)}"
        lines.append(f"  %q{k}_{place} = call {v} @llvm.fma.{name}({operands})")
        power = f"%q{k}_{place}"
    shift = f"<{', '.join(['i32 23'] * width)}>"
    lines += [
        f"  %j{k} = fptosi {v} %n{k} to {whole}",
        f"  %h{k} = shl {whole} %j{k}, {shift}",
        f"  %c{k} = bitcast {v} {power} to {whole}",
        f"  %d{k} = add {whole} %c{k}, %h{k}",
        f"  %w{k} = bitcast {whole} %d{k} to {v}",
    ]
    return [*lines, *store(f"%w{k}", width, k, False)]


def module(width):
    """The text of all kernels."""
    v = f"<{width} x float>"
    kernels = [peak(width), read(width), exponential(width)]
    kernels += [kernel(width, past) for kernel in (write, copy) for past in (False, True)]
    declared = [
        f"declare {v} @llvm.fma.v{width}f32({v}, {v}, {v})",
        f"declare {v} @llvm.rint.v{width}f32({v})",
        "!0 = !{i32 1}",
    ]
    return "\n".join([*declared, *kernels])


# --- measuring -----------------------------------------------------------------------------------


def vector_width():
    """How many floats the widest vector of this processor holds."""
    features = llvm.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx2") else 4


class Kernels:
    """The compiled kernels; each runs on several threads at once, each thread on its own memory."""

    def __init__(self, threads):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.threads, self.width = threads, vector_width()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
        )
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(module(self.width)), machine)
        self.engine.finalize_object()
        self.memory = [[aligned(0), aligned(0)] for _ in range(threads)]

    def seconds(self, name, count):
        """The least time of one pass over `count` vectors in all, shared by the threads."""
        share = -(-count // (self.threads * UNROLLED * CHAINS)) * UNROLLED * CHAINS
        for pair in self.memory:
            for at, array in enumerate(pair):
                if array.size < share * self.width:
                    pair[at] = aligned(share * self.width)
        repeats, taken = 1, self.run(name, share, 1)
        while taken < SECONDS:
            repeats = round(repeats * max(2.0, 1.2 * SECONDS / max(taken, 1e-9)))
            taken = self.run(name, share, repeats)
        least = min(taken, *(self.run(name, share, repeats) for _ in range(RUNS - 1)))
        return least / repeats * count / (share * self.threads)

    def run(self, name, count, repeats):
        """The time of the slowest thread."""
        operands = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        kernel = ctypes.CFUNCTYPE(ctypes.c_float, *operands, ctypes.c_float, ctypes.c_float)(
            self.engine.get_function_address(name)
        )
        barrier, taken = threading.Barrier(self.threads), []

        def work(a, b):
            barrier.wait()
            start = time.thread_time()  # not the clock on the wall: others may have the core
            kernel(a.ctypes.data, b.ctypes.data, count, repeats, 1.0, 1e-7)
            taken.append(time.thread_time() - start)

        workers = [threading.Thread(target=work, args=pair) for pair in self.memory]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return max(taken)


def aligned(count):
    """So many zeros, in memory that is there and begins at a cache line."""
    whole = np.zeros(count + ALIGNED // FLOAT, np.float32)
    whole.fill(0)
    start = -whole.ctypes.data % ALIGNED // FLOAT
    return whole[start : start + count]


class Roof:
    """What so many threads reach at most."""

    def __init__(self, threads):
        self.kernels = Kernels(threads)
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
