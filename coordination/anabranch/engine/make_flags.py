"""How a stream's programs are told of its jobserver: by the variable ``MAKEFLAGS``.

GNU make 4.4 and later, ninja 1.13 and later and cargo take the name of a fifo. Makes from 4.2 on
know only the numbers of two open descriptors, and end with an error if they are given a name. An
older make, or one that is not GNU's, would take the flags for something else: it gets none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from anabranch.engine.performers.processes import Form
from anabranch.holder.jobs import READ_AT, WRITE_AT

Version = tuple[int, int]

FIFO_VARIABLE = "ANABRANCH_JOBSERVER"
VARIABLE = "MAKEFLAGS"
SHADOWS = ("CARGO_MAKEFLAGS", "MFLAGS")
"""What some clients look at first, or as well: whose server is named there is somebody else's."""

_FIRST_WITH_FIFO, _FIRST_WITH_AUTH = (4, 4), (4, 2)
_VERSION = re.compile(rb"GNU Make (\d{1,4})\.(\d{1,4})")
_VERSION_PATIENCE_SECONDS = 5.0
_SPEAKS_FOR_ITSELF = re.compile(r"[\w./@%+=:,-]+", re.ASCII)
_JOBS = re.compile(r"-j\d*|--jobs(=\d*)?|--jobserver-(auth|fds)=.*|--jobserver-style=.*")


def served(env: Mapping[str, str], form: Form, fifo: Path, slots: int) -> dict[str, str]:
    """Return an environment in which clients find a jobserver, and no other one.

    Args:
        env: the environment without it; what ``MAKEFLAGS`` says there besides is kept.
        form: how it is named.
        fifo: where it lies.
        slots: how many jobs run at a time on the whole machine.
    """
    named = f"fifo:{fifo}" if form == "fifo" else f"{READ_AT},{WRITE_AT}"
    flags = _with_server(env.get(VARIABLE, ""), f"-j{slots} --jobserver-auth={named}")
    kept = {name: value for name, value in env.items() if name not in SHADOWS}
    return {**kept, VARIABLE: flags, FIFO_VARIABLE: str(fifo)}


def _with_server(flags: str, server: str) -> str:
    """Return flags with a server in the place of any that they name, or of a number of jobs.

    The first word may be letters without a dash; what stands behind ``--`` are variables.
    """
    before, dashes, variables = f" {flags} ".partition(" -- ")
    words = before.split()
    letters = ""
    if words and not words[0].startswith("-") and "=" not in words[0]:
        letters = re.sub(r"j\d*", "", words.pop(0))
    kept: list[str] = []
    for place, word in enumerate(words):
        is_number_of_jobs = word.isdecimal() and place > 0 and words[place - 1] in ("-j", "--jobs")
        if not is_number_of_jobs and not _JOBS.fullmatch(word):
            kept.append(word)
    rest = f" -- {variables.strip()}" if dashes and variables.strip() else ""
    return f"{letters} {' '.join([*kept, server])}{rest}"


def form_for(version: Version | None, fifo: Path) -> Form:
    """Return the form for whoever has a make of this version.

    Without any make it is the newer one. A name that a client would take apart is given to nobody.
    """
    if version is not None and version < _FIRST_WITH_AUTH:
        return ""
    is_new = version is None or version >= _FIRST_WITH_FIFO
    return "fifo" if is_new and _SPEAKS_FOR_ITSELF.fullmatch(str(fifo)) else "descriptors"


def version_of_make(path: str) -> Version | None:
    """Return the version of the make that a PATH leads to, None if there is no make at all.

    Blocks while that is asked. One that does not say which it is, in time, is older than all that
    are known.
    """
    folders = os.pathsep.join(f for f in path.split(os.pathsep) if os.path.isabs(f))
    program = shutil.which("make", path=folders)
    if program is None:
        return None
    try:
        said = subprocess.run(
            [program, "--version"],
            env={"PATH": folders, "LC_ALL": "C"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_VERSION_PATIENCE_SECONDS,
            check=False,
        ).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0, 0
    found = _VERSION.match(said)
    return (int(found[1]), int(found[2])) if found else (0, 0)
