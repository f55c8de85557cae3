"""Object files -> machine code in this process: link, give addresses.

Object files that belong together are linked into one library in the engine of the process; each
library can be freed alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import cache, cached_property

from graphc.locks import fork_safe_lock
from graphc.runtime.cpu import llvm
from graphc.runtime.cpu.code_cache import kept
from graphc.runtime.cpu.code_generator import (
    OPTIMIZATION,
    QUICK,
    InvalidCodeError,
    assembly_of,
    generate,
    generator,
    object_of,
    parse,
)
from graphc.runtime.cpu.code_key import key_of
from graphc.runtime.cpu.pool_code import EXPORTS, pool_code

serials = itertools.count()
once = fork_safe_lock()  # the engine and the pool are made once


class Library:
    """Machine code that lives in this process for as long as this object.

    name is that in the engine; text gives the LLVM text that it was made from.
    """

    def __init__(self, name: str, tracker: llvm.ResourceTracker, text: Callable[[], str]) -> None:
        self.name = name
        self.tracker = tracker
        self.write_text = text

    def address(self, name: str) -> int:
        """The address of an exported function or variable; KeyError for any other name."""
        return int(self.tracker[name])

    @cached_property
    def text(self) -> str:
        """The LLVM text that the library was made from."""
        return self.write_text()

    @cached_property
    def assembly(self) -> str:
        """The machine code as assembly text, generated anew on first use, with all effort."""
        return assembly_of(self.text)


def load(text: str) -> Library:
    """Machine code for an LLVM text, linked with the thread pool and the process's C library.

    Raises InvalidCodeError where LLVM refuses the text or a name is defined nowhere.
    """
    module = parse(text)
    return link([object_of(module, OPTIMIZATION)], definitions(module), lambda: text)


def load_quickly(name: str, text: str, exports: Iterable[str]) -> Library:
    """Code of the runtime's own, generated quickly, or found in the cache under a name."""
    code = kept(key_of(name, text), lambda: generate(text, QUICK))
    return link([code], exports, lambda: text)


def link(objects: Iterable[bytes], exports: Iterable[str], text: Callable[[], str]) -> Library:
    """Put object files into the engine as a library that may use the pool and the process.

    text gives the LLVM text that they were made from. Raises InvalidCodeError where they need
    what is defined nowhere.
    """
    pool = pool_library()
    try:
        return put(objects, exports, (pool.name,), text)
    except RuntimeError as error:
        reason = missing(parse(text())) or error
        raise InvalidCodeError(f"LLVM cannot link a module: {reason}") from error


def put(
    objects: Iterable[bytes],
    exports: Iterable[str],
    uses: tuple[str, ...],
    text: Callable[[], str],
) -> Library:
    """Put object files into the engine under a name that no try before had, interrupted or not.

    uses names the libraries in the engine, besides the process itself, that they may call.
    """
    name = f"graphc_{next(serials)}"
    builder = llvm.JITLibraryBuilder()
    for code in objects:
        builder.add_object_img(code)
    builder.add_current_process()
    for library in uses:
        builder.add_jit_library(library)
    for exported in exports:
        builder.export_symbol(exported)
    return Library(name, builder.link(engine(), name), text)


def pool_library() -> Library:
    """The thread pool's own code; there is one pool in a process."""
    with once:
        return loaded_pool()


@cache
def loaded_pool() -> Library:
    """The code of the pool, and with it the engine, made on first use."""
    text = pool_code()
    code = kept(key_of("pool", text), lambda: generate(text, QUICK))
    return put([code], EXPORTS, (), lambda: text)


def missing(module: llvm.ModuleRef) -> str:
    """Which functions a module calls that neither the pool nor the process has."""
    called = (f.name for f in module.functions if f.is_declaration and "llvm." not in f.name)
    known = set(definitions(parse(pool_code())))
    names = [n for n in called if n not in known and not llvm.address_of_symbol(n)]
    return f"nothing defines {', '.join(names)}" if names else ""


def definitions(module: llvm.ModuleRef) -> list[str]:
    """The names that a module defines for others."""
    return [
        value.name
        for value in itertools.chain(module.functions, module.global_variables)
        if not value.is_declaration and value.linkage is llvm.Linkage.external
    ]


@cache
def engine() -> llvm.LLJIT:
    """What holds all machine code of the process."""
    machine = generator(OPTIMIZATION)
    return llvm.create_lljit_compiler(machine, use_jit_link=True, suppress_errors=True)
