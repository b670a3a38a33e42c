"""A plan that asks for more memory than there is, with real processes in a machine that pretends.

A small machine is pretended: ``/proc/meminfo`` is covered, for the run alone, by a file that is
kept up to date while it goes on. It says how much is left of ``TOTAL_MB`` by what the run's own
processes really hold. So nothing is endangered, and what counts is real: starts, allocations, and
the width as it is found. Needs the right to cover a file (``unshare --mount``, as root).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, in_turns

TOTAL_MB, BASE_MB = 1100, 150
STREAMS, EACH_MB, SECONDS = 12, 200, 2.0
WIDTHS = (2, 3, 6)
REPEATS, BUDGET_SECONDS = 1, 60.0
LOOK_SECONDS, PATIENCE_SECONDS = 0.05, 90.0
_KB = 1024
_EATS = """
import sys, time
held = bytearray(int(sys.argv[1]) << 20)
time.sleep(float(sys.argv[2]))
"""
_COVERED = 'mount --bind "$0" /proc/meminfo && exec "$@"'


@dataclass
class Seen:
    """What turns of one contestant showed beside their seconds."""

    most_mb: float = 0.0
    ended: int = 0
    widest: int = 0
    widths: list[str] = field(default_factory=list)


def tables(machine: Machine) -> Iterator[Table]:
    """Yield the time, and the most memory, of a width that is found and of some that are given."""
    if not _may_cover():
        print("  covering /proc/meminfo is not allowed here: memory is left out", flush=True)
        return
    eater = machine.folder("memory-eater") / "eats.py"
    eater.write_text(_EATS)
    seen: dict[str, Seen] = {}
    turns: dict[str, Contestant] = {}
    for width in ("auto", *WIDTHS):
        name = "as the machine bears" if width == "auto" else f"{width} at a time"
        seen[name] = Seen()
        turns[name] = _turn(machine, eater, width, seen[name])
    turns["as the machine bears"]()  # the first run, in which nobody knows what they take
    first, seen["as the machine bears"] = seen["as the machine bears"], Seen()
    turns["as the machine bears"] = _turn(machine, eater, "auto", seen["as the machine bears"])
    samples = in_turns(turns, REPEATS, BUDGET_SECONDS)
    rows = tuple(Row(name, values, seen[name].most_mb) for name, values in samples.items())
    notes = [_words(name, found) for name, found in seen.items()]
    notes.insert(0, _words("as the machine bears, in a first run", first))
    title = f"Memory: {STREAMS} streams that hold {EACH_MB} MB each, where {TOTAL_MB} MB are"
    yield Table(title, "seconds", rows, "MB at most", tuple(notes))


def _words(name: str, found: Seen) -> str:
    steps = f"; {'; '.join(found.widths)}" if found.widths else ""
    over = f"{found.ended} ended for their memory" if found.ended else "nobody was ended"
    crowd = ", more than there are" if found.most_mb + BASE_MB > TOTAL_MB else ""
    return f"{name}: {found.most_mb:.0f} MB at most{crowd}, {over}{steps}"


def _may_cover() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    argv = ["unshare", "--mount", "sh", "-c", _COVERED, "/proc/version", "true"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _turn(machine: Machine, eater: Path, width: str | int, seen: Seen) -> Contestant:
    """Return a turn of a whole run in the machine that is pretended."""
    folder = machine.scratch / f"memory-{width}"
    if not folder.exists():
        machine.repository(folder.name, 1)
    said = json.dumps(width) if width == "auto" else str(width)
    plan = ["version = 1", "[coordination]", f"max_parallel = {said}"]
    plan += ["[coordination.isolation]", 'workspace = "shared"', 'file_access = "shared"']
    command = json.dumps([sys.executable, "-I", "-S", str(eater), str(EACH_MB), str(SECONDS)])
    plan += [f"[streams.s{number}]\ncommand = {command}" for number in range(STREAMS)]
    (folder / "anabranch.toml").write_text("\n".join(plan) + "\n", "utf-8")
    pretended = folder.with_suffix(".meminfo")
    pretended.write_text(_meminfo(TOTAL_MB - BASE_MB))
    argv = ["unshare", "--mount", "sh", "-c", _COVERED, str(pretended)]
    argv += [*machine.anabranch, "run", "--headless"]
    output = folder / "output.txt"

    def measure() -> float:
        with output.open("wb") as sink:
            began = time.perf_counter()
            host = subprocess.Popen(
                argv, cwd=folder, env=dict(machine.environment), stdout=sink, stderr=sink
            )
            try:
                _pretend(host, pretended, eater, seen, began + PATIENCE_SECONDS)
            finally:
                host.kill()
                host.wait()
        elapsed = time.perf_counter() - began
        if host.returncode != 0:
            raise BenchmarkFailed(f"the run did not converge: {output.read_text()[-400:]}")
        _take_report(machine, folder, seen)
        return elapsed

    return measure


def _pretend(
    host: subprocess.Popen[bytes], pretended: Path, eater: Path, seen: Seen, ends_at: float
) -> None:
    """Keep the file true until the run has ended."""
    while host.poll() is None and time.perf_counter() < ends_at:
        held = _held_mb(eater)
        seen.most_mb = max(seen.most_mb, held)
        with pretended.open("r+") as file:  # in place, as it is this file that covers the other
            file.write(_meminfo(max(0.0, TOTAL_MB - BASE_MB - held)))
        time.sleep(LOOK_SECONDS)


def _meminfo(available_mb: float) -> str:
    """Return what the kernel would tell, in lines of one length."""
    facts = {"MemTotal": TOTAL_MB, "MemFree": available_mb, "MemAvailable": available_mb}
    facts |= dict.fromkeys(("Buffers", "Cached", "Active", "Inactive", "Shmem", "Slab"), 0)
    facts |= {"SReclaimable": 0, "SwapTotal": 0, "SwapFree": 0}
    return "".join(f"{name + ':':<16}{mb * _KB:>10.0f} kB\n" for name, mb in facts.items())


def _held_mb(eater: Path) -> float:
    """Return how much memory the processes hold that run the eater."""
    wanted, held = os.fsencode(str(eater)), 0
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            if wanted in words:
                held += int(Path(f"/proc/{entry}/statm").read_bytes().split()[1])
        except OSError:
            continue
    return held * os.sysconf("SC_PAGE_SIZE") / 2**20


def _take_report(machine: Machine, folder: Path, seen: Seen) -> None:
    argv = (*machine.anabranch, "report", "--json")
    done = subprocess.run(
        argv, cwd=folder, env=dict(machine.environment), capture_output=True, check=True
    )
    report = json.loads(done.stdout)
    seen.ended += len(report["overruns"])
    seen.widths = [f"width {c['width']}: {c['reason']}" for c in report["parallelism"]]
