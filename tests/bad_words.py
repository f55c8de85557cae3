"""What users get wrong with indices, sorting and loops: more of the table in `bad_inputs.py`."""

import numpy as np

import graphc as gx
from tests.bad_inputs import k, m, mistake, x

# --- indices -------------------------------------------------------------------------------------


@mistake
def a_mask_of_the_program_as_an_index() -> object:
    return x[x > 0]


@mistake
def indices_out_of_range() -> object:
    return x[[0, 2]]


@mistake
def an_update_that_does_not_broadcast() -> object:
    return x.at[k].add(np.ones((1, 3, 3), np.float32))


@mistake
def an_update_of_another_kind() -> object:
    return k.at[0].set(0.5)


@mistake
def segments_of_other_data() -> object:
    return gx.segment_sum(x, k, 3)


@mistake
def a_window_larger_than_the_array() -> object:
    return gx.dynamic_slice(x, (0, 0), (3, 3))


@mistake
def parts_that_are_not_equal() -> object:
    return gx.split(x, 2, axis=1)


@mistake
def parts_at_places_that_fall() -> object:
    return gx.split(x, [2, 1], axis=1)


@mistake
def equal_ratios_through_zero() -> object:
    return gx.geomspace(0, 5)


# --- order ---------------------------------------------------------------------------------------


@mistake
def an_order_of_another_axis() -> object:
    return gx.sort(x, axis=2)


@mistake
def more_than_there_are() -> object:
    return gx.top_k(x, 5)


@mistake
def a_search_in_a_matrix() -> object:
    return gx.searchsorted(x, k)


@mistake
def a_quantile_beyond_all() -> object:
    return gx.quantile(x, 1.5)


@mistake
def edges_that_fall() -> object:
    return gx.histogram(x, [3, 2, 1])


@mistake
def counts_of_floats() -> object:
    return gx.bincount(m, length=3)


@mistake
def points_without_values() -> object:
    return gx.interp(x, k, m)


# --- loops ---------------------------------------------------------------------------------------


@mistake
def a_bound_that_is_no_integer() -> object:
    return gx.fori_loop(0, gx.max(x), lambda i, v: v, x)


@mistake
def a_bound_that_is_nothing() -> object:
    return gx.fori_loop(None, 3, lambda i, v: v, x)  # type: ignore[arg-type]


@mistake
def a_loop_that_may_keep_nothing() -> object:
    return gx.while_loop(lambda v: gx.sum(v) < 9, lambda v: 2 * v, x, checkpoints=0)


@mistake
def branches_that_are_no_functions() -> object:
    return gx.cond(gx.any(m), x, 2 * x)  # type: ignore[arg-type]


@mistake
def a_step_that_is_no_function() -> object:
    return gx.scan(x, x, x)  # type: ignore[arg-type]


@mistake
def a_condition_that_is_no_function() -> object:
    return gx.while_loop(gx.any(m), lambda v: 2 * v, x)  # type: ignore[arg-type]


@mistake
def a_body_that_is_no_function() -> object:
    return gx.fori_loop(0, 3, x, x)  # type: ignore[arg-type]


@mistake
def a_map_of_no_function() -> object:
    return gx.map(x, x)  # type: ignore[arg-type]


# --- arguments in the place of others ------------------------------------------------------------


@mistake
def an_array_for_a_dtype() -> object:
    return gx.cast(k, x)  # type: ignore[arg-type]


@mistake
def a_range_up_to_a_value() -> object:
    return gx.arange(gx.max(k))  # type: ignore[arg-type]


@mistake
def points_between_values() -> object:
    return gx.linspace(gx.min(x), gx.max(x), 5)  # type: ignore[arg-type]


@mistake
def an_einsum_without_subscripts() -> object:
    return gx.einsum(x, x)  # type: ignore[arg-type]


@mistake
def a_choice_of_nothing() -> object:
    return gx.choose(k, [])
