"""CUDA C as the printer of kernels writes it, for NVRTC, which has no standard headers."""

from __future__ import annotations

import itertools
from dataclasses import replace

from graphc.runtime.c_source.dialect import WORDS, Dialect, WarpWords

# Conversions are instructions. A NaN becomes the one NaN that they know.
HALVES = {
    "value_of_float16": """FUNCTION float value_of_float16(uint16_t half_bits) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(half_bits));
  return x;
}""",
    "bits_of_float16": """FUNCTION uint16_t bits_of_float16(float x) {
  uint16_t half_bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half_bits) : "f"(x));
  return half_bits;
}""",
}
TENSOR_CORES = "__CUDA_ARCH__ >= 800"
WARPGROUPS = "defined(__CUDA_ARCH_FEAT_SM90_ALL)"
"""Whether the code is for sm_90a: what has that letter is of one generation of GPUs alone."""


def multiply_matrices(dtype: str, word: str, terms: int) -> str:
    """The function that multiplies matrices of a dtype, by its word in PTX, on a tensor core."""
    return f"""#if {TENSOR_CORES}
FUNCTION void multiply_matrices_{dtype}(
    float *upper, float *lower, const uint32_t *left, const uint32_t *right) {{
  asm volatile(
      "mma.sync.aligned.m16n8k{terms}.row.col.f32.{word}.{word}.f32 "
      "{{%0, %1, %2, %3}}, {{%4, %5, %6, %7}}, {{%8, %9}}, {{%0, %1, %2, %3}};"
      : "+f"(upper[0]), "+f"(upper[1]), "+f"(lower[0]), "+f"(lower[1])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
}}
#endif"""


def load_matrices(count: int, transposed: bool) -> str:
    """The function that loads matrices of 8 by 8 elements from shared memory, turned or not."""
    parts = ", ".join(f"%{at}" for at in range(count))
    outputs = ", ".join(f'"=r"(parts[{at}])' for at in range(count))
    name, word = ("_transposed", ".trans") if transposed else ("", "")
    return f"""#if {TENSOR_CORES}
FUNCTION void load_matrices{name}_{count}(uint32_t *parts, const void *row) {{
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x{count}{word}.shared.b16 {{{parts}}}, [%{count}];"
      : {outputs} : "r"((uint32_t)__cvta_generic_to_shared(row)) : "memory");
}}
#endif"""


def round_matrices(count: int) -> str:
    """The function that rounds so many float32 to the nearest tf32, halves away from zero."""
    rounded = "cvt.rna.tf32.f32 %0, %1;"
    lines = [
        f'  asm("{rounded}" : "=r"(parts[{at}]) : "f"(__uint_as_float(parts[{at}])));'
        for at in range(count)
    ]
    body = "\n".join(lines)
    return f"""#if {TENSOR_CORES}
FUNCTION void round_matrices_{count}(uint32_t *parts) {{
{body}
}}
#endif"""


def begin_copy(size: int, cached: str, word: str) -> str:
    """The function that has so many bytes copied to shared memory, or zeros where none are read."""
    return f"""FUNCTION void begin_copy_{size}(void *to, const void *from, bool is_read) {{
#if {TENSOR_CORES}
  asm volatile(
      "cp.async.{cached}.shared.global [%0], [%1], {size}, %2;"
      :: "r"((uint32_t)__cvta_generic_to_shared(to)), "l"(__cvta_generic_to_global(from)),
         "r"(is_read ? {size} : 0) : "memory");
#else
  {word} copied = {{}};
  if (is_read) copied = *(const {word} *)from;
  *({word} *)to = copied;
#endif
}}"""


def end_copies(pending: int) -> str:
    """The function that waits for copies, but for those begun since so many calls before it."""
    return f"""FUNCTION void end_copies_but_{pending}() {{
#if {TENSOR_CORES}
  asm volatile("cp.async.commit_group; cp.async.wait_group {pending};" ::: "memory");
#endif
}}"""


DESCRIBE = f"""#if {WARPGROUPS}
FUNCTION uint64_t describe_matrix(const void *first, uint32_t across, uint32_t down) {{
  const uint64_t swizzled = 1ull << 62, at = (uint32_t)__cvta_generic_to_shared(first);
  return swizzled | (uint64_t)(down / 16) << 32 | (uint64_t)(across / 16) << 16 | at / 16;
}}
#endif"""


def for_warpgroups(head: str, assembly: str) -> str:
    """A function that is there for GPUs with warpgroups alone, and does nothing on others."""
    return f"""FUNCTION void {head} {{
#if {WARPGROUPS}
  asm volatile({assembly});
#endif
}}"""


