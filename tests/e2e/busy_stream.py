"""The command of a test's stream: it works for a while, keeps a diary elsewhere, and ends as told.

Each line of output is numbered and carries a checksum. The diary, in a folder outside of the
workspace, gets one line at the beginning and one at the end of each attempt.
"""

import os
import resource
import signal
import sys
import time
import zlib


def note(diary: str, word: str) -> None:
    """Append one line to the diary, whole."""
    entry = f"{word} {os.environ['ANABRANCH_ATTEMPT']} {os.getpid()}\n"
    path = os.path.join(diary, os.environ["ANABRANCH_STREAM"])
    place = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(place, entry.encode())
    os.close(place)


def main(diary: str, lines: int, seconds: float, ending: str) -> None:
    """Work, then end: ``exit N`` or ``signal N``."""
    name = os.environ["ANABRANCH_STREAM"]
    note(diary, "begin")
    for number in range(lines):
        text = f"{name} {number:05d}"
        os.write(1, f"{text} {zlib.crc32(text.encode()):08x}\n".encode())
        time.sleep(seconds / lines)
    os.makedirs("out", exist_ok=True)
    with open(f"out/{name}.txt", "w", encoding="utf-8") as file:
        file.write(f"{name} wrote {lines} lines\n" * lines)
    note(diary, "end")
    how, value = ending.split()
    if how == "signal":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if int(value) != signal.SIGKILL:
            signal.signal(int(value), signal.SIG_DFL)
        os.kill(os.getpid(), int(value))
    os._exit(int(value))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
