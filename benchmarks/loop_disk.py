"""A small disk of one's own whose files can share their blocks: XFS in a file, mounted."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import Machine

IMAGE_BYTES = 3 << 30
"""What it may take at the most; the file has holes where nothing was written."""


@contextmanager
def xfs(machine: Machine) -> Iterator[Machine | None]:
    """Give a machine whose scratch folder lies on such a disk; None, after saying why, if not."""
    image, place = machine.scratch / "xfs.image", machine.folder("xfs")
    why_not = _mounted(image, place)
    if why_not:
        print(f"  XFS is left out: {why_not}", flush=True)
        yield None
        return
    try:
        yield Machine(place, machine.workloads, machine.handlers)
    finally:
        subprocess.run(["umount", str(place)], check=True)
        image.unlink()


def used_bytes(place: Path) -> int:
    """Return how much of a disk is used, once everything is on it."""
    os.sync()
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _mounted(image: Path, place: Path) -> str:
    """Make and mount the disk; return why it cannot be had, if so."""
    if os.geteuid() != 0:
        return "only root may mount it"
    if shutil.which("mkfs.xfs") is None:
        return "there is no mkfs.xfs (apt-get install xfsprogs)"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    for argv in (
        ["mkfs.xfs", "-q", "-m", "reflink=1", str(image)],
        ["mount", "-o", "loop", str(image), str(place)],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            image.unlink()
            return done.stderr.strip() or f"{argv[0]} ended with {done.returncode}"
    return ""
