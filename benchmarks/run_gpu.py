"""Check and time graphc on a GPU beside PyTorch on the same card, in one call.

    python benchmarks/run_gpu.py                  # checks, then times, then the table
    python benchmarks/run_gpu.py --no-checks      # times alone
    python benchmarks/run_gpu.py --device cpu --quick --no-checks    # the script itself, anywhere

The checks are the numeric tests with `--device=cuda`. What is timed works on variables, which stay
on the card, as PyTorch's tensors do; a round gives each contender its turn. Times are wall-clock
medians of a call, each ending when the card is done.
"""

import argparse
import itertools
import platform
import statistics
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter

import numpy as np

import graphc as gx

ROOT = Path(__file__).resolve().parent.parent
CHECKS = [
    "test_every_op.py", "test_every_derivative.py", "test_scan.py", "test_while_loop.py",
    "test_random_graphs.py", "test_compile.py", "test_nn.py", "test_optim.py",
]  # fmt: skip
SIZES = {"elements": 1 << 25, "rows": 1 << 13, "columns": 1 << 12, "matrix": 4096, "batch": 512}
QUICK = {"elements": 999, "rows": 7, "columns": 33, "matrix": 40, "batch": 5}
LAYERS = (784, 512, 512, 10)
RATE = 0.1
FLOAT = 4  # bytes


class Row:
    """A program in graphc's words and in PyTorch's, and the bytes or operations it needs."""

    def __init__(self, name, arrays, graphc, torch, *, moved=0, operations=0):
        self.name, self.arrays = name, arrays
        self.graphc, self.torch = graphc, torch
        self.moved, self.operations = moved, operations

    def rate(self, seconds):
        """How fast that is."""
        if self.operations:
            return f"{self.operations / seconds / 1e12:6.2f} TFLOP/s"
        return f"{self.moved / seconds / 1e9:6.0f} GB/s" if self.moved else ""


# --- what is timed -------------------------------------------------------------------------------


def layer_norm(x):
    """Layer normalisation in graphc's words."""
    centred = x - gx.mean(x, axis=1, keepdims=True)
    return centred / gx.sqrt(gx.mean(gx.square(centred), axis=1, keepdims=True) + 1e-5)


