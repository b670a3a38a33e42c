"""What this version and this installation can do with a plan.

The plan file promises more keys than one version acts on. All of them parse. A key that would make
a wrong run by being ignored is refused; any other is answered with a warning, if the user wrote it.
A version that learns a key deletes its line from :data:`NOT_YET`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from anabranch.config.problems import KeyPath, Problem, printable, suggest
from anabranch.core.strategies import Abilities, Strategies, abilities_of
from anabranch.core.strategies.kinds import KINDS, Key
from anabranch.core.strategies.rungs import RUNGS


def _usual() -> dict[str, frozenset[str]]:
    return {kind.field: kind.usual for kind in KINDS}


@dataclass(frozen=True, slots=True)
class StrategyNames:
    """The strategies that are installed, as plans are checked against them.

    ``names`` are theirs, by the field of ``Strategies``; an id (``DISTRIBUTION:NAME``) is a name
    too. ``abilities`` is what convergence types say of themselves.
    """

    names: Mapping[str, frozenset[str]] = field(default_factory=_usual)
    abilities: Mapping[str, Abilities] = field(default_factory=dict)
    executors: frozenset[str] = frozenset()

    @classmethod
    def of(cls, strategies: Strategies, executors: Iterable[str] = ()) -> StrategyNames:
        """Return the names of all that is installed, and of the rungs that the core itself has."""
        names = {kind.field: frozenset(getattr(strategies, kind.field)) for kind in KINDS}
        names["remedies"] |= frozenset(RUNGS)
        able = {name: abilities_of(one) for name, one in strategies.convergence.items()}
        return cls(names, able, frozenset(executors))

    @property
    def options(self) -> dict[str, Any]:
        """The options type of each convergence type that has one."""
        found = {name: able.options_type for name, able in self.abilities.items()}
        return {name: taken for name, taken in found.items() if taken is not None}

    def able(self, convergence_type: str) -> Abilities:
        """Return what a convergence type says of itself."""
        return self.abilities.get(convergence_type, Abilities())

    def under(self, key: Key) -> frozenset[str]:
        """Return the names that a plan may write under a key."""
        return frozenset(
            name
            for kind in KINDS
            if key in kind.plan_keys
            for name in self.names[kind.field]
            if name.rpartition(":")[2] not in kind.not_named
        )


class NotYet(NamedTuple):
    """A key without effect: ``*`` stands for any name, ``values`` for the only ones concerned.

    ``instead`` says what is so instead.
    """

    key: tuple[str, ...]
    answer: Literal["refuse", "warn"] = "warn"
    values: tuple[object, ...] = ()
    instead: str = ""


NOT_YET = (
    NotYet(("streams", "*", "each"), "refuse"),
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
    NotYet(
        ("coordination", "max_parallel"),
        values=("auto",),
        instead="the width is chosen at the start, and stays",
    ),
    NotYet(
        ("streams", "*", "tty"),
        values=(True,),
        instead="it runs on a terminal, but nobody can attach to it",
    ),
    NotYet(("streams", "*", "max_parallel")),
)


def not_yet(
    document: dict[str, Any], answer: Literal["refuse", "warn"]
) -> list[tuple[KeyPath, str]]:
    """Return the keys that this version refuses or does not act on, and what is instead."""
    return [
        (path, row.instead)
        for row in NOT_YET
        if row.answer == answer
        for path, value in _matches(document, row.key)
        if not row.values or any(value is one or value == one for one in row.values)
    ]


def refusals(document: dict[str, Any]) -> list[Problem]:
    """Return an error for each key that must not be ignored in silence."""
    return [
        Problem(path, f"`{path[-1]}` is not supported by this version", _way_out(document, path))
        for path, _ in not_yet(document, "refuse")
    ]


_EXECUTOR: Key = ("streams", "*", "executor")


def strategy_problems(document: dict[str, Any], known: StrategyNames) -> list[Problem]:
    """Return an error for each strategy that is named but not installed."""
    tasks = {key: kind.task for kind in KINDS for key in kind.plan_keys}
    problems = [
        p for key, task in tasks.items() for p in _unknown(document, key, known.under(key), task)
    ]
    return [*problems, *_unknown(document, _EXECUTOR, known.executors, "execution")]


def _unknown(
    document: dict[str, Any], key: tuple[str, ...], names: frozenset[str], kind: str
) -> Iterator[Problem]:
    for path, value in _matches(document, key):
        if isinstance(value, str) and value not in names:
            yield Problem(
                path,
                *_not_installed(value, names, kind),
            )


def _not_installed(value: str, names: frozenset[str], kind: str) -> tuple[str, str]:
    """Say that there is no such strategy, or that there are several."""
    ids = sorted(name for name in names if name.rpartition(":")[2] == value)
    if ids:
        ways = " or ".join(f"`{printable(name)}`" for name in ids)
        return f"several plugins bring the {kind} strategy `{printable(value)}`", f"write {ways}"
    plain = sorted(name for name in names if ":" not in name)
    told = f"the {kind} strategy `{printable(value)}` is not installed"
    return told, suggest(value, plain, "installed")


def _matches(document: dict[str, Any], key: tuple[str, ...]) -> Iterator[tuple[KeyPath, object]]:
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


def _way_out(document: dict[str, Any], path: KeyPath) -> str:
    ways = {
        "each": "write one stream for each item",
        "confinement": 'use "none" or "guard"',
    }
    return ways.get(str(path[-1]), "leave it out")
