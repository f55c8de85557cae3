"""The wheel as a stranger meets it: everything in it, and a first program that runs elsewhere."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILT = shutil.ignore_patterns(".*", "build", "dist", "__pycache__", "*.egg-info")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command to its end and give what it printed; fail with that text if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.args}\n{done.stdout}{done.stderr}"
    return done.stdout


def pip(*arguments: str | Path) -> None:
    """Run pip without asking any index: what a build needs, the tests' own environment holds."""
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a clean copy of the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(ROOT, folder / "source", ignore=BUILT)
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, but not what it depends on: that is found where the tests found it."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    pip("--python", folder / "bin/python", "install", "--no-deps", "--no-index", wheel)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    # A path file inside a folder that a path file adds is not read, so that a graphc which
    # is installed here for editing stays out of sight.
    outer = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "dependencies.pth").write_text("\n".join(sorted(outer)))
    return folder


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Make a user's folder whose own modules are called as our folders are."""
    for name in ("passes", "runtime"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not the module you want')\n")
    return tmp_path


def first_program() -> str:
    """Take the first Python block out of the README."""
    block = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert block, "the README shows no Python program"
    return block[1]


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    package_dir = project["tool"]["setuptools"]["package-dir"]
    expected = {
        f"{package.replace('.', '/')}/{path.relative_to(ROOT / folder).as_posix()}"
        for package, folder in package_dir.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == expected | {"graphc/py.typed"}
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_the_first_program_runs_beside_a_hostile_runtime(environment: Path, hostile: Path) -> None:
    program = hostile / "program.py"
    program.write_text(first_program() + "\nprint(gx.__file__)\n")
    printed = run(environment / "bin/python", program, cwd=hostile)
    assert Path(printed.splitlines()[-1]).is_relative_to(environment)


def test_the_command_starts_beside_a_hostile_runtime(environment: Path, hostile: Path) -> None:
    assert "graphc" in run(environment / "bin/graphc", "--help", cwd=hostile)
