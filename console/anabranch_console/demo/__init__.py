"""The bundled demonstration: a small Python project, and a dozen streams that work on it.

The streams are ordinary commands (``work/``) and do what they say: they write code and tests
(``additions/``) into their workspaces, change code, measure each file in a handler of its own,
write documentation, and run the tests. Where somebody looks on they are slower, and what would be
decided by itself is left to that person for a while.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anabranch.config import LoadedPlan, StrategyNames, load_plan
from anabranch.core.ids import FINAL_POINT
from anabranch.core.plans.plan import Plan, PointPlan, StreamPlan
from anabranch.core.strategies import Strategies
from anabranch.errors import WorldError

HERE = Path(__file__).parent
PLAN = HERE / "plan.toml"
REVIEWED = "docs"
LONG_SECONDS = 60.0
"""A heartbeat timeout from which on nobody waits for it in a show."""


class Show(msgspec.Struct, frozen=True):
    """How the demonstration is given: ``pace`` times slower than it could be.

    Where it ``is_watched``, what needs a person is left to them for ``patience_seconds``.
    """

    pace: float = 1.0
    patience_seconds: float = 1.0
    is_watched: bool = False


UNWATCHED = Show()
WATCHED = Show(pace=3.5, patience_seconds=20.0, is_watched=True)


def bundled_plan(strategies: Strategies, show: Show = UNWATCHED) -> Plan:
    """Return the demonstration's plan as it is run."""
    plan = _written_plan(strategies)
    if not show.is_watched:
        return plan
    return replace(
        plan,
        streams=tuple(_watched_stream(stream, show) for stream in plan.streams),
        points=tuple(_watched_point(point) for point in plan.points),
        soft_grace_seconds=plan.soft_grace_seconds * max(show.pace, 1.0),
    )


def resolver(strategies: Strategies) -> str:
    """Return the command that settles the demonstration's conflicts."""
    return next(point.resolver for point in _written_plan(strategies).points if point.resolver)


def _written_plan(strategies: Strategies) -> Plan:
    loaded = load_plan(PLAN, known=StrategyNames.of(strategies))
    assert isinstance(loaded, LoadedPlan), "the bundled plan is valid"
    return loaded.plan


def _watched_stream(stream: StreamPlan, show: Show) -> StreamPlan:
    timeout = stream.heartbeat_timeout_seconds
    timeout *= max(show.pace, 1.0) if timeout < LONG_SECONDS else 1.0
    return replace(stream, heartbeat_timeout_seconds=timeout, review=stream.id == REVIEWED)


def _watched_point(point: PointPlan) -> PointPlan:
    if point.id == FINAL_POINT:
        return replace(point, resolver="")
    return replace(point, options={**point.options, "adopt": "ask"})


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


def environment(show: Show = UNWATCHED) -> dict[str, str]:
    """Return what the plan's commands need to find their programs, and their speed."""
    return {
        **os.environ,
        "DEMO_PYTHON": sys.executable,
        "DEMO_WORK": str(HERE / "work"),
        "DEMO_PACE": str(show.pace),
        "DEMO_PATIENCE": str(show.patience_seconds),
    }


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
