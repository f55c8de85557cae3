"""Every operator of the table: its type rule, its value on every device, its text.

The operands come from the table in `samples.py`; derivatives are in `test_every_derivative.py`.
Errors are measured against NumPy in a wider type, and the bounds follow from the dtype, the
stated ULP and the length of reductions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from closeness import (
    assert_complex_values,
    assert_values,
    complex_tolerance,
    spacing,
    tolerance,
    wider,
)
from sample import (
    Array,
    Row,
    Sample,
    all_pairs,
    bind,
    bound_types,
    column_major,
    every_second,
    in_order,
    operands,
    reversed_view,
    seed_of,
    special_values,
)
from samples import (
    HOLD_GRAPHS,
    MADE_BY_PASSES,
    MATRICES,
    SAMPLES,
    STRUCTURE,
    WITH_RULES,
    accepted,
    attrs_for,
    each_operator,
    infer,
    node_of,
)

import graphc as gx
from graphc.errors import TypeRuleError
from graphc.ir.graph import Graph
from graphc.ir.node import LANGUAGE, Node
from graphc.ir.op import OPS
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.ir.types import DTYPES, DType, TensorType, as_dtype
from graphc.ir.verify import verify
from graphc.passes.fuse import fuse
from graphc.passes.inline_fusions import inline_fusions
from graphc.runtime.reference.evaluate import evaluate
from graphc.runtime.sizes import bound

BINDINGS = ({"n": 5, "b": 2}, {"n": 1, "b": 1}, {"n": 0, "b": 3}, {"n": 33, "b": 1})
"""Values of the symbolic sizes."""
NUMPY_ULP = 4.0
"""What NumPy promises of its own functions of single and double precision."""

every_operator = pytest.mark.parametrize("name", sorted(SAMPLES))
every_elementwise = sorted(name for name, row in SAMPLES.items() if row.elementwise)
every_dtype = pytest.mark.parametrize(
    ("name", "dtype"), [pytest.param(n, d, id=f"{n}-{d.name}") for n, d in each_operator()]
)
every_device = pytest.mark.parametrize("device", ["cpu", "reference"])


# --- the table -----------------------------------------------------------------------------------


def test_every_operator_has_samples() -> None:
    others = (STRUCTURE, MADE_BY_PASSES, HOLD_GRAPHS, WITH_RULES, MATRICES)
    assert set(OPS) == set(SAMPLES).union(*others)


@every_operator
def test_samples_cover_empty_single_and_symbolic(name: str) -> None:
    shapes = [shape for sample in SAMPLES[name].samples for shape in sample.shapes]
    sizes = {size for shape in shapes for size in shape}
    if shapes and name != "cast":
        assert {0, 1} <= sizes
    if shapes:
        assert any(not isinstance(size, int) for size in sizes)


# --- type rules ----------------------------------------------------------------------------------


@every_operator
def test_type_rule_accepts_exactly_the_stated_dtypes(name: str) -> None:
    sample = SAMPLES[name].samples[0]
    for dtype in DTYPES:
        if dtype in accepted(name):
            assert isinstance(infer(name, sample, dtype), TensorType)
        else:
            with pytest.raises(TypeRuleError):
                infer(name, sample, dtype)


@every_operator
def test_type_rule_refuses(name: str) -> None:
    dtype = accepted(name)[-1]
    for sample in SAMPLES[name].refused:
        with pytest.raises((TypeRuleError, TypeError)):
            infer(name, sample, dtype)


@every_operator
def test_type_rule_gives_the_shape_of_the_value(name: str) -> None:
    dtype = accepted(name)[-1]
    for sample in SAMPLES[name].samples:
        kind = infer(name, sample, dtype)
        for sizes in BINDINGS if sample.is_symbolic else BINDINGS[:1]:
            arrays = random_operands(name, sample, dtype, sizes)
            value = reference(name, sample, dtype, arrays, sizes)
            assert np.shape(value) == bind(kind.shape, sizes)


# --- values --------------------------------------------------------------------------------------


def random_operands(
    name: str, sample: Sample, dtype: DType, sizes: Mapping[str, int]
) -> list[Array]:
    """Operands whose seed is the sample's own."""
    random = np.random.default_rng(seed_of(name, sample.shapes, sample.attrs, dtype, sizes))
    return operands(SAMPLES[name], bound_types(sample, dtype, sizes), random)


