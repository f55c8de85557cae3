"""The shape of the source tree: which way imports run, how long files are, what is documented."""

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import pytest

ROOT = Path(__file__).resolve().parent.parent
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]

FRONT_DOOR = "graphc"
LAYERS = ("graphc", "graphc.passes", "graphc.runtime")
"""Each may import itself and what stands before it."""

LONGEST_FILE = 400
LONGEST_FUNCTION = 40

OTHER_DEVICE = "many modules: only a program for that device needs them"

# What follows may grow only by an entry with its reason; an entry no longer needed fails the tests.
INNER_IMPORTS: dict[tuple[str, str], str] = {
    ("graphc.ir.types", "ml_dtypes"): "an extra: only a program that uses bfloat16 needs it",
    ("graphc.runtime.opencl.machine", "pyopencl"): "an extra: only the device opencl needs it",
    ("graphc.runtime.cpu.llvm", "llvmlite.binding"): "slow to load: only what compiles needs it",
    ("graphc.runtime.device", "graphc.runtime.reference.device"): OTHER_DEVICE,
    ("graphc.runtime.device", "graphc.runtime.opencl.device"): OTHER_DEVICE,
    ("graphc.runtime.device", "graphc.runtime.cuda.device"): OTHER_DEVICE,
}
"""(module, what it imports inside a function) -> why it cannot stand at the top of the file."""
LONG_FILES: dict[str, str] = {
    "graphc/lang/__init__.py": "lists every word of the language, twice, a name a line",
}
"""File -> why it is clearer in one piece."""
LONG_FUNCTIONS: dict[str, str] = {}
"""module.function -> why it is clearer in one piece."""

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One imported module, and where the import stands."""

    target: str
    inside_function: bool
    for_types_only: bool


# --- the tree ------------------------------------------------------------------------------------


def folders() -> dict[str, Path]:
    """Map each top of the installed layout to its folder: graphc, graphc.passes, graphc.runtime."""
    return {name: ROOT / folder for name, folder in SETUPTOOLS["package-dir"].items()}


@cache
def modules() -> dict[str, Path]:
    """Map the installed name of every module to its file."""
    found = {}
    for top, folder in folders().items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((top, *parts))] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    """Parse a source file."""
    return ast.parse(path.read_text(), str(path))


def python_files() -> list[Path]:
    """List every Python file of the repository."""
    return [path for path in text_files() if path.suffix == ".py"]


def text_files(folder: Path = ROOT) -> Iterator[Path]:
    """Walk the repository's own files: nothing hidden but `.ci`, nothing that tools have built."""
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in {".ci", ".gitignore"}
        built = path.name in {"build", "dist", "__pycache__"} or path.suffix == ".egg-info"
        if hidden or built or path.is_symlink():
            continue
        if path.is_dir():
            yield from text_files(path)
        elif not is_binary(path):
            yield path


def is_binary(path: Path) -> bool:
    """Tell text from data as git does: by a zero byte near the beginning."""
    return b"\0" in path.read_bytes()[:8000]


def unlisted(found: set[str], allowed: dict[str, str]) -> list[str]:
    """List what breaks a rule without leave, and the leaves that nothing needs."""
    return sorted(found ^ allowed.keys())


# --- imports -------------------------------------------------------------------------------------


def imports(source: ast.Module, known: set[str]) -> Iterator[Import]:
    """Yield every import of a file; `from a import b` means module a.b where there is one."""

    def visit(node: ast.AST, inside: bool, types: bool) -> Iterator[Import]:
        for target in targets(node, known):
            yield Import(target, inside, types)
        inside = inside or isinstance(node, (*FUNCTION, ast.Lambda))
        types = types or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside, types)

    return visit(source, False, False)


