"""The example of the page does, as written, what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/handlers.md"


def test_the_example_of_the_page_runs_as_written(tmp_path: Path) -> None:
    """A second start counts nothing again: it does not see what has changed."""
    (example,) = re.findall(r"```python\n# example: in a program\n(.*?)```", PAGE.read_text(), re.S)
    (tmp_path / "docs/deep").mkdir(parents=True)
    (tmp_path / "docs/a.md").write_text("one two")
    (tmp_path / "docs/deep/b.md").write_text("three")
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-c", example],
            cwd=tmp_path,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
            capture_output=True,
            text=True,
        )
        assert (ended.stdout, ended.stderr) == ("3 words in 2 files\n", "")
        (tmp_path / "docs/a.md").write_text("one two and more")
