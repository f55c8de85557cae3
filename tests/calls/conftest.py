"""Both ways to call a step."""

import pytest

from graphc.runtime.cpu import device


@pytest.fixture(params=["native", "python"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How steps compiled in the test are called; the reason why in Python is the word itself."""
    name: str = request.param
    if name == "python":
        monkeypatch.setattr(device, "why_not_native", lambda: name)
    return name
