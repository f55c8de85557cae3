"""float16 and bfloat16 in C: bits and float32 values, rounded to nearest, ties to even."""

from __future__ import annotations

from collections.abc import Callable

from graphc.runtime.c_source.dialect import Dialect


def value_of_float16(dialect: Dialect) -> str:
    """The float32 that 16 bits stand for; a denormal one is scaled up by a subtraction."""
    return f"""FUNCTION float value_of_float16(uint16_t half_bits) {{
  const uint32_t sign = (uint32_t)(half_bits & 0x8000) << 16;
  const uint32_t rest = (uint32_t)(half_bits & 0x7fff) << 13;
  if (rest >= 0x0f800000u) {{  // infinite, or a NaN, which becomes a quiet one
    const uint32_t quiet = rest > 0x0f800000u ? 0x00400000u : 0;
    return {dialect.float_of[32]}(sign | 0x70000000u | rest | quiet);
  }}
  if (rest >= 0x00800000u) return {dialect.float_of[32]}(sign | (rest + 0x38000000u));
  const float above = {dialect.float_of[32]}(rest + 0x38800000u);
  const uint32_t small = {dialect.bits[32]}(above - {dialect.float_of[32]}(0x38800000u));
  return {dialect.float_of[32]}(sign | small);
}}"""


def bits_of_float16(dialect: Dialect) -> str:
    """The bits of the nearest float16; a denormal one is rounded by an addition."""
    return f"""FUNCTION uint16_t bits_of_float16(float x) {{
  const uint32_t all = {dialect.bits[32]}(x), sign = (all >> 16) & 0x8000, rest = all & 0x7fffffffu;
  if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | ((rest >> 13) & 0x3ff));
  if (rest >= 0x47800000u) return (uint16_t)(sign | 0x7c00);
  if (rest < 0x38800000u) {{
    const uint32_t sum = {dialect.bits[32]}({dialect.float_of[32]}(rest) + 0.5f);
    return (uint16_t)(sign | (sum - 0x3f000000u));
  }}
  const uint32_t rounded = rest + 0xc8000fffu + ((rest >> 13) & 1);
  return (uint16_t)(sign | (rounded >> 13));
}}"""


def value_of_bfloat16(dialect: Dialect) -> str:
    """The float32 that begins with the 16 bits."""
    return f"""FUNCTION float value_of_bfloat16(uint16_t upper_bits) {{
  return {dialect.float_of[32]}((uint32_t)upper_bits << 16);
}}"""


def bits_of_bfloat16(dialect: Dialect) -> str:
    """The upper 16 bits of the float32, rounded; a NaN stays one."""
    return f"""FUNCTION uint16_t bits_of_bfloat16(float x) {{
  const uint32_t all = {dialect.bits[32]}(x);
  if (x != x) return (uint16_t)((all >> 16) | 0x40);
  return (uint16_t)((all + 0x7fffu + ((all >> 16) & 1)) >> 16);
}}"""


def round_float16(dialect: Dialect) -> str:
    """The nearest float16 in float32."""
    return """FUNCTION float round_float16(float x) {
  return value_of_float16(bits_of_float16(x));
}"""


def round_bfloat16(dialect: Dialect) -> str:
    """The nearest bfloat16 in float32."""
    return """FUNCTION float round_bfloat16(float x) {
  return value_of_bfloat16(bits_of_bfloat16(x));
}"""


def odd_float32(dialect: Dialect) -> str:
    """A float64 as float32, the last bit set where it is inexact.

    Rounding that to 16 bits gives the correctly rounded result (Boldo and Melquiond, 2008).
    """
    return f"""FUNCTION float odd_float32(double x) {{
  const float near = (float)x;
  const double back = (double)near;
  const uint32_t all = {dialect.bits[32]}(near) - (fabs(back) > fabs(x) ? 1u : 0u);
  return {dialect.float_of[32]}(all | (back < x || back > x ? 1u : 0u));
}}"""


TEXTS: dict[str, Callable[[Dialect], str]] = {
    writer.__name__: writer
    for writer in (
        value_of_float16, bits_of_float16, value_of_bfloat16, bits_of_bfloat16, round_float16,
        round_bfloat16, odd_float32,
    )
}  # fmt: skip
"""The functions by their names in C, which are those of their writers."""
