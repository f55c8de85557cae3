"""Time configurations that nobody has tuned for: sizes drawn at random, of five kinds of program.

    python benchmarks/random_shapes.py --seed 1 [--kinds products rows] [--count 20]

A seed gives the same configurations everywhere. Each is checked and timed as by run.py; the end of
a kind tells the geometric mean and the worst of the ratios to the best peer.
"""

from __future__ import annotations

import contextlib
import math
import random
import tempfile

from chains import BINARY, UNARY
from measure import best_peer
from run import Run, options_parser
from workloads import (
    REDUCTIONS,
    Workload,
    convolution_work,
    mlp_work,
    product_work,
)

MOST = 2e9  # operations of one configuration
PEERS = ("graphc", "torch", "torch_channels_last", "jax", "onnxruntime")


def size(draw, low, high):
    """A whole number, all orders of magnitude alike."""
    return round(math.exp(draw.uniform(math.log(low), math.log(high))))


def product(draw, name):
    """A matrix product."""
    m, k, n = (size(draw, 1, 2048) for _ in range(3))
    sizes = {"m": m, "k": k, "n": n}
    return Workload(name, "products", "product", sizes, work=product_work(m, k, n))


def chain(draw, name):
    """Three to twelve operators on 1,000 to 3 million elements, and two that need all operands."""
    named = [draw.choice([*UNARY, *BINARY]) for _ in range(draw.randint(3, 12))]
    listed = [(step, draw.choice("yz") if step in BINARY else None) for step in named]
    sizes = {
        "elements": size(draw, 1_000, 3_000_000),
        "chain": [*listed, ("add", "y"), ("add", "z")],
    }
    return Workload(name, "chains", "chain", sizes)


def row(draw, name):
    """A reduction or a row-wise program on 10 thousand to 4 million elements."""
    rows = size(draw, 4, 8192)
    sizes = {"rows": rows, "columns": size(draw, max(4, 1e4 / rows), 4e6 / rows)}
    return Workload(name, "rows", draw.choice(REDUCTIONS), sizes)


def convolution(draw, name):
    """A convolution, forward or with both gradients; one in five is depthwise."""
    while True:
        channels, taps = size(draw, 3, 256), draw.choice((1, 3, 3, 5, 7))
        depthwise = draw.random() < 0.2
        sizes = {
            "examples": size(draw, 1, 32), "channels": channels, "size": size(draw, 7, 112),
            "kernels": channels if depthwise else size(draw, 8, 256), "taps": taps,
            "stride": draw.choice((1, 1, 2)), "padding": taps // 2,
            "groups": channels if depthwise else 1,
        }  # fmt: skip
        backward = draw.random() < 0.5
        work = convolution_work(sizes, backward)
        if work.operations < MOST:
            program = "convolution_gradients" if backward else "convolution"
            return Workload(name, "convolutions", program, sizes, work=work)


def mlp(draw, name):
    """A training step of two to five dense layers, with Adam."""
    while True:
        hidden = [size(draw, 16, 1024) for _ in range(draw.randint(1, 4))]
        layers = [size(draw, 16, 1024), *hidden, size(draw, 2, 100)]
        sizes = {"batch": size(draw, 1, 512), "layers": layers}
        work = mlp_work(sizes)
        if work.operations < MOST:
            return Workload(name, "steps", "mlp", sizes, optimizer="adam", work=work)


KINDS = {
    "products": product,
    "chains": chain,
    "rows": row,
    "convolutions": convolution,
    "steps": mlp,
}


def drawn(kind, seed, count):
    """So many configurations of a kind."""
    draw = random.Random(f"{kind} {seed}")
    return [KINDS[kind](draw, f"{kind}_{seed}_{at}") for at in range(count)]


def told(workload):
    """The sizes of a configuration on one line."""
    words = {name: value for name, value in workload.sizes.items() if name != "chain"}
    return f"{workload.program} {' '.join(f'{name} {value}' for name, value in words.items())}"


def compare(run, kind, options):
    """Time the configurations of a kind, and print the ratios and what they come to."""
    ratios = []
    for workload in drawn(kind, options.seed, options.count):
        rows = run.time(workload, options.rounds, options.seconds)
        peer, ours = best_peer(rows), rows.get("graphc", {})
        if peer is None or "ratio" not in ours:
            reason = ours.get("wrong") or ours.get("failed") or "nothing to compare"
            print(f"  {told(workload)}: {reason}")
            continue
        ratios.append(ours["ratio"])
        times = f"{ours['step'] * 1e3:.4g} ms, {peer} {rows[peer]['step'] * 1e3:.4g} ms"
        print(f"  {ratios[-1]:5.2f}  {told(workload)}: {times}", flush=True)
    if ratios:
        mean = math.exp(math.fsum(map(math.log, ratios)) / len(ratios))
        print(f"{kind}: geometric mean {mean:.2f}, worst {max(ratios):.2f}", flush=True)


def main():
    """Read the options and compare all kinds."""
    parser = options_parser(__doc__)
    parser.set_defaults(contenders=PEERS, threads=[1])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    for threads in options.threads:
        print(f"{threads} threads, seed {options.seed}: ratio to the best peer")
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.closing(Run(options, threads, folder)) as run,
        ):
            for kind in options.kinds:
                compare(run, kind, options)


if __name__ == "__main__":
    main()
