"""What users get wrong with complex numbers and Fourier transforms; see `bad_inputs.py`."""

import numpy as np

import graphc as gx
from tests.bad_inputs import mistake, ones, step, x

z = gx.input("z", (2, 5), "complex64")

# --- complex numbers -----------------------------------------------------------------------------


@mistake
def complex_numbers_made_real() -> object:
    return z.astype("float32")


@mistake
def a_complex_constant_made_real() -> object:
    return gx.constant(1j, "float64")


@mistake
def complex_numbers_compared() -> object:
    return z < 1


@mistake
def the_largest_of_complex_numbers() -> object:
    return gx.max(z)


@mistake
def a_complex_number_of_complex_parts() -> object:
    return gx.complex(z, 2.5)


@mistake
def a_gradient_of_a_complex_number() -> object:
    return gx.grad(gx.sum(z), z)


@mistake
def a_jacobian_of_complex_numbers() -> object:
    return gx.jacobian(gx.abs(z), z)


@mistake
def a_hessian_by_complex_numbers() -> object:
    return gx.hessian(gx.sum(gx.abs(z)), z)


@mistake
def a_complex_argument_for_real_numbers() -> object:
    return step(ones * 1j, np.zeros(3, int))


@mistake
def a_list_of_complex_numbers_for_real_ones() -> object:
    return step([[1j, 0, 0], [0, 0, 0]], np.zeros(3, int))


# --- Fourier transforms --------------------------------------------------------------------------


@mistake
def a_transform_of_nothing() -> object:
    return gx.fft.fft(x, n=0)


@mistake
def a_transform_of_half_an_element() -> object:
    return gx.fft.rfft(x, n=2.5)


@mistake
def a_norm_that_there_is_not() -> object:
    return gx.fft.ifft(x, norm="unitary")


@mistake
def a_real_transform_of_complex_numbers() -> object:
    return gx.fft.rfft(z)


@mistake
def a_transform_along_an_axis_twice() -> object:
    return gx.fft.fftn(x, axes=(0, 0))


@mistake
def sizes_that_do_not_fit_the_axes() -> object:
    return gx.fft.fftn(x, s=(2, 3), axes=(0,))


@mistake
def frequencies_of_no_samples() -> object:
    return gx.fft.fftfreq(0)


@mistake
def frequencies_of_a_symbolic_number() -> object:
    return gx.fft.rfftfreq("n")


@mistake
def a_decomposition_of_complex_matrices() -> object:
    return gx.linalg.qr(gx.input("pairs", (3, 3), "complex64"))
