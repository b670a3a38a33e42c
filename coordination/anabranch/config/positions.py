"""The line and column of every key in a TOML text.

Theory of operation. ``tomllib`` says what a text means but not where each key stands. This scanner
walks a text that ``tomllib`` has accepted already, so it need not judge anything: it only follows
table headers, keys, strings, arrays and inline tables far enough to know where each key begins. It
keeps its own stack and so bears any depth.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from anabranch.config.problems import KeyPath


class Position(NamedTuple):
    """A place in a text; both count from 1, as editors do."""

    line: int
    column: int


_BLANK = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def key_positions(text: str) -> dict[KeyPath, Position]:
    """Find where each key and each array element of a valid TOML ``text`` first appears."""
    return _Scanner(text.replace("\r\n", "\n")).scan()


def locate(positions: dict[KeyPath, Position], path: KeyPath) -> Position:
    """Return the position of ``path``, or of the nearest thing around it that has one."""
    for length in range(len(path), 0, -1):
        if found := positions.get(path[:length]):
            return found
    return Position(1, 1)


class _Open(NamedTuple):
    """An array or inline table being read: its path, its kind and the next element's number."""

    path: KeyPath
    is_array: bool
    element: int = 0


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._line_start = 0
        self._found: dict[KeyPath, Position] = {}
        self._elements: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, Position]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._values(self._key(table))
            self._skip(_BLANK)
        return self._found

    def _header(self) -> KeyPath:
        is_array = self._text.startswith("[[", self._at)
        self._at += 1 + is_array
        path = self._key((), through_arrays=True)
        self._at += 1 + is_array
        if is_array:
            self._elements[path] = self._elements.get(path, -1) + 1
            path = (*path, self._elements[path])
            self._note(path, self._at)
        return path

    def _key(self, table: KeyPath, through_arrays: bool = False) -> KeyPath:
        """Read a dotted key and what follows it up to its value or closing bracket."""
        path = table
        while True:
            self._skip(_SPACE)
            if through_arrays and path in self._elements:
                path = (*path, self._elements[path])
            begin = self._at
            path = (*path, self._key_part())
            self._note(path, begin)
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                break
            self._at += 1
        if self._text[self._at] == "=":
            self._at += 1
        return path

    def _key_part(self) -> str:
        if bare := _BARE_KEY.match(self._text, self._at):
            self._at = bare.end()
            return bare.group()
        begin = self._at
        self._skip(_STRING)
        import tomllib  # here, because a plan of commands has no text

        value: str = tomllib.loads("key = " + self._text[begin : self._at])["key"]
        return value

    def _values(self, path: KeyPath) -> None:
        """Read one value, with all that is nested in it."""
        opened: list[_Open] = []
        self._value(path, opened)
        while opened:
            inner = opened.pop()
            self._skip(_BLANK)
            char = self._text[self._at]
            if char in "]}":
                self._at += 1
            elif char == ",":
                self._at += 1
                opened.append(inner._replace(element=inner.element + 1))
            elif inner.is_array:
                opened.append(inner)
                element = (*inner.path, inner.element)
                self._note(element, self._at)
                self._value(element, opened)
            else:
                opened.append(inner)
                self._value(self._key(inner.path), opened)

    def _value(self, path: KeyPath, opened: list[_Open]) -> None:
        self._skip(_SPACE)
        char = self._text[self._at]
        if char in "[{":
            self._at += 1
            opened.append(_Open(path, is_array=char == "["))
        elif char in "\"'":
            self._skip(_STRING)
        else:
            self._skip(_SCALAR)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self._text, self._at):
            self._at = match.end()

    def _note(self, path: KeyPath, begin: int) -> None:
        """Keep the first place of ``path``; the text before ``begin`` is counted only once."""
        newlines = self._text.count("\n", self._counted, begin)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rindex("\n", self._counted, begin) + 1
        self._counted = begin
        self._found.setdefault(path, Position(self._line, begin - self._line_start + 1))
