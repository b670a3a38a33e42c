"""A new plugin: a complete, tested package, written from templates that come with Anabranch."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from anabranch import __version__
from anabranch.core.strategies import kinds as strategy_kinds
from anabranch.core.strategies.kinds import Kind
from anabranch.errors import UsageError, machine_errors
from anabranch.hookspecs import PROJECT

PREFIX = f"{PROJECT}-"
LONGEST_NAME = 40


KINDS = {kind.name: kind for kind in strategy_kinds.KINDS}
"""The kinds of plugins that can be begun, by name; each has a template of a strategy."""
_NOT_NAMED = "# A plan says nothing about it: it is asked about every failure."


def write_plugin(name: str, kind: str, parent: Path) -> Path:
    """Write a new plugin's package into a folder of its own; return that folder.

    Args:
        name: what the strategy is to be called in plans, such as ``quorum``.
        kind: one of :data:`KINDS`.
        parent: where the folder is made.

    Raises:
        UsageError: the name cannot be one, or the folder is there already.
    """
    name = name.removeprefix(PREFIX)
    words = _words(name, kind)
    folder = parent / words["distribution"]
    content = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"src/{words['module']}/__init__.py": "init.py",
        f"src/{words['module']}/strategy.py": f"{kind}.py",
        f"tests/test_{words['module'].removeprefix('anabranch_')}.py": f"{kind}_test.py",
    }
    texts = {path: _rendered(template, words) for path, template in content.items()}
    texts[f"src/{words['module']}/py.typed"] = ""
    with machine_errors():
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise UsageError(f"{folder} is there already", "choose another name") from None
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
    return folder


def _words(name: str, kind: str) -> dict[str, str]:
    """Return what the templates say of this plugin. Raises UsageError if the name cannot be one."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > LONGEST_NAME:
        hint = f"lower-case letters, digits and single dashes, at most {LONGEST_NAME}: my-quorum"
        raise UsageError(f"{name!r} cannot be the name of a plugin", hint)
    module = f"{PREFIX}{name}".replace("-", "_")
    class_name = "".join(part.capitalize() for part in name.split("-"))
    if keyword.iskeyword(class_name) or find_spec(module) is not None:
        raise UsageError(f"{name!r} would have the name of something that is here already")
    return {
        "name": name,
        "distribution": f"{PREFIX}{name}",
        "module": module,
        "class_name": class_name,
        "summary": _summary(KINDS[kind]),
        "protocol": KINDS[kind].interface.__name__,
        "hook": KINDS[kind].hook,
        "plan": _named_in_plan(KINDS[kind], name),
        "host_version": ".".join(__version__.split(".")[:2]),
        "next_major": str(int(__version__.split(".")[0]) + 1),
    }


def _summary(kind: Kind) -> str:
    """Return what a plugin does: what it is, and the first line of its template."""
    what = re.sub(r"(?<!^)(?=[A-Z])", " ", kind.interface.__name__).lower()
    does = template(f"{kind.name}.py").partition("\n")[0].partition(": ")[2]
    return f"A {what} for {PROJECT.capitalize()}: {does}"


def _named_in_plan(kind: Kind, name: str) -> str:
    """Return the lines of a plan that name a strategy."""
    if not kind.plan_keys:
        return _NOT_NAMED
    *table, key = kind.plan_keys[0]
    return f'[{".".join(table)}]\n{key} = "{name}"'


def _rendered(name: str, words: dict[str, str]) -> str:
    return Template(template(name)).substitute(words)


def template(name: str) -> str:
    """Return the text of a template."""
    return (files("anabranch.plugin_store") / "template" / f"{name}.tmpl").read_text("utf-8")
