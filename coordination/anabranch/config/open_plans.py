"""What a project's plan says of runs that nobody has written down: open runs, and races.

Their streams come from the command line or a form; how they work, and what their result has to
pass, stands in the plan that lies there. Nothing else of that plan is looked at, whatever is wrong
with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from anabranch.config.added_streams import OPEN_TYPE, open_plan
from anabranch.config.context import PlanContext
from anabranch.config.positions import key_positions
from anabranch.config.problems import Problem
from anabranch.config.reading import PlanErrors, errors_at, parse_document, read_text
from anabranch.config.user_templates import PLAN_FILE
from anabranch.core.ids import FINAL_POINT
from anabranch.core.plans.plan import Plan


def parts_for_all(folder: Path) -> tuple[dict[str, Any], str] | PlanErrors:
    """Return the tables of a folder's plan that are about runs as a whole, and the plan's text.

    They are ``coordination`` and the last convergence point; there may be none.
    """
    path = folder / PLAN_FILE
    if not path.exists():
        return {}, ""
    text = read_text(path)
    if isinstance(text, Problem):
        return errors_at(PLAN_FILE, "", [text], {})
    document = parse_document(text, PLAN_FILE)
    if isinstance(document, PlanErrors):
        return document
    found = {"coordination": document["coordination"]} if "coordination" in document else {}
    points = document.get("convergence")
    if isinstance(points, dict) and FINAL_POINT in points:
        found["convergence"] = {FINAL_POINT: _without_streams(points[FINAL_POINT])}
    return found, text


def _without_streams(point: Any) -> Any:
    """Return what a point says, but for who meets there and how that is decided."""
    if not isinstance(point, Mapping):
        return point
    return {key: value for key, value in point.items() if key not in ("type", "options")}


def open_plan_here(folder: Path, name: str, context: PlanContext) -> Plan | PlanErrors:
    """Return the plan of an open run in a folder, as far as the plan that lies there says how."""
    found = parts_for_all(folder)
    if isinstance(found, PlanErrors):
        return found
    parts, text = found
    bare = open_plan(name, context)
    if not parts:
        return bare
    from anabranch.config.loading import plan_of_document  # here: the model takes long to load

    stand_in = {"version": 1, "name": name, "streams": {"stand-in": "true"}, **parts}
    loaded = plan_of_document(stand_in, PLAN_FILE, name, context, lambda: key_positions(text))
    if isinstance(loaded, PlanErrors):
        return loaded
    own, final = loaded.plan.points[-1], bare.points[-1]
    point = replace(
        own,
        streams=(),
        type=OPEN_TYPE,
        merges_early=final.merges_early,
        takes_checkpoints=final.takes_checkpoints,
        adopts_one=False,
    )
    return replace(loaded.plan, streams=(), points=(point,), is_open=True, fuses=bare.fuses)
