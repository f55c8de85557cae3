"""Where arrays begin in memory."""

import numpy as np
import pytest

import graphc as gx
from graphc.ir.placement import APART, LINE, PAGE, aligned_copy, spread_copy
from graphc.ir.state import State, Variable

SHAPES = [(), (0,), (3,), (16,), (5, 7), (1024,), (3, 0, 4), (4099,)]


def begin_of(array: np.ndarray) -> int:
    """The address of an array."""
    return int(array.__array_interface__["data"][0])


def held(variable: Variable) -> np.ndarray:
    """The memory of a variable."""
    state = variable.attrs["state"]
    assert isinstance(state, State)
    return state.array


@pytest.mark.parametrize("copy", [aligned_copy, spread_copy])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.complex128, np.bool_])
def test_a_copy_is_equal_contiguous_and_its_own(copy, shape, dtype):
    array = np.asfortranarray(np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype))
    made = copy(array)
    assert made.dtype == array.dtype
    assert made.shape == array.shape
    assert made.flags.c_contiguous
    assert made.flags.writeable
    assert not np.shares_memory(made, array)
    np.testing.assert_array_equal(made, array)
    assert array.nbytes < LINE or begin_of(made) % LINE == 0


def test_copies_in_turn_begin_at_every_line_of_a_page():
    copies = [spread_copy(np.zeros(PAGE, np.uint8)) for _ in range(PAGE // LINE)]
    places = [begin_of(copy) % PAGE for copy in copies]
    assert sorted(places) == list(range(0, PAGE, LINE))


def test_copies_of_a_few_turns_are_far_apart():
    near = [APART * steps % PAGE for steps in range(1, 11)]
    assert min(min(place, PAGE - place) for place in near) >= 4 * LINE


def test_a_parameter_and_its_moments_begin_at_different_places_of_a_page():
    rng = np.random.default_rng(1)
    weights = gx.variable(rng.standard_normal((64, 32)).astype(np.float32), "weights")
    updates = gx.optim.adam([weights], [weights * 2])
    large = [variable for variable in updates if held(variable).nbytes >= PAGE]
    places = [begin_of(held(variable)) % PAGE for variable in large]
    assert len(large) == 3
    assert len(set(places)) == 3
    assert all(place % LINE == 0 for place in places)


def test_what_is_assigned_stays_in_its_place():
    weights = gx.variable(np.zeros((64, 32), np.float32))
    before = begin_of(held(weights))
    weights.value = np.ones((64, 32))
    assert begin_of(held(weights)) == before
    np.testing.assert_array_equal(weights.value, np.ones((64, 32), np.float32))
