"""Values, bits and memory where kernels are joined over blocks of rows."""

import numpy as np
import pytest
from calling import with_any_threads

import graphc as gx

SHAPES = [
    ((2, 3, 256, 16), (2, 3, 384, 16), False),
    ((1, 331, 8), (1, 997, 8), False),  # blocks of unequal height
    ((2, 512, 8), (2, 512, 8), True),  # rows that know their place
]


def attention(query, key, causal):
    """Inputs and the attention of queries to keys, which are their own values."""
    q = gx.input("q", query, "float32")
    k = gx.input("k", key, "float32")
    return [q, k], gx.nn.scaled_dot_product_attention(q, k, k, is_causal=causal)


def arrays(*shapes):
    generator = np.random.default_rng(7)
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


def joins(step):
    return [d for d in step.decisions if d.stage == "contract_temporaries"]


@pytest.mark.parametrize(("query", "key", "causal"), SHAPES)
@pytest.mark.cpu("blocks of temporaries in its cache")
def test_attention_is_that_of_the_reference(query, key, causal):
    inputs, y = attention(query, key, causal)
    step = gx.compile(inputs, y)
    given = arrays(query, key)
    right = gx.compile(inputs, y, device="reference")(*given)
    np.testing.assert_allclose(step(*given), right, rtol=2e-5, atol=2e-6)
    assert joins(step)


def test_bits_do_not_depend_on_threads():
    inputs, y = attention(*SHAPES[1])
    step, given = gx.compile(inputs, y), arrays(*SHAPES[1][:2])
    with_any_threads(step, *given)


@pytest.mark.cpu("blocks of temporaries in its cache")
def test_gradients_are_those_of_the_reference():
    inputs, y = attention((2, 512, 16), (2, 512, 16), False)
    gradients = gx.grad(gx.sum(y * y), inputs)
    step, given = gx.compile(inputs, gradients), arrays((2, 512, 16), (2, 512, 16))
    rights = gx.compile(inputs, gradients, device="reference")(*given)
    for mine, right in zip(step(*given), rights, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-4, atol=1e-5)
    assert joins(step)


@pytest.mark.cpu("blocks of temporaries in its cache")
def test_a_sum_and_a_position_are_joined():
    """Both are named alike in kernels of their own."""
    a, b = gx.input("a", (16, 256, 128), "float32"), gx.input("b", (16, 256), "float32")
    positive = gx.where(a > 0.3, a, -1.0)
    outputs = [b @ positive, gx.argmax(positive, axis=2)]
    given = arrays(a.shape, b.shape)
    step = gx.compile([a, b], outputs)
    assert joins(step)
    product, position = step(*given)
    right = gx.compile([a, b], outputs, device="reference")(*given)
    np.testing.assert_allclose(product, right[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(position, right[1])


@pytest.mark.parametrize(
    ("heads", "keys", "features"), [(1, 4096, 8), (8, 4096, 128), (1, 16384, 64), (2, 65536, 64)]
)
@pytest.mark.cpu("blocks of temporaries in its cache")
def test_no_matrix_of_scores_is_in_memory(heads, keys, features):
    shape = (heads, keys, features)
    inputs, y = attention(shape, shape, False)
    scores = 4 * heads * keys * keys
    assert gx.compile(inputs, y).memory.peak < scores // 6


def test_what_is_added_up_in_a_local_buffer_stays_there():
    q = gx.input("q", ("batch", 512, 8), "float32")
    y = gx.nn.scaled_dot_product_attention(q, q, q)
    (given,) = arrays((2, 512, 8))
    results = [
        gx.compile([q], gx.grad(gx.sum(y), q), device=device)(given)
        for device in ("cpu", "reference")
    ]
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)


@pytest.mark.cpu("blocks of temporaries in its cache")
def test_a_batch_of_any_size():
    inputs, y = attention(("batch", 512, 8), ("batch", 512, 8), False)
    step = gx.compile(inputs, y)
    assert joins(step)
    for batch in (0, 1, 3):
        given = arrays((batch, 512, 8), (batch, 512, 8))
        right = gx.compile(inputs, y, device="reference")(*given)
        np.testing.assert_allclose(step(*given), right, rtol=2e-5, atol=2e-6)
