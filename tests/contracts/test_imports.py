"""Who may import whom: checked statically, and at run time where deferral hides imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imported_by(statement: str) -> set[str]:
    """Return the top-level names in ``sys.modules`` after a statement in a fresh interpreter."""
    program = f"import sys\n{statement}\nprint('\\n'.join(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines())


def test_the_import_contracts_hold() -> None:
    """The layers of the architecture are what pyproject.toml says."""
    program = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules that a file imports anywhere: also late, also for types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (named & known.keys()) or ({node.module} & known.keys())
    return found


PACKAGES = ("coordination/anabranch", "console/anabranch_console", "plugins/anabranch_plugins")


def own_modules() -> dict[str, Path]:
    """Return the product's modules by name; the demonstration's own project is data."""
    found: dict[str, Path] = {}
    for package in map(ROOT.joinpath, PACKAGES):
        for path in package.rglob("*.py"):
            parts = path.relative_to(package.parent).with_suffix("").parts
            if parts[1:3] not in (("demo", "project"), ("demo", "additions")):
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


FRONT_DOORS = {
    "to run and steer": "starting resuming host follower source requests feed preflight opening",
    "a stream's terminal and workspace": "attaching entering reaching_layers",
    "what is kept of runs": "runs disk_use durations reporting result_presence",
    "what streams have written": "log_reading masking log_colours log_times log_window",
    "by level, and of several": "log_index index_window",
    "what streams have changed": "differences",
    "handlers": "handlers handler_book handler_output handler_waits",
    "how a run gets on": "vitals health guarded_strategies probing token_ledger pressure_samples",
    "whether its state is whole": "integrity",
    "what of a plan may be run": "trusting",
    "what is settled or mended from outside": "settling cleaning salvaging git_leftovers",
    "what is given back": "caches removing retention",
    "for programs beside a run": "gateway.outside",
}
"""The modules of the engine that the console may know, by what they are for."""


def test_the_console_comes_in_by_the_front_doors() -> None:
    """What else is in the engine can change without anybody asking the console."""
    modules = own_modules()
    used = {
        imported.removeprefix("anabranch.engine.")
        for name, path in modules.items()
        if name.startswith("anabranch_console")
        for imported in imports_of(path, modules)
        if imported.startswith("anabranch.engine.")
    }
    assert sorted(used) == sorted(" ".join(FRONT_DOORS.values()).split())


def test_no_module_imports_another_in_a_circle() -> None:
    """Not when it is loaded, not late, and not for its types only."""
    known = own_modules()
    assert len(known) > 500
    graph = {name: imports_of(path, known) - {name} for name, path in known.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, with the circle


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        (
            "import anabranch.core.deciding.decide",
            {"asyncio", "subprocess", "socket", "pluggy", "apsw"},
        ),
        ("import anabranch.engine.host", {"textual", "rich", "pydantic"}),
        ("import anabranch_console.cli.main", {"textual", "pydantic", "apsw", "asyncio"}),
        ("import anabranch_console.cli.status", {"textual", "pydantic"}),
        ("import anabranch_console.cli.hosting", {"textual", "pydantic"}),
    ],
)
def test_what_is_not_needed_is_not_loaded(statement: str, forbidden: set[str]) -> None:
    """A command pays only for what it uses."""
    assert not imported_by(statement) & forbidden


def test_the_holder_needs_only_the_standard_library() -> None:
    """What keeps streams and handlers alive imports nothing of ours and nothing installed."""
    package = ROOT / "coordination/anabranch"
    for path in (*package.glob("holder/*.py"), *package.glob("handlers/*.py")):
        for line in path.read_text("utf-8").splitlines():
            assert not line.strip().startswith(("import anabranch", "from anabranch")), path
