"""The filter language of the streams table.

Words are joined by *and*. A word is one of::

    text        the row shows this text (any case)         !text     it does not
    re:x        a regular expression matches                !re:x     it does not
    state:fail  the state that is shown begins so           id:api    the name contains it
    attention:done, now:pytest   how it stands towards a person begins so, what it says contains it
    needs:you   it needs a person
    cpu>50      also < >= <= =; for cpu (%), mem (300m, 2g), files, age, time (90, 2m, 1h), try

A word that makes no sense is taken as plain text, and the filter says what was wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from anabranch.core.patterns import PatternRefused, compiled
from anabranch_console.presenters.stream_row import LOUD, StreamRow
from anabranch_console.text_filter import COMPARE

Predicate = Callable[[StreamRow], bool]

_COMPARISON = re.compile(
    r"^(cpu|mem|files|age|time|try)(>=|<=|>|<|=)(\d+(?:\.\d+)?)([a-z]*|%)$", re.I
)
_LOOKS_LIKE_COMPARISON = re.compile(r"^(cpu|mem|files|age|time|try)[<>=]", re.I)

_LOOKS_LIKE_KEY = re.compile(r"^([a-z]+):(?!/)", re.I)

_UNITS: dict[str, dict[str, float]] = {
    "cpu": {"": 1, "%": 1},
    "mem": {"": 2**20, "k": 2**10, "m": 2**20, "g": 2**30},
    "age": {"": 1, "s": 1, "m": 60, "h": 3600},
    "time": {"": 1, "s": 1, "m": 60, "h": 3600},
}

_VALUES: dict[str, Callable[[StreamRow], float | None]] = {
    "cpu": lambda row: row.cpu,
    "mem": lambda row: row.memory_bytes,
    "files": lambda row: row.files,
    "age": lambda row: row.age_seconds,
    "time": lambda row: row.elapsed_seconds,
    "try": lambda row: row.attempt,
}

_KEYS: dict[str, Callable[[StreamRow, str], bool]] = {
    "state": lambda row, part: row.state.startswith(part) or _shown(row).startswith(part),
    "id": lambda row, part: part in row.id.lower(),
    "attention": lambda row, part: row.attention.startswith(part),
    "now": lambda row, part: part in row.now.lower(),
    "needs": lambda row, part: row.needs_you and part in ("", "you"),
}


def _shown(row: StreamRow) -> str:
    return row.attention if row.attention in LOUD else row.state


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A compiled filter; ``problem`` says which word was not understood, "" if all were."""

    text: str
    predicates: tuple[Predicate, ...]
    problem: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether every row passes."""
        return not self.predicates

    def matches(self, row: StreamRow) -> bool:
        """Return whether a row passes every word."""
        return all(predicate(row) for predicate in self.predicates)


def compile_filter(text: str) -> RowFilter:
    """Return the filter that ``text`` describes; never fails."""
    predicates: list[Predicate] = []
    problems: list[str] = []
    for word in text.split():
        negated = word.startswith("!") and len(word) > 1
        predicate, problem = _compile_word(word[1:] if negated else word)
        predicates.append(_negation(predicate) if negated else predicate)
        if problem:
            problems.append(problem)
    return RowFilter(text.strip(), tuple(predicates), "; ".join(problems))


def _compile_word(word: str) -> tuple[Predicate, str]:
    if word.startswith("re:"):
        return _regular_expression(word)
    key, colon, part = word.lower().partition(":")
    if colon and key in _KEYS:
        matches = _KEYS[key]
        return (lambda row: matches(row, part)), ""
    comparison = _COMPARISON.match(word)
    if comparison:
        return _comparison(word, *comparison.groups())
    return _contains(word), _why_only_text(word)


_KEYS_IN_WORDS = " ".join(f"{key}:" for key in (*_KEYS, "re"))


def _why_only_text(word: str) -> str:
    """Return what is wrong with a word that looks like more than the text that it is taken as."""
    if _LOOKS_LIKE_COMPARISON.match(word):
        return f"{word}: no number to compare with"
    key = _LOOKS_LIKE_KEY.match(word)
    if key is None:
        return ""
    name = key.group(1).lower()
    return f"{word}: {name}> compares" if name in _VALUES else f"{word}: keys are {_KEYS_IN_WORDS}"


def _contains(word: str) -> Predicate:
    wanted = word.lower()
    return lambda row: wanted in row.id.lower() or wanted in row.state or wanted in row.now.lower()


def _regular_expression(word: str) -> tuple[Predicate, str]:
    try:
        pattern = compiled(word[len("re:") :], ignores_case=True)
    except PatternRefused as refused:
        return _contains(word), f"{word}: {refused}"
    return (lambda row: pattern.is_in(row.id) or pattern.is_in(row.now)), ""


def _comparison(word: str, name: str, sign: str, number: str, unit: str) -> tuple[Predicate, str]:
    name = name.lower()
    units = _UNITS.get(name, {"": 1})
    factor = units.get(unit.lower())
    if factor is None:
        known = ", ".join(u for u in units if u) or "none"
        return _contains(word), f"{word}: unknown unit {unit!r} (known: {known})"
    limit, value_of, compare = float(number) * factor, _VALUES[name], COMPARE[sign]

    def predicate(row: StreamRow) -> bool:
        value = value_of(row)
        return value is not None and compare(value, limit)

    return predicate, ""


def _negation(predicate: Predicate) -> Predicate:
    return lambda row: not predicate(row)
