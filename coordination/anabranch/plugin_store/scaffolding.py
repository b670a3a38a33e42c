"""A new plugin: a complete, tested package, written from templates that come with Anabranch."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

import msgspec

from anabranch import __version__
from anabranch.errors import UsageError, machine_errors

PREFIX = "anabranch-"
LONGEST_NAME = 40


class PluginKind(msgspec.Struct, frozen=True):
    """What differs between plugins of different kinds."""

    summary: str
    protocol: str
    hook: str
    plan: str


KINDS = {
    "convergence": PluginKind(
        "A convergence type for Anabranch: merges once a majority of streams has arrived.",
        "ConvergenceType",
        "anabranch_convergence_types",
        '[coordination]\nconvergence_type = "$name"',
    ),
    "recovery": PluginKind(
        "A recovery strategy for Anabranch: tries again after a delay that grows step by step.",
        "RecoveryStrategy",
        "anabranch_recovery_strategies",
        '[coordination.recovery]\nfallback = "$name"',
    ),
    "balancer": PluginKind(
        "A load balancer for Anabranch: the stream that takes the least time runs first.",
        "LoadBalancer",
        "anabranch_load_balancers",
        '[coordination]\nbalancer = "$name"',
    ),
    "remedy": PluginKind(
        "A remedy for Anabranch: drops an optional stream, runs any other one once more, alone.",
        "Remedy",
        "anabranch_remedies",
        '[coordination.recovery]\nfallback = "$name"',
    ),
    "classifier": PluginKind(
        "A failure classifier for Anabranch: knows a licence that has run out, which is permanent.",
        "FailureClassifier",
        "anabranch_failure_classifiers",
        "# A plan says nothing about it: it is asked about every failure.",
    ),
}


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
    """Return what the templates say of this plugin. Raises UsageError if the name is none."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > LONGEST_NAME:
        hint = f"lower-case letters, digits and single dashes, at most {LONGEST_NAME}: my-quorum"
        raise UsageError(f"{name!r} cannot be the name of a plugin", hint)
    module = f"{PREFIX}{name}".replace("-", "_")
    class_name = "".join(part.capitalize() for part in name.split("-"))
    if keyword.iskeyword(class_name) or find_spec(module) is not None:
        raise UsageError(f"{name!r} would have the name of something that is here already")
    chosen = KINDS[kind]
    return {
        "name": name,
        "distribution": f"{PREFIX}{name}",
        "module": module,
        "class_name": class_name,
        "summary": chosen.summary,
        "protocol": chosen.protocol,
        "hook": chosen.hook,
        "plan": Template(chosen.plan).substitute(name=name),
        "host_version": ".".join(__version__.split(".")[:2]),
        "next_major": str(int(__version__.split(".")[0]) + 1),
    }


def _rendered(template: str, words: dict[str, str]) -> str:
    source = files("anabranch.plugin_store") / "template" / f"{template}.tmpl"
    return Template(source.read_text("utf-8")).substitute(words)
