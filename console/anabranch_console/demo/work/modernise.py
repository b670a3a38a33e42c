"""A codemod: entries become a typed class, and old string formatting goes.

With --hang-once the first attempt stands still in the middle, so that a recovery can be seen.
"""

import sys
import time
from pathlib import Path

from stage import IS_FIRST_ATTEMPT, call, pause, tell_guide

PAUSE_SECONDS = 0.4
CHANGES = [
    ("from collections import namedtuple\n", "from typing import NamedTuple\n"),
    (
        'Entry = namedtuple("Entry", "date category cents")\n',
        'class Entry(NamedTuple):\n    """One payment."""\n\n'
        "    date: str\n    category: str\n    cents: int\n",
    ),
    (
        '"%s: %s for %d.%02d" % '
        "(entry.date, entry.category, entry.cents // 100, entry.cents % 100)",
        'f"{entry.date}: {entry.category} for {entry.cents // 100}.{entry.cents % 100:02d}"',
    ),
]


def main() -> None:
    path = Path("ledger/entries.py")
    if IS_FIRST_ATTEMPT:
        call("send", "style", "I change ledger/entries.py")  # style asks for its lock now
    for number, (old, new) in enumerate(CHANGES, 1):
        pause(PAUSE_SECONDS)
        text = path.read_text("utf-8")
        assert old in text, f"{path} is not as expected: {old!r} is missing"
        path.write_text(text.replace(old, new), "utf-8")
        print(f"{path}: change {number} of {len(CHANGES)}", flush=True)
        if "--hang-once" in sys.argv and IS_FIRST_ATTEMPT:
            tell_guide("2: modernise hangs, and holds a lock that style waits for")
            tell_guide("7: the guardian sees it, asks for a sign, ends it, starts it again")
            print("waiting for an answer that never comes", flush=True)
            time.sleep(600)


if __name__ == "__main__":
    main()
