"""Symbols from equations: random systems, whatever their order, and their contradictions."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.ir.dim import Size, evaluate, floor_divide, remainder, symbol
from graphc.ir.size_solver import Equation, SizeConflict, determined, solve, values_with

NAMES = ("a", "b", "c")
A, B, C = map(symbol, NAMES)
often = settings(derandomize=True, deadline=None, max_examples=150, database=None)

values = st.fixed_dictionaries({name: st.integers(0, 9) for name in NAMES})
linear = st.builds(
    lambda k, m, n, constant: k * A + m * B + n * C + constant,
    *[st.integers(-3, 3)] * 3,
    st.integers(-4, 4),
)  # fmt: skip
terms = st.lists(linear, min_size=1, max_size=5)


def given_as(sizes: list[Size], truth: dict[str, int]) -> list[Equation]:
    """The equations that say what sizes are for true values of the symbols."""
    return [Equation(s, evaluate(s, truth), f"axis {k}") for k, s in enumerate(sizes)]


@given(terms, values)
@often
def test_linear_systems_have_the_solution_that_they_were_made_from(
    sizes: list[Size], truth: dict[str, int]
) -> None:
    found = solve(given_as(sizes, truth))
    assert found.items() <= truth.items()
    assert set(found) == determined(given_as(sizes, truth))


@given(terms, values, st.randoms(use_true_random=False))
@often
def test_the_order_of_equations_does_not_matter(
    sizes: list[Size], truth: dict[str, int], chance: random.Random
) -> None:
    equations = given_as(sizes, truth)
    shuffled = chance.sample(equations, len(equations))
    assert solve(shuffled) == solve(equations)


@given(terms, values, st.integers(1, 3))
@often
def test_a_wrong_equation_is_found(sizes: list[Size], truth: dict[str, int], error: int) -> None:
    """Where the true equations decide its symbols, one that they contradict is refused."""
    *right, wrong = sizes
    known = determined(given_as(right, truth))
    value = evaluate(wrong, truth)
    needed = {name for name in NAMES if evaluate(wrong, moved(truth, name)) != value}
    if needed <= known:
        false = Equation(wrong, value + error, "wrong")
        with pytest.raises(SizeConflict):
            solve([*given_as(right, truth), false])


def moved(truth: dict[str, int], name: str) -> dict[str, int]:
    """Values of which one is another."""
    return {**truth, name: truth[name] + 1}


@given(values.map(lambda v: {name: value + 1 for name, value in v.items()}))
@often
def test_products_follow_from_their_factors(truth: dict[str, int]) -> None:
    sizes = [A * B * C + A, A * B + 2, B - 1, floor_divide(A, 2) + C]
    assert solve(given_as(sizes, truth)) == truth
    assert determined(given_as(sizes, truth)) == set(NAMES)


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ([A], {"a"}),
        ([2 * A + 1], {"a"}),
        ([A + B], set()),
        ([A + B, A], {"a", "b"}),
        ([A + B, A - B], {"a", "b"}),
        ([A + B, 2 * A + 2 * B], set()),
        ([A * B], set()),
        ([A * B, B], {"a", "b"}),
        ([A * A], {"a"}),
        ([floor_divide(A, 2)], set()),
        ([2 * floor_divide(A, 2) + B, B, A + floor_divide(A, 2)], {"a", "b"}),
        ([], set()),
    ],
)
def test_what_is_determined(sizes: list[Size], names: set[str]) -> None:
    assert determined([Equation(size, 0, "") for size in sizes]) == names


def test_an_equation_between_symbols_decides_one_by_the_other() -> None:
    step = Equation(4 * B, A, "reshape")
    assert determined([Equation(A, 0, ""), step]) == {"a", "b"}
    assert solve([Equation(A, 12, "x"), step]) == {"a": 12, "b": 3}
    assert solve([*values_with({"b": 5}, "given"), step]) == {"a": 20, "b": 5}


X, Y, Z = "'x' (axis 0)", "'y' (axis 1)", "'z' (axis 0)"

CONFLICTS = {
    "two values": (
        [Equation(A, 3, X), Equation(A, 4, Y)],
        f"a is 4 here, but 3 by {X}",
    ),
    "an expression": (
        [Equation(A, 2, X), Equation(2 * A + 1, 7, Y)],
        f"2*a + 1 is 7 here, but 5, with a = 2 by {X}",
    ),
    "not divisible": (
        [Equation(4 * A, 6, X)],
        "no integer a makes 4*a = 6: 6 is not divisible by 4",
    ),
    "no integer": (
        [Equation(2 * A + 1, 8, X)],
        "no integer a makes 2*a + 1 = 8: 7 is not divisible by 2",
    ),
    "no square": ([Equation(A * A, 8, X)], "no integer a makes a*a = 8"),
    "negative": ([Equation(A + 5, 3, X)], "a + 5 = 3 makes a -2, and a size is at least 0"),
    "together": (
        [Equation(A + B, 7, X), Equation(A - B, 4, Y)],
        "no integer a makes a + b = 7 and a - b = 4: 11 is not divisible by 2",
    ),
    "no values at all": (
        [Equation(A + B, 3, X), Equation(A + B, 4, Y)],
        f"not all of a + b = 3 by {X} and a + b = 4 by {Y} can hold",
    ),
    "an operator": (
        [Equation(A, 3, X), Equation(B, 4, Y), Equation(A, B, "ensure_shape")],
        f"a is 3 by {X}, but b is 4 by {Y}",
    ),
    "a rounded size": (
        [Equation(A, 6, X), Equation(4 * floor_divide(A, 4), A, "reshape")],
        f"a is 6 by {X}, which is not divisible by 4",
    ),
    "a number": (
        [Equation(A, 3, X), Equation(2, A, "ensure_shape")],
        f"a is 3 by {X}, but must be 2",
    ),
    "an expression of an operator": (
        [Equation(A, 3, X), Equation(B, 4, Y), Equation(2 * A, B + C, "op"), Equation(C, 1, Z)],
        f"2*a is 6, with a = 3 by {X}, but b + c is 5, with b = 4 by {Y} and c = 1 by {Z}",
    ),
    "a division by 0": (
        [Equation(A, 3, X), Equation(B, 0, Y), Equation(remainder(A, B), 1, Z)],
        f"it divides by 0, with a = 3 by {X} and b = 0 by {Y}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFLICTS)
def test_contradiction_is_readable(name: str) -> None:
    equations, reason = CONFLICTS[name]
    with pytest.raises(SizeConflict) as caught:
        solve(equations)
    assert caught.value.reason == reason
    assert caught.value.equation in equations
