"""Write files into the workspace piece by piece, the way somebody at a keyboard would.

usage: write.py FILE... (paths below the demo's additions)
"""

import sys
from pathlib import Path

from stage import pause, progress

PAUSE_SECONDS = 0.35
ADDITIONS = Path(__file__).parent.parent / "additions"


def main(names: list[str]) -> None:
    for name in names:
        pieces = (ADDITIONS / name).read_text("utf-8").split("\n\n\n")
        target = Path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        for number, piece in enumerate(pieces, 1):
            progress(f"writing {name}", (number - 1) / len(pieces))
            pause(PAUSE_SECONDS)
            written = "\n\n\n".join(pieces[:number]).rstrip() + "\n"
            target.write_text(written, "utf-8")
            print(f"{name}: {headline(piece)} ({number} of {len(pieces)})", flush=True)


def headline(piece: str) -> str:
    """Return what a piece of code is about: its definition, or its first line."""
    lines = piece.strip().splitlines()
    for line in lines:
        if line.lstrip().startswith(("def ", "class ")):
            return line.strip().rstrip(":")
    return lines[0].strip('"')


if __name__ == "__main__":
    main(sys.argv[1:])
