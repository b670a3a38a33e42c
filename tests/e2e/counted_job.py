"""``counted_job.py FOLDER SECONDS [NAME]``: a job that counts itself while it works.

``FOLDER/busy`` holds how many are at work now, how many were at most, and how many have begun;
every job changes it under a lock, so that no two can miss each other.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time


def main() -> None:
    """Work for so long, with all of a processor that there is to have, and be counted."""
    folder, seconds = sys.argv[1], float(sys.argv[2])
    name = sys.argv[3] if len(sys.argv) > 3 else ""
    count(folder, 1)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    count(folder, -1)
    if name:
        with open(os.path.join(folder, name), "a", encoding="utf-8") as diary:
            diary.write("done\n")


def count(folder: str, by: int) -> None:
    """Count one job more or less."""
    file = os.open(os.path.join(folder, "busy"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    now, most, begun = [int(word) for word in os.read(file, 100).split() or (0, 0, 0)]
    now += by
    text = f"{now} {max(now, most)} {begun + (by > 0)}\n"
    os.pwrite(file, text.ljust(40).encode(), 0)
    os.close(file)


if __name__ == "__main__":
    main()
