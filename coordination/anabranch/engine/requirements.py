"""What a machine must have for runs to be possible at all; it is looked at before one begins."""

from __future__ import annotations

import os
import re
import subprocess

from anabranch.errors import WorldError

OLDEST_GIT = (2, 38)
GIT_SECONDS = 20.0

_OF_A_PROCESS = "/proc/self/stat"


def require_machine() -> None:
    """Raise WorldError, with what is missing and how to mend it, if no run is possible here."""
    if not os.path.exists(_OF_A_PROCESS):
        raise WorldError(
            "/proc is not there: what becomes of streams' processes cannot be seen without it",
            "mount it (mount -t proc proc /proc), or run where it is",
        )
    said = git_version_text()
    if said is not None and git_version(said) < OLDEST_GIT:
        raise WorldError(
            f"{said} is too old: merging without a checkout came with 2.38",
            "install git 2.38 or newer",
        )


def git_version_text() -> str | None:
    """Return what git says of itself, None if it cannot be asked."""
    try:
        asked = subprocess.run(
            ["git", "--version"], capture_output=True, check=True, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.decode(errors="replace").strip()


def git_version(said: str) -> tuple[int, int]:
    """Return the version in what git says of itself; one that says none is new enough."""
    match = re.search(r"(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else OLDEST_GIT
