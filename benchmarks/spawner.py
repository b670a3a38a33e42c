"""The bare Python spawner: a ready queue, two slots, ``Popen`` and ``wait``. It keeps nothing.

Run as ``python -I -S spawner.py GRAPH SLOTS``. Any engine written in Python is up against it.
"""

import json
import os
import subprocess
import sys
from collections import deque


def run(tasks: list[tuple[str, list[str], list[str]]], slots: int) -> int:
    """Run every task after those it waits for; return how many ended well."""
    commands = {name: argv for name, argv, _ in tasks}
    missing = {name: len(after) for name, _, after in tasks}
    dependents: dict[str, list[str]] = {name: [] for name in commands}
    for name, _, after in tasks:
        for other in after:
            dependents[other].append(name)
    ready = deque(name for name, count in missing.items() if not count)
    running: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}
    done = 0
    while ready or running:
        while ready and len(running) < slots:
            name = ready.popleft()
            process = subprocess.Popen(commands[name], close_fds=False)
            running[process.pid] = name, process
        pid, status = os.wait()
        name, process = running.pop(pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        done += process.returncode == 0
        for other in dependents[name]:
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    return done


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        graph = json.load(file)
    sys.exit(0 if run(graph, int(sys.argv[2])) == len(graph) else 1)
