"""Text tests: each `.gc` file under tests/ runs the commands in its first lines and checks them.

    // RUN: graphc opt --passes=fuse %s
    // RUN: not graphc print %s
    // RUN: graphc print %s | graphc print - | filecheck --check-prefix=AGAIN

`%s` is the file. `not` expects a failure and checks what stands on stderr. What a command writes
is checked against the file's CHECK lines, or those of another prefix. Everything runs in this
process.
"""

import contextlib
import gc
import io
import os
import shlex
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filecheck.finput
import filecheck.matcher
import filecheck.options
import filecheck.parser
import pytest
from fake_cuda import COMPILER, FakeDriver, installed
from suite_kernels import KEPT, SuiteKernels

from graphc.runtime import tool
from graphc.runtime.device import DEVICES, find_device
from graphc.runtime.opencl.machine import LINKER, POCL

CPU = DEVICES["cpu"]  # whatever `--device` puts in its place
# Every pass of every test is followed by the verifier.
os.environ.setdefault("GRAPHC_VERIFY", "1")


def require_pocl() -> None:
    """Skip what runs on PoCL where the extra `opencl` is not installed, or no linker."""
    pytest.importorskip("pyopencl")
    if shutil.which(LINKER) is None:
        pytest.skip("PoCL needs a linker: install binutils", allow_module_level=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the numeric tests run elsewhere: `pytest --device=opencl`."""
    parser.addoption("--device", default="cpu", help="the device that stands in for `cpu`")
    parser.addoption(
        "--keep-kernels",
        type=Path,
        help="keep the kernels that graphs of the tests would be on GPUs in a folder",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let the tests keep machine code in a folder of their own, which all workers share.

    What OpenCL compiles is kept there too, by each worker for itself.
    """
    DEVICES["cpu"] = find_device(config.getoption("--device"))
    if "GRAPHC_CACHE" not in os.environ:  # a worker has it from the process that started it
        folder = tempfile.mkdtemp(prefix="graphc-tests-")
        os.environ["GRAPHC_CACHE"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    os.environ["POCL_CACHE_DIR"] = str(Path(os.environ["GRAPHC_CACHE"]) / f"pocl-{worker}")
    os.environ["PYOPENCL_NO_CACHE"] = "1"
    os.environ.setdefault("GRAPHC_OPENCL", POCL)
    if (where := config.getoption("--keep-kernels")) is not None:
        where.mkdir(parents=True, exist_ok=True)
        config.stash[KEPT] = SuiteKernels(where.resolve())
        DEVICES["cpu"] = config.stash[KEPT].watch(DEVICES["cpu"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests that look into the device cpu where another one stands in for it."""
    if config.getoption("--device") != "cpu":
        for item in items:
            for mark in item.iter_markers("cpu"):
                item.add_marker(pytest.mark.skip(reason=f"of the CPU alone: {mark.args[0]}"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many kernels compiled for which GPU."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        counts.update(dict(report.user_properties).get("kernels", {}))
    if counts:
        listed = ", ".join(f"{count} for {name}" for name, count in sorted(counts.items()))
        terminalreporter.write_line(f"CUDA kernels of the corpus compiled: {listed}")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let Python's collector of cycles pass over what stays to the end: the modules and the tests.

    It would look at all of it again and again, which takes a tenth of the time of the tests.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDriver]:
    """A driver in place of NVIDIA's, for one test."""
    if COMPILER is None:
        pytest.skip("runs kernels through g++ or clang++")
    with installed(tmp_path) as found:
        yield found


class TextTestError(Exception):
    """A text test does not hold; the message is the whole report."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take `.gc` files as tests."""
    return TextFile.from_parent(parent, path=file_path) if file_path.suffix == ".gc" else None


class TextFile(pytest.File):
    """A text test's file."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test for each RUN line."""
        for number, command in enumerate(run_lines(self.path), start=1):
            yield TextTest.from_parent(self, name=f"run{number}", command=command)


class TextTest(pytest.Item):
    """One RUN line of a file."""

    def __init__(self, *, command: str, **options: Any) -> None:
        super().__init__(**options)
        self.command = command

    def runtest(self) -> None:
        """Run the commands, then check what the last one wrote; they mean the devices they name."""
        kept = self.config.stash.get(KEPT, None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(DEVICES, "cpu", CPU if kept is None else kept.watch(CPU))
            run_text_test(self.command, self.path, kept)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The report alone where a check failed; a trace for anything else."""
        if isinstance(excinfo.value, TextTestError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where pytest says that the test stands."""
        return self.path, 0, self.command


def run_lines(path: Path) -> list[str]:
    """The commands of a file; it must have some."""
    lines = [line.partition("RUN:") for line in path.read_text().splitlines()]
    found = [command.strip() for start, mark, command in lines if mark and start.strip() == "//"]
    if not found:
        raise TextTestError(f"{path}: the first line must be `// RUN: graphc ...`")
    return found


def run_text_test(command: str, path: Path, kept: SuiteKernels | None = None) -> None:
    """Run a RUN line's commands, each reading what the one before wrote, and check the last.

    What they write in CUDA C is kept where the kernels of the suite are.
    """
    parts = [shlex.split(part) for part in command.split("|")]
    prefix = "CHECK"
    if parts[-1][0] == "filecheck":
        (prefix,) = [word.partition("=")[2] for word in parts.pop()[1:]] or ["CHECK"]
    text = ""
    for words in parts:
        text = run_command([word.replace("%s", str(path)) for word in words], text)
        if (
            kept is not None
            and words[:2] == ["graphc", "emit"]
            and any(w.startswith("--device=cuda") for w in words)
        ):
            kept.keep_source(text)
    check(text, path, prefix)


def run_command(words: list[str], text: str) -> str:
    """Run one command with a text on stdin; what it wrote, to stderr where it had to fail."""
    must_fail = words[0] == "not"
    name, *arguments = words[must_fail:]
    assert name == "graphc", f"a text test runs graphc, not {name}"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), stdin(text):
        code = tool.main(arguments)
    if (code != 0) != must_fail:
        command = shlex.join(words)
        raise TextTestError(f"{command}\nexit code {code}\n{err.getvalue()}{out.getvalue()}")
    return err.getvalue() if must_fail else out.getvalue()


@contextlib.contextmanager
def stdin(text: str) -> Iterator[None]:
    """A text stands on stdin inside."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(text))
        yield


def check(text: str, path: Path, prefix: str) -> None:
    """Match a text against the check lines of a file; TextTestError where they differ."""
    options = filecheck.options.Options(match_filename=str(path), check_prefixes=[prefix])
    patterns = filecheck.parser.pattern_for_opts(options)
    lines = filecheck.parser.Parser(options, io.StringIO(path.read_text()), *patterns)
    matcher = filecheck.matcher.Matcher(options, filecheck.finput.FInput("output", text), lines)
    matcher.stderr = report = io.StringIO()
    if matcher.run() != 0:
        raise TextTestError(f"{report.getvalue()}\nthe whole output:\n{text}")
