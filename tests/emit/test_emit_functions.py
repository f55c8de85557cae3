"""Every primitive on every dtype, in vectors with a masked tail and one by one, against NumPy."""

import itertools

import numpy as np
import pytest

from graphc.ir import scalar, types
from graphc.ir.dim import symbol
from graphc.ir.kernel import Buffer, Kernel, Store, loop
from graphc.ir.scalar import Load, Scalar
from graphc.ir.types import DType

COUNT = 150
KINDS = {"vector": 64, "serial": 1}
i = symbol("i", "index", COUNT)

UNARY = {
    "negative": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "bitwise_invert": np.invert,
}
BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "copysign": np.copysign,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "bitwise_left_shift": np.left_shift,
    "bitwise_right_shift": np.right_shift,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}
FLOAT_ONLY = {"divide", "sqrt", "copysign", "floor", "ceil", "trunc", "round"}
BITWISE = {name for name in UNARY | BINARY if name.startswith("bitwise")}
ORDER = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
FLOATS = [d for d in types.REAL_DTYPES if d.is_float]
INTEGERS = [d for d in types.REAL_DTYPES if d.is_integer]


def applies(function: str, dtype: DType) -> bool:
    """Whether the language has the function for the dtype."""
    if dtype.is_float:
        return function not in BITWISE
    if dtype.kind == "bool":
        return function in (BITWISE | ORDER) and "shift" not in function
    return function not in FLOAT_ONLY and (function != "negative" or dtype.kind == "int")


def samples(dtype: DType, seed: int) -> np.ndarray:
    """Random numbers among which every awkward one meets every other."""
    random = np.random.default_rng(seed)
    if dtype.kind == "bool":
        return random.integers(0, 2, COUNT).astype(bool)
    if dtype.is_float:
        numbers = random.normal(size=COUNT) * 10.0 ** random.integers(-3, 4, COUNT)
        numbers[::3] = np.round(numbers[::3])
        special = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, np.inf, -np.inf, np.nan, -3.0]
    else:
        limits = np.iinfo(dtype.numpy)
        numbers = random.integers(limits.min, limits.max, COUNT, dtype.numpy, endpoint=True)
        numbers[::2] %= 13
        special = [0, 1, limits.min, limits.max, 7, 3 if dtype.kind == "uint" else -1]
    pairs = list(itertools.product(special, special))[:COUNT]
    numbers[: len(pairs)] = [pair[seed % 2] for pair in pairs]
    return numbers.astype(dtype.numpy)


def elementwise(value: Scalar, inputs: list[DType], kind: str) -> Kernel:
    """A kernel that stores a formula of the elements of x0, x1, ... in y."""
    body = (Store("y", i, value),)
    buffers = [Buffer(f"x{at}", dtype, COUNT) for at, dtype in enumerate(inputs)]
    nest = loop("i", COUNT, kind, body, KINDS[kind])
    return Kernel("f", (*buffers, Buffer("y", value.dtype, COUNT, True)), (nest,))


def element(at: int, dtype: DType) -> Scalar:
    return Load(dtype, f"x{at}", i, None)


def compare(result: np.ndarray, expected: np.ndarray) -> None:
    """Equal bits, but that any NaN is as good as another and a zero's sign is left open."""
    wide = np.float64 if result.dtype.kind not in "biu" else result.dtype
    np.testing.assert_array_equal(result.astype(wide), expected.astype(wide))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", types.REAL_DTYPES, ids=str)
