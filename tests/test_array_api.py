"""The names of the Array API 2024.12: each is there, or docs/array-api.md says why it is not."""

import re
from pathlib import Path

import pytest

import graphc as gx

STANDARD = """
abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2
atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
broadcast_arrays broadcast_to can_cast ceil clip concat conj copysign cos cosh count_nonzero
cumulative_prod cumulative_sum diff divide e empty empty_like equal exp expand_dims expm1 eye
finfo flip floor floor_divide from_dlpack full full_like greater greater_equal hypot iinfo imag
inf isdtype isfinite isinf isnan less less_equal linspace log log10 log1p log2 logaddexp
logical_and logical_not logical_or logical_xor matmul matrix_transpose max maximum mean meshgrid
min minimum moveaxis multiply nan negative newaxis nextafter nonzero not_equal ones ones_like
permute_dims pi positive pow prod real reciprocal remainder repeat reshape result_type roll
round searchsorted sign signbit sin sinh sort sqrt square squeeze stack std subtract sum take
take_along_axis tan tanh tensordot tile tril triu trunc unique_all unique_counts unique_inverse
unique_values unstack var vecdot where zeros zeros_like
"""
LINALG = """
cross diagonal matmul matrix_norm matrix_transpose outer tensordot trace vecdot vector_norm
"""
FFT = """
fft fftfreq fftn fftshift hfft ifft ifftn ifftshift ihfft irfft irfftn rfft rfftfreq rfftn
"""
DTYPES = """
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128
"""
DECOMPOSITIONS = """
cholesky det eigh eigvalsh inv matrix_power matrix_rank pinv qr slogdet solve svd svdvals
"""
DOCUMENT = (Path(__file__).resolve().parent.parent / "docs/array-api.md").read_text()


def missing() -> dict[str, str]:
    """The names that the document lists, with the reason for each."""
    table = DOCUMENT.split("<!-- table: missing -->")[1].split("\n\n")[1]
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.M))


@pytest.mark.parametrize("name", " ".join([STANDARD, LINALG, DTYPES]).split())
def test_a_name_is_there_or_the_document_says_why_not(name: str) -> None:
    assert hasattr(gx, name) != (name in missing())
    assert (name in gx.__all__) == hasattr(gx, name)


def test_the_document_lists_nothing_else() -> None:
    assert missing().keys() <= set(STANDARD.split())


def test_the_fft_extension_is_complete() -> None:
    assert gx.fft.__all__ == FFT.split()
    assert all(callable(getattr(gx.fft, name)) for name in FFT.split())


def test_every_word_of_the_linalg_extension_is_listed() -> None:
    assert all(f"`{name}`" in DOCUMENT for name in (LINALG + DECOMPOSITIONS).split())


def test_the_linalg_extension_is_complete() -> None:
    assert set((LINALG + DECOMPOSITIONS).split()) <= set(gx.linalg.__all__)
    assert all(hasattr(gx.linalg, name) for name in gx.linalg.__all__)
    assert all(getattr(gx.linalg, name) is getattr(gx, name) for name in LINALG.split())
