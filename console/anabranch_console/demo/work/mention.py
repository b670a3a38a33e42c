"""Mention a module in the README, on the line that lists them all.

usage: mention.py MODULE

Two streams do this at the same time, so their results conflict on that line.
"""

import sys
from pathlib import Path

from stage import tell_guide


def main(module: str) -> None:
    path = Path("README.md")
    lines = path.read_text("utf-8").splitlines()
    lines = [f"{line}, {module}" if line.startswith("Modules: ") else line for line in lines]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    tell_guide(f"6: {module} has changed a line of README.md that others change")
    print(f"README.md: mentions {module}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
