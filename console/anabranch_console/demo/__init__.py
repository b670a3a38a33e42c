"""The bundled demonstration: a small Python project, and nine streams that work on it.

The streams are ordinary commands (``work/``) and do what they say: they write code and tests
(``additions/``) into their workspaces, change code, measure each file in a handler of its own,
write documentation, and run the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from anabranch.errors import WorldError

HERE = Path(__file__).parent
PLAN = HERE / "plan.toml"


def make_project() -> Path:
    """Return a new scratch repository with the demonstration's project in it.

    Raises WorldError if git is not there or refuses.
    """
    folder = Path(tempfile.mkdtemp(prefix="anabranch-demo-")) / "ledger"
    shutil.copytree(HERE / "project", folder, ignore=shutil.ignore_patterns("__pycache__"))
    identity = ("-c", "user.name=Anabranch demo", "-c", "user.email=demo@localhost")
    unsigned = ("-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null")
    for words in (
        ("init", "-q", "-b", "main"),
        ("add", "-A"),
        ("commit", "-q", "-m", "A small library"),
    ):
        _git(folder, *identity, *unsigned, *words)
    return folder


def environment() -> dict[str, str]:
    """Return what the plan's commands need to find their programs."""
    return {**os.environ, "DEMO_PYTHON": sys.executable, "DEMO_WORK": str(HERE / "work")}


def run_result_tests(folder: Path) -> tuple[bool, str]:
    """Run the tests of a finished project; return whether they pass, and the closing line."""
    done = subprocess.run(
        [sys.executable, "-B", "-m", "unittest", "discover", "-s", "tests", "-t", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    parts = [line for line in done.stderr.splitlines() if line.startswith("Ran ")]
    return done.returncode == 0 and bool(parts), parts[-1] if parts else "no tests were found"


def _git(folder: Path, *words: str) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        subprocess.run(["git", *words], cwd=folder, env=clean, check=True, capture_output=True)
    except FileNotFoundError:
        raise WorldError("git is not installed", "install it, then try again") from None
    except subprocess.CalledProcessError as error:
        raise WorldError(f"git refused: {error.stderr.decode(errors='replace').strip()}") from None
