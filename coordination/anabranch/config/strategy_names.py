"""The strategies that a plan may name: those that are installed here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from anabranch.config.problems import Problem, found_at, printable, suggest
from anabranch.core.strategies import Abilities, Strategies, abilities_of
from anabranch.core.strategies.kinds import KINDS, Key
from anabranch.core.strategies.rungs import RUNGS


def _usual() -> dict[str, frozenset[str]]:
    return {kind.field: kind.usual for kind in KINDS}


class StrategyNames(msgspec.Struct, frozen=True):
    """The strategies that are installed, as plans are checked against them.

    ``names`` are theirs, by the field of ``Strategies``; an id (``DISTRIBUTION:NAME``) is a name
    too. ``abilities`` is what convergence types say of themselves, ``balancer_options`` is the
    options type of each load balancer that has one.
    """

    names: Mapping[str, frozenset[str]] = msgspec.field(default_factory=_usual)
    abilities: Mapping[str, Abilities] = {}
    executors: frozenset[str] = frozenset()
    balancer_options: Mapping[str, Any] = {}

    @classmethod
    def of(cls, strategies: Strategies, executors: Iterable[str] = ()) -> StrategyNames:
        """Return the names of all that is installed, and of the rungs that the core itself has."""
        names = {kind.field: frozenset(getattr(strategies, kind.field)) for kind in KINDS}
        names["remedies"] |= frozenset(RUNGS)
        able = {name: abilities_of(one) for name, one in strategies.convergence.items()}
        return cls(names, able, frozenset(executors), strategies.balancer_options)

    @property
    def options(self) -> dict[str, Any]:
        """Return the options type of each convergence type that has one."""
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
    for path, value in found_at(document, key):
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
    message = f"the {kind} strategy `{printable(value)}` is not installed"
    return message, suggest(value, plain, "installed")
