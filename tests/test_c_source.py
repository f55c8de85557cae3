"""What C is written with: literals, names and parentheses. Whole kernels are in tests/emit/c."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphc.ir.types import REAL_DTYPES, DType, float32, float64
from graphc.runtime.c_source.names import Names, identifier
from graphc.runtime.c_source.sizes import bare, operand
from graphc.runtime.c_source.types import literal
from graphc.runtime.cuda.dialect import CUDA
from graphc.runtime.opencl.dialect import OPENCL

INTEGERS = [dtype for dtype in REAL_DTYPES if dtype.is_integer]


@pytest.mark.parametrize("dtype", [float32, float64])
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_as_itself(dtype: DType, value: float) -> None:
    with np.errstate(over="ignore"):
        number = dtype.numpy.type(value)
    text = literal(OPENCL, dtype, float(number))
    if math.isinf(number):
        assert "INFINITY" in text
        return
    assert text.endswith(("f", "f)")) == (dtype == float32)
    assert dtype.numpy.type(bare(text).rstrip("f")).tobytes() == number.tobytes()


@pytest.mark.parametrize("dialect", [OPENCL, CUDA], ids=lambda dialect: dialect.name)
def test_what_has_no_digits_has_a_word(dialect: object) -> None:
    assert isinstance(dialect, type(OPENCL))
    for dtype in (float32, float64):
        assert literal(dialect, dtype, math.inf) == dialect.infinity[dtype.bits]
        assert literal(dialect, dtype, -math.inf) == f"(-{dialect.infinity[dtype.bits]})"
        assert literal(dialect, dtype, math.nan) == dialect.nan[dtype.bits]
        assert literal(dialect, dtype, -math.nan).startswith(f"{dialect.float_of[dtype.bits]}(0xff")


@pytest.mark.filterwarnings("error")
def test_a_number_beyond_a_dtype_is_infinite_without_a_warning() -> None:
    assert literal(OPENCL, float32, -1e300) == f"(-{OPENCL.infinity[32]})"


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_the_limits_of_integers_are_literals(dtype: DType) -> None:
    for limit in map(int, dtype.limits):
        text = bare(literal(OPENCL, dtype, limit)).removeprefix(f"({dtype.name}_t)")
        total = sum(int(part.strip("uL ")) for part in text.replace("- 1", "+ -1").split("+"))
        assert total == limit


@pytest.mark.parametrize(
    "name", ["half", "float", "as_int", "get_x", "exp_float32", "size_t", "1x", "größe", "", "_x"]
)
def test_a_name_means_nothing_else(name: str) -> None:
    text = identifier(name)
    assert text != name
    assert text.isascii()
    assert text.isidentifier()


def test_different_names_stay_different() -> None:
    names = Names()
    found = [names.of("value", "a.b"), names.of("value", "a_b"), names.of("buffer", "a_b")]
    assert len(set(found)) == 3
    assert names.of("value", "%a_b") == found[1]


def test_parentheses_go_where_they_do_nothing() -> None:
    assert bare("(a + b)") == "a + b"
    assert bare("(a) + (b)") == "(a) + (b)"
    assert bare("((a + b) * c)") == "(a + b) * c"


def test_parentheses_come_where_they_are_needed() -> None:
    assert operand("a - b") == "(a - b)"
    assert operand("x[i + 1]") == "x[i + 1]"
    assert operand("f(a, b)") == "f(a, b)"
    assert operand("(a - b)") == "(a - b)"


@pytest.mark.parametrize("name", ["round_float16", "round_bfloat16"])
def test_functions_of_short_floats_have_one_order(name: str) -> None:
    script = (
        "from graphc.runtime.c_source.helpers import Helpers\n"
        "from graphc.runtime.cuda.dialect import CUDA\n"
        "helpers = Helpers(CUDA, None)\n"
        f"helpers.need({name!r})\n"
        "print(list(helpers.written))\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in "0123"
    }  # fmt: skip
    assert len(said) == 1
    assert "value_of" in said.pop()
