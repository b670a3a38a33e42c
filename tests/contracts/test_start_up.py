"""Commands that only look at a run start without what only hosts and plans need."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("textual", "pydantic", "asyncio", "watchdog", "psutil")


READING = ["status", "streams", "runs", "report", "locks", "state", "messages", "convergence"]


@pytest.mark.parametrize("name", READING)
def test_a_reading_command_imports_nothing_heavy(name: str) -> None:
    """People wait for every import; these commands are typed often, and by scripts."""
    program = (
        f"import sys, anabranch_console.cli.main, anabranch_console.cli.{name};"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
