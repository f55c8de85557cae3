"""What users get wrong in linear algebra: more mistakes for the table of `bad_inputs.py`."""

import numpy as np

import graphc as gx
from tests.bad_inputs import mistake

x = gx.input("x", (2, 5), "float32")
y = gx.input("y", (5, 2), "float32")
k = gx.input("k", (7,), "int64")
m = gx.input("m", ("count",), "float32")


@mistake
def a_determinant_of_a_matrix_that_is_not_square() -> object:
    return gx.linalg.det(x)


@mistake
def eigenvalues_of_a_vector() -> object:
    return gx.linalg.eigvalsh(m)


@mistake
def a_decomposition_of_short_floats() -> object:
    return gx.linalg.qr(gx.cast(x, "float16"))


@mistake
def right_hand_sides_that_do_not_fit() -> object:
    return gx.linalg.solve(np.eye(2), y)


@mistake
def a_triangle_and_right_hand_sides_that_do_not_fit() -> object:
    return gx.linalg.solve_triangular(np.eye(2), k)


@mistake
def a_mode_that_is_none_of_qr() -> object:
    return gx.linalg.qr(x, mode="full")


@mistake
def a_derivative_of_more_orthogonal_columns_than_there_are() -> object:
    return gx.grad(gx.sum(gx.linalg.qr(y, mode="complete").Q), y)


@mistake
def a_derivative_of_triangles_that_are_not_square() -> object:
    return gx.grad(gx.sum(gx.linalg.lu(x)[2]), x)


@mistake
def a_norm_that_there_is_not() -> object:
    return gx.linalg.matrix_norm(x, ord=3)


@mistake
def a_power_that_is_no_integer() -> object:
    return gx.linalg.matrix_power(np.eye(2), 0.5)


@mistake
def a_power_of_a_matrix_that_is_not_square() -> object:
    return gx.linalg.matrix_power(x, 2)


@mistake
def a_long_product_with_a_stack_in_it() -> object:
    return gx.linalg.multi_dot([x, np.ones((5, 2, 2))])


@mistake
def a_product_of_one_matrix() -> object:
    return gx.linalg.multi_dot([x])


@mistake
def a_tolerance_for_each_singular_value() -> object:
    return gx.linalg.pinv(x, rtol=np.ones(2))


@mistake
def a_factor_without_its_triangle() -> object:
    return gx.linalg.cho_solve(np.eye(2), np.ones(2))  # type: ignore[arg-type]


@mistake
def a_product_of_no_matrices() -> object:
    return gx.linalg.multi_dot([])
