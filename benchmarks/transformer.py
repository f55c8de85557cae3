"""Time a transformer block against PyTorch's and JAX's, interleaved in one run.

A block that normalises first: 256 features, 8 heads, 1024 inner features, GELU in its tanh form, on
8 sequences of 128. Forward, and a training step with Adam on the mean squared error. Weights and
data are the same, and results and losses must agree before they are timed. JAX is left out where it
is not installed. With one thread processor time counts, so that a neighbour's work does not.

    pip install -e '.[oracle]' && python benchmarks/transformer.py
"""

import argparse

import numpy as np
from timing import clock_of, report, use_threads, xla_flags

BATCH, LENGTH, FEATURES, HEADS, INNER = 8, 128, 256, 8, 1024
RATE, MEMORY, MEMORY_OF_SQUARES, EPSILON = 1e-3, 0.9, 0.999, 1e-8
SHAPES = {
    "scale1": (FEATURES,), "shift1": (FEATURES,), "qkv": (FEATURES, 3 * FEATURES),
    "qkv_bias": (3 * FEATURES,), "out": (FEATURES, FEATURES), "out_bias": (FEATURES,),
    "scale2": (FEATURES,), "shift2": (FEATURES,), "up": (FEATURES, INNER), "up_bias": (INNER,),
    "down": (INNER, FEATURES), "down_bias": (FEATURES,),
}  # fmt: skip


def parameters():
    """Weights of the usual size; scales around 1."""
    generator = np.random.default_rng(0)

    def drawn(name, shape):
        values = generator.normal(scale=shape[0] ** -0.5, size=shape).astype(np.float32)
        return 1 + values if name.startswith("scale") else values

    return {name: drawn(name, shape) for name, shape in SHAPES.items()}


def data():
    """Sequences and targets."""
    generator = np.random.default_rng(1)
    shape = (BATCH, LENGTH, FEATURES)
    return [generator.normal(size=shape).astype(np.float32) for _ in range(2)]


def block(p, x, words):
    """The block in words of a framework: layer_norm, heads, attention, together, gelu."""
    layer_norm, heads, attention, together, gelu = words
    h = layer_norm(x, p["scale1"], p["shift1"])
    a = attention(*heads(h @ p["qkv"] + p["qkv_bias"]))
    x = x + together(a) @ p["out"] + p["out_bias"]
    h = layer_norm(x, p["scale2"], p["shift2"])
    return x + gelu(h @ p["up"] + p["up_bias"]) @ p["down"] + p["down_bias"]


