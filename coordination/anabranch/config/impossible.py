"""What a valid plan asks for and cannot have where it is to run, or cannot have at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from anabranch.config.problems import KeyPath, PlanWarning, WarningCode, key_text, printable
from anabranch.core.plans.graph import never_startable
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.env_files import BadEnvFile, read_env_files

_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=\S*\s+")
_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(?=\s|\Z)")
_OF_THE_SHELL = frozenset(
    {"alias", "break", "case", "cd", "command", "continue", "do", "done", "elif", "else", "esac"}
    | {
        "eval",
        "exec",
        "exit",
        "export",
        "fi",
        "for",
        "getopts",
        "hash",
        "if",
        "in",
        "jobs",
        "local",
    }
    | {"read", "readonly", "return", "set", "shift", "source", "then", "times", "trap", "type"}
    | {"ulimit", "umask", "unalias", "unset", "until", "wait", "while", "time", "function"}
)
_LONGEST_ARGUMENT_BYTES = 32 * 4096 - 1
"""What Linux takes as one argument, or as one variable of the environment (``MAX_ARG_STRLEN``)."""
_OWN = frozenset({"ab-stream", "anabranch-mcp"})


def cannot_be_here(
    plan: Plan, machine: Mapping[str, float], folder: Path | None
) -> list[PlanWarning]:
    """Return everything that this plan cannot have on a ``machine`` with so much of each.

    ``folder`` is where the run would be started; without it nothing is looked for on the disk.
    """
    found = [*_never_starts(plan), *_too_much(plan, machine), *_too_long(plan)]
    if folder is not None:
        found += [*_bad_env_files(plan, folder), *_missing_programs(plan)]
    return found


def _never_starts(plan: Plan) -> Iterator[PlanWarning]:
    for name in never_startable(plan):
        text = f"`{name}` can never start: it waits for a convergence point that cannot be reached"
        yield PlanWarning("never-starts", text, name, ("streams", name, "depends_on"))
    if "registration" in plan.protocols:
        return
    for stream in plan.streams:
        for dependency in stream.depends_on:
            if dependency.capability and not dependency.providers:
                word = printable(dependency.capability)
                text = f"`{stream.id}` can never start: no stream has `{word}`, and none can join"
                hint = "`protocols` leaves `registration` out; with it one can join from outside"
                path = ("streams", stream.id, "depends_on")
                yield PlanWarning("never-starts", text, stream.id, path, hint)


def _too_much(plan: Plan, machine: Mapping[str, float]) -> Iterator[PlanWarning]:
    whole = {**machine, **plan.resources}
    for stream in plan.streams:
        for name, amount in stream.resources.items():
            if amount > whole.get(name, amount):
                text = (
                    f"`{stream.id}` can never start here: it needs {amount:g} {printable(name)}, "
                    f"and there are only {whole[name]:g}"
                )
                path = ("streams", stream.id, "resources", name)
                hint = "ask for less, or run it on a machine that has as much"
                yield PlanWarning("impossible-resources", text, stream.id, path, hint)


def _too_long(plan: Plan) -> Iterator[PlanWarning]:
    for stream in plan.streams:
        given: list[tuple[KeyPath, str]] = [(("command",), text) for text in stream.command]
        given += [(("env", name), f"{name}={value}") for name, value in stream.env.items()]
        for key, text in given:
            size = len(text.encode("utf-8", "surrogateescape"))
            if size > _LONGEST_ARGUMENT_BYTES:
                text = (
                    f"`{stream.id}` can never start: `{key_text(key)}` takes {size} bytes in one "
                    f"piece, and no program can be given more than {_LONGEST_ARGUMENT_BYTES}"
                )
                hint = "write it to a file of the project, and let the command read that"
                path = ("streams", stream.id, *key)
                yield PlanWarning("impossible-command", text, stream.id, path, hint)


def _bad_env_files(plan: Plan, folder: Path) -> Iterator[PlanWarning]:
    for stream in plan.streams:
        for place, name in enumerate(stream.env_files):
            try:
                read_env_files(folder, [name])
            except (BadEnvFile, OSError) as error:
                text = f"`{stream.id}` cannot start here: {printable(str(error), 300)}"
                path = ("streams", stream.id, "env_file", place)
                hint = "make the file, or take it out of `env_file`"
                yield PlanWarning("missing-env-file", text, stream.id, path, hint)


def _missing_programs(plan: Plan) -> Iterator[PlanWarning]:
    """Yield programs that this machine does not have.

    What a stream needs may have come by then; a check that cannot be run would blame the innocent.
    """
    where = cache(shutil.which)  # thousands of streams may run the same few programs
    for path, stream, text in _commands(plan):
        program = _program_of(text)
        if program and where(program) is None:
            problem = f"there is no program `{program}` on this machine's PATH (`{key_text(path)}`)"
            is_check = path[-1] == "verify"
            code: WarningCode = "missing-verify" if is_check else "missing-program"
            yield PlanWarning(code, problem, stream, path, "install it, or name another one")


def _commands(plan: Plan) -> Iterator[tuple[KeyPath, str | None, str]]:
    for stream in plan.streams:
        if not _brings_a_path(stream):
            yield ("streams", stream.id, "command"), stream.id, _first(stream)
            if stream.ask.command:
                yield ("streams", stream.id, "ask", "command"), stream.id, stream.ask.command
    for point in plan.points:
        for key, text in (("verify", point.verify), ("resolver", point.resolver)):
            if text:
                yield ("convergence", point.id, key), None, text


def _brings_a_path(stream: StreamPlan) -> bool:
    return bool(stream.executor or stream.env_files or "PATH" in stream.env)


def _first(stream: StreamPlan) -> str:
    is_shell = stream.command[:2] == ("/bin/sh", "-c")
    return stream.command_text if is_shell else stream.command[0]


def _program_of(text: str) -> str | None:
    """Return the program that a command plainly begins with; None if only a shell could tell."""
    text = text.strip()
    while setting := _SETTING.match(text):
        if setting[0].startswith("PATH="):
            return None
        text = text[setting.end() :]
    found = _PROGRAM.match(text)
    if found is None or found[0] in _OF_THE_SHELL or found[0] in _OWN:
        return None
    return found[0]
