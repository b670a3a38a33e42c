"""The command of a test's stream: it writes and commits without end, until it is killed.

A child of it kills at a random moment: this process, all of its group, or the holder above it. What
was written for sure is noted in a diary elsewhere, after it was written. The last attempt is not
killed and ends soon.
"""

import os
import random
import signal
import subprocess
import sys
import time

FOLDERS = ("", "one/", "one/two/")


def kill_later(rng: random.Random, longest_seconds: float) -> None:
    """Fork what kills one of us after a while."""
    me, above, seconds = os.getpid(), os.getppid(), rng.uniform(0.0, longest_seconds)
    victim = rng.choice(("me", "all", "holder"))
    if os.fork():
        return
    time.sleep(seconds)
    if victim == "holder":
        os.kill(above, signal.SIGKILL)
    elif victim == "all":
        os.killpg(os.getpgid(me), signal.SIGKILL)
    else:
        os.kill(me, signal.SIGKILL)
    os._exit(0)


def main(diary: str, seed: str, attempts: int, longest_seconds: float) -> None:
    """Write, and be killed in all attempts but the last."""
    stream, attempt = os.environ["ANABRANCH_STREAM"], int(os.environ["ANABRANCH_ATTEMPT"])
    rng = random.Random(f"{seed} {stream} {attempt}")
    is_last = attempt >= attempts
    if not is_last:
        kill_later(rng, longest_seconds)
    place = os.open(f"{diary}/{stream}.{attempt}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number in range(5 if is_last else 100_000):
        path = f"{rng.choice(FOLDERS)}{stream}-{rng.randrange(8)}.txt"
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(f".{stream}.new", "w", encoding="utf-8") as file:
            lines = rng.randrange(1, 50)
            file.write(f"{stream}.{attempt} {number} {lines}\n" * lines)
        os.replace(f".{stream}.new", path)
        os.write(place, f"wrote {path} {number}\n".encode())
        if rng.random() < 0.1:
            commit(place, number)
        time.sleep(0.005)


def commit(place: int, number: int) -> None:
    """Commit all there is, and note the commit."""
    subprocess.run(["git", "add", "-A"], check=False, capture_output=True)
    said = ["git", "-c", "user.name=s", "-c", "user.email=s@s", "commit", "-qm", f"at {number}"]
    if subprocess.run(said, check=False, capture_output=True).returncode == 0:
        head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True)
        os.write(place, b"committed " + head.stdout.strip() + b" 0\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
