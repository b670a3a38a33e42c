"""What is allowed in a plan and yet worth a word before it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations, zip_longest
from typing import TYPE_CHECKING

from anabranch.config.problems import KeyPath, PlanWarning, key_text, printable
from anabranch.core.ids import FINAL_POINT
from anabranch.core.plans.graph import ended_before
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.core.plans.repeating import why_never

if TYPE_CHECKING:  # most plans of commands are made without the model, and have no handlers
    from anabranch.config.model import PlanFile
    from anabranch.handlers.placeholders import Command

_MOST_COMPARED = 200_000
_MOST_OVERLAPS = 100
_WILD = "*?[{"
_OWN_JOBS = re.compile(
    r"\b(?:g?make|ninja)\b[^;&|\n]{0,200}?\s(?:-\w{0,8}j\s?\d*|--jobs\b)(?![\w-])"
)
_REPEATS_A_REPETITION = re.compile(r"[+*}][^()|]{0,20}\)(?:[+*]|\{\d)")


def plan_warnings(plan: Plan, file: PlanFile | None) -> list[PlanWarning]:
    """Return everything that is doubtful about a valid plan, wherever it runs.

    ``file`` is what its author wrote; None if there is none.
    """
    return [
        *_empty_points(plan),
        *_unknown_capabilities(plan),
        *(_rare_heartbeats(file) if file else ()),
        *_not_expanded(plan),
        *_no_placeholders_there(plan),
        *_overlapping_writes(plan),
        *_nested_repetitions(plan),
        *_own_slots(plan),
        *_without_copies(plan),
    ]


def _own_slots(plan: Plan) -> Iterator[PlanWarning]:
    """Yield commands that give a build its own number of jobs, which goes before the jobserver."""
    for stream in plan.streams if plan.has_jobserver else ():
        text = str(stream.fan.command or "") if stream.fan else stream.command_text
        if found := _OWN_JOBS.search(text):
            yield PlanWarning(
                "own-slots",
                f"`{printable(found[0])}` has slots of its own: the jobserver is not asked",
                stream.id,
                ("streams", stream.id, "command"),
                "leave -j out: the jobserver says how many jobs run",
            )


def _without_copies(plan: Plan) -> Iterator[PlanWarning]:
    """Yield where speculation is switched on, and no stream has a copy, or one never has."""
    if not plan.has_speculation:
        return
    repeatable = [stream for stream in plan.streams if stream.is_repeatable]
    if not repeatable:
        yield PlanWarning(
            "nothing-repeatable",
            "speculation is switched on, and no stream is declared repeatable: nothing is copied",
            path=("coordination", "speculation"),
            hint="write `repeatable = true` for streams that may be run twice at a time",
        )
    for stream in repeatable:
        why = why_never(plan, stream)
        if why:
            yield PlanWarning(
                "never-copied",
                f"{printable(stream.id)} is repeatable, and is never copied: {why}",
                stream.id,
                ("streams", stream.id, "repeatable"),
            )


def _nested_repetitions(plan: Plan) -> Iterator[PlanWarning]:
    """Yield patterns that repeat a repetition, as ``(a+)+``: they are hardly ever meant."""
    for pattern in dict.fromkeys((*plan.permanent_failures, *plan.transient_failures)):
        if _REPEATS_A_REPETITION.search(pattern):
            yield PlanWarning(
                "nested-repetition",
                f"`{printable(pattern)}` repeats what is repeated already; one of the two is "
                "enough, and other tools may take for ever on it",
            )


def may_overlap(one: str, other: str) -> bool:
    """Return whether two globs could match one path; in doubt they could.

    A pattern without wildcards may name a folder and then stands for all that is in it.
    """
    left, right = _segments(one), _segments(other)
    if not _agree(left, right):
        return False
    return "**" not in left or "**" not in right or _agree(left[::-1], right[::-1])


def _segments(pattern: str) -> list[str]:
    return [part for part in pattern.split("/") if part not in ("", ".")]


def _agree(left: list[str], right: list[str]) -> bool:
    """Return whether two paths agree by segments until one ends or may be anything."""
    for one, other in zip_longest(left, right):
        if one is None or other is None or "**" in (one, other):
            return True
        if not _segment_may_agree(one, other):
            return False
    return True


def _segment_may_agree(one: str, other: str) -> bool:
    if not _is_wild(one) and not _is_wild(other):
        return one == other
    return _ends_agree(_fixed_start(one), _fixed_start(other)) and _ends_agree(
        _fixed_end(one)[::-1], _fixed_end(other)[::-1]
    )


def _ends_agree(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _is_wild(segment: str) -> bool:
    return any(char in _WILD for char in segment)


def _fixed_start(segment: str) -> str:
    first = next((at for at, char in enumerate(segment) if char in _WILD), len(segment))
    return segment[:first]


def _fixed_end(segment: str) -> str:
    wild = _WILD + "]}"
    last = next((at for at in range(len(segment), 0, -1) if segment[at - 1] in wild), 0)
    return segment[last:]


def _overlapping_writes(plan: Plan) -> Iterator[PlanWarning]:
    writers = [(place, stream) for place, stream in enumerate(plan.streams) if stream.writes]
    before = ended_before(plan) if len(writers) > 1 else {}
    compared = found = 0
    adopting = {point.id for point in plan.points if point.adopts_one}
    for (place, one), (other_place, other) in combinations(writers, 2):
        compared += len(one.writes) * len(other.writes)
        if compared > _MOST_COMPARED or found >= _MOST_OVERLAPS:
            text = "there are too many `writes` to compare them all; more may overlap"
            yield PlanWarning("overlapping-writes", text)
            return
        if one.converge == other.converge and one.converge in adopting:
            continue  # one of the two is merged at most
        if before[one.id] >> other_place & 1 or before[other.id] >> place & 1:
            continue
        if pair := _overlap(one, other):
            found += 1
            left, right = map(printable, pair)
            text = f"`{one.id}` may write `{left}` while `{other.id}` may write `{right}`"
            yield PlanWarning("overlapping-writes", text, one.id)


def _overlap(one: StreamPlan, other: StreamPlan) -> tuple[str, str] | None:
    return next(
        (
            (left, right)
            for left in one.writes
            for right in other.writes
            if may_overlap(left, right)
        ),
        None,
    )


def _unknown_capabilities(plan: Plan) -> Iterator[PlanWarning]:
    for stream in plan.streams:
        for dependency in stream.depends_on:
            may_join = "registration" in plan.protocols
            if dependency.capability and not dependency.providers and may_join:
                text = (
                    f"`{stream.id}` waits for a stream with `{printable(dependency.capability)}`, "
                    "which no stream before it has: one has to join the run from outside"
                )
                yield PlanWarning("unknown-capability", text, stream.id)


def _empty_points(plan: Plan) -> Iterator[PlanWarning]:
    for point in plan.points:
        if not point.streams and point.id != FINAL_POINT:
            yield PlanWarning("empty-point", f"no stream converges at `{point.id}`")


def _rare_heartbeats(file: PlanFile) -> Iterator[PlanWarning]:
    """Yield streams that report as often as their plan says, and are always too late."""
    general = file.coordination.heartbeat
    if "interval" in general.model_fields_set and general.interval >= general.timeout:
        yield _too_rare(("coordination", "heartbeat", "interval"), general.timeout)
    for name, entry in file.streams.items():
        own = None if isinstance(entry, str) else entry.heartbeat
        if own is not None and own.interval and own.interval >= (own.timeout or general.timeout):
            key = ("streams", name, "heartbeat", "interval")
            yield _too_rare(key, own.timeout or general.timeout, name)


def _too_rare(path: KeyPath, timeout: float, stream: str | None = None) -> PlanWarning:
    text = f"`{key_text(path)}` is not below the timeout of {timeout:g} s: reports come too late"
    return PlanWarning("heartbeat-too-rare", text, stream, path)


_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|\{[^}]*\}|\([^)]*\))|^~(?:/|$)")
_PLACEHOLDER = re.compile(r"\{(?:item(?:\.[\w.-]+)?|index|name|stem|dir)\}")
_OF_OTHER_TOOLS = re.compile(r"\{\}|\{?\{ *(?:item|index)\b[^{}]*\}\}?")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish", "env", "eval"})


def _not_expanded(plan: Plan) -> Iterator[PlanWarning]:
    """Warn of what looks like a variable where no shell expands it: it stays as it is written."""
    for stream in plan.streams:
        for path, text in _literals(stream):
            if found := _VARIABLE.search(text):
                key = key_text(("streams", stream.id, *path))
                text = f"`{printable(found[0])}` in `{key}` stays as it is: only a shell expands it"
                yield PlanWarning("not-expanded", text, stream.id, ("streams", stream.id, *path))


def _no_placeholders_there(plan: Plan) -> Iterator[PlanWarning]:
    """Warn of what looks like a placeholder where an item never takes its place."""
    for stream in plan.streams:
        if stream.fan is None:
            continue
        for path, text in _literals(stream):
            if path[0] != "command" and (found := _PLACEHOLDER.search(text)):
                key = key_text(("streams", stream.id, *path))
                text = (
                    f"`{found[0]}` in `{key}` stays as it is: items take their place in `command`"
                )
                hint = "a handler has its item in $ANABRANCH_ITEM"
                yield PlanWarning(
                    "not-expanded", text, stream.id, ("streams", stream.id, *path), hint
                )
        if stream.fan.command and (meant := _meant_for_an_item(stream.fan.command)):
            key = key_text(("streams", stream.id, "command"))
            text = f"`{meant}` in `{key}` stays as it is: write {{item}} for an item"
            yield PlanWarning("not-expanded", text, stream.id, ("streams", stream.id, "command"))


def _meant_for_an_item(command: Command) -> str:
    """Return what other tools write for an item, from a command that has no placeholder at all."""
    from anabranch.handlers.placeholders import parse  # here, for most streams have no handlers

    if parse(command).fields:
        return ""
    text = command if isinstance(command, str) else " ".join(command)
    found = _OF_OTHER_TOOLS.search(text)
    return found[0] if found else ""


def _literals(stream: StreamPlan) -> Iterator[tuple[KeyPath, str]]:
    yield from ((("env", name), value) for name, value in stream.env.items())
    yield ("working_dir",), stream.working_dir
    for key, values in (("env_file", stream.env_files), ("writes", stream.writes)):
        yield from (((key, at), value) for at, value in enumerate(values))
    is_shell = stream.command[:2] == ("/bin/sh", "-c")
    if not is_shell and stream.command[0].rpartition("/")[2] not in _SHELLS:
        yield from ((("command", at), word) for at, word in enumerate(stream.command))
