"""What users get wrong about symbolic sizes: more of the table in `bad_inputs.py`."""

import numpy as np

import graphc as gx
from tests.bad_inputs import MISTAKES, mistake

__all__ = ["MISTAKES"]

x = gx.input("x", "n", "float32")
y = gx.input("y", "m", "float32")
doubled = gx.input("doubled", "2*n + 1", "float32")
matrix = gx.input("matrix", ("n", "k"), "float32")
both = gx.input("both", "n + m", "float32")
sums = gx.compile([x, doubled], gx.sum(x) + gx.sum(doubled))
quarters = gx.compile([x, y], gx.reshape(x + gx.ensure_shape(y, "n"), (-1, 4)))


def ones(*shape: int) -> object:
    """An argument."""
    return np.ones(shape, np.float32)


@mistake
def symbolic_shapes_that_do_not_broadcast() -> object:
    return x + y


@mistake
def symbolic_shapes_that_do_not_multiply() -> object:
    return y @ matrix


@mistake
def symbolic_parts_of_different_shapes() -> object:
    return gx.concat([matrix, gx.zeros((2, "width"), "float32")], axis=0)


@mistake
def sequences_of_different_symbolic_lengths() -> object:
    return gx.scan(lambda carry, pair: (carry, pair[0] * pair[1]), (), (x, y))


@mistake
def a_shape_of_another_symbolic_size() -> object:
    return gx.reshape(x, "m")


@mistake
def an_odd_size_in_pairs() -> object:
    return gx.reshape(doubled, (-1, 2))


@mistake
def a_promise_that_never_holds() -> object:
    return gx.ensure_shape(x, "n + 1")


@mistake
def a_promise_of_another_rank() -> object:
    return gx.ensure_shape(x, ("n", 1))


@mistake
def a_size_divided_by_zero() -> object:
    return gx.input("z", ("n // 0",), "float32")


@mistake
def sizes_that_are_not_decided() -> object:
    return gx.compile([both], both)


@mistake
def promises_that_contradict() -> object:
    return gx.compile([x], [gx.ensure_shape(x, 2), gx.ensure_shape(x, 3)])


@mistake
def an_argument_that_disagrees_with_another() -> object:
    return sums(ones(4), ones(7))


@mistake
def an_argument_of_a_size_that_no_symbol_gives() -> object:
    return sums(ones(4), ones(8))


@mistake
def an_argument_shorter_than_can_be() -> object:
    return gx.compile([doubled], doubled)(ones(0))


@mistake
def a_size_that_cannot_be_divided() -> object:
    return quarters(ones(6), ones(6))


@mistake
def sizes_that_are_not_equal_as_promised() -> object:
    return quarters(ones(8), ones(4))


@mistake
def a_size_that_is_no_multiple_as_promised() -> object:
    return gx.compile([x], gx.ensure_shape(x, "3*thirds"))(ones(7))


@mistake
def a_size_that_an_empty_axis_leaves_open() -> object:
    table = gx.input("table", "n*m", "float32")
    return gx.compile([x, table], [x, table])(ones(0), ones(0))


@mistake
def a_size_that_comes_out_negative() -> object:
    return gx.compile([x], [x, gx.zeros("n - 2")])(ones(1))


@mistake
def a_size_that_divides_by_zero() -> object:
    return gx.compile([x, y], [x, y, gx.zeros("n // m")])(ones(2), ones(0))


@mistake
def a_window_larger_than_a_bound_size() -> object:
    image = gx.input("image", (1, 3, "width"), "float32")
    return gx.compile([image], gx.nn.conv1d(image, np.ones((2, 3, 5), np.float32)))(ones(1, 3, 2))


@mistake
def memory_of_sizes_that_contradict() -> object:
    return quarters.memory(n=8, m=6)
