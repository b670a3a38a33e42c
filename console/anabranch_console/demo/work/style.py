"""Look at the style of a file that others must not change meanwhile.

usage: style.py FILE (run under a lock for reading)
"""

import sys
from pathlib import Path

from stage import note, pause


def main(name: str) -> None:
    lines = Path(name).read_text("utf-8").splitlines()
    pause(0.8)
    longest = max(map(len, lines), default=0)
    print(f"{name}: {len(lines)} lines, the longest has {longest} characters", flush=True)
    note("style", {"file": name, "lines": len(lines), "longest": longest})


if __name__ == "__main__":
    main(sys.argv[1])
