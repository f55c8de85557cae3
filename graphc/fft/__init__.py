"""Fourier transforms: the Array API's extension `fft`, written in the language on complex arrays.

They are made of products by small matrices, so that derivatives, batching and fusion need nothing
of their own. A size that is known takes n log n operations, whatever its factors; a symbolic one
n * n. The error is a few roundings for each stage.
"""

from graphc.fft.frequencies import fftfreq, fftshift, ifftshift, rfftfreq
from graphc.fft.transforms import (
    fft,
    fftn,
    hfft,
    ifft,
    ifftn,
    ihfft,
    irfft,
    irfftn,
    rfft,
    rfftn,
)

__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfftn", "rfft", "rfftfreq", "rfftn",
]  # fmt: skip
