"""What a refusal must be: one message that says what is wrong, at the line of the user."""

from collections.abc import Callable
from typing import Any

import pytest

import graphc as gx


def check_refusal(call: Callable[[], Any], message: str, file: str) -> None:
    """Assert that a call raises GraphError with a message that names a line of a file."""
    with pytest.raises(gx.GraphError) as error:
        call()
    assert message in error.value.message
    assert error.value.where is not None
    assert error.value.where.file == file
