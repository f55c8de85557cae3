"""Loading LLVM text: addresses, errors that show the text, object files, and freeing."""

import ctypes
import gc
import subprocess
import sys
import weakref
from functools import cache
from typing import Any

import pytest

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.code_generator import InvalidCodeError, generate
from graphc.runtime.cpu.jit import load

TWICE = """
define i64 @twice(i64 %x) {
  %y = add i64 %x, %x
  ret i64 %y
}
"""


def call(address: int, *arguments: int) -> int:
    function = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(arguments))(address)
    return int(function(*arguments))


def test_a_function_is_called_by_its_address() -> None:
    library = load(TWICE)
    assert call(library.address("twice"), 21) == 42
    assert library.text == TWICE
    assert "twice" in library.assembly


def test_libraries_do_not_see_each_other() -> None:
    first, second = load(TWICE), load(TWICE.replace("add", "mul"))
    assert call(first.address("twice"), 5) == 10
    assert call(second.address("twice"), 5) == 25


def test_the_c_library_is_there() -> None:
    library = load(
        "declare i64 @labs(i64)\n" + TWICE.replace("add i64 %x, %x", "call i64 @labs(i64 %x)")
    )
    assert call(library.address("twice"), -3) == 3


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="thrice"):
        load(TWICE).address("thrice")


def test_a_mistake_in_the_text_is_shown_with_its_line() -> None:
    with pytest.raises(InvalidCodeError, match=r">\s+3   %y = add i32 %x, %x"):
        load(TWICE.replace("add i64", "add i32"))


def test_a_mistake_that_the_verifier_finds_is_shown_with_its_line() -> None:
    wrong = TWICE.replace("  %y", "  %z = add i64 %y, 1\n  %y")
    with pytest.raises(InvalidCodeError, match=r">\s+\d   %[yz] = add i64"):
        load(wrong)


def test_a_function_that_nothing_defines_is_named() -> None:
    wrong = "declare i64 @nowhere(i64)\n" + TWICE.replace(
        "add i64 %x, %x", "call i64 @nowhere(i64 %x)"
    )
    with pytest.raises(InvalidCodeError, match="nothing defines nowhere"):
        load(wrong)


def test_a_library_is_freed() -> None:
    library = load(TWICE)
    tracker = weakref.ref(library.tracker)
    del library
    gc.collect()
    assert tracker() is None


def test_a_pool_whose_linking_was_interrupted_is_linked_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put, tries = jit.put, []

    def interrupted(*given: Any) -> jit.Library:
        tries.append(put(*given))
        if len(tries) == 1:
            raise KeyboardInterrupt
        return tries[-1]

    monkeypatch.setattr(jit, "put", interrupted)
    monkeypatch.setattr(jit, "loaded_pool", cache(jit.loaded_pool.__wrapped__))
    with pytest.raises(KeyboardInterrupt):
        jit.pool_library()
    assert jit.pool_library() is jit.pool_library() is tries[1]


def test_an_object_file_holds_the_names() -> None:
    assert b"twice" in generate(TWICE)


def test_what_does_not_compile_loads_neither_llvm_nor_networkx() -> None:
    program = """
import sys, graphc as gx
x = gx.input("x", (2,), "float64")
assert gx.compile([x], gx.exp(x), device="reference")([0, 0]).tolist() == [1, 1]
print(*sys.modules.keys() & {"llvmlite.binding", "networkx"})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == []
