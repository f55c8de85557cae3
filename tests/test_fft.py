"""Fourier transforms against NumPy's, with an error that grows as the logarithm of the size."""

import math
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.fft.dft import prime_factors, radices, unit_circle

Array = np.ndarray[Any, Any]
NORMS = ("backward", "ortho", "forward")
SIZES = (1, 2, 3, 4, 5, 6, 8, 12, 17, 30, 64, 97, 100, 101, 243, 251, 360)
"""With one, two and three stages, a prime stage, and the ones that go through a convolution."""
ROUNDINGS = 2
"""Epsilons for each doubling of the size; a convolution is two transforms and three products."""


def numbers(seed: int, *shape: int, dtype: str = "complex128") -> Array:
    """Random numbers."""
    parts = np.random.default_rng(seed).normal(size=(2, *shape))
    return np.asarray(parts[0] + 1j * parts[1] if "complex" in dtype else parts[0]).astype(dtype)


def assert_transform(got: Array, want: Array, n: int, what: str) -> None:
    """The difference, beside the magnitude of all elements, is some roundings for each stage."""
    epsilon = float(np.finfo(got.dtype).eps)
    difference = np.linalg.norm((got - want).ravel())
    allowed = ROUNDINGS * epsilon * (1 + math.log2(n)) * np.linalg.norm(want.ravel())
    assert difference <= allowed, f"{what}: {difference} > {allowed}"


def transforms(x: Any, module: Any, n: int, norm: str, real: bool) -> dict[str, Any]:
    """Every transform along the last axis that takes the array, by graphc or by NumPy."""
    names = ("rfft", "ihfft") if real else ("fft", "ifft")
    found = {name: getattr(module.fft, name)(x, norm=norm) for name in names}
    if not real:
        found |= {
            f"{name} {count}": getattr(module.fft, name)(x, n=count, norm=norm)
            for name, count in (("irfft", 2 * n), ("hfft", n + 1 - n % 2))
        }
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_every_transform_of_every_size(dtype: str) -> None:
    wide = {"float32": "float64", "complex64": "complex128"}.get(dtype, dtype)
    sizes = SIZES if wide == dtype else SIZES[1::3]
    inputs = [gx.input(f"x{n}", (2, n), dtype) for n in sizes]
    arrays = [numbers(n, 2, n, dtype=dtype) for n in sizes]
    real = dtype.startswith("float")
    nodes, wants = {}, {}
    for n, x, array in zip(sizes, inputs, arrays, strict=True):
        norm = NORMS[n % 3]
        nodes[n] = transforms(x, gx, n, norm, real)
        wants[n] = transforms(array.astype(wide), np, n, norm, real)
    for n, results in gx.compile(inputs, nodes)(*arrays).items():
        for name, got in results.items():
            want = wants[n][name]
            assert got.shape == want.shape, name
            assert got.dtype.itemsize * 2 == want.dtype.itemsize * (1 if wide != dtype else 2)
            assert_transform(got, want, n, f"{name} of {n}")


def test_large_sizes() -> None:
    for n in (1009, 1024, 3000):
        x = gx.input("x", (n,), "complex128")
        given = numbers(n, n)
        assert_transform(gx.compile([x], gx.fft.fft(x))(given), np.fft.fft(given), n, str(n))


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_several_axes(device: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("fftn", {}), ("fftn", {"axes": (0, 2)}), ("fftn", {"s": (3, -1), "axes": (0, 1)}),
        ("ifftn", {"norm": "ortho"}), ("ifftn", {"s": (5, 8), "axes": (2, 0)}),
        ("rfftn", {}), ("rfftn", {"s": (3, 8), "axes": (1, 0)}), ("rfftn", {"axes": (-1,)}),
        ("irfftn", {}), ("irfftn", {"s": (4, 7), "axes": (0, 2)}), ("fft", {"axis": 0, "n": 9}),
        ("rfft", {"axis": 1, "n": 3}), ("irfft", {"axis": -2}), ("hfft", {"axis": 0}),
    ]  # fmt: skip
    given = numbers(0, 4, 6, 5, dtype="float64")
    x = gx.input("x", given.shape, "float64")
    nodes = [getattr(gx.fft, name)(x, **options) for name, options in calls]
    pairs = zip(calls, gx.compile([x], nodes, device=device)(given), strict=True)
    for (name, options), got in pairs:
        want = getattr(np.fft, name)(given, **options)
        assert got.shape == want.shape
        assert_transform(got, want, given.size, f"{name} {options}")


