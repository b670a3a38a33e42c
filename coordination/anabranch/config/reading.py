"""From a file to a TOML document, and from what is wrong with it to errors at their places.

Whatever is wrong comes back as a value; nothing here raises for bad input.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from anabranch.config.positions import Position, locate
from anabranch.config.problems import KeyPath, PlanError, Problem, key_text, printable

MAX_PLAN_BYTES = 4 * 1024 * 1024

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")
_QUOTED = r"'([^']*)'"
_KEY_TUPLE = re.compile(r"\('[^)]*',?\)")
_START = "`anabranch init` writes a plan to begin with"


class PlanErrors(msgspec.Struct, frozen=True):
    """Every mistake in a plan, in the order of the file; there is at least one."""

    file: str
    errors: tuple[PlanError, ...]
    name: str = ""


def read_text(path: str | Path) -> str | Problem:
    """Return the text of the file, or why there is none."""
    try:
        # A pipe that nobody writes to would block an ordinary open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
                return Problem((), f"this is {kind}", "name the plan file itself")
            data = file.read(MAX_PLAN_BYTES + 1)
    except FileNotFoundError:
        return Problem((), "there is no such file", _START)
    except IsADirectoryError:
        return Problem((), "this is a directory", "name the plan file itself")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Problem((), f"cannot be read: {reason}", "check the path and its permissions")
    if len(data) > MAX_PLAN_BYTES:
        return Problem((), "the file is larger than 4 MiB", "split the plan")
    return _decode(data)


def _decode(data: bytes) -> str | Problem:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Problem((), f"the file is not UTF-8 (line {line})", "save it as UTF-8")


def parse_document(text: str, file: str) -> dict[str, Any] | PlanErrors:
    import tomllib  # here, because commands are no TOML

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return PlanErrors(file, (_syntax_error(file, text, str(error)),))
    except RecursionError:
        problem = Problem((), "arrays or tables are nested too deeply", "nest fewer of them")
    except ValueError as error:  # a number of thousands of digits
        problem = Problem((), f"this is not TOML: {printable(str(error), 200)}")
    else:
        if document:
            return document
        problem = Problem((), "the file is empty", _START)
    return errors_at(file, "", [problem], {})


def _syntax_error(file: str, text: str, message: str) -> PlanError:
    """Return a mistake in the TOML itself; the parser stops at the first one."""
    lines = text.replace("\r\n", "\n").split("\n")
    place = _TOML_PLACE.search(message)
    line, column = len(lines), len(lines[-1]) + 1
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    what = _KEY_TUPLE.sub(
        lambda parts: f"`{key_text(tuple(re.findall(_QUOTED, parts[0])))}`",
        message[: place.start()] if place else message,
    )
    key = lines[min(line, len(lines)) - 1].partition("=")[0].strip(" \t[]")
    twice = re.match(r"Cannot (?:declare|overwrite|mutate|define)|Duplicate", what)
    hint = "a key or table may be written only once" if twice else "see https://toml.io"
    return PlanError(
        file, line, column, printable(key), f"this is not TOML: {printable(what, 200)}", hint
    )


def errors_at(
    file: str, name: str, problems: Sequence[Problem], positions: dict[KeyPath, Position]
) -> PlanErrors:
    errors: dict[PlanError, None] = {}
    for path, message, hint in problems:
        line, column = locate(positions, path)
        errors[PlanError(file, line, column, key_text(path), message, hint)] = None
    ordered = sorted(errors, key=lambda error: (error.line, error.column))
    return PlanErrors(file, tuple(ordered), name)
