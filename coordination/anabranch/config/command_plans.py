"""A plan of commands that were given on the command line, made without the model of the plan file.

Loading that model takes longer than anything else at the start of a run, and few of the mistakes it
finds can be in a bare command: it is empty, or holds what a program cannot be given as text.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from anabranch.config.context import PlanContext
from anabranch.core.ids import FINAL_POINT, RESERVED_STREAMS, StreamId
from anabranch.core.plans.plan import USUAL_RETRIES, FanPlan, Plan, PointPlan, StreamPlan


def needs_no_model(name: str, commands: Sequence[str], items: Sequence[str]) -> bool:
    """Return whether the model of the plan file would find nothing wrong with these words."""
    return (
        bool(commands)
        and name.isprintable()
        and 0 < len(name.strip()) <= len(name) <= 100
        and all(command.strip() and _is_sound(command) for command in commands)
        and all(map(_is_sound, items))
    )


def _is_sound(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8
        return False


def command_plan(
    name: str, commands: Mapping[str, str], items: Sequence[str], context: PlanContext
) -> Plan:
    """Return a plan of independent streams: what a file with these commands alone would say.

    Args:
        name: what the plan is called.
        commands: each stream's command by its name.
        items: what every command is run for; once, in a stream without handlers, if there are none.
        context: what a plan depends on besides.
    """
    width = max(context.auto_parallel, 1)
    bare = [
        StreamPlan(
            id=StreamId(stream),
            command=("/bin/sh", "-c", command),
            command_text=command,
            max_retries=USUAL_RETRIES,
            fan=FanPlan({"items": list(items)}, command) if items else None,
        )
        for stream, command in commands.items()
    ]
    streams = tuple(context.with_estimates(name, bare, width))
    able = context.known.able(PointPlan(FINAL_POINT).type)
    final = PointPlan(
        FINAL_POINT,
        streams=tuple(stream.id for stream in streams),
        merges_early=able.merges_early,
        takes_checkpoints=able.takes_checkpoints,
    )
    return Plan(
        name,
        streams,
        (final,),
        max_parallel=width,
        is_adaptive=True,
        fuses=True,
        slowdown=context.slowdown(name, streams),
    )


def stream_names(commands: Iterable[str]) -> list[str]:
    """Return a name of its own for each command, after the program that it begins with."""
    return _unique_names(map(_first_word, commands))


_RUNNERS = frozenset(
    {
        *("bash", "node", "python", "python3", "sh"),
        *("exec", "nice", "sudo", "time"),
        *(
            "cargo",
            "go",
            "just",
            "make",
            "npm",
            "npx",
            "pnpm",
            "poetry",
            "run",
            "tox",
            "uv",
            "yarn",
        ),
    }
)
"""Programs, and words after them, that run what comes next: that says more of a stream."""
_BEGINNINGS = {"for": "loop", "while": "loop", "until": "loop", "if": "script", "case": "script"}
_is_setting = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=").match
_is_of_an_option = re.compile(r"-.*|[0-9]+", re.DOTALL).fullmatch
_is_plain = re.compile(r"[A-Za-z][A-Za-z0-9._/:-]*").fullmatch


def _first_word(command: str) -> str:
    """Return what a command runs, as a stream's name: its program, or what that is told to run."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    word = _telling_word([word for word in words if not _is_setting(word)])
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", word.rstrip("/").rpartition("/")[2])
    name = re.sub(r"\.{2,}", ".", name).lstrip("._-")[:48].rstrip("._-")
    is_taken = name.endswith(".lock") or name.casefold() in RESERVED_STREAMS
    return f"{name}-run" if is_taken else name or "stream"


def _telling_word(words: Sequence[str]) -> str:
    """Return the first word of a command that is not a runner, if that is a plain one."""
    if not words:
        return ""
    if words[0] in _BEGINNINGS:
        return _BEGINNINGS[words[0]]
    if words[0] in _RUNNERS:
        for word in words[1:]:
            if word not in _RUNNERS and not _is_of_an_option(word):
                return word if _is_plain(word) else words[0]
    return words[0]


def _unique_names(names: Iterable[str]) -> list[str]:
    """Return each name, or the name with the first free number from 2: ``pytest``, ``pytest-2``."""
    taken: set[str] = set()
    following: dict[str, int] = {}
    result = []
    for name in names:
        candidate, folded = name, name.casefold()
        while candidate.casefold() in taken:
            number = following.get(folded, 2)
            candidate, following[folded] = f"{name}-{number}", number + 1
        taken.add(candidate.casefold())
        result.append(candidate)
    return result
