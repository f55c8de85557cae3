"""What the documents say is true: programs run and print what is shown, links lead somewhere.

The comment above a fenced block says what the block is:

    <!-- file: NAME -->      a file that later blocks use; one of Python is also run
    <!-- from: PATH -->      a part of that file of the repository, word for word
    <!-- output -->          what the block before it printed; `...` stands for any text
    <!-- output: avx512 -->  the same, checked only where vectors have 512 bits
    <!-- text -->            the text of a program, which parses and prints the same
    <!-- command: NAME -->   a command for a fresh clone, which .ci/run tries

Every other block of Python runs, and every other block of `sh` in which nothing is installed, in
one folder for each document. `python tests/test_docs.py` writes outputs that differ anew.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import require_pocl

from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.passes import PASSES
from graphc.runtime.cpu.target import host

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MENTION = re.compile(r"`((?:[\w.-]+/)+(?:[\w.-]+\.(?:py|md|gc|svg|toml))?)`")
HEADING = re.compile(r"^#+ (.+)$", re.M)
INSTALLS = (".venv", "pip install")
HINT = "to write it anew: python tests/test_docs.py"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the two parts of the comment above it."""

    kind: str
    text: str
    mark: str
    argument: str
    line: int


def blocks(document: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a document."""
    source = document.read_text()
    for found in BLOCK.finditer(source):
        mark, _, argument = (found["mark"] or "").partition(": ")
        line = source.count("\n", 0, found.start("text")) + 1
        yield Block(found["kind"], found["text"], mark, argument, line)


def run(document: Path, folder: Path) -> Iterator[tuple[Block, str]]:
    """Yield each block of shown output with what the block before it printed in the folder."""
    (folder / "examples").symlink_to(ROOT / "examples")
    names: dict[str, Any] = {"__name__": "document"}
    printed = ""
    for block in blocks(document):
        if block.mark == "file":
            (folder / block.argument).write_text(block.text)
        if block.mark == "output":
            yield block, printed
        elif block.kind == "python" and block.mark != "from":
            printed = run_python(block, folder, names)
        elif block.kind == "sh" and not any(word in block.text for word in INSTALLS):
            printed = run_shell(block, folder)


def run_python(block: Block, folder: Path, names: dict[str, Any]) -> str:
    """Run a block in the names that the blocks before it left, and give what it printed."""
    file = folder / (block.argument or f"line_{block.line}.py")
    file.write_text(block.text)
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out):
        exec(compile(block.text, str(file), "exec"), names)
    return out.getvalue()


def run_shell(block: Block, folder: Path) -> str:
    """Run commands with this environment's programs first, and give what they printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"line {block.line}: {block.text}{done.stdout}{done.stderr}"
    return done.stdout


def agrees(shown: str, printed: str) -> bool:
    """Tell whether a text is what was printed, where `...` in it stands for any text."""
    pattern = re.escape(shown.strip()).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, without_trailing_space(printed), re.S) is not None


def without_trailing_space(text: str) -> str:
    """Drop what an editor would drop."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def applies(block: Block) -> bool:
    """Tell whether a block of output is what this machine should print."""
    return block.argument != "avx512" or host().vector_bits == 512


def each(kind: str) -> pytest.MarkDecorator:
    """Run a test for each document that has a block of a kind or mark."""
    chosen = [d for d in DOCUMENTS if any(kind in (b.kind, b.mark) for b in blocks(d))]
    return pytest.mark.parametrize("document", chosen, ids=lambda path: path.name)


every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@pytest.mark.cpu("what documents show")
@each("python")
def test_programs_run_and_print_what_is_shown(document: Path, tmp_path: Path) -> None:
    if "opencl:" in document.read_text():
        require_pocl()
    for block, printed in run(document, tmp_path):
        if applies(block):
            place = f"{document.name}:{block.line}"
            found = f"{place} shows this:\n{block.text}\nprinted was this:\n{printed}\n{HINT}"
            assert agrees(block.text, printed), found


@each("from")
def test_excerpts_stand_in_their_files(document: Path) -> None:
    for block in blocks(document):
        if block.mark == "from":
            assert block.text in (ROOT / block.argument).read_text(), block.text


@each("text")
def test_texts_parse_and_print_the_same(document: Path) -> None:
    for block in blocks(document):
        if block.mark == "text":
            assert print_text(parse(block.text)) == block.text


@every_document
def test_marks_are_known(document: Path) -> None:
    known = {"", "file", "from", "output", "text", "command"}
    assert {block.mark for block in blocks(document)} <= known


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        path, _, anchor = link.partition("#")
        if not link.startswith("http"):
            target = (document.parent / path).resolve() if path else document
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def anchors(document: Path) -> set[str]:
    """Give the names that GitHub makes of a document's headings."""
    headings = HEADING.findall(document.read_text())
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@every_document
def test_files_that_are_named_exist(document: Path) -> None:
    for path in MENTION.findall(document.read_text()):
        assert (ROOT / path).exists(), path


def test_every_pass_has_its_paragraph_and_no_other() -> None:
    headings = HEADING.findall((ROOT / "docs/passes.md").read_text())
    assert sorted(h.strip("`") for h in headings if h.startswith("`")) == sorted(PASSES)


def test_the_picture_is_that_of_the_first_program(tmp_path: Path) -> None:
    for _ in run(ROOT / "README.md", tmp_path):
        pass
    picture = (tmp_path / "fused.svg").read_text()
    assert picture == (ROOT / "docs/images/fused.svg").read_text(), HINT


def test_any_text_matches_dots_and_nothing_else_does() -> None:
    assert agrees("a ... d\n...\nz", "a b c d\n1\n2\nz\n")
    assert not agrees("a ... d", "a b c")
    assert not agrees("a.c", "abc")


def renew(document: Path) -> None:
    """Write the outputs of a document that differ anew."""
    source = document.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for block, printed in run(document, Path(folder)):
            if applies(block) and not agrees(block.text, printed):
                fence = f"<!-- {block.mark} -->\n```{block.kind}\n"
                new = without_trailing_space(printed) + "\n"
                source = source.replace(f"{fence}{block.text}```", f"{fence}{new}```", 1)
                print(f"{document.name}:{block.line}")
        picture = Path(folder) / "fused.svg"
        if picture.exists():
            (ROOT / "docs/images/fused.svg").write_text(picture.read_text())
    document.write_text(source)


if __name__ == "__main__":
    for each_document in DOCUMENTS:
        renew(each_document)
