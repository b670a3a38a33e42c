"""What can be wrong with a plan, as values: errors, warnings, and the words to name them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from anabranch.hostile_text import utf8_text

KeyPath = tuple[str | int, ...]
"""Where a value lies in the file: the keys of its tables and the positions in its arrays."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_LONGEST_NAME = 80
_MOST_CANDIDATES = 60


class Problem(NamedTuple):
    """An error before its line is known."""

    path: KeyPath
    message: str
    hint: str = ""


class PlanError(msgspec.Struct, frozen=True):
    """One mistake in a plan; ``line`` and ``column`` count from 1 and point at the key."""

    file: str
    line: int
    column: int
    key: str
    message: str
    hint: str


WarningCode = Literal[
    "cannot-approve",
    "cannot-begin",
    "leads-into-checkout",
    "no-effect-yet",
    "no-effect-here",
    "overlapping-writes",
    "never-copied",
    "not-included",
    "never-starts",
    "nothing-repeatable",
    "no-items",
    "empty-point",
    "impossible-command",
    "impossible-items",
    "impossible-resources",
    "missing-env-file",
    "missing-program",
    "missing-verify",
    "not-expanded",
    "heartbeat-too-rare",
    "unknown-capability",
    "nested-repetition",
    "own-slots",
    "too-much-included",
]
IMPOSSIBLE: frozenset[WarningCode] = frozenset(
    {
        "never-starts",
        "impossible-command",
        "impossible-items",
        "impossible-resources",
        "missing-env-file",
        "missing-verify",
        "too-much-included",
    }
)
"""What cannot be run here and now. A plan with it is valid, for it may be meant for another
machine; ``check`` warns of it, and a run is refused before anything starts."""


class PlanWarning(msgspec.Struct, frozen=True):
    """Something in a valid plan that its author should know before it runs.

    ``path`` is the key that it is about, ``line`` and ``column`` where that stands, 0 if unknown.
    """

    code: WarningCode
    message: str
    stream: str | None = None
    path: KeyPath = ()
    hint: str = ""
    line: int = 0
    column: int = 0


def printable(text: str, limit: int = _LONGEST_NAME) -> str:
    """Shorten ``text`` and escape what could steer a terminal, so that it can be shown."""
    text = utf8_text(text)
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown)


def key_text(path: KeyPath) -> str:
    """Return the key as one would write it in the file: ``streams.unit.depends_on[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        name = part if _BARE_KEY.match(part) else f'"{part}"'
        text += f".{printable(name)}" if text else printable(name)
    return text


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that ``word`` was probably meant to be.

    Only names that share the first or the last letter are compared, and not too many of them: a
    file full of mistakes is to be answered at once.
    """
    if not word or len(word) > _LONGEST_NAME:
        return None
    folded = word.casefold()
    candidates: dict[str, str] = {}
    for name in names:
        other = name.casefold()
        if other and (other[0] == folded[0] or other[-1] == folded[-1]):
            candidates.setdefault(other, name)
        if len(candidates) >= _MOST_CANDIDATES:
            break
    close = difflib.get_close_matches(folded, candidates, n=1, cutoff=0.6)
    return candidates[close[0]] if close else None


def suggest(word: str, names: Iterable[str], kind: str) -> str:
    """Return a hint: the nearest name if there is one, else the names there are."""
    known = list(names)
    if match := nearest(word, known):
        return f"did you mean `{printable(match)}`?"
    if not known:
        return f"there are no {kind}"
    shown = ", ".join(printable(name) for name in known[:12])
    return f"{kind}: {shown}{', …' if len(known) > 12 else ''}"


def found_at(document: dict[str, Any], key: tuple[str, ...]) -> Iterator[tuple[KeyPath, object]]:
    """Yield the place and value of all that a document has under a key; ``*`` is any name."""
    found: list[tuple[KeyPath, object]] = [((), document)]
    for part in key:
        found = [
            ((*path, name), table[name])
            for path, table in found
            if isinstance(table, dict)
            for name in (table if part == "*" else (part,))
            if name in table
        ]
    yield from found
