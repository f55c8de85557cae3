"""What users get wrong: each function makes one mistake.

`bad_inputs.txt` has the message that each gets, and `test_errors.py` compares them. Run as a
program, it makes the mistake that it is given the name of.
"""

import sys
from collections.abc import Callable

import numpy as np

import graphc as gx
from graphc.ir.parser import parse

x = gx.input("x", (2, 3), "float32")
y = gx.input("y", (4, 3), "float32")
n = gx.input("n", ("batch", 3), "float32")
m = gx.input("m", ("batch",), "float32")
k = gx.input("k", (3,), "int64")
w = gx.variable(np.zeros(3, np.float32), name="w")
total = gx.sum(x) + gx.sum(k)
step = gx.compile([x, k], total, updates={w: w + 1})
batches = gx.compile([n, m], gx.sum(n) + gx.sum(m))
ones = np.ones((2, 3), np.float32)

MISTAKES: dict[str, Callable[[], object]] = {}


def mistake(function: Callable[[], object]) -> Callable[[], object]:
    """Decorator: adds a function to the table."""
    MISTAKES[function.__name__] = function
    return function


# --- operators -----------------------------------------------------------------------------------


@mistake
def shapes_that_do_not_broadcast() -> object:
    return x + y


@mistake
def an_array_that_does_not_broadcast() -> object:
    return x * np.ones(4)


@mistake
def shapes_that_do_not_multiply() -> object:
    return x @ y


@mistake
def a_shape_of_another_size() -> object:
    return gx.reshape(x, (4, 2))


@mistake
def a_running_sum_along_no_axis() -> object:
    return gx.cumulative_sum(x)


@mistake
def a_running_maximum_of_truths() -> object:
    return gx.cumulative_max(x < 1, axis=1)


@mistake
def a_recurrence_of_shapes_that_do_not_fit() -> object:
    return gx.linear_recurrence(x, y, axis=0)


@mistake
def a_polygamma_of_half_an_order() -> object:
    return gx.polygamma(0.5, x)


@mistake
def a_divisor_of_floats() -> object:
    return gx.gcd(x, 2)


@mistake
def a_multiple_of_truths() -> object:
    return gx.lcm(k == 1, k == 2)


@mistake
def an_equality_that_calls_decide() -> object:
    return gx.array_equal(m, k)


@mistake
def parts_of_different_shapes() -> object:
    return gx.concat([x, y], axis=1)


@mistake
def a_dtype_that_the_operator_does_not_take() -> object:
    return gx.bitwise_and(x, 6)


@mistake
def labels_that_are_not_integers() -> object:
    return gx.softmax_cross_entropy(x, x)


@mistake
def a_name_that_is_no_dtype() -> object:
    return gx.input("a", (), "float31")


@mistake
def a_name_that_is_no_size() -> object:
    return gx.input("a", ("batch size",), "float32")


@mistake
def a_negative_size() -> object:
    return gx.input("a", (-1,), "float32")


@mistake
def an_operand_that_is_no_array() -> object:
    return x + "one"


@mistake
def an_operand_of_ragged_rows() -> object:
    return x + [[1], [2, 3]]  # noqa: RUF005 (x is no list)


@mistake
def an_index_out_of_range() -> object:
    return x[2]


@mistake
def too_many_indices() -> object:
    return x[0, 0, 0]


@mistake
def an_index_that_is_no_integer() -> object:
    return x[1.5]


@mistake
def an_axis_out_of_range() -> object:
    return gx.sum(x, axis=2)


@mistake
def a_maximum_of_nothing() -> object:
    return gx.max(gx.zeros((0, 3)), axis=0)


@mistake
def a_node_as_a_condition_of_python() -> object:
    return 1 if x > 0 else 0


@mistake
def a_node_given_to_numpy() -> object:
    return np.asarray(x)


@mistake
def a_loop_over_a_symbolic_axis() -> object:
    return list(n)


# --- compiling -----------------------------------------------------------------------------------


@mistake
def an_input_that_is_not_listed() -> object:
    return gx.compile([x], x * gx.sum(k))


@mistake
def two_inputs_of_one_name() -> object:
    return gx.compile([x, gx.input("x", (), "float32")], x)


@mistake
def an_input_listed_twice() -> object:
    return gx.compile([x, x], x)


