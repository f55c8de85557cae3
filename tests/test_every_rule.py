"""Every rule of algebra, evaluated on both sides: no test is written for one of them."""

import inspect
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.types import DTYPES, DType, float32, float64
from graphc.lang.arithmetic import abs
from graphc.lang.creation import input
from graphc.lang.exponential import exp
from graphc.lang.movement import broadcast_to
from graphc.lang.operands import constant
from graphc.passes.rule import Rule, RuleTable
from graphc.passes.simplify import LAST_BIT, SIGN_OF_ZERO
from graphc.passes.simplify import RULES as SIMPLIFYING
from graphc.passes.stabilise import GRADIENTS
from graphc.passes.stabilise import RULES as STABILISING
from graphc.runtime.reference.evaluate import evaluate

Array = np.ndarray[Any, Any]
COUNT = 300


def claims(rules: Sequence[Rule]) -> list[Any]:
    """Each rule with each dtype that it claims to hold for."""
    return [
        pytest.param(rule, dtype, id=f"{rule.name}-{dtype}")
        for rule, dtype in itertools.product(rules, DTYPES)
        if dtype.kind in rule.kinds
    ]


def bind(rule: Rule, dtype: DType, shape: tuple[Any, ...]) -> tuple[list[Node], list[Node]]:
    """Inputs, and nodes for the rule's variables that its guard lets through."""
    inputs = [input(f"x{at}", shape, each) for at, each in enumerate(rule.dtypes(dtype))]
    for bound in itertools.product(*map(candidates, inputs)):
        if rule.where(*bound):
            return inputs, list(bound)
    raise AssertionError(f"no candidate passes the guard of {rule.name}")


def candidates(node: Node) -> list[Node]:
    """What may stand for a variable: an input, a known number, or something positive."""
    if node.dtype.kind == "bool":
        return [node]
    known = broadcast_to(constant(2, node.dtype), node.shape)
    other = broadcast_to(constant(3, node.dtype), node.shape)
    positive = [exp(node), abs(node)] if node.dtype.is_float else []
    return [node, *positive, known, other]


def values(dtype: DType, seed: int) -> Array:
    """Random numbers of a dtype, with the special ones among them."""
    random = np.random.default_rng(seed)
    if dtype.kind == "bool":
        return random.integers(0, 2, COUNT).astype(bool)
    if dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        ends = [info.min, info.max, 0, 1, 2, info.max - 1, *([-1, -2] if info.min else [])]
        wide = random.integers(info.min, info.max, COUNT, dtype=dtype.numpy, endpoint=True)
        near = random.integers(0, 9, COUNT).astype(dtype.numpy)
        return random.choice(np.concatenate([wide, near, np.array(ends * 20, dtype.numpy)]), COUNT)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-7, 6e4, 3e38, -1e300, 1.0, -1.0, 0.5]
    with np.errstate(all="ignore"):
        drawn = random.choice(np.concatenate([random.normal(size=COUNT), special * 10]), COUNT)
        return drawn.astype(dtype.numpy)


def run(nodes: Sequence[Node], inputs: Sequence[Node], arrays: Sequence[Array]) -> list[Array]:
    """The values of nodes."""
    values = dict(zip(inputs, arrays, strict=True))
    return list(evaluate(Graph(tuple(inputs), tuple(nodes)), values))


def rewritten(rule: Rule, node: Node, dtype: DType) -> Node:
    """What the rule makes of a node; it must apply."""
    found = (pattern.rewrite(node) for pattern in rule.patterns(dtype))
    new = next(each for each in found if each is not None)
    assert isinstance(new, Node)
    return new


# --- simplify ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "dtype"), claims(SIMPLIFYING))
def test_a_simplifying_rule_keeps_every_element(rule: Rule, dtype: DType) -> None:
    inputs, bound = bind(rule, dtype, (COUNT,))
    before = rule.before(*bound)
    after = rewritten(rule, before, dtype)
    assert after.type == before.type
    arrays = [values(node.dtype, seed) for seed, node in enumerate(inputs)]
    left, right = run([before, after], inputs, arrays)
    if rule in LAST_BIT and dtype.is_float:
        assert_close(left, right, dtype)
    else:
        assert_equal(left, right, signs=rule not in SIGN_OF_ZERO)


def assert_equal(left: Array, right: Array, signs: bool) -> None:
    """Assert equal elements; NaN equals NaN, and where it counts 0.0 is not -0.0."""
    if left.dtype.kind in "biu":
        np.testing.assert_array_equal(left, right)
        return
    left, right = left.astype(np.float64), right.astype(np.float64)
    np.testing.assert_array_equal(left, right)
    if signs:
        number = ~np.isnan(left)  # NaN has no sign that counts
        np.testing.assert_array_equal(np.signbit(left)[number], np.signbit(right)[number])


