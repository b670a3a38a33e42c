"""Write ledger/summary.py, each attempt of the race in another way; one of them is adopted."""

import os
from pathlib import Path

from stage import pause, progress, tell_guide

HEAD = '"""A summary in words."""\n\nfrom ledger.totals import by_category\n\n\n'
LOOP = '''\
def summary(entries):
    """Return a line for each category."""
    lines = []
    for category, cents in sorted(by_category(entries).items()):
        lines.append(f"{category}: {cents / 100:.2f}")
    return lines
'''
SHORT = '''\
def summary(entries):
    """Return a line for each category."""
    return [f"{name}: {cents / 100:.2f}" for name, cents in sorted(by_category(entries).items())]
'''


def main() -> None:
    is_second = os.environ["ANABRANCH_STREAM"].endswith("2")
    for step in range(3):
        progress("trying another way" if is_second else "the way everybody does it", step / 3)
        pause(0.3 + 0.1 * is_second)
    Path("ledger/summary.py").write_text(HEAD + (SHORT if is_second else LOOP), "utf-8")
    if is_second:
        tell_guide("! two streams have done the summary: 8 compares them, T adopts one")
    print(f"wrote ledger/summary.py, {'in one line' if is_second else 'as a loop'}", flush=True)


if __name__ == "__main__":
    main()