def reference(
    name: str, sample: Sample, dtype: DType, arrays: Sequence[Array], sizes: Mapping[str, int]
) -> Any:
    """The operator's own NumPy on arrays of any dtype."""
    attrs = attrs_for(SAMPLES[name], sample, dtype)
    with np.errstate(all="ignore"):
        return OPS[name].reference(*arrays, **{k: bound(v, sizes) for k, v in attrs.items()})


class Step:
    """Samples of an operator in one compiled step; without operands an input decides the sizes."""

    def __init__(self, name: str, dtype: DType, samples: Sequence[Sample], device: str) -> None:
        self.name, self.dtype, self.samples, self.device = name, dtype, samples, device
        parts = [node_of(name, sample, dtype, f"x{k}_") for k, sample in enumerate(samples)]
        inputs = [node for nodes, _ in parts for node in nodes]
        self.has_operands = bool(inputs)
        if not inputs:
            inputs.append(gx.input("sizes", ("n",), "float32"))
        self.step = gx.compile(inputs, [output for _, output in parts], device=device)

    def run(self, groups: Sequence[Sequence[Array]], sizes: Mapping[str, int]) -> None:
        """Call it with operands for each sample, and check each result."""
        flat = [array for group in groups for array in group]
        given = flat if self.has_operands else [np.zeros(sizes["n"], np.float32)]
        for sample, group, got in zip(self.samples, groups, self.step(*given), strict=True):
            self.check(sample, group, got, sizes)

    def run_random(self, sizes: Mapping[str, int]) -> None:
        """Call it with random operands."""
        self.run([random_operands(self.name, s, self.dtype, sizes) for s in self.samples], sizes)

    def check(
        self, sample: Sample, arrays: Sequence[Array], got: Array, sizes: Mapping[str, int]
    ) -> None:
        """Compare a result with the operator's NumPy in a wider type."""
        row = SAMPLES[self.name]
        wide = [wider(array, row) for array in arrays]
        want = np.asarray(reference(self.name, sample, self.dtype, wide, sizes))
        what = f"{self.name} {sample.shapes} {dict(sample.attrs)} {self.dtype.name} {dict(sizes)}"
        assert got.shape == want.shape, what
        if got.dtype.kind not in "cfV":
            np.testing.assert_array_equal(got, want, what)
            return
        if got.dtype.kind == "c":
            self.check_complex(row, sample, wide, got, want, what)
            return
        with np.errstate(all="ignore"):
            attrs = {key: bound(value, sizes) for key, value in sample.attrs.items()}
            allowed = tolerance(row, wide, attrs, want, as_dtype(got.dtype))
        if self.device == "reference" and row.ulp:
            allowed = np.maximum(allowed, NUMPY_ULP * spacing(want, as_dtype(got.dtype)))
        assert_values(got, want, allowed, what, row.signed_zero)

    def check_complex(
        self, row: Row, sample: Sample, wide: Sequence[Array], got: Array, want: Array, what: str
    ) -> None:
        """Compare a complex result."""
        dtype = as_dtype(got.dtype)
        with np.errstate(all="ignore"):
            allowed = complex_tolerance(row, wide, sample.attrs, want, dtype)
            if self.device == "reference" and row.complex_error:
                allowed = allowed + NUMPY_ULP * np.finfo(got.dtype).eps * np.abs(want)
        assert_complex_values(got, want, allowed, what)


