"""``token_client.py FOLDER JOBS SECONDS``: a build tool that speaks the fifo form of GNU make 4.4.

It runs one job without a token and each further one with a token, as the protocol has it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

JOB = Path(__file__).with_name("counted_job.py")


def main() -> None:
    """Run so many jobs, as many at a time as there are tokens."""
    folder, jobs, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    found = re.search(r"--jobserver-auth=fifo:(\S+)", os.environ["MAKEFLAGS"])
    assert found, os.environ["MAKEFLAGS"]
    fifo = os.open(found[1], os.O_RDWR | os.O_NONBLOCK)
    running: dict[int, bytes] = {}
    children: list[subprocess.Popen[bytes]] = []
    while jobs or running:
        while jobs and (token := take(fifo) if running else b"") is not None:
            argv = [sys.executable, "-I", "-S", str(JOB), folder, seconds]
            children.append(subprocess.Popen(argv))
            running[children[-1].pid] = token
            jobs -= 1
        ended, status = os.wait()
        assert status == 0
        os.write(fifo, running.pop(ended) or b"")
        if running and b"" not in running.values():  # the one without a token has ended
            pid = next(iter(running))
            os.write(fifo, running[pid])
            running[pid] = b""


def take(fifo: int) -> bytes | None:
    """Return a token, None if there is none."""
    try:
        return os.read(fifo, 1)
    except BlockingIOError:
        return None


if __name__ == "__main__":
    main()
