"""A stream for tests of checkpoints: it edits files of its own and reads everybody else's.

Usage: ``syncing_stream.py NAME SECONDS COMMITS``. It edits in bursts, one file every 30 ms, and
rests between them. A reader beside it looks at the others' files all the time. At the end it prints
what it wrote last and what the reader saw, as one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

FILES = 10
EDIT_SECONDS = 0.03
BURST_SECONDS = 1.0
REST_SECONDS = 2.8


def text_of(name: str, number: int, count: int) -> str:
    """A file that tells by itself whether it is whole."""
    body = f"{name} {number} {count}\n" * 200
    return f"{body}{zlib.crc32(body.encode())}\n"


def is_whole(text: str) -> bool:
    body, _, check = text.rstrip("\n").rpartition("\n")
    return check.isdigit() and zlib.crc32(f"{body}\n".encode()) == int(check)


class Reader(threading.Thread):
    """Reads what others brought, and counts what is missing or torn."""

    def __init__(self, name: str) -> None:
        super().__init__(daemon=True)
        self.own = f"{name}-"
        self.seen: set[str] = set()
        self.newest: dict[str, int] = {}
        self.reads = self.missing = self.torn = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            for path in Path().glob("*.data"):
                if not path.name.startswith(self.own):
                    self.seen.add(path.name)
            for name in sorted(self.seen):
                self.look(name)
            time.sleep(0.002)

    def look(self, name: str) -> None:
        self.reads += 1
        try:
            text = Path(name).read_text()
        except FileNotFoundError:
            self.missing += 1
            return
        if is_whole(text):
            self.newest[name] = int(text.split()[2])
        else:
            self.torn += 1


def edit(name: str, seconds: float, commits: bool) -> dict[str, int]:
    last, count, until = dict[str, int](), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        burst = time.monotonic() + BURST_SECONDS
        while time.monotonic() < burst:
            count += 1
            number = count % FILES
            path = f"{name}-{number}.data"
            fresh = Path(f".{path}.new")
            fresh.write_text(text_of(name, number, count))
            os.replace(fresh, path)
            last[path] = count
            time.sleep(EDIT_SECONDS)
        if commits:
            subprocess.run(["git", "add", "-A"], check=True)
            subprocess.run(
                ["git", "-c", "user.name=s", "-c", "user.email=s@s", "commit", "-qm", "work"],
                check=False,
            )
        time.sleep(REST_SECONDS)
    return last


def main() -> None:
    name, seconds, commits = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "1"
    reader = Reader(name)
    reader.start()
    last = edit(name, seconds, commits)
    reader.done.set()
    reader.join()
    print(
        json.dumps(
            {
                "last": last,
                "reads": reader.reads,
                "missing": reader.missing,
                "torn": reader.torn,
                "brought": len(reader.newest),
            }
        )
    )


if __name__ == "__main__":
    main()
