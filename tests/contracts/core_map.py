"""The map of the core: a concern a row, a role a column, each cell with links to its modules."""

from __future__ import annotations

from pathlib import Path

CORE = Path(__file__).parents[2] / "coordination/anabranch/core"
ROLES = ("model", "folds", "deciding", "views", "promises")
CONCERNS: dict[str, tuple[str, ...]] = {
    "the run": (
        *(
            "state",
            "snapshots",
            "newest_state",
            "pieces",
            "evolve",
            "decide",
            "draft",
            "outcome",
            "owed",
        ),
        *(
            "runs",
            "growing",
            "parts",
            "projections",
            "accounting",
            "overhead",
            "effects_done",
            "coordination",
            "spells",
            "density",
            "order",
            "forecasts",
            "approval",
            "outlook",
            "plan_tree",
            "rest",
            "included",
            "history",
            "invariants",
        ),
    ),
    "streams": ("lifecycle", "streams", "at_work", "spent", "inheritance", "known_trees"),
    "services": ("services", "serving", "service_ends"),
    "handlers": ("handlers",),
    "checkpoints": ("checkpoints", "point_checkpoints", "undoing"),
    "points": ("points", "gathering", "verifying", "adoption"),
    "reviews": ("reviews",),
    "conflicts": ("foreseen", "decisions", "resolutions", "conflicts"),
    "locks": ("locks", "lock_snapshots"),
    "shared state": ("sharing", "merging"),
    "questions": ("questions", "attention"),
    "the terminal": ("terminal",),
    "logs": ("log_levels", "log_order"),
    "messages": ("messages", "dead_letters", "ordering"),
    "ports": ("ports",),
    "resources": ("resources", "disk", "old_runs"),
    "memory": ("memory", "victims", "alone"),
    "who joined": ("joined",),
    "waiting": ("waiting",),
    "times": ("windows",),
    "durations": ("widths", "samples", "learning"),
    "the width": ("width",),
    "slots": ("slots", "queues"),
    "fusion": ("fusion",),
    "setups": ("setup", "teardowns"),
    "copies": ("copies", "speculating", "straggling"),
    "guardian": ("guardian", "breakers", "liveness"),
    "calls": ("answers", "hearing"),
    "strategies": ("choices", "choosing", "strategies", "plugin_faults"),
}
"""Which modules and folders belong to a concern, whatever their role."""


def modules(role: str) -> dict[str, list[Path]]:
    """Return the modules of a role by the name of the module, or of the folder they lie in."""
    found: dict[str, list[Path]] = {}
    for path in sorted((CORE / role).rglob("*.py")):
        if path.name != "__init__.py":
            found.setdefault(path.relative_to(CORE / role).parts[0].removesuffix(".py"), []).append(
                path
            )
    return found


def unmapped() -> list[str]:
    """Return the modules that no concern names."""
    known = {name for names in CONCERNS.values() for name in names}
    return [f"{role}/{name}" for role in ROLES for name in modules(role) if name not in known]


def table() -> str:
    """Return the map as a table."""
    by_role = {role: modules(role) for role in ROLES}
    lines = [
        f"| concern | {' | '.join(f'`{role}/`' for role in ROLES)} |",
        f"| --- |{' --- |' * len(ROLES)}",
    ]
    for concern, names in CONCERNS.items():
        cells = [
            ", ".join(_link(path) for name in names for path in by_role[role].get(name, ()))
            for role in ROLES
        ]
        lines.append(f"| {concern} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _link(path: Path) -> str:
    return f"[{path.stem}](../{path.relative_to(CORE.parents[2]).as_posix()})"
