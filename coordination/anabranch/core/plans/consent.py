"""Which commands of a plan a person is asked about before they are run, and what of that is known.

Whoever says ``run PLAN`` has asked for all commands of it. Where nobody has asked for the plan that
lies in the project, or where merged work has changed it since, its own commands are shown once, and
remembered by what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from hashlib import sha256

import msgspec

from anabranch.core.plans.plan import Plan, SideCommand


class PlanCommand(msgspec.Struct, frozen=True, order=True):
    """A command that a project brings with it: of what ``kind``, ``where`` it stands, what it says.

    A template brings more than its command; ``more`` is whatever else is a part of what is trusted.
    """

    kind: str
    where: str
    command: str
    more: str = ""

    @property
    def digest(self) -> str:
        """What it is remembered by: the same command elsewhere is another one."""
        return sha256(msgspec.json.encode(msgspec.structs.astuple(self))).hexdigest()


TEMPLATE = "template"


def _sides(plan: Plan, key: str) -> list[tuple[str, str]]:
    """Return the setups, or teardowns, of a plan: that for all, and those of single streams."""
    general: SideCommand | None = getattr(plan, key)
    found = [("coordination.isolation", general.text)] if general else []
    own = ((s.id, getattr(s, key)) for s in plan.streams)
    return found + [(f"streams.{s}", side.text) for s, side in own if side and side != general]


KINDS: Mapping[str, Callable[[Plan], Iterable[tuple[str, str]]]] = {
    "verify": lambda plan: [(f"convergence.{p.id}", p.verify) for p in plan.points],
    "resolver": lambda plan: [(f"convergence.{p.id}", p.resolver) for p in plan.points],
    "setup": lambda plan: _sides(plan, "setup"),
    "teardown": lambda plan: _sides(plan, "teardown"),
    "ready": lambda plan: [(f"streams.{s.id}", s.ready.command) for s in plan.streams if s.ready],
}
"""Each kind of command that a plan has besides those of its streams: where, and what it says."""


def commands_of(plan: Plan) -> tuple[PlanCommand, ...]:
    """Return the commands of a plan that somebody has to have asked for, by their kinds."""
    return tuple(_commands(plan))


def _commands(plan: Plan) -> Iterator[PlanCommand]:
    for kind, found in KINDS.items():
        for where, command in found(plan):
            if command:
                yield PlanCommand(kind, where, command)


def to_be_asked(
    commands: Iterable[PlanCommand], trusted: Collection[str]
) -> tuple[PlanCommand, ...]:
    """Return those commands of which nobody has said yet that they may be run."""
    asked = {command: None for command in commands if command.digest not in trusted}
    return tuple(asked)