def assert_close(left: Array, right: Array, dtype: DType) -> None:
    """Assert elements that differ by a few roundings, of results or of tiny ones before them."""
    digits = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}[dtype.name]
    tiny = {"float16": 2.0**-14, "float64": 2.0**-1022}.get(dtype.name, 2.0**-126)
    np.testing.assert_allclose(
        right.astype(np.float64),
        left.astype(np.float64),
        rtol=2.0 ** (3 - digits),
        atol=tiny * 2.0 ** (3 - digits),
    )


@pytest.mark.parametrize("rule", [*SIMPLIFYING, *STABILISING], ids=lambda rule: rule.name)
def test_a_rule_fires_from_its_table_in_any_shape(rule: Rule) -> None:
    rules = SIMPLIFYING if any(rule is other for other in SIMPLIFYING) else STABILISING
    dtype = next(dtype for dtype in reversed(DTYPES) if dtype.kind in rule.kinds)
    for shape in ((), (3, 4), ("n", 4)):
        _, bound = bind(rule, dtype, shape)
        before = rule.before(*bound)
        table = RuleTable(rules)
        table.trace(dtype)
        after = table.rewrite(before)
        assert after is not None
        assert after is not before
        assert after.type == before.type


@pytest.mark.parametrize("rule", [*SIMPLIFYING, *STABILISING], ids=lambda rule: rule.name)
def test_a_rule_leaves_other_kinds_alone(rule: Rule) -> None:
    for dtype in DTYPES:
        assert bool(rule.patterns(dtype)) == (dtype.kind in rule.kinds)


def test_names_of_rules_are_unique() -> None:
    names = [rule.name for rule in (*SIMPLIFYING, *STABILISING)]
    assert len(set(names)) == len(names)


def test_a_variable_matches_one_node_only() -> None:
    x, y = input("x", (4,), "int32"), input("y", (4,), "int32")
    assert RuleTable(SIMPLIFYING).rewrite(x - y) is None


# --- stabilise -----------------------------------------------------------------------------------

POINTS = np.array([0, 1e-3, 0.5, 3, 20, 100, 600, 1e30])

AS_GOOD = {"1 / (1 + exp(x))"}
"""Forms that are as good as what becomes of them, but stand in the way of others."""


def samples(rule: Rule) -> list[Array]:
    """Values for a rule's variables as float32: points for x, y and p, random for the others."""
    random = np.random.default_rng(0)
    points = np.concatenate([POINTS, -POINTS[1:]])
    rows = [
        np.repeat(np.roll(points, at), 16) if name in "xyp" else random.normal(size=240)
        for at, name in enumerate(inspect.signature(rule.before).parameters)
    ]
    return [row.astype(np.float32) for row in rows]


def both_sides(rule: Rule, dtype: DType, arrays: Sequence[Array]) -> list[Array]:
    """The values of the naive and of the stable form."""
    inputs, bound = bind(rule, dtype, arrays[0].shape)
    before = rule.before(*bound)
    after = rewritten(rule, before, dtype)
    return run([before, after], inputs, [array.astype(dtype.numpy) for array in arrays])


@pytest.mark.parametrize("rule", STABILISING, ids=lambda rule: rule.name)
def test_a_stabilising_rule_is_accurate_where_the_naive_form_is_not(rule: Rule) -> None:
    arrays = samples(rule)
    truth, _ = both_sides(rule, float64, arrays)
    naive, stable = both_sides(rule, float32, arrays)
    good = np.isfinite(truth) & (np.abs(truth) < 1e37)
    assert good.sum() > truth.size // 4
    # Differences of random numbers may cancel on both sides.
    absolute = 1e-5 if rule in GRADIENTS else 1e-37
    assert np.all(is_close(stable, truth, absolute)[good])
    assert rule.name in AS_GOOD or not np.all(is_close(naive, truth, absolute)[good])


@pytest.mark.parametrize("rule", STABILISING, ids=lambda rule: rule.name)
def test_a_stabilising_rule_keeps_values_that_are_harmless(rule: Rule) -> None:
    random = np.random.default_rng(1)
    arrays = [random.uniform(0.1, 0.9, size=100) for _ in rule.dtypes(float64)]
    naive, stable = both_sides(rule, float64, arrays)
    np.testing.assert_allclose(stable, naive, rtol=1e-12, atol=1e-13)


def is_close(short: Array, truth: Array, absolute: float = 1e-37) -> Array:
    """Which elements of a float32 result are those of float64 to a few roundings."""
    with np.errstate(all="ignore"):
        error = np.abs(short.astype(np.float64) - truth)
        return np.asarray(error <= 1e-5 * np.abs(truth) + absolute)
