"""Random numbers of a batch of keys: each example's are those of its key alone."""

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc import nn, random
from graphc.ir.node import Node

KEYS = 3
SHAPE = (2, 3)

FUNCTIONS: dict[str, Callable[[Node], Node]] = {
    "bits": lambda k: random.bits(k, SHAPE),
    "uniform": lambda k: random.uniform(k, SHAPE, "float64", -1.0, 1.0),
    "normal": lambda k: random.normal(k, SHAPE),
    "truncated_normal": lambda k: random.truncated_normal(k, -1.0, 2.0, SHAPE),
    "exponential": lambda k: random.exponential(k, SHAPE),
    "gumbel": lambda k: random.gumbel(k, SHAPE),
    "laplace": lambda k: random.laplace(k, SHAPE),
    "logistic": lambda k: random.logistic(k, SHAPE),
    "cauchy": lambda k: random.cauchy(k, SHAPE),
    "bernoulli": lambda k: random.bernoulli(k, 0.5, SHAPE),
    "rademacher": lambda k: random.rademacher(k, SHAPE),
    "categorical": lambda k: random.categorical(k, np.zeros(4), shape=SHAPE),
    "randint": lambda k: random.randint(k, SHAPE, 0, 100),
    "gamma": lambda k: random.gamma(k, 2.0, SHAPE),
    "beta": lambda k: random.beta(k, 2.0, 0.5, SHAPE),
    "dirichlet": lambda k: random.dirichlet(k, np.ones(3), SHAPE),
    "chi_square": lambda k: random.chi_square(k, 3.0, SHAPE),
    "student_t": lambda k: random.student_t(k, 3.0, SHAPE),
    "geometric": lambda k: random.geometric(k, 0.25, SHAPE),
    "poisson": lambda k: random.poisson(k, np.array([0.5, 3.0, 40.0]), SHAPE),
    "binomial": lambda k: random.binomial(k, 50, np.array([0.01, 0.5, 0.9]), SHAPE),
    "multinomial": lambda k: random.multinomial(k, 20, np.array([0.2, 0.5, 0.3])),
    "permutation": lambda k: random.permutation(k, np.arange(20)),
    "choice": lambda k: random.choice(k, 10, SHAPE, replace=False),
    "split": random.split,
    "fold_in": lambda k: random.fold_in(k, 7),
    "dropout": lambda k: nn.dropout(k, np.ones(SHAPE), 0.5),
    "gumbel_softmax": lambda k: nn.gumbel_softmax(k, np.zeros(SHAPE)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_batch_of_keys_equals_the_loop(name: str) -> None:
    function = FUNCTIONS[name]
    keys = gx.input("keys", (KEYS, 2), "uint32")
    whole, loop = gx.compile(
        [keys], [gx.vmap(function)(keys), gx.stack([function(keys[k]) for k in range(KEYS)])],
        device="reference",
    )(np.arange(2 * KEYS, dtype=np.uint32).reshape(KEYS, 2))  # fmt: skip
    assert whole.dtype == loop.dtype
    np.testing.assert_array_equal(whole, loop)
    assert len({row.tobytes() for row in whole}) == KEYS
