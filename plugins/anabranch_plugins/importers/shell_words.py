"""Scripts for a shell, taken apart as far as importers need it: commands, pipes, words.

Nothing is expanded but braces; a word says what in it the shell would expand. What has no simple
meaning here (loops, functions, groups) stays what it is: words of a command that nobody knows.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from anabranch.extending import NotThisFormat

VALUE, GLOB, BRACE, HOME = "$", "*", "{", "~"
"""What the shell expands in a word: values and commands, names of files, braces, a home."""

_ENDS = ("&&", "||", ";;", ";", "&", "\n", "(", ")")
_REDIRECTION = re.compile(r"(?:\d*|&)(?:<<<|<<-?|>>|<>|<&|>&|>\||<\(|>\(|<|>)")
_BRACES = re.compile(r"\{(?:[^{}\s]*,[^{}\s]*|[^{}\s.,]+\.\.[^{}\s,]+)\}")
_RANGE = re.compile(r"(-?\d+|[A-Za-z])\.\.(-?\d+|[A-Za-z])(?:\.\.(-?\d+))?")
_SPECIAL = " \t\n;&|()<>"
MOST_WORDS = 100_000


class Word(NamedTuple):
    """A word without its quotes, as it was written, and what the shell expands in it."""

    text: str
    written: str
    expands: frozenset[str] = frozenset()


class Redirection(NamedTuple):
    """A redirection: its sign, and the word behind it."""

    sign: str
    word: Word


class Stage(NamedTuple):
    """A command of a pipe: its words and redirections, and all that is piped into it."""

    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]
    piped_in: str
    is_last: bool


class Pipe(NamedTuple):
    """Commands with pipes between them: where they begin, and how they are tied to the next."""

    line: int
    written: str
    stages: tuple[Stage, ...]
    end: str


def pipes_of(text: str) -> Iterator[Pipe]:
    """Yield what a script does, one pipe after the other. Raises NotThisFormat."""
    reader = _Reader(text)
    while not reader.is_over:
        pipe = reader.pipe()
        if pipe.stages:
            yield pipe


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = [found.start() for found in re.finditer("\n", text)]
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._text)

    def pipe(self) -> Pipe:
        """Return what stands before the next end of a command."""
        self._skip_blank(also="\n")
        start = self._at
        stages: list[Stage] = []
        piped_in = ""
        while True:
            words, redirections = self._command()
            is_pipe = self._text.startswith("|", self._at) and not self._text.startswith(
                "||", self._at
            )
            if words or redirections:
                stages.append(Stage(words, redirections, piped_in, not is_pipe))
            if not is_pipe:
                break
            piped_in = self._text[start : self._at].strip()
            self._at += 2 if self._text.startswith("|&", self._at) else 1
            self._skip_blank(also="\n")
        written = self._text[start : self._at].strip()
        end = next((end for end in _ENDS if self._text.startswith(end, self._at)), "")
        self._at += len(end)
        return Pipe(self._line(start), written, tuple(stages), end)

    def _line(self, at: int) -> int:
        return 1 + bisect_left(self._lines, at)

    def _skip_blank(self, also: str = "") -> None:
        while not self.is_over:
            if self._text[self._at] in " \t\r" + also:
                self._at += 1
            elif self._text.startswith("\\\n", self._at):
                self._at += 2
            elif self._text[self._at] == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                return

    def _command(self) -> tuple[tuple[Word, ...], tuple[Redirection, ...]]:
        words: list[Word] = []
        redirections: list[Redirection] = []
        while True:
            self._skip_blank()
            if found := _REDIRECTION.match(self._text, self._at):
                self._at = found.end()
                self._skip_blank()
                redirections.append(Redirection(found[0], self._word()))
            elif self.is_over or self._text[self._at] in _SPECIAL:
                return tuple(words), tuple(redirections)
            else:
                words.append(self._word())
                if len(words) > MOST_WORDS:
                    raise NotThisFormat(f"line {self._line(self._at)}: too many words")

    def _word(self) -> Word:
        start, parts, expands = self._at, list[str](), set[str]()
        while not self.is_over and self._text[self._at] not in _SPECIAL:
            sign = self._text[self._at]
            if sign == "'":
                parts.append(self._quoted("'"))
            elif sign == '"':
                parts.append(self._in_double_quotes(expands))
            elif sign == "\\":
                parts.append(self._text[self._at + 1 : self._at + 2].strip("\n"))
                self._at += 2
            elif sign in "$`":
                expands.add(VALUE)
                parts.append(self._value())
            else:
                expands |= {GLOB} if sign in "*?[" else set()
                parts.append(sign)
                self._at += 1
        written = self._text[start : self._at]
        expands |= {BRACE} if _BRACES.search(written) and "".join(parts) == written else set()
        expands |= {HOME} if written.startswith("~") else set()
        return Word("".join(parts), written, frozenset(expands))

    def _quoted(self, sign: str) -> str:
        start = self._at + 1
        end = self._text.find(sign, start)
        if end < 0:
            raise NotThisFormat(f"line {self._line(self._at)}: a {sign} that is not closed")
        self._at = end + 1
        return self._text[start:end]

    def _in_double_quotes(self, expands: set[str]) -> str:
        start, parts = self._at, list[str]()
        self._at += 1
        while not self._text.startswith('"', self._at):
            sign = self._text[self._at : self._at + 1]
            if not sign:
                raise NotThisFormat(f'line {self._line(start)}: a " that is not closed')
            if sign == "\\" and self._text[self._at + 1 : self._at + 2] in tuple('$`"\\\n'):
                parts.append(self._text[self._at + 1].strip("\n"))
                self._at += 2
            elif sign in "$`":
                expands.add(VALUE)
                parts.append(self._value())
            else:
                parts.append(sign)
                self._at += 1
        self._at += 1
        return "".join(parts)

    def _value(self) -> str:
        """Return what stands for a value as it is written: ``$NAME``, ``$(…)`` and so on."""
        start = self._at
        if self._text.startswith("`", start):
            return "`" + self._quoted("`") + "`"
        closing = {"(": ")", "{": "}"}.get(self._text[start + 1 : start + 2])
        self._at += 1
        if closing is None:
            return "$"
        opening, depth = self._text[self._at], 0
        while not self.is_over:
            sign = self._text[self._at]
            depth += (sign == opening) - (sign == closing)
            self._at += 1
            if depth == 0:
                return self._text[start : self._at]
        raise NotThisFormat(f"line {self._line(start)}: a ${opening} that is not closed")


def expanded_braces(text: str) -> list[str]:
    """Return the words that bash makes of ``{a,b}`` and ``{1..9}`` in one without quotes.

    Raises NotThisFormat if there are too many.
    """
    done: list[str] = []
    left = [text]
    while left:
        word = left.pop()
        found = _BRACES.search(word)
        if found is None:
            done.append(word)
        else:
            before, behind = word[: found.start()], word[found.end() :]
            choices = _choices(found[0][1:-1])
            left += [f"{before}{choice}{behind}" for choice in reversed(choices)]
        if len(left) + len(done) > MOST_WORDS:
            raise NotThisFormat(f"`{text[:40]}` stands for too many words")
    return done


def _choices(inner: str) -> list[str]:
    if "," in inner:
        return inner.split(",")
    found = _RANGE.fullmatch(inner)
    if found is None or found[1].lstrip("-").isdecimal() != found[2].lstrip("-").isdecimal():
        raise NotThisFormat(f"`{{{inner}}}` is not a range")
    is_number = found[1].lstrip("-").isdecimal()
    first, last = (int(v) if is_number else ord(v) for v in (found[1], found[2]))
    step = abs(int(found[3] or 1)) or 1
    if abs(last - first) // step > MOST_WORDS:
        raise NotThisFormat(f"`{{{inner}}}` stands for too many words")
    numbers = range(first, last + (1 if last >= first else -1), step if last >= first else -step)
    if not is_number:
        return [chr(number) for number in numbers]
    is_padded = any(v.lstrip("-").startswith("0") and len(v) > 1 for v in (found[1], found[2]))
    width = max(len(found[1]), len(found[2])) if is_padded else 0
    return [f"{number:0{width}d}" for number in numbers]
