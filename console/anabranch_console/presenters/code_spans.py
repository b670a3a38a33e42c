"""The colours of code: which pieces of a line are words of a language, strings, comments.

Only what every palette has a colour for is told apart. What is too long to be looked at quickly,
and files of which no language is known, stay plain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pygments.lexer import Lexer

LONGEST_LINE = 1_000
MOST_CHARACTERS = 40_000


class Piece(NamedTuple):
    """From where to where in a line, and the style it has."""

    start: int
    end: int
    style: str


def colours_for(path: str) -> Callable[[Sequence[str]], list[list[Piece]]]:
    """Return what finds the pieces of consecutive lines of a file."""
    lexer = _lexer_for(path)

    def pieces(lines: Sequence[str]) -> list[list[Piece]]:
        is_long = any(len(line) > LONGEST_LINE for line in lines)
        if lexer is None or is_long or sum(map(len, lines)) > MOST_CHARACTERS:
            return [[] for _ in lines]
        return _pieces(lexer, lines)

    return pieces


@lru_cache(maxsize=64)
def _lexer_for(path: str) -> Lexer | None:
    from pygments.lexers import get_lexer_for_filename  # here: it is loaded when a diff is shown
    from pygments.util import ClassNotFound

    try:
        return get_lexer_for_filename(path, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _pieces(lexer: Lexer, lines: Sequence[str]) -> list[list[Piece]]:
    found: list[list[Piece]] = [[] for _ in lines]
    at, column = 0, 0
    for kind, text in lexer.get_tokens("\n".join(lines)):
        style = _style_of(str(kind))
        for number, part in enumerate(text.split("\n")):
            if number:
                at, column = at + 1, 0
            if style and part and at < len(found):
                found[at].append(Piece(column, column + len(part), style))
            column += len(part)
    return found


_STYLES = (
    ("Token.Comment", "code.comment"),
    ("Token.Keyword", "code.keyword"),
    ("Token.Operator.Word", "code.keyword"),
    ("Token.Literal.String", "code.string"),
    ("Token.Literal.Number", "code.number"),
    ("Token.Name.Function", "code.name"),
    ("Token.Name.Class", "code.name"),
    ("Token.Name.Decorator", "code.name"),
    ("Token.Name.Tag", "code.name"),
)


@lru_cache(maxsize=256)
def _style_of(kind: str) -> str:
    return next((style for prefix, style in _STYLES if kind.startswith(prefix)), "")
