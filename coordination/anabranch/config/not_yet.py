"""Keys of a plan that this version does not support yet.

The plan file promises more keys than one version acts on. All of them parse. A key that would make
a wrong run by being ignored is refused; any other is answered with a warning, if the user wrote it.
A version that learns a key deletes its line from :data:`NOT_YET`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from anabranch.config.problems import KeyPath, Problem, found_at


class NotYet(NamedTuple):
    """A key without effect: ``*`` stands for any name, ``values`` for the only ones concerned.

    ``instead`` says what is so instead.
    """

    key: tuple[str, ...]
    answer: Literal["refuse", "warn"] = "warn"
    values: tuple[object, ...] = ()
    instead: str = ""


NOT_YET = (
    NotYet(("coordination", "isolation", "confinement"), "refuse", ("sandbox", "strict")),
    NotYet(
        ("coordination", "isolation", "confinement"),
        values=("none", "guard"),
        instead="nothing holds a stream inside its workspace; what it writes elsewhere stays there",
    ),
    NotYet(
        ("coordination", "state_management", "sync_interval"),
        instead="whoever reads the shared state gets the newest version at once",
    ),
)


def not_yet(
    document: dict[str, Any], answer: Literal["refuse", "warn"]
) -> list[tuple[KeyPath, str]]:
    """Return the keys that this version refuses or does not act on, and what is instead."""
    return [
        (path, row.instead)
        for row in NOT_YET
        if row.answer == answer
        for path, value in found_at(document, row.key)
        if not row.values or any(value is one or value == one for one in row.values)
    ]


def refusals(document: dict[str, Any]) -> list[Problem]:
    """Return an error for each key that must not be ignored in silence."""
    return [
        Problem(path, f"`{path[-1]}` is not supported by this version", _way_out(document, path))
        for path, _ in not_yet(document, "refuse")
    ]


def _way_out(document: dict[str, Any], path: KeyPath) -> str:
    ways = {
        "confinement": 'use "none" or "guard"',
    }
    return ways.get(str(path[-1]), "leave it out")