@mistake
def a_variable_as_input() -> object:
    return gx.compile([w], w)


@mistake
def an_array_as_input() -> object:
    return gx.compile([ones], x)


@mistake
def an_output_that_is_no_node() -> object:
    return gx.compile([x], {"loss": 1.0})


@mistake
def an_update_of_an_input() -> object:
    return gx.compile([x], x, updates={x: x})


@mistake
def an_update_by_name() -> object:
    return gx.compile([x], x, updates={"w": x})


@mistake
def an_update_of_another_shape() -> object:
    return gx.compile([x], x, updates={w: x})


@mistake
def an_update_of_another_dtype() -> object:
    return gx.compile([k], k, updates={w: k})


@mistake
def updates_in_a_list() -> object:
    return gx.compile([x], x, updates=[(w, w + 1)])


@mistake
def an_unknown_device() -> object:
    return gx.compile([x], x, device="gpu")


@mistake
def a_device_that_is_no_name() -> object:
    return gx.compile([x], x, device=0)  # type: ignore[arg-type]


@mistake
def a_size_that_nothing_decides() -> object:
    return gx.compile([x], gx.sum(x) * gx.ones(("rows",)))


# --- calling -------------------------------------------------------------------------------------


@mistake
def a_missing_argument() -> object:
    return step(ones)


@mistake
def an_argument_too_many() -> object:
    return step(ones, [1, 2, 3], 4)


@mistake
def an_unknown_keyword() -> object:
    return step(ones, labels=[1, 2, 3])


@mistake
def an_argument_given_twice() -> object:
    return step(ones, [1, 2, 3], x=ones)


@mistake
def an_argument_of_another_rank() -> object:
    return step(ones[0], [1, 2, 3])


@mistake
def an_argument_of_another_size() -> object:
    return step(ones, [1, 2])


@mistake
def arguments_that_disagree_on_a_size() -> object:
    return batches(ones, np.ones(5, np.float32))


@mistake
def an_argument_of_a_wider_dtype() -> object:
    return step(ones.astype("float64"), [1, 2, 3])


@mistake
def floats_for_integers() -> object:
    return step(ones, [1.5, 2, 3])


@mistake
def text_for_numbers() -> object:
    return step(ones, "abc")


@mistake
def ragged_rows() -> object:
    return step(ones, [[1], [2, 3]])


@mistake
def a_node_for_an_array() -> object:
    return step(x, [1, 2, 3])


@mistake
def an_index_out_of_a_symbolic_range() -> object:
    return gx.compile([n], n[5])(ones)


@mistake
def memory_without_sizes() -> object:
    return batches.memory.peak


# --- derivatives ---------------------------------------------------------------------------------


@mistake
def a_gradient_of_an_array() -> object:
    return gx.grad(x * 2, x)


@mistake
def a_gradient_of_integers() -> object:
    return gx.grad(gx.sum(k), x)


@mistake
def a_gradient_by_integers() -> object:
    return gx.grad(total, k)


@mistake
def a_gradient_by_an_unused_variable() -> object:
    return gx.grad(total, w)


@mistake
def a_gradient_by_an_array() -> object:
    return gx.grad(total, ones)


@mistake
def a_tangent_of_another_type() -> object:
    return gx.jvp(total, x, np.ones(3))


# --- variables -----------------------------------------------------------------------------------


@mistake
def a_value_of_another_shape() -> None:
    w.value = np.zeros(4)


@mistake
def a_value_of_ragged_rows() -> None:
    w.value = [[1], [2, 3]]


@mistake
def a_value_of_another_dtype() -> None:
    w.value = np.zeros(3, complex)


# --- text ----------------------------------------------------------------------------------------


@mistake
def an_unknown_operator_in_text() -> object:
    return parse("graph (%x: f32[2]) {\n  %0 = exq %x : f32[2]\n  return %0\n}")


@mistake
def a_wrong_type_in_text() -> object:
    return parse("graph (%x: f32[2]) {\n  %0 = exp %x : f32[3]\n  return %0\n}")


@mistake
def a_missing_colon_in_text() -> object:
    return parse("graph (%x f32[2]) {\n  return %x\n}")


if __name__ == "__main__":
    MISTAKES[sys.argv[1]]()