def test_symbolic_sizes() -> None:
    x, m = gx.input("x", ("b", "n"), "complex128"), gx.input("m", (4, "n"), "float64")

    def both(x: Any, m: Any, g: Any) -> list[Any]:
        f = g.fft
        return [f.fft(x), f.ifft(x, norm="ortho"), f.rfft(m), f.irfft(x), f.fft(x, n=8),
                f.fft(x, axis=0), f.irfft(x, n=7), f.ihfft(m, norm="forward"), f.fftshift(x),
                f.ifftshift(m, axes=1), f.fftn(x)]  # fmt: skip

    step = gx.compile([x, m], both(x, m, gx))
    for b, n in ((2, 5), (3, 8), (1, 12), (0, 4)):
        arrays = numbers(n, b, n), numbers(n, 4, n, dtype="float64")
        if b == 0:
            assert step(*arrays)[0].shape == (0, 4)
            continue
        for place, (got, want) in enumerate(zip(step(*arrays), both(*arrays, np), strict=True)):
            assert got.shape == want.shape
            assert_transform(got, want, 4 * n, f"{place} of {n}")


def test_integers_and_short_floats() -> None:
    for dtype, kind in (("int32", "complex128"), ("bool", "complex128"), ("float16", "complex64")):
        x = gx.input("x", (6,), dtype)
        given = np.array([0, 1, 1, 0, 1, 0]).astype(dtype)
        forward, half = gx.compile([x], [gx.fft.fft(x), gx.fft.rfft(x)])(given)
        assert forward.dtype == half.dtype == kind
        assert_transform(forward, np.fft.fft(given.astype(float)), 6, dtype)
        np.testing.assert_allclose(half, forward[:4], atol=1e-6)


def test_empty_batches() -> None:
    x = gx.input("x", (0, 8), "complex64")
    for node in (gx.fft.fft(x), gx.fft.irfft(x), gx.fft.rfft(gx.real(x))):
        assert gx.compile([x], node)(np.zeros((0, 8), "complex64")).size == 0


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_frequencies_and_shifts(n: int) -> None:
    x = gx.input("x", (n, 3), "float32")
    given = numbers(n, n, 3, dtype="float32")
    nodes = [gx.fft.fftfreq(n, d=0.1), gx.fft.rfftfreq(n, dtype="float32"), gx.fft.fftshift(x),
             gx.fft.ifftshift(x, axes=0), gx.fft.ifftshift(gx.fft.fftshift(x))]  # fmt: skip
    got = gx.compile([x], nodes)(given)
    wants = [np.fft.fftfreq(n, 0.1), np.fft.rfftfreq(n).astype("float32"), np.fft.fftshift(given),
             np.fft.ifftshift(given, 0), given]  # fmt: skip
    for result, want in zip(got, wants, strict=True):
        assert result.dtype == want.dtype
        np.testing.assert_array_equal(result, want)


# --- the parts -----------------------------------------------------------------------------------


def test_stages_multiply_to_the_size() -> None:
    for n in range(2, 700):
        sizes = radices(n)
        if sizes is None:
            assert prime_factors(n)[-1] > 97
        else:
            assert math.prod(sizes) == n
            assert all(size <= 16 or size in prime_factors(n) for size in sizes)
    assert radices(4096) == [16, 16, 16]
    assert radices(1000) == [10, 10, 10]


def test_points_on_the_unit_circle_are_exact_where_they_can_be() -> None:
    for n in (1, 2, 3, 8, 12, 360, 10**6 + 3):
        numerators = np.array([0, 1, n - 1, n, n // 2, n // 4, 5 * n + 1, 123456789 * n + 1])
        got = unit_circle(numerators, n).astype(complex)
        want = np.exp(-2j * np.pi * (numerators % n / n))
        np.testing.assert_allclose(got, want, atol=4e-16)
        np.testing.assert_array_equal(got[[0, 3]], [1, 1])
    np.testing.assert_array_equal(unit_circle(np.arange(4), 4), [1, -1j, -1, 1j])


def test_transforms_are_differentiated_and_batched() -> None:
    x = gx.input("x", (3, 12), "complex128")
    loss = gx.sum(gx.abs(gx.fft.fft(x)) ** 2)
    each = gx.vmap(lambda v: gx.fft.irfft(gx.fft.ifft(v), n=7))(x)
    given = numbers(1, 3, 12)
    gradient, rows = gx.compile([x], [gx.grad(loss, x), each])(given)
    np.testing.assert_allclose(gradient, 2 * 12 * np.conj(given), rtol=1e-13)  # Parseval's
    np.testing.assert_allclose(rows, np.fft.irfft(np.fft.ifft(given), n=7), atol=1e-14)
