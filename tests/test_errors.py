"""Every mistake gets one short message, at the user's line; `pytest -s` prints them all.

`python -m tests.test_errors` writes bad_inputs.txt anew: read what has changed as a user would.
"""

import gc
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc.errors import short_errors
from tests import (  # noqa: F401 (each adds mistakes to the table)
    bad_complex_inputs,
    bad_linalg,
    bad_sizes,
    bad_words,
)
from tests.bad_inputs import MISTAKES

FOLDER = Path(__file__).resolve().parent
CATALOGUE = FOLDER / "bad_inputs.txt"

INTERNALS = ("Traceback", "graphc/", "passes/", "runtime/", "site-packages", "numpy/")
LONGEST_LINE = 170

every_mistake = pytest.mark.parametrize("name", MISTAKES)


def error_of(name: str) -> gx.GraphError:
    """What a mistake raises."""
    with pytest.raises(gx.GraphError) as caught:
        MISTAKES[name]()
    return caught.value


def with_places_normalised(message: str) -> str:
    """A message where a place in a file of mistakes is written `here`."""
    return re.sub(r"\S*bad_\w+\.py:\d+", "here", message)


def catalogue() -> str:
    """Every mistake's message under its name."""
    parts = []
    for name in MISTAKES:
        gc.collect(1)  # a node left by the last one would lend an equal node its line
        parts.append(f"== {name}\n{with_places_normalised(str(error_of(name)))}\n")
    return "\n".join(parts)


def test_every_message_is_the_one_on_record() -> None:
    found = catalogue()
    print(f"\n{found}")
    assert found == CATALOGUE.read_text()


@every_mistake
def test_the_message_names_the_line_of_the_mistake(name: str) -> None:
    error = error_of(name)
    assert error.where is not None
    if "in_text" in name:
        assert error.where.file == "<text>"
        return
    lines, first = inspect.getsourcelines(MISTAKES[name])
    file = Path(inspect.getfile(MISTAKES[name]))
    assert Path(error.where.file) == file
    assert first <= error.where.line < first + len(lines)
    assert str(error).endswith(f"{file.name}:{error.where.line}: {error.where.source}")


@every_mistake
def test_the_message_is_short_and_says_nothing_twice(name: str) -> None:
    lines = with_places_normalised(str(error_of(name))).splitlines()
    assert len(lines) <= 5
    assert max(map(len, lines)) <= LONGEST_LINE
    places = re.findall(r"at here: .*", "\n".join(lines))
    assert places.count(places[-1] if places else "") <= 1


@every_mistake
def test_the_message_shows_nothing_of_the_inside(name: str) -> None:
    message = with_places_normalised(str(error_of(name)))
    assert not any(word in message for word in INTERNALS)
    assert "object at 0x" not in message


@pytest.mark.parametrize(
    "name", ["shapes_that_do_not_broadcast", "two_inputs_of_one_name", "a_missing_argument"]
)
def test_a_program_ends_with_the_message_alone(name: str) -> None:
    """While a graph is built, when it is compiled, when it is called."""
    command = [sys.executable, str(FOLDER / "bad_inputs.py"), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert with_places_normalised(done.stderr) == recorded()[name]


def recorded() -> dict[str, str]:
    """The messages on record, by mistake, as a program prints them."""
    parts = CATALOGUE.read_text().split("== ")[1:]
    pairs = (part.partition("\n") for part in parts)
    return {name: f"GraphError: {message.strip()}\n" for name, _, message in pairs}


def test_other_exceptions_keep_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[type[BaseException]] = []
    hook = short_errors(lambda kind, error, trace: seen.append(kind))
    hook(ValueError, ValueError("no"), None)
    assert seen == [ValueError]
    hook(gx.GraphError, gx.GraphError("no"), None)
    assert seen == [ValueError]
    assert capsys.readouterr().err.startswith("GraphError: no\n  at ")


def test_notebooks_print_the_message_alone() -> None:
    """IPython calls this hook of an exception instead of printing its stack."""
    error = error_of("shapes_that_do_not_broadcast")
    assert error._render_traceback_() == [f"GraphError: {error}"]


def test_a_failed_call_changes_nothing() -> None:
    w = gx.variable(np.ones(3, np.float32), name="w")
    x = gx.input("x", ("rows", 3), "float32")
    step = gx.compile([x], w, updates={w: w + gx.sum(x)})
    with pytest.raises(gx.GraphError):
        step(np.ones((2, 4), np.float32))
    with pytest.raises(gx.GraphError):
        step(np.ones((2, 3)))
    np.testing.assert_array_equal(w.value, np.ones(3))
    step(np.ones((2, 3), np.float32))
    np.testing.assert_array_equal(w.value, np.full(3, 7))


def test_a_failed_assignment_changes_nothing() -> None:
    w = gx.variable(np.ones(3, np.float32), name="w")
    for wrong in (np.zeros(4), np.zeros(3, complex), "abc", [[1], [2, 3]]):
        with pytest.raises(gx.GraphError):
            w.value = wrong
    np.testing.assert_array_equal(w.value, np.ones(3))


def test_a_failed_compilation_leaves_the_graph_usable() -> None:
    x, k = gx.input("x", (3,), "float32"), gx.input("k", (3,), "float32")
    with pytest.raises(gx.GraphError):
        gx.compile([x], x + k)
    assert gx.compile([x, k], x + k)(np.ones(3, np.float32), np.ones(3, np.float32)).sum() == 6


if __name__ == "__main__":
    CATALOGUE.write_text(catalogue())
