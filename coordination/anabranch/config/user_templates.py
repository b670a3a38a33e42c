"""The templates of the user, in ``templates.toml`` of their settings, and all that there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from anabranch.config.filling import bad_command, own_templates, templates_named
from anabranch.config.positions import key_positions, locate
from anabranch.config.problems import Problem, printable
from anabranch.config.reading import PlanErrors, errors_at, parse_document, read_text
from anabranch.config.templates import BUILT_IN, Origin, Template, over
from anabranch.core.ids import id_fault
from anabranch.paths import templates_file

PLAN_FILE = "anabranch.toml"


def user_templates(path: Path | None = None) -> dict[str, Template] | PlanErrors:
    """Return the user's own templates, none if there is no such file.

    Args:
        path: where they stand; in the user's settings, if left out.
    """
    path = path or templates_file()
    file = printable(str(path), limit=4096)
    if not path.exists():
        return {}
    text = read_text(path)
    if isinstance(text, Problem):
        return errors_at(file, "", [text], {})
    document = parse_document(text, file) if text.strip() else {}
    if isinstance(document, PlanErrors):
        return document
    problems = [*_of_the_model(document), *template_problems(document)]
    if problems:
        return errors_at(file, "", problems, key_positions(text))
    return _placed(own_templates(document, file), text, "user")


def templates_here(folder: Path) -> dict[str, Template] | PlanErrors:
    """Return every template that a stream of this folder's project can be made of, by name.

    Those of the plan that lies there go before the user's, and those before the built-in ones. Of a
    plan only the templates are looked at, whatever else is wrong in it.
    """
    found = user_templates()
    if isinstance(found, PlanErrors):
        return found
    path = folder / PLAN_FILE
    if not path.exists():
        return over(BUILT_IN, found)
    text = read_text(path)
    if isinstance(text, Problem):
        return errors_at(PLAN_FILE, "", [text], {})
    document = parse_document(text, PLAN_FILE)
    if isinstance(document, PlanErrors):
        return document
    only = {key: document[key] for key in ("templates",) if key in document}
    problems = [*_of_the_model(only), *template_problems(only)]
    if problems:
        return errors_at(PLAN_FILE, "", problems, key_positions(text))
    return over(BUILT_IN, found, _placed(own_templates(only, PLAN_FILE), text, "plan"))


def templates_for(document: Mapping[str, Any], file: str) -> dict[str, Template] | PlanErrors:
    """Return the templates for a plan; the user's are read only if one is wanted from elsewhere."""
    wanted = templates_named(document)
    others = user_templates() if wanted - BUILT_IN.keys() else {}
    if isinstance(others, PlanErrors):
        return others
    return over(BUILT_IN, others, own_templates(document, file))


def template_problems(document: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the names and the placeholders of a document's templates."""
    found = []
    templates = document.get("templates")
    for name in templates if isinstance(templates, dict) else ():
        if reason := id_fault(name):
            message = f"bad name for a template: `{printable(name)}`"
            found.append(Problem(("templates", name), message, reason))
    for name, template in own_templates(document, "").items():
        found += bad_command(("templates", name), template.table)
    return found


def _of_the_model(document: dict[str, Any]) -> list[Problem]:
    from anabranch.config.model import TemplatesFile  # here: the model takes long to load
    from anabranch.config.wording import model_problems

    return model_problems(document, TemplatesFile)[1]


def _placed(templates: dict[str, Template], text: str, origin: Origin) -> dict[str, Template]:
    """Return templates with the line that each begins at."""
    places = key_positions(text)
    return {
        name: replace(one, line=locate(places, ("templates", name)).line, origin=origin)
        for name, one in templates.items()
    }
