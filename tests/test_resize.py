"""Resizing and sampling images: by hand, against PyTorch, refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from against_torch import compare

import graphc as gx
from graphc.nn.resize import pixel_shuffle, pixel_unshuffle, resize
from graphc.nn.sampling import affine_grid, grid_sample

TORCH_MODES = {
    1: {"nearest": "nearest", "nearest_exact": "nearest-exact", "linear": "linear"},
    2: {
        "nearest": "nearest", "nearest_exact": "nearest-exact", "linear": "bilinear",
        "cubic": "bicubic",
    },
    3: {"nearest": "nearest", "nearest_exact": "nearest-exact", "linear": "trilinear"},
}  # fmt: skip


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


# --- by hand -------------------------------------------------------------------------------------


def test_a_row() -> None:
    row = np.array([[[0.0, 4.0, 8.0]]])
    x = gx.input("x", row.shape, "float64")
    cases = {
        "nearest": (resize(x, 6), [0, 0, 4, 4, 8, 8]),
        "nearest fewer": (resize(x, 2), [0, 4]),
        "exact": (resize(x, 5, mode="nearest_exact"), [0, 0, 4, 8, 8]),
        "linear": (resize(x, 6, mode="linear"), [0, 1, 3, 5, 7, 8]),
        "corners": (resize(x, 5, mode="linear", align_corners=True), [0, 2, 4, 6, 8]),
        "scale": (resize(x, scale=1.7, mode="linear", align_corners=True), [0, 2, 4, 6, 8]),
        "same": (resize(x, 3, mode="cubic"), [0, 4, 8]),
    }
    results = gx.compile([x], [node for node, _ in cases.values()])(row)
    for (name, (_, want)), got in zip(cases.items(), results, strict=True):
        np.testing.assert_allclose(got[0, 0], want, rtol=1e-15, err_msg=name)


def test_the_same_image_again() -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype("f4")
    x = gx.input("x", image.shape, "float32")
    theta = gx.constant(np.array([[[1, 0, 0], [0, 1, 0]]] * 2), "float32")
    grid = affine_grid(theta, (5, 4))
    got = gx.compile([x], grid_sample(x, grid))(image)
    np.testing.assert_allclose(got, image, atol=1e-5)


def test_places_in_a_large_image_of_half_precision() -> None:
    """Numbers of elements are integers: float16 would have none between 2048 and 2050."""
    image = (np.arange(64 * 65) % 1999).astype(np.float16).reshape(1, 1, 64, 65)
    x = gx.input("x", image.shape, "float16")
    grid = gx.constant(np.array([[[[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]]]), "float16")
    got = gx.compile([x], grid_sample(x, grid, align_corners=True))(image)
    assert got.reshape(-1).tolist() == [image[0, 0, -1, -1], image[0, 0, 0, -1], image[0, 0, -1, 0]]


def test_nan_outside_of_a_window_stays_there() -> None:
    image = np.array([[[np.nan, 1.0, 2.0, 3.0]]])
    x = gx.input("x", image.shape, "float64")
    got = gx.compile([x], resize(x, 8, mode="linear"))(image)
    assert np.isnan(got[0, 0]).tolist() == [True, True, True, *[False] * 5]


def test_channels_last_and_symbolic_batch() -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    x = gx.input("x", ("n", 3, 5, 4), "float64")
    last = resize(gx.permute_dims(x, (0, 2, 3, 1)), (7, 3), mode="cubic", layout="NHWC")
    first = resize(x, (7, 3), mode="cubic")
    both = gx.compile([x], [first, gx.permute_dims(last, (0, 3, 1, 2))])(image)
    np.testing.assert_array_equal(*both)


def test_pixels_are_shuffled_back() -> None:
    image = np.random.default_rng(0).normal(size=(2, 12, 3, 2))
    x = gx.input("x", image.shape, "float64")
    wide = pixel_shuffle(x, 2)
    last = pixel_shuffle(gx.permute_dims(x, (0, 2, 3, 1)), 2, layout="NHWC")
    got, back, other = gx.compile(
        [x], [wide, pixel_unshuffle(wide, 2), gx.permute_dims(last, (0, 3, 1, 2))]
    )(image)
    assert got.shape == (2, 3, 6, 4)
    assert got[1, 2, 5, 2] == image[1, 2 * 4 + 2 * 1 + 0, 2, 1]
    np.testing.assert_array_equal(back, image)
    np.testing.assert_array_equal(other, got)
    volume = gx.input("v", (1, 8, 1, 2, 3), "float64")
    assert pixel_shuffle(volume, 2).shape == (1, 1, 2, 4, 6)
    assert pixel_unshuffle(pixel_shuffle(volume, 2), 2).shape == volume.shape


# --- against PyTorch -----------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixel_shuffle_like_torch(torch: Any, factor: int) -> None:
    random = np.random.default_rng(factor)
    for name, ours, shape in (
        ("pixel_shuffle", pixel_shuffle, (2, 2 * factor**2, 3, 2)),
        ("pixel_unshuffle", pixel_unshuffle, (2, 2, 3 * factor, 2 * factor)),
    ):
        theirs = getattr(torch.nn.functional, name)
        compare(
            torch,
            lambda a, f=ours: f(a, factor),
            lambda a, f=theirs: f(a, factor),
            [random.normal(size=shape)],
            1,
        )


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(48))
def test_resize_like_torch(torch: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    rank = (1, 2, 2, 3)[seed % 4]
    mode = list(TORCH_MODES[rank])[seed // 4 % len(TORCH_MODES[rank])]
    old, new = (tuple(int(n) for n in random.integers(1, 9, rank)) for _ in range(2))
    image = random.normal(size=(2, 2, *old))
    corners = {"align_corners": bool(seed // 16 % 2)} if mode in ("linear", "cubic") else {}
    # Weights are relative to 1 and not to themselves, where they depend on a place; each axis
    # has up to four of them, and a cubic's add up to at most 2 in magnitude.
    largest = 16 * sum(old) * 8**rank * np.prod(np.maximum(1, np.ceil(np.divide(new, old))))
    compare(
        torch,
        lambda a: resize(a, new, mode=mode, **corners),
        lambda a: torch.nn.functional.interpolate(a, new, mode=TORCH_MODES[rank][mode], **corners),
        [image],
        float(largest),
        floor=1.0,
    )


@pytest.mark.oracle
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("sizes", [(5, 4), (1, 6), (7, 7), (3, 2, 4)])
def test_sampling_like_torch(torch: Any, sizes: Any, padding: str, corners: bool) -> None:
    random = np.random.default_rng(3)
    image = random.normal(size=(2, 3, *sizes))
    grid = random.uniform(-2.3, 2.3, size=(2, 4, *(3, 2)[: len(sizes) - 1], len(sizes)))
    sample = torch.nn.functional.grid_sample
    theirs: Any = {"align_corners": corners, "padding_mode": padding}
    options: Any = {"align_corners": corners, "padding": padding}
    scale = 64.0 * sum(sizes) ** 2
    # The paddings are formulas before the sampling: machine code is compared with one of them.
    device = "cpu" if padding == "zeros" and not corners else "reference"
    compare_first(
        torch,
        lambda a, b: grid_sample(a, b, **options),
        lambda a, b: sample(a, b, mode="bilinear", **theirs),
        [image, grid],
        scale,
        device,
    )
    compare_first(
        torch,
        lambda a: grid_sample(a, grid, mode="nearest", **options),
        lambda a: sample(a, torch.tensor(grid), mode="nearest", **theirs),
        [image],
        scale,
        device,
    )
    if len(sizes) == 2:
        compare_first(
            torch,
            lambda a, b: grid_sample(a, b, mode="cubic", **options),
            lambda a, b: sample(a, b, mode="bicubic", **theirs),
            [image, grid],
            16 * scale,
            device,
        )


def compare_first(
    torch: Any, ours: Any, theirs: Any, arrays: list[Any], scale: float, device: str = "cpu"
) -> None:
    """Value and gradient, relative to the largest element (PyTorch has no second derivative)."""
    inputs = [gx.input(f"x{k}", array.shape, "float64") for k, array in enumerate(arrays)]
    value = ours(*inputs)
    outputs = [value, *gx.grad(gx.sum(gx.sin(value)), inputs)]
    got = gx.compile(inputs, outputs, device=device)(*arrays)
    nodes = [torch.tensor(array, requires_grad=True) for array in arrays]
    want = theirs(*nodes)
    gradients = torch.autograd.grad(want.sin().sum(), nodes)
    for mine, right in zip(got, (want, *gradients), strict=True):
        size = max(1.0, float(right.detach().abs().max()))
        assert np.max(np.abs(mine - right.detach().numpy())) <= scale * size * 2.0**-52


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:Since version")
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("sizes", [(4, 5), (2, 3), (1, 2), (3, 2, 4)])
def test_affine_grid_like_torch(torch: Any, sizes: tuple[int, ...], corners: bool) -> None:
    rank = len(sizes)
    theta = np.random.default_rng(0).normal(size=(3, rank, rank + 1))
    theirs = torch.nn.functional.affine_grid
    compare(
        torch,
        lambda a: affine_grid(a, sizes, align_corners=corners),
        lambda a: theirs(a, (3, 1, *sizes), align_corners=corners),
        [theta],
        8.0 * int(np.prod(sizes)),
        floor=1.0,
    )


# --- refusals ------------------------------------------------------------------------------------

x = gx.input("x", (2, 3, 8, 8), "float32")

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "mode": (
        lambda: resize(x, 4, mode="area"),
        "resize: mode is one of nearest, nearest_exact, linear, cubic, not 'area'",
    ),
    "corners": (
        lambda: resize(x, 4, align_corners=True),
        "resize: align_corners has no meaning for mode 'nearest'",
    ),
    "neither": (lambda: resize(x), "resize: give either sizes or scale"),
    "both": (lambda: resize(x, 4, scale=2), "resize: give either sizes or scale"),
    "scale": (lambda: resize(x, scale=-1.0), "resize: scale is a number > 0 for each of 2 axes"),
    "sizes": (
        lambda: resize(x, (1, 2, 3)),
        "resize: sizes must be an integer >= 1, or one for each",
    ),
    "symbolic": (
        lambda: resize(gx.input("y", (1, 1, "n"), "float32"), 2),
        "resize: the spatial sizes of f32[1, 1, n] must be known and not 0",
    ),
    "shuffled channels": (
        lambda: pixel_shuffle(x, 2),
        "pixel_shuffle: the channels of f32[2, 3, 8, 8] must be a multiple of 4",
    ),
    "unshuffled sizes": (
        lambda: pixel_unshuffle(x, 3),
        "pixel_unshuffle: the spatial sizes of f32[2, 3, 8, 8] must be multiples of 3",
    ),
    "factor": (lambda: pixel_shuffle(x, 0), "pixel_shuffle: factor must be an integer above 0"),
    "theta": (
        lambda: affine_grid(gx.zeros((2, 3, 3)), (4, 4)),
        "affine_grid: theta of shape (2, 3, 3) must be (N, 2, 3) for two sizes and (N, 3, 4)",
    ),
    "grid": (
        lambda: grid_sample(x, gx.zeros((3, 4, 4, 2))),
        "grid_sample: x of shape (2, 3, 8, 8) and a grid of shape (3, 4, 4, 2) must be "
        "(N, C, H, W) and (N, P, Q, 2), or (N, C, D, H, W) and (N, P, Q, R, 3)",
    ),
    "sampling mode": (
        lambda: grid_sample(x, gx.zeros((2, 4, 4, 2)), mode="area"),
        "grid_sample: mode is one of linear, nearest, cubic, not 'area'",
    ),
    "sampling padding": (
        lambda: grid_sample(x, gx.zeros((2, 4, 4, 2)), padding="same"),
        "grid_sample: padding is one of zeros, border, reflection, not 'same'",
    ),
    "sampling volumes": (
        lambda: grid_sample(gx.zeros((1, 1, 2, 2, 2)), gx.zeros((1, 1, 1, 1, 3)), mode="cubic"),
        "grid_sample: cubic is for images, this is f64[1, 1, 2, 2, 2]",
    ),
    "sampling a symbolic size": (
        lambda: grid_sample(gx.input("y", (1, 1, "h", 2), "float64"), gx.zeros((1, 4, 4, 2))),
        "grid_sample: the spatial sizes of f64[1, 1, h, 2] must be known and not 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_message(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(gx.GraphError) as caught:
        build()
    assert message in str(caught.value)
    assert "test_resize.py" in str(caught.value), "the user's line is missing"
