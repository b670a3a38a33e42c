"""How much of the time processes wait for something: the kernel's pressure stall information."""

from __future__ import annotations

from pathlib import Path

from anabranch.engine.pressure_samples import Waits
from anabranch.plain_files import read_plain

_PRESSURE = Path("/proc/pressure")
_PRESSURE_BYTES = 4096


def waits_for(what: str, folder: Path = _PRESSURE) -> Waits:
    """Return how much processes wait for something; nothing where the kernel does not tell."""
    try:
        text = read_plain(folder / what, _PRESSURE_BYTES).decode("ascii")
        means = {line.split()[0]: _mean(line) for line in text.splitlines()}
    except (OSError, ValueError, IndexError):
        return Waits()
    return Waits(means.get("some"), means.get("full"))


def _mean(line: str) -> float:
    """Return ``avg10`` of a line ``some avg10=0.00 avg60=…``."""
    return float(line.split()[1].removeprefix("avg10="))
