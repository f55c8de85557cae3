"""Time reductions over rows, and attention, against PyTorch and JAX, interleaved in one run.

softmax, layer norm, logarithm of a sum of exponentials and variance of 4096 rows of 1024, batch
norm over the rows, cross entropy of classes, some of them with gradients, and attention of 1024
queries in 8 heads. float32. Results are checked before they are timed. Each round times one call of
each; JAX is left out where it is not installed. With one thread processor time counts, so that
a neighbour's work does not.

    pip install -e '.[oracle]' && python benchmarks/rows.py
"""

import argparse

import numpy as np
from timing import clock_of, report, use_threads, xla_flags

ROWS, COLUMNS = 4096, 1024
HEADS, QUERIES, FEATURES = 8, 1024, 32


def arrays():
    """Operands by name."""
    generator = np.random.default_rng(0)
    heads = (1, HEADS, QUERIES, FEATURES)
    rows = (ROWS, COLUMNS)
    shapes = {"x": rows, "weight": (COLUMNS,), "bias": (COLUMNS,), "slope": rows}
    shapes |= {"q": heads, "k": heads, "v": heads}
    drawn = {n: generator.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    return {**drawn, "classes": generator.integers(0, COLUMNS, ROWS)}


def ours(gx):
    """Each workload's operands and its results as nodes."""
    a = {n: gx.input(n, v.shape, str(v.dtype)) for n, v in arrays().items()}
    x, weight, bias = a["x"], a["weight"], a["bias"]
    norm = gx.nn.layer_norm(x, (COLUMNS,), weight, bias)
    batch = gx.nn.batch_norm(x, bias, bias, weight, bias, training=True).output
    loss = gx.mean(gx.softmax_cross_entropy(x, a["classes"]))
    results = {
        "softmax": ([x], gx.softmax(x)),
        "layer norm": ([x, weight, bias], norm),
        "log-sum-exp": ([x], gx.logsumexp(x, axis=1)),
        "variance": ([x], gx.var(x, axis=1)),
        "layer norm, gradients": (
            [x, weight, bias, a["slope"]], gx.grad(gx.sum(norm * a["slope"]), [x, weight, bias]),
        ),
        "batch norm": ([x, weight, bias], batch),
        "cross entropy and gradient": ([x, a["classes"]], [loss, gx.grad(loss, x)]),
        "attention": (
            [a["q"], a["k"], a["v"]], gx.nn.scaled_dot_product_attention(a["q"], a["k"], a["v"]),
        ),
    }  # fmt: skip
    compiled = {name: gx.compile(*pair) for name, pair in results.items()}
    operands = {name: [n.attrs["name"] for n in pair[0]] for name, pair in results.items()}
    values = arrays()
    return {
        name: lambda step=step, given=[values[n] for n in operands[name]]: step(*given)
        for name, step in compiled.items()
    }


def of_torch(torch):
    """The workloads in PyTorch, eager."""
    f = torch.nn.functional
    a = {name: torch.from_numpy(value) for name, value in arrays().items()}

    def leaves(*names):
        return [a[name].detach().requires_grad_() for name in names]

    def layer_norm_gradients():
        x, weight, bias = given = leaves("x", "weight", "bias")
        norm = f.layer_norm(x, (COLUMNS,), weight, bias)
        return torch.autograd.grad((norm * a["slope"]).sum(), given)

    def cross_entropy():
        (x,) = leaves("x")
        loss = f.cross_entropy(x, a["classes"])
        return [loss.detach(), *torch.autograd.grad(loss, [x])]

    return {
        "softmax": lambda: f.softmax(a["x"], 1),
        "layer norm": lambda: f.layer_norm(a["x"], (COLUMNS,), a["weight"], a["bias"]),
        "log-sum-exp": lambda: torch.logsumexp(a["x"], 1),
        "variance": lambda: torch.var(a["x"], 1, correction=0),
        "layer norm, gradients": layer_norm_gradients,
        "batch norm": lambda: f.batch_norm(a["x"], None, None, a["weight"], a["bias"], True),
        "cross entropy and gradient": cross_entropy,
        "attention": lambda: f.scaled_dot_product_attention(a["q"], a["k"], a["v"]),
    }


def of_jax(jax):
    """The workloads in JAX, compiled."""
    a = {name: jax.numpy.asarray(value) for name, value in arrays().items()}

    def layer_norm(x, weight, bias):
        centred = x - x.mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias

    def batch_norm(x, weight, bias):
        centred = x - x.mean(0)
        return centred * jax.lax.rsqrt((centred**2).mean(0) + 1e-5) * weight + bias

    def cross_entropy(x, classes):
        logs = jax.nn.log_softmax(x, 1)
        return -jax.numpy.take_along_axis(logs, classes[:, None], 1).mean()

    def attention(q, k, v):
        scores = jax.numpy.einsum("bhqd,bhkd->bhqk", q, k) * np.float32(FEATURES**-0.5)
        return jax.numpy.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores, -1), v)

    def slopes(x, weight, bias, slope):
        return jax.grad(lambda *given: (layer_norm(*given) * slope).sum(), (0, 1, 2))(
            x, weight, bias
        )

    functions = {
        "softmax": (lambda x: jax.nn.softmax(x, 1), ["x"]),
        "layer norm": (layer_norm, ["x", "weight", "bias"]),
        "log-sum-exp": (lambda x: jax.nn.logsumexp(x, 1), ["x"]),
        "variance": (lambda x: x.var(1), ["x"]),
        "layer norm, gradients": (slopes, ["x", "weight", "bias", "slope"]),
        "batch norm": (batch_norm, ["x", "weight", "bias"]),
        "cross entropy and gradient": (jax.value_and_grad(cross_entropy), ["x", "classes"]),
        "attention": (attention, ["q", "k", "v"]),
    }
    compiled = {name: (jax.jit(f), names) for name, (f, names) in functions.items()}
    return {
        name: lambda f=f, given=[a[n] for n in names]: jax.block_until_ready(f(*given))
        for name, (f, names) in compiled.items()
    }


def as_list(results):
    """One or several results as a list of arrays."""
    listed = results if isinstance(results, list | tuple) else [results]
    return [np.asarray(result) for result in listed]


def check(name, mine, right):
    """Results agree up to the rounding of sums."""
    for one, other in zip(as_list(mine), as_list(right), strict=True):
        error = np.abs(one - other).max() / np.abs(other).max()
        assert error < 1e-4, (name, error)


def compare(name, mine, peers, rounds, clock):
    """Print times, and the median of the rounds' ratios to the faster peer."""
    for peer in peers.values():
        check(name, mine(), peer[name]())
    calls = {"graphc": mine} | {label: peer[name] for label, peer in peers.items()}
    report(f"{name:27}", calls, rounds, clock)


def main():
    """Read the options and compare all workloads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    xla_flags(options.threads)
    import torch

    import graphc as gx

    use_threads(options.threads, torch)
    peers = {"PyTorch": of_torch(torch)}
    try:
        import jax

        peers["JAX"] = of_jax(jax)
    except ImportError:
        print("JAX is not installed")
    for name, mine in ours(gx).items():
        compare(name, mine, peers, options.rounds, clock_of(options.threads))


if __name__ == "__main__":
    main()
