"""``$`` in the files of compose: ``$$`` is a dollar, ``$NAME`` and ``${NAME…}`` stand for a value.

The value is taken from the environment of whoever reads the file, before anything runs. A plan
expands nothing; only a shell does, when the stream runs. So a command with such a name becomes one
for the shell, in which everything but the names is quoted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from anabranch.extending import NotThisFormat

_DOLLAR = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z_]\w*)"
    r"|\{(?P<braced>[A-Za-z_]\w*(?::?[-?+][^{}$\n]*)?)\}|(?P<bad>\{?))"
)
_FIRST_MARK = 0xE000
_MARKS = re.compile("[\ue000-\uf8fe]")
_ESCAPED_MARK = "\uf8ff"
_MOST = 0xF8FE - _FIRST_MARK


class Text:
    """A text of the file, with its dollars understood; ``names`` is what a shell has to expand."""

    def __init__(self, written: str) -> None:
        self._wanted: list[str] = []
        if _MARKS.search(written) or _ESCAPED_MARK in written:
            raise NotThisFormat("it holds characters of the private use area")
        self._marked = _DOLLAR.sub(self._mark, written)

    def _mark(self, found: re.Match[str]) -> str:
        if found["escaped"]:
            return _ESCAPED_MARK
        wanted = found["name"] or found["braced"]
        if wanted is None:
            shown = found.string[found.start() : found.end() + 12]
            raise NotThisFormat(f"`{shown}` is not a variable, and `$$` is how a dollar is written")
        if len(self._wanted) >= _MOST:
            raise NotThisFormat("it has too many variables")
        self._wanted.append("${" + wanted + "}")
        return chr(_FIRST_MARK + len(self._wanted) - 1)

    @property
    def names(self) -> list[str]:
        """What stands for a value, as ``${NAME}``."""
        return self._wanted

    @property
    def literal(self) -> str:
        """The text, if nothing in it stands for a value."""
        return self._marked.replace(_ESCAPED_MARK, "$")

    @property
    def is_one_name(self) -> bool:
        """Whether it is nothing but one plain name, as ``$NAME``."""
        return len(self._marked) == 1 and bool(re.fullmatch(r"\$\{\w+\}", "".join(self._wanted)))

    @property
    def marked(self) -> str:
        """The text with its dollars still marked, as one word."""
        return self._marked

    def words(self) -> list[str]:
        """Return the words that compose would split it into, with their dollars still marked.

        Raises NotThisFormat for a quote that is not closed.
        """
        try:
            return shlex.split(self._marked)
        except ValueError as error:
            raise NotThisFormat(f"`{self.literal[:40]}`: {error}") from None

    def for_a_shell(self, word: str) -> str:
        """Return a marked word so that a shell expands the names in it and nothing else."""
        parts: list[str] = []
        at = 0
        for found in _MARKS.finditer(word):
            parts += _quoted(word[at : found.start()])
            parts.append(f'"{self._wanted[ord(found[0]) - _FIRST_MARK]}"')
            at = found.end()
        parts += _quoted(word[at:])
        return "".join(parts) or "''"

    @staticmethod
    def plain(word: str) -> str:
        """Return a marked word in which nothing stands for a value."""
        return word.replace(_ESCAPED_MARK, "$")


def _quoted(text: str) -> list[str]:
    return [shlex.quote(text.replace(_ESCAPED_MARK, "$"))] if text else []


def command_of(parts: Sequence[str | Sequence[str]]) -> tuple[str | list[str], list[str]]:
    """Return a plan's command for what compose runs, and the names that a shell has to expand.

    ``parts`` are an entry point and a command: a text, which compose splits into words, or words.
    An array is run as it is, as compose does; with names it is a command for the shell.
    """
    words: list[tuple[Text, str]] = []
    for part in parts:
        if isinstance(part, str):
            text = Text(part)
            words += ((text, word) for word in text.words())
        else:
            words += ((text, text.marked) for text in map(Text, part))
    names = [name for text in dict.fromkeys(text for text, _ in words) for name in text.names]
    if names:
        return " ".join(text.for_a_shell(word) for text, word in words), names
    return [Text.plain(word) for _, word in words], []
