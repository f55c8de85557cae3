"""Lexer: the words of the text form, each with its place, and a reader that goes over them."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from graphc.errors import GraphError, Where

TOKEN = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*)
    | (?P<name>[%@](?:[\w.$]+|"(?:[^"\\\n]|\\.)*"))
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<float>[0-9]+(?:\.[0-9]*(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+))
    | (?P<int>[0-9]+)
    | (?P<word>[^\W\d]\w*)
    | (?P<label>\#[0-9]+)
    | (?P<sign>[\[\](){},:=*+<-])
    """,
    re.VERBOSE,
)
PLAIN_NAME = re.compile(r"[\w.$]+")

Item = TypeVar("Item")


class Token(NamedTuple):
    """One word: its kind (a group of `TOKEN`, or "end"), its text, and where it begins."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Position(Where):
    """A place in a text that was parsed: as a user's line, with the column and the line's text."""

    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def source(self) -> str:
        """The text of the line."""
        return self.text


def quote_name(sign: str, name: str) -> str:
    """A name after % or @, in quotes where it holds more than letters, digits, dots and _."""
    return sign + (name if PLAIN_NAME.fullmatch(name) else json.dumps(name))


def unquote_name(text: str) -> str:
    """The name in %name, @name or %"name"."""
    name: str = json.loads(text[1:]) if text[1] == '"' else text[1:]
    return name


class Reader:
    """Goes over the tokens of a text, and says what it expected where it finds something else."""

    def __init__(self, text: str, file: str) -> None:
        """Split the text; GraphError for a character that begins no token."""
        self.text = text
        self.file = file
        self.line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.tokens = list(self.split())
        self.at = 0

    def split(self) -> Iterator[Token]:
        """The tokens of the text, then one of kind "end"."""
        offset = 0
        while offset < len(self.text):
            match = TOKEN.match(self.text, offset)
            if match is None:
                place = self.place(Token("", "", offset))
                raise GraphError(f"no word begins with {self.text[offset]!r}", place)
            if match.lastgroup != "space":
                yield Token(str(match.lastgroup), match.group(), offset)
            offset = match.end()
        yield Token("end", "", len(self.text))

    @property
    def next(self) -> Token:
        """The token that is read next."""
        return self.tokens[self.at]

    def peek(self, distance: int) -> Token:
        """The token that many places after the next one."""
        return self.tokens[min(self.at + distance, len(self.tokens) - 1)]

    def take(self) -> Token:
        """Go past the next token."""
        token = self.next
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def is_next(self, *texts: str) -> bool:
        """Whether the next token is one of these."""
        return self.next.text in texts and self.next.kind != "end"

    def accept(self, text: str) -> bool:
        """Go past the next token if it is this one."""
        found = self.is_next(text)
        if found:
            self.take()
        return found

    def expect(self, text: str) -> Token:
        """Go past this token; GraphError if another comes next."""
        if not self.is_next(text):
            raise self.expected(repr(text))
        return self.take()

    def expect_kind(self, kind: str, what: str) -> Token:
        """Go past a token of a kind; GraphError if another comes next."""
        if self.next.kind != kind:
            raise self.expected(what)
        return self.take()

    def expect_word(self, what: str, *words: str) -> Token:
        """Go past a word, one of those given if any are."""
        if self.next.kind != "word" or (words and self.next.text not in words):
            raise self.expected(what)
        return self.take()

    def name(self, what: str = "a name such as %x", sign: str = "%") -> Token:
        """Go past a %name or @name."""
        if self.next.kind != "name" or self.next.text[0] != sign:
            raise self.expected(what)
        return self.take()

    def names(self) -> list[Token]:
        """Go past `%a, %b, ...`, which may be empty."""
        if self.next.kind != "name":
            return []
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        return found

    def list_of(self, item: Callable[[], Item], opening: str, closing: str) -> list[Item]:
        """Go past `( item, item, ... )`, which may be empty."""
        self.expect(opening)
        found: list[Item] = []
        while not self.accept(closing):
            if found:
                self.expect(",")
            found.append(item())
        return found

    def end(self) -> None:
        """GraphError unless everything is read."""
        if self.next.kind != "end":
            raise self.expected("the end of the text")

    def expected(self, what: str, token: Token | None = None) -> GraphError:
        """The error that something else stands at a token (the next one)."""
        token = token or self.next
        found = repr(token.text) if token.kind != "end" else "the end of the text"
        return self.error(f"expected {what}, found {found}", token)

    def error(self, message: str, token: Token) -> GraphError:
        """The error that something is wrong at a token."""
        return GraphError(message, self.place(token))

    def place(self, token: Token) -> Position:
        """The line and column of a token, both counted from 1."""
        line = bisect_right(self.line_starts, token.offset)
        start = self.line_starts[line - 1]
        end = self.text.find("\n", start)
        text = self.text[start : end if end >= 0 else len(self.text)]
        return Position(self.file, line, "", token.offset - start + 1, text.strip())
