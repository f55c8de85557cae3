"""Every operator refuses what its type rule does not let through, with a message on record.

`python -m tests.test_refusals` writes refusals.txt anew: read what has changed as a user would.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER))  # for the run as a program; pytest has it there already

from sample import Sample  # noqa: E402
from samples import ROWS, accepted, node_of  # noqa: E402

import graphc as gx  # noqa: E402
from graphc.ir.types import DTYPES, DType  # noqa: E402

CATALOGUE = FOLDER / "refusals.txt"
INTERNALS = (
    "Traceback",
    "graphc/",
    "passes/",
    "runtime/",
    "site-packages",
    "NoneType",
    "object at",
)


def mistakes(name: str) -> Iterator[tuple[Sample, DType]]:
    """Operands that an operator must refuse: each such sample, and a dtype of each kind."""
    row, dtypes = ROWS[name], accepted(name)
    yield from ((sample, dtypes[-1]) for sample in row.refused)
    kinds = {dtype.kind: dtype for dtype in DTYPES if dtype not in dtypes}
    if row.samples[0].shapes:
        yield from ((row.samples[0], dtype) for dtype in kinds.values())


def refusal(name: str, sample: Sample, dtype: DType) -> gx.GraphError:
    """What an operator says to operands that it does not take."""
    with pytest.raises(gx.GraphError) as caught:
        node_of(name, sample, dtype)
    return caught.value


def without_places(message: str) -> str:
    """A message without where its operands were made."""
    return re.sub(", made at .*", "", message)


def catalogue() -> str:
    """Each operator's messages under its name, each once, without the places of operands."""
    parts = []
    for name in sorted(ROWS):
        errors = [refusal(name, *mistake) for mistake in mistakes(name)]
        messages = [without_places(error.message) for error in errors]
        parts.append(f"== {name}\n" + "".join(f"{m}\n" for m in dict.fromkeys(messages)))
    return "\n".join(parts)


def test_every_message_is_the_one_on_record() -> None:
    assert catalogue() == CATALOGUE.read_text()


@pytest.mark.parametrize("name", sorted(ROWS))
def test_refusals_are_at_the_line_and_name_the_operator(name: str) -> None:
    for mistake in mistakes(name):
        error = refusal(name, *mistake)
        assert error.where is not None
        assert Path(error.where.file).name == "samples.py"
        assert error.message.startswith(f"{name}: ")
        said = without_places(error.message)
        assert not any(word in said for word in INTERNALS), said


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if row.samples[0].shapes])
def test_every_operator_with_operands_refuses_something(name: str) -> None:
    assert any(mistakes(name)), name


if __name__ == "__main__":
    CATALOGUE.write_text(catalogue())
