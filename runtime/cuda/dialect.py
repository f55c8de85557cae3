"""CUDA C as the printer of kernels writes it, for NVRTC, which has no standard headers."""

from __future__ import annotations

from graphc.runtime.c_source.dialect import Dialect, MatrixUnit


def multiply_matrices(dtype: str, word: str) -> str:
    """The function that multiplies matrices of a dtype, by its word in PTX, on a tensor core."""
    return f"""#if __CUDA_ARCH__ >= 800
FUNCTION void multiply_matrices_{dtype}(
    float *upper, float *lower, const uint32_t *left, const uint32_t *right) {{
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.{word}.{word}.f32 "
      "{{%0, %1, %2, %3}}, {{%4, %5, %6, %7}}, {{%8, %9}}, {{%0, %1, %2, %3}};"
      : "+f"(upper[0]), "+f"(upper[1]), "+f"(lower[0]), "+f"(lower[1])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
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
    shared="__shared__ __align__(16) ",
    block="blockIdx.x",
    thread="threadIdx.x",
    barrier="__syncthreads()",
    bits={32: "__float_as_uint", 64: "(unsigned long long)__double_as_longlong"},
    float_of={32: "__uint_as_float", 64: "__longlong_as_double"},
    single="f",
    infinity={32: "__int_as_float(0x7f800000)", 64: "__longlong_as_double(0x7ff0000000000000)"},
    nan={32: "__int_as_float(0x7fc00000)", 64: "__longlong_as_double(0x7ff8000000000000)"},
    long_suffix="LL",
    matrix=MatrixUnit(
        condition="__CUDA_ARCH__ >= 800",
        functions={
            dtype: multiply_matrices(dtype, word)
            for dtype, word in (("float16", "f16"), ("bfloat16", "bf16"))
        },
    ),
)
