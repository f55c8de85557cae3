"""Object files made by several threads, while the thread that orders them writes the next text.

Generating code holds neither Python's lock nor, with `code_generator`, LLVM's, and takes longer
than all else of compiling.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from graphc.runtime.cpu.code_generator import OPTIMIZATION, SETTINGS, generate

PER_HELPER = 4  # orders from which on a thread is worth starting


@dataclass(slots=True)
class Order:
    """An object file to be made from a text; in the end its code, or what went wrong."""

    text: str
    optimization: int
    code: bytes = b""
    error: BaseException | None = None

    def fill(self) -> None:
        """Make the object file."""
        try:
            self.code = generate(self.text, self.optimization)
        except BaseException as error:  # it belongs to the thread that has ordered
            self.error = error
        self.text = ""


class Orders:
    """Orders that threads begin to fill as they come; they are done after `fill`.

    expected is about how many there will be, threads how many may work, the caller's included.
    Few orders are filled by the caller alone.
    """

    def __init__(self, expected: int, threads: int) -> None:
        self.waiting: SimpleQueue[Order | None] = SimpleQueue()
        self.orders: list[Order] = []
        self.helpers: list[threading.Thread] = []
        self.wanted = max(0, min(threads - 1, expected // PER_HELPER))
        self.settings = SETTINGS.without_strength_reduction()

    def order(self, text: str, optimization: int = OPTIMIZATION) -> Order:
        """An object file that will be there when orders have been filled."""
        order = Order(text, optimization)
        self.orders.append(order)
        self.waiting.put(order)
        return order

    def fill(self) -> None:
        """Help to fill what waits, until all is done; raises the first error of an order."""
        for order in self.taken():
            order.fill()
        self.dismiss()
        for order in self.orders:
            if order.error is not None:
                raise order.error

    def taken(self) -> Iterator[Order]:
        """Orders that nobody else will fill, until none waits."""
        with contextlib.suppress(Empty):
            while order := self.waiting.get_nowait():
                yield order

    def __enter__(self) -> Orders:
        self.settings.__enter__()  # once, for all of them
        for _ in range(self.wanted):
            helper = threading.Thread(target=self.help, name="graphc-code", daemon=True)
            with contextlib.suppress(RuntimeError):  # no more threads, or the interpreter ends
                helper.start()
                self.helpers.append(helper)
        return self

    def __exit__(self, *error: object) -> None:
        for _ in self.taken():  # where an error has come between
            pass
        self.dismiss()
        self.settings.__exit__(None, None, None)

    def help(self) -> None:
        """Fill orders until there is a None among them."""
        while (order := self.waiting.get()) is not None:
            order.fill()

    def dismiss(self) -> None:
        """Let the helpers go once they have filled what they have taken."""
        for _ in self.helpers:
            self.waiting.put(None)
        while self.helpers:
            self.helpers.pop().join()
