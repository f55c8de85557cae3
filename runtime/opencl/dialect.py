"""OpenCL C 1.2 as the printer of kernels writes it."""

from __future__ import annotations

from graphc.runtime.c_source.dialect import WORDS, Dialect

OPENCL = Dialect(
    name="opencl",
    suffix="cl",
    heading="#pragma OPENCL FP_CONTRACT OFF",
    integers={
        "int8_t": "char",
        "uint8_t": "uchar",
        "int16_t": "short",
        "uint16_t": "ushort",
        "int32_t": "int",
        "uint32_t": "uint",
        "int64_t": "long",
        "uint64_t": "ulong",
    },
    entry="kernel",
    bounds="__attribute__((reqd_work_group_size({threads}, 1, 1)))",
    function="static inline",
    buffer="global ",
    shared="local ",
    shared_pointer="local ",
    aligned="__attribute__((aligned(16))) ",
    block="get_group_id(0)",
    thread="get_local_id(0)",
    barrier="barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)",
    bits={32: "as_uint", 64: "as_ulong"},
    float_of={32: "as_float", 64: "as_double"},
    single="",
    infinity={32: "INFINITY", 64: "(double)INFINITY"},
    nan={32: "NAN", 64: "(double)NAN"},
    long_suffix="L",
    words={**WORDS, 8: "uint2", 16: "uint4"},
)
