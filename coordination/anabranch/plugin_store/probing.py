"""Trying out a plugin in a process of its own, before anything here depends on it.

Whatever its import does (exit, hang, print, crash the interpreter) ends there. What it says is read
from a file, line by line, so that even a process that never answers has said how far it came.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from anabranch.errors import machine_errors
from anabranch.hostile_text import escape_for_terminal, shortened
from anabranch.undecodable import UNDECODABLE

PROBE_SECONDS = 10.0
LOOK_SECONDS = 0.02
_LINE_CHARACTERS = 300


class Assignment(msgspec.Struct, frozen=True):
    """What a probe is to do: load the plugins of a distribution that lies in these folders.

    ``console_checks`` names the module that knows what a plugin of the console has to be; the
    console says so, as nothing here knows it.
    """

    distribution: str
    folders: tuple[str, ...]
    is_thorough: bool = False
    seed: int = 0
    console_checks: str = ""


class Beginning(msgspec.Struct, frozen=True, tag="begins"):
    """The probe is about to do something."""

    what: str


class Brought(msgspec.Struct, frozen=True, tag="brought"):
    """A plugin was loaded, and this is what it brings: ids by kind."""

    plugin: str
    strategies: dict[str, tuple[str, ...]]


class Fault(msgspec.Struct, frozen=True, tag="fault"):
    """Something is wrong; ``about`` is the plugin or the strategy, ``example`` what showed it."""

    about: str
    message: str
    example: str = ""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The probe came to its end. ``decisions`` is a digest of all that was decided.

    ``checked`` counts strategies, ``others`` whatever else was tried.
    """

    checked: int
    decisions: str = ""
    others: int = 0


Line = Beginning | Brought | Fault | Done


class Probed(msgspec.Struct, frozen=True):
    """What a probe found."""

    strategies: dict[str, tuple[str, ...]]
    faults: tuple[Fault, ...]
    checked: int = 0
    decisions: str = ""
    others: int = 0


def probe(
    assignment: Assignment,
    staging: Path,
    *,
    seconds: float = PROBE_SECONDS,
    hash_seed: int | None = None,
) -> Probed:
    """Try out a distribution's plugins for at most some seconds; never raises because of them."""
    with machine_errors():
        staging.mkdir(parents=True, exist_ok=True)
        said, talk = staging / "probe.jsonl", staging / "probe.log"
        said.write_bytes(b"")
        request = staging / "probe.json"
        request.write_bytes(msgspec.json.encode(assignment))
    command = [
        sys.executable,
        "-X",
        "utf8",
        "-P",
        "-m",
        "anabranch.plugin_store.probe",
        str(request),
        str(said),
    ]
    seed = {} if hash_seed is None else {"PYTHONHASHSEED": str(hash_seed)}
    with open(talk, "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=staging,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **seed},
            start_new_session=True,
        )
        ended = _wait(process, seconds)
    return _read(said.read_bytes(), _last_words(talk), ended, seconds)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Wait for a process, end whatever is left of its group; return its code, None if killed."""
    deadline = time.monotonic() + seconds
    ended = False
    while not ended and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    # It is not reaped yet, so the number is still its own.
    os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    return code if ended else None


def _read(said: bytes, last_words: str, ended: int | None, seconds: float) -> Probed:
    lines = _lines(said)
    faults = [line for line in lines if isinstance(line, Fault)]
    strategies: dict[str, tuple[str, ...]] = {}
    for line in lines:
        if isinstance(line, Brought):
            for kind, ids in line.strategies.items():
                strategies[kind] = strategies.get(kind, ()) + ids
    done = lines[-1] if lines and isinstance(lines[-1], Done) else None
    if done is None:
        doing = next(
            (line.what for line in reversed(lines) if isinstance(line, Beginning)), "start"
        )
        about, _, what = doing.partition(" ")
        if ended is None:
            message = f"{what or about} did not end within {seconds:g} s"
        elif ended < 0:
            message = f"{what or about} was ended by signal {-ended}"
        else:
            message = f"{what or about} ended Python itself (exit {ended})"
        faults.append(Fault(about, message, last_words))
        return Probed(strategies, tuple(faults))
    return Probed(strategies, tuple(faults), done.checked, done.decisions, done.others)


def _lines(said: bytes) -> Sequence[Line]:
    decoder = msgspec.json.Decoder(Line)
    found: list[Line] = []
    for line in said.splitlines():
        try:
            found.append(decoder.decode(line))
        except UNDECODABLE:
            break
    return found


def _last_words(talk: Path) -> str:
    words = talk.read_text("utf-8", "replace").strip().splitlines()
    return shortened(escape_for_terminal(words[-1]), _LINE_CHARACTERS) if words else ""