@every_device
@every_dtype
def test_value(name: str, dtype: DType, device: str) -> None:
    Step(name, dtype, SAMPLES[name].samples, device).run_random(BINDINGS[0])


@every_operator
def test_one_compilation_serves_every_size(name: str) -> None:
    samples = [s for s in SAMPLES[name].samples if s.is_symbolic or not s.shapes]
    step = Step(name, accepted(name)[-1], samples, "cpu")
    for sizes in (*BINDINGS, BINDINGS[0]):
        step.run_random(sizes)


@every_operator
def test_operands_need_not_be_contiguous(name: str) -> None:
    samples = [sample for sample in SAMPLES[name].samples if sample.shapes]
    dtype = accepted(name)[-1]
    if not samples:
        return
    step = Step(name, dtype, samples, "cpu")
    groups = [random_operands(name, sample, dtype, BINDINGS[0]) for sample in samples]
    for view in (every_second, column_major, reversed_view):
        step.run([[view(array) for array in group] for group in groups], BINDINGS[0])


# --- special values ------------------------------------------------------------------------------

FAR = {"sin": 1e4, "cos": 1e4, "tan": 1e4}
"""Beyond this the functions give NaN, as docs/accuracy.md says."""


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(n, d, id=f"{n}-{d.name}")
        for n, d in each_operator()
        if n in every_elementwise and not (d.is_complex and SAMPLES[n].complex_error)
    ],
)
def test_special_values(name: str, dtype: DType) -> None:
    types = SAMPLES[name].samples[0].types(dtype)
    values = [special_values(t.dtype) for t in types]
    if name in FAR:
        values = [v[~(np.isfinite(v) & (np.abs(v.astype(float)) > FAR[name]))] for v in values]
    arrays = all_pairs(values)
    shapes = ((arrays[0].size,),) * len(arrays)
    sample = Sample(shapes, dtypes=SAMPLES[name].samples[0].dtypes)
    Step(name, dtype, [sample], "cpu").run([arrays], BINDINGS[0])


SHAPED = sorted(
    name
    for name, row in SAMPLES.items()
    if not row.elementwise and row.samples[0].shapes and gx.float32 in accepted(name)
)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(n, d) for n in SHAPED for d in accepted(n) if d.is_float and n != "cast"],
    ids=lambda value: getattr(value, "name", value),
)
def test_nan_infinity_and_zeros_among_others(name: str, dtype: DType) -> None:
    row = SAMPLES[name]
    groups = []
    for sample in row.samples:
        arrays = random_operands(name, sample, dtype, BINDINGS[0])
        random = np.random.default_rng(seed_of("special", name, sample.shapes))
        special = [with_specials(array, random) for array in arrays]
        if name == "convolution" and any((*sample.attrs["low"], *sample.attrs["high"])):
            special[1] = arrays[1]  # test_convolution.py says what a tap beyond a border adds
        groups.append(in_order(row, special))
    Step(name, dtype, row.samples, "cpu").run(groups, BINDINGS[0])


def with_specials(array: Array, random: np.random.Generator) -> Array:
    """A float array with NaN, infinities and zeros at a few places."""
    if array.dtype.kind not in "fV" or not array.size:
        return array
    flat = array.copy().reshape(-1)
    count = min(3, flat.size)
    places = random.choice(flat.size, count, replace=False)
    flat[places] = random.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], count)
    return flat.reshape(array.shape)


@every_device
@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32", "float64"])
def test_floats_beyond_an_integer_dtype_become_its_limits(source: str, device: str) -> None:
    x = gx.input("x", (6,), source)
    targets = [dtype for dtype in DTYPES if dtype.is_integer]
    with np.errstate(over="ignore"):
        given = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 7.5]).astype(x.dtype.numpy)
    step = gx.compile([x], [gx.cast(x, target) for target in targets], device=device)
    reachable = float(given[3])
    for target, got in zip(targets, step(given), strict=True):
        low, high = np.iinfo(target.numpy).min, np.iinfo(target.numpy).max
        assert got[[0, 1, 2, 5]].tolist() == [0, high, low, 7]
        if reachable > high:
            assert got[[3, 4]].tolist() == [high, low]


