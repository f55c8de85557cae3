"""The type checker's verdict on graphc as it is installed."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"


def link_installed_layout(folder: Path) -> None:
    """Fill a folder with links that show the sources as an installation would: graphc/passes..."""
    package_dir = tomllib.loads(PYPROJECT.read_text())["tool"]["setuptools"]["package-dir"]
    package = folder / "graphc"
    package.mkdir()
    for path in (ROOT / package_dir.pop("graphc")).iterdir():
        (package / path.name).symlink_to(path)
    for name, source in package_dir.items():
        (package / name.removeprefix("graphc.")).symlink_to(ROOT / source)


def test_mypy_strict(tmp_path: Path) -> None:
    link_installed_layout(tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "-p", "graphc"]
    checked = subprocess.run(
        [*command, "--config-file", str(PYPROJECT)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    # A folder that mypy does not find is a folder that it does not check.
    files = [path for top in ("graphc", "passes", "runtime") for path in (ROOT / top).rglob("*.py")]
    assert f"no issues found in {len(files)} source files" in checked.stdout
