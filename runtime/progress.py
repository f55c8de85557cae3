"""Progress of long work: one line on the terminal that is written over, and gone at the end."""

from __future__ import annotations

import sys
import time

INTERVAL = 0.1  # seconds between two lines


class Progress:
    """The line; there is none where standard error is not a terminal."""

    def __init__(self) -> None:
        self.shown = sys.stderr is not None and sys.stderr.isatty()
        self.width = 0
        self.last = -INTERVAL

    def show(self, text: str) -> None:
        """Replace the line, unless that was just done."""
        now = time.monotonic()
        if self.shown and now - self.last >= INTERVAL:
            self.write(text)
            self.last = now

    def end(self) -> None:
        """Leave an empty line."""
        if self.width:
            self.write("")
            self.write("")

    def write(self, text: str) -> None:
        """The line, with blanks over what is left of the one before."""
        sys.stderr.write(f"\r{text.ljust(self.width)}")
        sys.stderr.flush()
        self.width = len(text)