def targets(node: ast.AST, known: set[str]) -> Iterator[str]:
    """Yield the modules that one statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield inner if inner in known else base
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        yield from (name.value for name in node.args if isinstance(name, ast.Constant))


@cache
def all_imports() -> dict[str, list[Import]]:
    """Map each module of graphc to what it imports."""
    known = set(modules())
    return {name: list(imports(tree(path), known)) for name, path in modules().items()}


def layer(module: str) -> int:
    """Give the height of a module in the stack."""
    return max(at for at, top in enumerate(LAYERS) if f"{module}.".startswith(f"{top}."))


def is_ours(module: str) -> bool:
    """Tell whether an imported name belongs to graphc."""
    return module.partition(".")[0] == FRONT_DOOR


def test_imports_run_one_way() -> None:
    upward = [
        f"{name} imports {found.target}"
        for name, all_found in all_imports().items()
        for found in all_found
        if name != FRONT_DOOR and is_ours(found.target) and layer(found.target) > layer(name)
    ]
    assert not upward


def test_nobody_imports_from_the_front_door() -> None:
    inside = [
        name
        for name, all_found in all_imports().items()
        if any(found.target == FRONT_DOOR for found in all_found)
    ]
    assert not inside


def test_imports_are_absolute() -> None:
    short = {"passes", "runtime"}
    wrong = [
        f"{name} imports {found.target}"
        for name, all_found in all_imports().items()
        for found in all_found
        if found.target.startswith(".") or found.target.partition(".")[0] in short
    ]
    assert not wrong


def test_no_import_cycles() -> None:
    # An import for annotations alone never runs, so it cannot close a cycle:
    # a node names its operator and an operator names nodes.
    graph = nx.DiGraph(
        (name, found.target)
        for name, all_found in all_imports().items()
        for found in all_found
        if found.target in modules() and not found.for_types_only
    )
    cycles = [sorted(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]
    assert not cycles
    assert not list(nx.selfloop_edges(graph))


def test_no_imports_inside_functions() -> None:
    found = {
        (name, found.target)
        for name, all_found in all_imports().items()
        for found in all_found
        if found.inside_function
    }
    assert sorted(found ^ INNER_IMPORTS.keys()) == []


def test_the_reader_of_imports_sees_each_form() -> None:
    source = ast.parse(
        "import a.b\n"
        "from a import b, c\n"
        "if TYPE_CHECKING:\n    from a.b import T\n"
        "def f():\n    if x:\n        from . import d\n"
        "def g():\n    return importlib.import_module('e')\n"
    )
    assert list(imports(source, {"a", "a.b"})) == [
        Import("a.b", False, False),
        Import("a.b", False, False),
        Import("a", False, False),
        Import("a.b", False, True),
        Import(".", True, False),
        Import("e", True, False),
    ]


# --- sizes ---------------------------------------------------------------------------------------


def test_no_long_files() -> None:
    long = {
        path.relative_to(ROOT).as_posix()
        for path in python_files()
        if len(path.read_text().splitlines()) > LONGEST_FILE
    }
    assert unlisted(long, LONG_FILES) == []


def test_no_long_functions() -> None:
    long = {
        f"{name}.{node.name}"
        for name, path in modules().items()
        for node in ast.walk(tree(path))
        if isinstance(node, FUNCTION) and code_lines(node) > LONGEST_FUNCTION
    }
    assert unlisted(long, LONG_FUNCTIONS) == []


def code_lines(function: Function) -> int:
    """Count the lines of a function, less its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


# --- packages ------------------------------------------------------------------------------------


def test_pyproject_lists_every_package() -> None:
    holding_code = {
        ".".join((top, *path.parent.relative_to(folder).parts))
        for top, folder in folders().items()
        for path in folder.rglob("*.py")
    }
    assert sorted(SETUPTOOLS["packages"]) == sorted(holding_code)


def test_every_package_has_an_init() -> None:
    missing = [name for name in SETUPTOOLS["packages"] if modules()[name].name != "__init__.py"]
    assert not missing


@pytest.mark.parametrize("name", LAYERS[1:])
def test_a_layer_refuses_a_second_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the repository on the path, `import passes` would run the same file as a second module.
    monkeypatch.syspath_prepend(ROOT)
    with pytest.raises(ImportError, match=f"import {name}, not "):
        importlib.import_module(name.rpartition(".")[2])


# --- names and words -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(modules()))
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    bare = [inner for inner, value in public(module) if not documented(value)]
    assert not bare
    assert inspect.getdoc(module)


def public(owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield the functions and classes that a module or class defines itself, and theirs."""
    for name, value in vars(owner).items():
        if name.startswith("_") or not defined_in(owner, value):
            continue
        # Asked of the class, not found in its dictionary, a method can inherit its docstring.
        yield f"{owner.__name__}.{name}", getattr(owner, name)
        if inspect.isclass(value):
            yield from public(value)


def defined_in(owner: Any, value: Any) -> bool:
    """Tell what a module or class defines from what it imports and from plain data."""
    if isinstance(value, property | cached_property):
        return True
    plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    if not callable(plain):
        return False
    plain = inspect.unwrap(plain)
    module = owner.__module__ if inspect.isclass(owner) else owner.__name__
    written = inspect.isfunction(plain) or inspect.isclass(plain)
    return written and plain.__module__ == module and plain.__name__ != "<lambda>"


def documented(value: Any) -> bool:
    """Tell a written docstring from none, and from the one that dataclasses make up."""
    text = value.__doc__ if inspect.isclass(value) else inspect.getdoc(value)
    return bool(text) and not text.startswith(f"{getattr(value, '__name__', '')}(")


MACHINE_PATH = re.compile(
    r"(?<![\w.$}~-])/(?:home|root|Users|work|tmp|mnt|opt)/\w|[A-Z]:\\\\?Users"
)


def names_a_machine(text: str) -> bool:
    """Tell whether a text holds a path that exists on one machine alone."""
    return MACHINE_PATH.search(text) is not None


def test_no_paths_of_one_machine() -> None:
    found = [
        path.relative_to(ROOT).as_posix()
        for path in text_files()
        if names_a_machine(path.read_text(errors="replace"))
    ]
    assert not found
