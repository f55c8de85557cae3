"""What the emitted text looks like: tiles in registers, work moved out of loops, names to read."""

import ctypes
import re

import numpy as np

from graphc.ir import scalar
from graphc.ir.dim import symbol
from graphc.ir.kernel import Accumulate, Accumulator, Buffer, Kernel, Let, Store, loop
from graphc.ir.literal import Literal
from graphc.ir.program import Allocation, CallKernel, Program
from graphc.ir.scalar import Load, Ref
from graphc.ir.types import TensorType, float32, float64
from graphc.runtime.cpu import jit
from graphc.runtime.cpu.emit import Emitted, emit, emit_kernel
from graphc.runtime.cpu.target import Target, host, vector_registers

WIDE = Target(vector_bits=512, registers=32)


def scale(count, lanes=64, dtype=float32):
    """y = x * the first element of s."""
    i = symbol("%i", "index", count)
    value = Load(dtype, "x", i, None) * Load(dtype, "s", 0, None)
    nest = loop("%i", count, "vector", (Let("scaled", value), Store("y", i, Ref(dtype, "scaled"))),
                lanes)  # fmt: skip
    buffers = (Buffer("x", dtype, count), Buffer("s", dtype, 1), Buffer("y", dtype, count, True))
    return Kernel("scale", buffers, (nest,), ("y = x * s  # model.py:3",))


def tile(rows, columns, k):
    ii, jj = symbol("ii", "index", rows), symbol("jj", "index", columns)
    kk = symbol("k", "index", k)
    product = Load(float32, "a", ii * k + kk, None) * Load(float32, "b", kk * columns + jj, None)
    body = (
        Accumulator("s", "sum", float32),
        loop("k", k, "serial", (Accumulate("s", product),)),
        Store("c", ii * columns + jj, Ref(float32, "s")),
    )
    nest = loop("ii", rows, "unrolled", (loop("jj", columns, "vector", body, columns),))
    sizes = {"a": rows * k, "b": k * columns, "c": rows * columns}
    buffers = tuple(Buffer(name, float32, size, name == "c") for name, size in sizes.items())
    return Kernel("tile", buffers, (nest,))


def innermost(text):
    """The lines of the last loop's body."""
    return text[text.rindex(":\n  %", 0, text.rindex("br i1")) :].split("br i1")[0]


def test_a_tile_shares_its_loads_and_keeps_its_sums_in_registers():
    body = innermost(emit_kernel(tile(8, 32, 100), WIDE).text)
    assert body.count("phi <16 x float>") == 16
    assert body.count("@llvm.fma.v16f32") == 16
    assert body.count("load float") == 8
    assert body.count("load <16 x float>") == 2
    assert body.count("store") == 0


def test_what_a_loop_does_not_change_is_computed_before_it():
    text = emit_kernel(scale(256), WIDE).text
    before, inside = text[: text.index("phi i64")], text[text.index("phi i64") :]
    assert "shufflevector" in before
    assert "shufflevector" not in inside
    assert "load float" in before


def test_memory_is_not_read_before_a_loop_that_may_not_run():
    text = emit_kernel(scale(symbol("n")), WIDE).text
    assert "load float" not in text[: text.index("phi i64")]


def test_known_limits_need_no_mask_or_a_constant_one():
    assert "masked" not in emit_kernel(scale(256), WIDE).text
    ragged = emit_kernel(scale(256 + 18), WIDE).text
    assert ragged.count("@llvm.masked.store") == 1
    assert f"<{', '.join(['i1 1'] * 2 + ['i1 0'] * 14)}>" in ragged
    assert "icmp sgt" not in ragged
    assert "icmp sgt <16 x i32>" in emit_kernel(scale(symbol("n")), WIDE).text


def test_a_single_element_that_is_left_over_is_stored_alone():
    text = emit_kernel(scale(256 + 17), WIDE).text
    assert "@llvm.masked.store" not in text
    assert text.count("store float") == 1


def test_vectors_are_as_wide_as_the_registers():
    assert "<16 x float>" in emit_kernel(scale(256), WIDE).text
    assert "<8 x float>" in emit_kernel(scale(256), Target(256, 16)).text
    assert "<8 x double>" in emit_kernel(scale(256, dtype=float64), WIDE).text
    assert "<4 x float>" in emit_kernel(scale(256, lanes=4), WIDE).text


def test_registers_of_some_processors():
    assert vector_registers("x86_64-unknown-linux-gnu", {"avx": True, "avx512f": True}) == (512, 32)
    assert vector_registers("x86_64-unknown-linux-gnu", {"avx": True}) == (256, 16)
    assert vector_registers("x86_64-apple-darwin", {}) == (128, 16)
    assert vector_registers("aarch64-unknown-linux-gnu", {"neon": True}) == (128, 32)


def test_text_is_for_people_too():
    text = emit_kernel(scale(256), WIDE).text
    assert "; y = x * s  # model.py:3\ndefine void @scale(ptr %sizes, ptr %pool, ptr %x" in text
    assert "; for vector %i < 256 lanes 64" in text
    assert re.search(r"%scaled\.\d+ = fmul", text)


def test_sizes_are_loaded_once_from_the_table():
    n, m = symbol("n"), symbol("m")
    i, j = symbol("%i", "index", n), symbol("%j", "index", m)
    inner = loop("%j", m, "vector", (Store("y", i * m + j, scalar.const(float32, 1.0)),), 64)
    nest = loop("%i", n, "serial", (inner,))
    emitted = emit_kernel(Kernel("ones", (Buffer("y", float32, n * m, True),), (nest,)), WIDE)
    assert set(emitted.sizes) == {n, m}
    assert emitted.text.count("ptr %sizes, i64") == 2


def test_parallel_loops_are_functions_of_their_own():
    n = symbol("n")
    i = symbol("%i", "index", n)
    nest = loop("%i", n, "parallel", (Store("y", i, scalar.const(float32, 1.0)),))
    text = emit_kernel(Kernel("ones", (Buffer("y", float32, n, True),), (nest, nest)), WIDE).text
    assert "declare void @graphc_parallel_for(ptr, ptr, ptr, i64, i64)" in text
    assert "define internal void @ones.parallel0(ptr %context, i64 %begin, i64 %end)" in text
    assert "call void @graphc_parallel_for(ptr %pool, ptr @ones.parallel1, " in text


def test_step_calls_the_kernels_in_order():
    kind = TensorType(float32, (256,))
    allocations = (
        Allocation("x", "input", kind),
        Allocation("c", "constant", TensorType(float32, (1,)), Literal(np.float32([3]))),
        Allocation("t", "temporary", kind),
        Allocation("y", "output", kind),
    )
    calls = (CallKernel("scale", ("x", "c", "t")), CallKernel("scale", ("t", "c", "y")))
    emitted: Emitted = emit(Program(allocations, (scale(256),), calls, ("y",)), host())
    x, c, t, y = (
        np.arange(256, dtype="f4"),
        np.float32([3]),
        np.zeros(256, "f4"),
        np.ones(256, "f4"),
    )
    pointers = (ctypes.c_void_p * 4)(*(a.ctypes.data for a in (x, c, t, y)))
    library = jit.load(emitted.text)
    step = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(library.address("step"))
    step(None, None, ctypes.addressof(pointers))
    np.testing.assert_array_equal(t, x * 3)
    np.testing.assert_array_equal(y, x * 9)
