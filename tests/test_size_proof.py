"""What is proved about sizes holds at every value, and identities of divisions are proved."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.ir.dim import Size, evaluate, floor_divide, maximum, minimum, product, remainder, symbol
from graphc.ir.divisibility import is_multiple
from graphc.ir.size_proof import (
    MOST_CASES,
    advice,
    are_equal,
    cases,
    differ,
    is_never_negative,
    may_be_equal,
    may_divide_by_zero,
    simplify,
)

N, M = symbol("n"), symbol("m")
VALUES = [dict(zip("nm", pair, strict=True)) for pair in itertools.product(range(14), range(6))]
HALF, REST = floor_divide(N, 2), N - floor_divide(N, 2)

divisors = st.integers(1, 4)
leaves = st.one_of(st.integers(-6, 6), st.sampled_from([N, M]))


def larger(size: st.SearchStrategy[Size]) -> st.SearchStrategy[Size]:
    """Sizes made of smaller ones."""
    return st.one_of(
        st.builds(lambda a, b: a + b, size, size),
        st.builds(lambda a, b: a - b, size, size),
        st.builds(lambda a, k: a * k, size, st.integers(-3, 3)),
        st.builds(floor_divide, size, divisors),
        st.builds(remainder, size, divisors),
        st.builds(maximum, size, size),
        st.builds(minimum, size, size),
    )


sizes = st.recursive(leaves, larger, max_leaves=5)
often = settings(derandomize=True, deadline=None, max_examples=200, database=None)

IDENTITIES: dict[str, tuple[Size, Size]] = {
    "halves": (HALF + floor_divide(N + 1, 2), N),
    "rounded up": (-floor_divide(-N, 3), floor_divide(N + 2, 3)),
    "upper half": (REST, floor_divide(N + 1, 2)),
    "thirds": (floor_divide(N + 2, 3) + floor_divide(N + 1, 3) + floor_divide(N, 3), N),
    "quotient and remainder": (5 * floor_divide(N, 5) + remainder(N, 5), N),
    "division twice": (floor_divide(floor_divide(N, 2), 3), floor_divide(N, 6)),
    "common factor": (floor_divide(2 * N, 4), HALF),
    "remainder with a common factor": (remainder(6 * N, 4), 2 * remainder(N, 2)),
    "divisible": (4 * floor_divide(8 * N + 4, 4), 8 * N + 4),
    "head and tail": (minimum(5, N) + maximum(N - 5, 0), N),
    "last five": (N - maximum(N - 5, 0), minimum(N, 5)),
    "clamped half": (minimum(HALF, N) + maximum(N - HALF, 0), N),
    "both orders": (maximum(N, 3) + minimum(N, 3), N + 3),
    "a pair of symbols": (2 * floor_divide(N * M, 2) + remainder(N * M, 2), N * M),
    "clamped": (maximum(floor_divide(N - 3, 2), 0), floor_divide(maximum(N - 3, 0), 2)),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identity_is_proved(name: str) -> None:
    left, right = IDENTITIES[name]
    assert are_equal(left, right)
    assert not are_equal(left, right + 1)
    assert all(evaluate(left, values) == evaluate(right, values) for values in VALUES)


@given(sizes, sizes)
@often
def test_what_is_proved_holds(left: Size, right: Size) -> None:
    values = [(evaluate(left, v), evaluate(right, v), min(v.values())) for v in VALUES]
    if are_equal(left, right):
        assert all(a == b for a, b, _ in values)
    if differ(left, right):
        assert all(a != b for a, b, least in values if least > 0)
    if is_never_negative(left):
        assert all(a >= 0 for a, _, _ in values)


@given(sizes)
@often
def test_simplifying_keeps_every_value(size: Size) -> None:
    short = simplify(size)
    assert all(evaluate(short, values) == evaluate(size, values) for values in VALUES)


@given(sizes)
@often
def test_cases_cover_every_value(size: Size) -> None:
    """Each value is that of a case for some values of its symbols."""
    found = {evaluate(case, values) for case in cases(size) for values in VALUES}
    assert {evaluate(size, {"n": n, "m": m}) for n in range(4) for m in range(4)} <= found


@given(sizes, st.integers(1, 6))
@often
def test_a_division_put_together_again_is_proved(size: Size, divisor: int) -> None:
    """Whatever is divided, unless there were too many cases to look at."""
    whole = divisor * floor_divide(size, divisor) + remainder(size, divisor)
    if len(list(itertools.islice(cases(whole - size), MOST_CASES))) > 1:
        assert are_equal(whole, size)


def test_sizes_that_agree_on_empty_arrays_alone_differ() -> None:
    assert differ(N, 2 * N)
    assert differ(N + 1, N)
    assert differ(2 * N + 1, 2 * M)  # odd and even
    assert not differ(N, M)
    assert not differ(N, 4 * floor_divide(N, 4))


def test_only_sizes_of_the_same_symbols_may_be_equal() -> None:
    assert may_be_equal(N, 4 * floor_divide(N, 4))
    assert not may_be_equal(N, M)
    assert not may_be_equal(N, 2)
    assert may_be_equal(3, 3)


def test_advice_is_given_where_it_can_help() -> None:
    assert "ensure_shape" in advice(N, M)
    assert advice(N, N + 1) == ""
    assert advice(2, 3) == ""


@pytest.mark.parametrize(
    ("size", "may"),
    [
        (floor_divide(N, M), True),
        (remainder(N, M + 1), False),
        (floor_divide(N, maximum(M, 1)), False),
        (HALF, False),
        (maximum(floor_divide(N, M), 1) + 2, True),
        (7, False),
    ],
)
def test_division_by_zero_is_foreseen(size: Size, may: bool) -> None:
    assert may_divide_by_zero(size) == may


def test_too_many_cases_are_left_unknown() -> None:
    names = [symbol(f"s{number}") for number in range(12)]
    size = floor_divide(product(names), 7)
    assert list(cases(size)) == [size]
    assert not are_equal(7 * size + remainder(product(names), 7), product(names))


def test_loop_variables_are_left_alone() -> None:
    size = floor_divide(symbol("i", "index", N), 2)
    assert list(cases(size)) == [size]


def test_a_division_gives_up_what_its_multiples_have_in_common():
    i, j, k = (symbol(name, "index", limit) for name, limit in zip("ijk", (12, 2, 32), strict=True))
    size = 64 * i + 32 * j + k
    assert floor_divide(size, 256) == floor_divide(2 * i + j, 8)
    assert remainder(size, 256) == 32 * remainder(2 * i + j, 8) + k
    assert floor_divide(4 * i + 8, 32) == floor_divide(i + 2, 8)


@often
@given(st.integers(-3, 3), st.integers(0, 9), st.sampled_from([-6, 4, 12, 24]), st.integers(0, 3))
def test_divisions_with_a_common_factor_keep_their_value(a, n, divisor, low):
    small = symbol("k", "index", 4)
    size = 12 * a * N + 4 * a + small
    values = {"n": n, "k": low}
    number = 12 * a * n + 4 * a + low
    assert evaluate(floor_divide(size, divisor), values) == number // divisor
    assert evaluate(remainder(size, divisor), values) == number % divisor


@given(sizes, st.integers(1, 4))
@often
def test_a_multiple_is_one_at_every_value(size: Size, number: int) -> None:
    assert is_multiple(number * size, number)
    if is_multiple(size, number):
        assert all(evaluate(size, values) % number == 0 for values in VALUES)


def test_the_smaller_and_the_larger_of_multiples_are_multiples() -> None:
    assert is_multiple(maximum(0, minimum(16 * N, 36)) + 8 * M, 4)
    assert not is_multiple(maximum(0, minimum(16 * N, 35)), 4)
    assert not is_multiple(floor_divide(6 * N, 4), 4)
