"""The filter of every grid, whose columns are its keys.

Words are joined by *and*. A word is one of::

    text        the row has this text (any case)            !text     it has not
    re:x        a regular expression matches                !re:x     it does not
    mode:read   what the column MODE shows contains this; a column is named by its first word
    wait>2m     what the column WAIT shows is more; also < >= <= =; with a unit: 50%, 300M, 90s, 2h

A word that makes no sense is taken as plain text, and the filter says what was wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from anabranch.core.patterns import PatternRefused, compiled
from anabranch_console.lines import Span, plain
from anabranch_console.presenters.grid_columns import Column

Row = TypeVar("Row")
Cells = Callable[[str], Sequence[str]]
"""Returns what the columns of a key show."""

Test = Callable[[str, Cells], bool]

COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
}

_KEY = re.compile(r"([a-z]+):(?!//)(.*)")
_COMPARISON = re.compile(r"([a-z]+)(>=|<=|>|<|=)(.*)")
_AMOUNT = re.compile(r"[~#<+]?(-?\d+(?:\.\d+)?)\s*(%|[a-zA-Z]*)(?!\S)")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d\d)(?!\S)")
_TITLE = re.compile(r"[^\W\d_]+")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_BYTES = {"k": 2**10, "m": 2**20, "g": 2**30, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True, slots=True)
class TextFilter:
    """A compiled filter; ``problem`` says which word was not understood, "" if all were."""

    text: str = ""
    tests: tuple[Test, ...] = ()
    problem: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether everything passes."""
        return not self.tests

    def matches(self, text: str, cells: Cells = lambda key: ()) -> bool:
        """Return whether a row's text, and what its columns show, pass every word."""
        lowered = text.lower()
        return all(test(lowered, cells) for test in self.tests)


def keys_of(columns: Iterable[Column[Any]]) -> dict[str, list[Column[Any]]]:
    """Return the columns by the first words of their titles, as a filter names them."""
    found: dict[str, list[Column[Any]]] = {}
    for column in columns:
        title = column.id if callable(column.title) else column.title
        word = _TITLE.search(title)
        if word:
            found.setdefault(word[0].lower(), []).append(column)
    return found


def cells_of(keys: dict[str, list[Column[Row]]], row: Row) -> Cells:
    """Return what tells what the columns show of a row."""

    def cells(key: str) -> list[str]:
        shown = (column.show(row) for column in keys.get(key, ()))
        return [(s.text if isinstance(s, Span) else plain(s)).strip().lower() for s in shown]

    return cells


def compile_text_filter(text: str, keys: Iterable[str] = ()) -> TextFilter:
    """Return the filter that ``text`` describes, by the keys that a table has; never fails."""
    tests: list[Test] = []
    problems: list[str] = []
    known = tuple(keys)
    for word in text.split():
        is_negated = word.startswith("!") and len(word) > 1
        test, problem = _word((word[1:] if is_negated else word).lower(), known)
        tests.append(_negation(test) if is_negated else test)
        problems += [problem] if problem else []
    return TextFilter(text.strip(), tuple(tests), "; ".join(problems))


def _word(word: str, known: Sequence[str]) -> tuple[Test, str]:
    if word.startswith("re:"):
        try:
            pattern = compiled(word.removeprefix("re:"))
        except PatternRefused as refused:
            return _contains(word), f"{word}: {refused}"
        return (lambda text, cells: pattern.is_in(text)), ""
    key, comparison = _KEY.fullmatch(word), _COMPARISON.fullmatch(word)
    if key is not None:
        name, part = key.groups()
        if name in known:
            return (lambda text, cells: any(part in cell for cell in cells(name))), ""
        return _contains(word), f"{word}: {_keys_in_words(known)}"
    if comparison is not None:
        return _comparison(word, known, *comparison.groups())
    return _contains(word), ""


def _keys_in_words(known: Sequence[str]) -> str:
    return f"keys are {' '.join(f'{key}:' for key in (*known, 're'))}"


def _comparison(
    word: str, known: Sequence[str], name: str, sign: str, number: str
) -> tuple[Test, str]:
    limit = amount_of(number)
    if name not in known:
        return _contains(word), f"{word}: {_keys_in_words(known)}"
    if limit is None:
        return _contains(word), f"{word}: no number to compare with"
    compare = COMPARE[sign]

    def test(text: str, cells: Cells) -> bool:
        amounts = map(amount_of, cells(name))
        return any(a is not None and compare(*_alike(a, limit)) for a in amounts)

    return test, ""


def amount_of(text: str) -> tuple[float, str] | None:
    """Return the number that a text begins with and its unit; a clock's time is in seconds."""
    clock = _CLOCK.match(text)
    if clock:
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return hours * 3600.0 + minutes * 60 + seconds, "s"
    found = _AMOUNT.match(text)
    return (float(found[1]), found[2].lower()) if found else None


def _alike(shown: tuple[float, str], limit: tuple[float, str]) -> tuple[float, float]:
    """Return two amounts in one unit: of time, or of memory if either can only be that."""
    (value, unit), (most, wanted) = shown, limit
    is_time = {unit, wanted} & (_SECONDS.keys() - {"m"})
    factors = _SECONDS if is_time or not {unit, wanted} & (_BYTES.keys() - {"m"}) else _BYTES
    if not unit or not wanted or unit == wanted:  # what has no unit has that of the other
        return value, most
    return value * factors.get(unit, 1), most * factors.get(wanted, 1)


def _contains(word: str) -> Test:
    return lambda text, cells: word in text


def _negation(test: Test) -> Test:
    return lambda text, cells: not test(text, cells)