def rows(sizes):
    """Every program."""
    random = np.random.default_rng(0)

    def draw(*shape):
        return random.standard_normal(shape, np.float32)

    flat, table = draw(sizes["elements"]), draw(sizes["rows"], sizes["columns"])
    matrix = draw(sizes["matrix"], sizes["matrix"])
    twice = [2 * FLOAT * array.size for array in (flat, table)]
    yield Row("copy", [flat], lambda x: x + 0.5, lambda t, x: x + 0.5, moved=twice[0])
    yield Row("tanh(x) * exp(-x)", [flat], lambda x: gx.tanh(x) * gx.exp(-x),
              lambda t, x: t.tanh(x) * t.exp(-x), moved=twice[0])  # fmt: skip
    yield Row("sum", [flat], gx.sum, lambda t, x: t.sum(x), moved=twice[0] // 2)
    yield Row("softmax", [table], lambda x: gx.softmax(x, axis=1),
              lambda t, x: t.softmax(x, 1), moved=twice[1])  # fmt: skip
    yield Row("layer norm", [table], layer_norm,
              lambda t, x: t.nn.functional.layer_norm(x, x.shape[1:]), moved=twice[1])  # fmt: skip
    yield Row("matmul", [matrix, matrix.T.copy()], lambda x, y: x @ y,
              lambda t, x, y: x @ y, operations=2 * sizes["matrix"] ** 3)  # fmt: skip


class GraphcStep:
    """A program over variables, whose result is a variable: nothing leaves the card."""

    def __init__(self, row, device):
        sources = [gx.variable(array) for array in row.arrays]
        value = row.graphc(*sources)
        self.result = gx.variable(np.zeros(value.shape, np.float32))
        probe = gx.reshape(self.result, (-1,))[0] if value.shape else self.result
        self.step = gx.compile([], probe, updates={self.result: value}, device=device)

    def __call__(self):
        return self.step()

    def value(self):
        """The result."""
        self.step()
        return self.result.value


class TorchStep:
    """A program over tensors, eager or compiled."""

    def __init__(self, row, torch, where, compiled):
        self.torch, self.where = torch, where
        self.tensors = [torch.from_numpy(array).to(where) for array in row.arrays]
        self.function = lambda *tensors: row.torch(torch, *tensors)
        if compiled:
            self.function = torch.compile(self.function)

    def __call__(self):
        result = self.function(*self.tensors)
        if self.where == "cuda":
            self.torch.cuda.synchronize()
        return result

    def value(self):
        """The result."""
        return self().cpu().numpy()


# --- a training step -----------------------------------------------------------------------------


def graphc_training(arrays, device):
    """A step of SGD on a network of dense layers."""
    x, labels, *weights = [gx.variable(array) for array in arrays]
    hidden = x
    for w in weights[:-1]:
        hidden = gx.relu(hidden @ w)
    loss = gx.mean(gx.softmax_cross_entropy(hidden @ weights[-1], labels))
    slopes = gx.grad(loss, weights)
    updates = {w: w - RATE * slope for w, slope in zip(weights, slopes, strict=True)}
    return gx.compile([], loss, updates=updates, device=device)


def torch_training(arrays, torch, where, compiled):
    """The same in PyTorch."""
    x, labels, *weights = [torch.from_numpy(array).to(where) for array in arrays]
    for w in weights:
        w.requires_grad_(True)

    def forward():
        hidden = x
        for w in weights[:-1]:
            hidden = torch.relu(hidden @ w)
        return torch.nn.functional.cross_entropy(hidden @ weights[-1], labels)

    forward = torch.compile(forward) if compiled else forward

    def step():
        loss = forward()
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for w, slope in zip(weights, slopes, strict=True):
                w.sub_(slope, alpha=RATE)
        return float(loss.detach())

    return step


def training_arrays(batch):
    """Data, labels and weights."""
    random = np.random.default_rng(1)
    pairs = itertools.pairwise(LAYERS)
    weights = [random.standard_normal(p, np.float32) / np.float32(p[0] ** 0.5) for p in pairs]
    x = random.standard_normal((batch, LAYERS[0]), np.float32)
    return [x, random.integers(0, LAYERS[-1], batch), *weights]


# --- the run -------------------------------------------------------------------------------------


def check(device):
    """Run the numeric tests on the device; whether all pass."""
    tests = [str(ROOT / "tests" / name) for name in CHECKS]
    command = [sys.executable, "-m", "pytest", "-q", f"--device={device}", *tests]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def time_in_turns(calls, rounds):
    """The median seconds of each call."""
    for call in calls.values():
        call()
        call()
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = perf_counter()
            call()
            times[name].append(perf_counter() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def find_torch(where):
    """PyTorch, if it is installed and has the device."""
    try:
        import torch
    except ImportError:
        return None
    return torch if where == "cpu" or torch.cuda.is_available() else None


def time_rows(options, torch, where):
    """A line of the table for each program."""
    sizes = QUICK if options.quick else SIZES
    for row in rows(sizes):
        steps = {"graphc": GraphcStep(row, options.device)}
        if torch:
            steps["eager"] = TorchStep(row, torch, where, False)
            np.testing.assert_allclose(steps["graphc"].value(), steps["eager"].value(), 2e-3, 2e-2)
            if options.compiled:
                steps["compiled"] = TorchStep(row, torch, where, True)
        yield row.name, time_in_turns(steps, options.rounds), row.rate
    arrays = training_arrays(sizes["batch"])
    steps = {"graphc": graphc_training(arrays, options.device)}
    if torch:
        steps["eager"] = torch_training([a.copy() for a in arrays], torch, where, False)
        np.testing.assert_allclose(steps["graphc"](), steps["eager"](), 1e-3)
        if options.compiled:
            steps["compiled"] = torch_training([a.copy() for a in arrays], torch, where, True)
    yield "MLP training step", time_in_turns(steps, options.rounds), lambda seconds: ""


def print_machine(torch, where):
    """The card and the versions, for the record."""
    card = torch.cuda.get_device_name() if torch and where == "cuda" else platform.processor()
    print(f"{card}; Python {platform.python_version()}, graphc {gx.__version__}", end="")
    for name in ("torch", "cuda-bindings", "nvidia-cuda-nvrtc"):
        try:
            print(f", {name} {version(name)}", end="")
        except PackageNotFoundError:
            print(f", no {name}", end="")
    print()


def main():
    """Check, time, and print the table last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--no-checks", dest="checks", action="store_false")
    parser.add_argument("--no-compile", dest="compiled", action="store_false")
    options = parser.parse_args()
    where = "cpu" if options.device == "cpu" else "cuda"
    torch = find_torch(where)
    passed = check(options.device) if options.checks else None
    lines = list(time_rows(options, torch, where))
    print_machine(torch, where)
    if passed is not None:
        print(f"numeric tests on {options.device}: {'all passed' if passed else 'FAILED'}")
    print(f"{'milliseconds a call':<22}{'graphc':>10}{'eager':>10}{'compiled':>10}{'ratio':>8}")
    for name, times, rate in lines:
        shown = "".join(
            f"{1e3 * times[key]:10.3f}" if key in times else f"{'-':>10}"
            for key in ("graphc", "eager", "compiled")
        )
        others = [seconds for key, seconds in times.items() if key != "graphc"]
        ratio = f"{times['graphc'] / min(others):8.2f}" if others else f"{'-':>8}"
        print(f"{name:<22}{shown}{ratio}  {rate(times['graphc'])}")
    return 1 if passed is False else 0


if __name__ == "__main__":
    sys.exit(main())