# --- broadcasting --------------------------------------------------------------------------------

STRETCHED = (((3, 1), (4,)), ((), (2, 3)), ((2, 1, 3), (5, 1)), ((0, 1), (1, 3)), ((1,), (0,)))


@pytest.mark.parametrize(
    "name", [n for n in every_elementwise if len(SAMPLES[n].samples[0].shapes) > 1]
)
def test_operands_broadcast_in_the_language(name: str) -> None:
    dtype = accepted(name)[-1]
    first = SAMPLES[name].samples[0]
    random = np.random.default_rng(seed_of("broadcast", name))
    inputs, groups, outputs = [], [], []
    for number, pair in enumerate(STRETCHED):
        shapes = (*pair, pair[0])[: len(first.shapes)]
        sample = Sample(shapes, dtypes=first.dtypes)
        types = sample.types(dtype)
        nodes = [gx.input(f"x{number}_{k}", t.shape, t.dtype) for k, t in enumerate(types)]
        inputs += nodes
        groups.append(operands(SAMPLES[name], types, random))
        outputs.append(LANGUAGE[name](*nodes))
    results = gx.compile(inputs, outputs)(*(array for group in groups for array in group))
    for group, got in zip(groups, results, strict=True):
        stretched = [np.ascontiguousarray(a) for a in np.broadcast_arrays(*group)]
        sample = Sample((got.shape,) * len(group), dtypes=first.dtypes)
        Step(name, dtype, [sample], "cpu").check(sample, stretched, got, {})


# --- text ----------------------------------------------------------------------------------------


def read_back(graph: Graph) -> Graph:
    """The graph that its own text says; the text must be stable."""
    text = print_text(graph)
    again = parse(text)
    assert isinstance(again, Graph)
    verify(again)
    assert print_text(again) == text
    return again


@every_dtype
def test_text_reads_back(name: str, dtype: DType) -> None:
    for sample in SAMPLES[name].samples:
        inputs, output = node_of(name, sample, dtype)
        again = read_back(Graph(tuple(inputs), (output,)))
        assert again.outputs[0].type == output.type
        assert again.outputs[0].op is output.op
        assert dict(again.outputs[0].attrs) == dict(output.attrs)


# --- operators whose value is given, and those that passes make -----------------------------------


@every_device
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", sorted(STRUCTURE))
def test_values_from_outside(name: str, dtype: DType, device: str) -> None:
    node = STRUCTURE[name](dtype)
    assert node.op.name == name
    array = np.arange(6).reshape(2, 3).astype(dtype.numpy)
    if isinstance(node, gx.Variable):
        node.value = array
    inputs = [node] if name == "input" else []
    got, inverted = gx.compile(inputs, [node, node == 1], device=device)(*([array] * len(inputs)))
    want = np.ones_like(array) if name == "constant" else array
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(inverted, want == 1)
    read_back(Graph(tuple(inputs), (node,)))


def test_operators_that_passes_make() -> None:
    x = gx.input("x", (4, "n"), "float32")
    powers = gx.exp(x)
    graph = Graph((x,), (powers, powers * 2 + x))
    fused = fuse(graph)
    assert {node.op.name for node in fused.walk()} >= MADE_BY_PASSES
    read_back(fused)
    array = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    pairs = zip(
        evaluate(inline_fusions(fused), {x: array}), evaluate(graph, {x: array}), strict=True
    )
    for got, want in pairs:
        np.testing.assert_array_equal(got, want)


def test_every_elementwise_operator_is_a_word() -> None:
    assert set(every_elementwise) <= set(LANGUAGE)
    assert all(isinstance(LANGUAGE[n], type(LANGUAGE["add"])) for n in every_elementwise)
    assert isinstance(LANGUAGE["add"](1, 2), Node)
