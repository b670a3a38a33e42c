"""A console on the terminal that this process has, over a scripted run: no engine, no streams."""

from __future__ import annotations

import sys
from pathlib import Path

from anabranch_console.app import run_console
from tests.console.scripted_source import demo_source


def main() -> None:
    """Show it until it is left, and say on stdout what is said afterwards."""
    left = run_console(demo_source(Path(sys.argv[1])))
    print(left.message, flush=True)


if __name__ == "__main__":
    main()