def multiply_warpgroup(dtype: str, word: str, columns: int, sides: str) -> str:
    """The function that has a warpgroup begin to multiply matrices of a dtype.

    sides says of both whether rows, or columns, lie side by side.
    """
    count = columns // 2
    sums = [f"{half}[{column + at}]" for column in range(0, count // 2, 2)
            for half in ("upper", "lower") for at in (0, 1)]  # fmt: skip
    parts = ", ".join(f"%{at}" for at in range(count))
    bound = ",\n        ".join(
        ", ".join(f'"+f"({text})' for text in sums[at : at + 8]) for at in range(0, count, 8)
    )
    return f"""#if {WARPGROUPS}
FUNCTION void multiply_warpgroup_{dtype}_{columns}_{sides}(
    float *upper, float *lower, uint64_t left, uint64_t right) {{
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n{columns}k16.f32.{word}.{word} "
      "{{{parts}}}, "
      "%{count}, %{count + 1}, 1, 1, 1, {sides[0]}, {sides[1]};"
      : {bound}
      : "l"(left), "l"(right));
}}
#endif"""


CUDA = Dialect(
    name="cuda",
    suffix="cu",
    heading="// compile with --fmad=false",
    integers={
        "int8_t": "signed char",
        "uint8_t": "unsigned char",
        "int16_t": "short",
        "uint16_t": "unsigned short",
        "int32_t": "int",
        "uint32_t": "unsigned int",
        "int64_t": "long long",
        "uint64_t": "unsigned long long",
    },
    entry='extern "C" __global__',
    bounds="__launch_bounds__({threads})",
    function="static __device__",
    buffer="",
    shared="__shared__ ",
    aligned="__align__(16) ",
    given="extern __shared__ __align__(1024) unsigned char {name}[]",
    block="blockIdx.x",
    thread="threadIdx.x",
    barrier="__syncthreads()",
    bits={32: "__float_as_uint", 64: "(unsigned long long)__double_as_longlong"},
    float_of={32: "__uint_as_float", 64: "__longlong_as_double"},
    single="f",
    infinity={32: "__int_as_float(0x7f800000)", 64: "__longlong_as_double(0x7ff0000000000000)"},
    nan={32: "__int_as_float(0x7fc00000)", 64: "__longlong_as_double(0x7ff8000000000000)"},
    long_suffix="LL",
    functions={
        **HALVES,
        "load_matrices_2": load_matrices(2, False),
        "load_matrices_4": load_matrices(4, False),
        "load_matrices_transposed_2": load_matrices(2, True),
        "load_matrices_transposed_4": load_matrices(4, True),
        "round_matrices_2": round_matrices(2),
        "round_matrices_4": round_matrices(4),
        "multiply_matrices_float16": multiply_matrices("float16", "f16", 16),
        "multiply_matrices_bfloat16": multiply_matrices("bfloat16", "bf16", 16),
        "multiply_matrices_tf32": multiply_matrices("tf32", "tf32", 8),
        "begin_copy_4": begin_copy(4, "ca", "uint32_t"),
        "begin_copy_8": begin_copy(8, "ca", "uint2"),
        "begin_copy_16": begin_copy(16, "cg", "uint4"),
        "end_copies_but_0": end_copies(0),
        "end_copies_but_1": end_copies(1),
    },
    words={**WORDS, 8: "uint2", 16: "uint4"},
    warp=WarpWords(
        barrier="__syncwarp()",
        below="__shfl_down_sync(0xffffffff, {value}, {distance})",
        first="__shfl_sync(0xffffffff, {value}, 0)",
    ),
    matrix=TENSOR_CORES,
)
"""What every GPU has words for, or the preprocessor leaves out."""
HOPPER = replace(
    CUDA,
    warpgroup=WARPGROUPS,
    crowded="__launch_bounds__({threads}, {blocks})",
    functions={
        **CUDA.functions,
        "describe_matrix": DESCRIBE,
        "show_copies": for_warpgroups(
            "show_copies()", '"fence.proxy.async.shared::cta;" ::: "memory"'
        ),
        "begin_products": for_warpgroups(
            "begin_products()", '"wgmma.fence.sync.aligned;" ::: "memory"'
        ),
        "commit_products": for_warpgroups(
            "commit_products()", '"wgmma.commit_group.sync.aligned;" ::: "memory"'
        ),
        **{
            f"end_products_but_{count}": for_warpgroups(
                f"end_products_but_{count}()",
                f'"wgmma.wait_group.sync.aligned {count};" ::: "memory"',
            )
            for count in (0, 1)
        },
        # Adding -0 changes no number. Without it ptxas moves conversions of sums before the wait.
        "settle_sum": for_warpgroups(
            "settle_sum(float *sum)", '"add.rn.f32 %0, %0, 0f80000000;" : "+f"(*sum) :: "memory"'
        ),
        **{
            f"multiply_warpgroup_{dtype}_{columns}_{sides}": multiply_warpgroup(
                dtype, word, columns, sides
            )
            for (dtype, word), columns, sides in itertools.product(
                (("float16", "f16"), ("bfloat16", "bf16")), (128,), ("00", "01", "10", "11")
            )
        },
    },
)
"""For GPUs of compute capability 9.0, whose warpgroups multiply matrices."""


def dialect_for(architecture: str) -> Dialect:
    """The dialect for what NVRTC compiles for, such as "sm_80" or "sm_90a"."""
    return HOPPER if architecture == "sm_90a" else CUDA