def test_one_argument(run, dtype, kind):
    x = samples(dtype, 0)
    for function, reference in UNARY.items():
        if not applies(function, dtype):
            continue
        y = np.empty(COUNT, dtype.numpy)
        value = scalar.call(function, element(0, dtype))
        run(elementwise(value, [dtype], kind), x, y)
        with np.errstate(all="ignore"):
            compare(y, reference(x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", types.REAL_DTYPES, ids=str)
def test_two_arguments(run, dtype, kind):
    x, z = samples(dtype, 0), samples(dtype, 1)
    for function, reference in BINARY.items():
        if not applies(function, dtype):
            continue
        value = scalar.call(function, element(0, dtype), element(1, dtype))
        y = np.empty(COUNT, value.dtype.numpy)
        run(elementwise(value, [dtype, dtype], kind), x, z, y)
        with np.errstate(all="ignore"):
            # 16-bit floats are computed in float32 and rounded once.
            wide = [a.astype(np.float32) if dtype.bits == 16 and dtype.is_float else a
                    for a in (x, z)]  # fmt: skip
            compare(y, reference(*wide).astype(y.dtype))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", types.REAL_DTYPES, ids=str)
def test_cast(run, source, kind):
    for target in types.REAL_DTYPES:
        x = samples(source, 0)
        if source.is_float and target.is_integer:  # else NumPy's result depends on the machine
            limits = np.iinfo(target.numpy)
            low = max(limits.min, -30_000)
            x = np.clip(np.nan_to_num(x.astype(np.float32)), low, 100).astype(source.numpy)
        y = np.empty(COUNT, target.numpy)
        run(elementwise(scalar.cast(element(0, source), target), [source], kind), x, y)
        with np.errstate(all="ignore"):
            compare(y, x.astype(target.numpy))


def test_cast_rounds_float64_to_16_bits_once(run):
    # Halfway between two float16 numbers but for a bit that float32 has no room for.
    x = np.array([1 + 2**-11, 1 + 2**-11 + 2**-40, 1 + 3 * 2**-11 - 2**-40, 65519.999999, 1e300])
    x = np.resize(np.concatenate([x, -x]), COUNT)
    y = np.empty(COUNT, np.float16)
    kernel = elementwise(scalar.cast(element(0, types.float64), types.float16),
                         [types.float64], "vector")  # fmt: skip
    run(kernel, x, y)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y, x.astype(np.float16))


def test_cast_to_16_bits_rounds_in_the_middle_of_a_formula(run):
    x = samples(types.float32, 0)
    for dtype in (types.float16, types.bfloat16):
        y = np.empty(COUNT, np.float32)
        rounded = scalar.cast(scalar.cast(element(0, types.float32), dtype), types.float32)
        run(elementwise(rounded, [types.float32], "vector"), x, y)
        compare(y, x.astype(dtype.numpy).astype(np.float32))


def test_cast_out_of_range_saturates(run):
    x = np.resize(np.array([np.nan, np.inf, -np.inf, 1e10, -1e10, 3.9], np.float32), COUNT)
    y = np.empty(COUNT, np.int32)
    value = scalar.cast(element(0, types.float32), types.int32)
    run(elementwise(value, [types.float32], "vector"), x, y)
    least, most = -(2**31), 2**31 - 1
    np.testing.assert_array_equal(y[:6], [0, most, least, most, least, 3])


@pytest.mark.parametrize("dtype", [d for d in types.REAL_DTYPES if d.kind != "bool"], ids=str)
def test_fma_and_where(run, dtype):
    x, z = samples(dtype, 0), samples(dtype, 1)
    value = scalar.call("fma", element(0, dtype), element(1, dtype), element(0, dtype))
    value = scalar.where(element(0, dtype) < element(1, dtype), value, 1)
    y = np.empty(COUNT, dtype.numpy)
    run(elementwise(value, [dtype, dtype], "vector"), x, z, y)
    wide = np.float64 if dtype.is_float else dtype.numpy
    a, b = x.astype(wide), z.astype(wide)
    with np.errstate(all="ignore"):
        expected = np.where(a < b, (a * b + a).astype(dtype.numpy).astype(wide), wide.type(1)
                            if isinstance(wide, np.dtype) else 1.0)  # fmt: skip
    if dtype in (types.float32, types.float64):
        np.testing.assert_allclose(y, expected, rtol=1e-6)
    else:
        compare(y, expected)


@pytest.mark.parametrize("features", ["", None], ids=["by_halves", "host"])
@pytest.mark.parametrize("dtype", [types.float32, types.float64], ids=str)
def test_ldexp_rounds_once(run, dtype, features):
    random = np.random.default_rng(7)
    x = (random.uniform(0.5, 2, COUNT) * random.choice([-1, 1], COUNT)).astype(dtype.numpy)
    x[:4] = 0.0, np.inf, -np.inf, np.nan
    least = -1074 if dtype.bits == 64 else -149
    k = random.integers(least - 3, -least // 2, COUNT).astype(dtype.numpy)
    k[20:60] = random.integers(least, least + 30, 40)
    y = np.empty(COUNT, dtype.numpy)
    value = scalar.call("ldexp", element(0, dtype), element(1, dtype))
    for kind in KINDS:
        run(elementwise(value, [dtype, dtype], kind), x, k, y, features=features)
        with np.errstate(all="ignore"):
            compare(y, np.ldexp(x, k.astype(np.int32)))


@pytest.mark.parametrize("number", [0.0, -1.0, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_extreme_of_a_value_and_a_constant(run, dtype, number):
    x = samples(dtype, 0)
    y = np.empty(COUNT, dtype.numpy)
    for function in ("minimum", "maximum"):
        constant = scalar.const(dtype, number)
        for operands in ((element(0, dtype), constant), (constant, element(0, dtype))):
            run(elementwise(scalar.call(function, *operands), [dtype], "vector"), x, y)
            with np.errstate(invalid="ignore"):
                compare(y, BINARY[function](x, dtype.numpy.type(number)))


@pytest.mark.parametrize(
    ("source", "target"),
    [("float32", "int32"), ("float64", "uint64"), ("float16", "uint16"), ("bfloat16", "int16")],
)
def test_bitcast(run, source, target):
    one, two = types.BY_NAME[source], types.BY_NAME[target]
    x = np.arange(COUNT).astype(one.numpy)
    y, back = np.empty(COUNT, two.numpy), np.empty(COUNT, one.numpy)
    run(elementwise(scalar.bitcast(element(0, one), two), [one], "vector"), x, y)
    np.testing.assert_array_equal(y, x.view(two.numpy))
    run(elementwise(scalar.bitcast(element(0, two), one), [two], "vector"), y, back)
    compare(back, x)


@pytest.mark.parametrize("dtype", [types.float16, types.float32, types.float64], ids=str)
def test_transcendental_functions_are_expanded(run, dtype):
    x = np.random.default_rng(5).normal(size=COUNT).astype(dtype.numpy)
    y = np.empty(COUNT, dtype.numpy)
    run(elementwise(scalar.call("exp", element(0, dtype)), [dtype], "vector"), x, y)
    expected = np.exp(x.astype(np.float64)).astype(dtype.numpy)
    np.testing.assert_allclose(y, expected, rtol=2 * np.finfo(dtype.numpy).eps)


def test_constants_keep_every_bit(run):
    for dtype in FLOATS:
        for number in (0.1, -0.0, float("inf"), float("nan"), 1e-42, 3.0e38):
            y = np.empty(COUNT, dtype.numpy)
            run(elementwise(scalar.const(dtype, number), [], "vector"), y)
            with np.errstate(over="ignore"):
                expected = np.full(COUNT, number).astype(dtype.numpy)
            assert y.tobytes() == expected.tobytes() or np.isnan(number)