APART = (BATCH, LENGTH, 3, HEADS, FEATURES // HEADS)
WHOLE = (BATCH, LENGTH, FEATURES)


def ours(gx):
    """The forward pass and the training step of graphc, and how to see its loss."""
    words = (
        lambda x, scale, shift: gx.nn.layer_norm(x, (FEATURES,), scale, shift),
        lambda x: gx.unstack(gx.permute_dims(gx.reshape(x, APART), (2, 0, 3, 1, 4))),
        gx.nn.scaled_dot_product_attention,
        lambda a: gx.reshape(gx.permute_dims(a, (0, 2, 1, 3)), WHOLE),
        lambda x: gx.nn.gelu(x, approximate="tanh"),
    )
    x, y = (gx.input(name, WHOLE, "float32") for name in "xy")
    given = {name: gx.input(name, shape, "float32") for name, shape in SHAPES.items()}
    forward = gx.compile([*given.values(), x], block(given, x, words))
    weights = {name: gx.variable(value, name=name) for name, value in parameters().items()}
    loss = gx.mean((block(weights, x, words) - y) ** 2)
    trained = list(weights.values())
    updates = gx.optim.adam(trained, gx.grad(loss, trained), RATE)
    step = gx.compile([x, y], loss, updates=updates)
    arrays, (sequences, targets) = list(parameters().values()), data()
    return lambda: forward(*arrays, sequences), lambda: step(sequences, targets)


def of_torch(torch):
    """The same in PyTorch, eager, with its fused Adam."""
    f = torch.nn.functional
    words = (
        lambda x, scale, shift: f.layer_norm(x, (FEATURES,), scale, shift),
        lambda x: x.view(APART).permute(2, 0, 3, 1, 4).unbind(0),
        f.scaled_dot_product_attention,
        lambda a: a.transpose(1, 2).reshape(WHOLE),
        lambda x: f.gelu(x, approximate="tanh"),
    )
    x, y = map(torch.from_numpy, data())
    given = {name: torch.from_numpy(value) for name, value in parameters().items()}
    weights = {name: torch.nn.Parameter(value.clone()) for name, value in given.items()}
    optimizer = torch.optim.Adam(weights.values(), RATE, fused=True)

    def step():
        loss = ((block(weights, x, words) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return lambda: block(given, x, words), step


def adam(jax, loss):
    """A training step of JAX with Adam: the state and the loss after it."""
    jnp, tree = jax.numpy, jax.tree.map

    def step(state, x, y):
        weights, means, squares, count = state
        value, slopes = jax.value_and_grad(loss)(weights, x, y)
        count = count + 1
        means = tree(lambda m, g: MEMORY * m + (1 - MEMORY) * g, means, slopes)
        squares = tree(
            lambda s, g: MEMORY_OF_SQUARES * s + (1 - MEMORY_OF_SQUARES) * g * g, squares, slopes
        )
        first, second = 1 - MEMORY**count, 1 - MEMORY_OF_SQUARES**count
        weights = tree(
            lambda w, m, s: w - RATE * (m / first) / (jnp.sqrt(s / second) + EPSILON),
            weights, means, squares,
        )  # fmt: skip
        return (weights, means, squares, count), value

    return step


def of_jax(jax):
    """The same in JAX, compiled, with Adam written out and its memory donated."""
    jnp = jax.numpy

    def layer_norm(x, scale, shift):
        centred = x - x.mean(-1, keepdims=True)
        spread = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred * spread * scale + shift

    def attention(q, k, v):
        scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) * np.float32((FEATURES // HEADS) ** -0.5)
        return jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores, -1), v)

    words = (
        layer_norm,
        lambda x: x.reshape(APART).transpose(2, 0, 3, 1, 4),
        attention,
        lambda a: a.transpose(0, 2, 1, 3).reshape(WHOLE),
        lambda x: jax.nn.gelu(x, approximate=True),
    )

    x, y = map(jnp.asarray, data())
    given = {name: jnp.asarray(value) for name, value in parameters().items()}
    forward = jax.jit(lambda p, x: block(p, x, words))
    trained = adam(jax, lambda p, x, y: ((block(p, x, words) - y) ** 2).mean())
    step = jax.jit(trained, donate_argnums=0)
    zeros = [jax.tree.map(jnp.zeros_like, given) for _ in range(2)]
    state = [(jax.tree.map(jnp.array, given), *zeros, jnp.float32(0))]

    def train():
        state[0], loss = step(state[0], x, y)
        return jax.block_until_ready(loss)

    return lambda: jax.block_until_ready(forward(given, x)), train


def compare(name, calls, rounds, clock):
    """Check that all agree, time them, and print the medians and the ratio to the fastest peer."""
    for _ in range(3):
        mine, *others = (np.asarray(call()) for call in calls.values())
        for other in others:
            assert np.abs(mine - other).max() < 1e-4 * np.abs(other).max(), name
    report(f"{name:9}", calls, rounds, clock)


def main():
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    xla_flags(options.threads)
    import torch

    import graphc as gx

    use_threads(options.threads, torch)
    made = {"graphc": ours(gx), "PyTorch": of_torch(torch)}
    try:
        import jax

        made["JAX"] = of_jax(jax)
    except ImportError:
        print("JAX is not installed")
    clock = clock_of(options.threads)
    for number, name in enumerate(("forward", "training")):
        compare(name, {k: pair[number] for k, pair in made.items()}, options.rounds, clock)


if __name__ == "__main__":
    main()
