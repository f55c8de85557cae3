"""Random numbers as graphs: `gx.random.normal(gx.random.key(0), (3, 4))`.

Nothing is hidden: a function takes a key, and the same key gives the same numbers, the same bits
on every device and for any number of threads. Split a key for each use. The words come from
Threefry, written in the language itself, so that they are made where they are used.

The numbers are constants as far as derivatives go; a normal with parameters is
`mean + deviation * normal(...)`, through which gradients flow.
"""

from graphc.random.bits import bits, uniform
from graphc.random.continuous import (
    cauchy,
    exponential,
    gumbel,
    laplace,
    logistic,
    normal,
    truncated_normal,
)
from graphc.random.counts import binomial, geometric, multinomial, poisson
from graphc.random.discrete import bernoulli, categorical, rademacher, randint
from graphc.random.gamma import beta, chi_square, dirichlet, gamma, student_t
from graphc.random.keys import fold_in, key, split
from graphc.random.permutations import choice, permutation

__all__ = [
    "bernoulli", "beta", "binomial", "bits", "categorical", "cauchy", "chi_square", "choice",
    "dirichlet", "exponential", "fold_in", "gamma", "geometric", "gumbel", "key", "laplace",
    "logistic", "multinomial", "normal", "permutation", "poisson", "rademacher", "randint",
    "split", "student_t", "truncated_normal", "uniform",
]  # fmt: skip
