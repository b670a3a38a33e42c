"""What a distribution needs, held against what is there: met, missing, or in conflict."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from anabranch.errors import UsageError
from anabranch.plugin_store.facts import Facts
from anabranch.plugin_store.generations import Package
from anabranch.plugin_store.names import canonical


class Needs(msgspec.Struct, frozen=True):
    """``missing`` are requirements nothing here meets; ``conflicts`` say what stands against."""

    missing: tuple[str, ...]
    conflicts: tuple[str, ...]


def needs_of(facts: Facts, there: Mapping[str, str]) -> Needs:
    """Hold what a distribution requires against versions by name."""
    missing, conflicts = [], []
    if fault := _python_fault(facts.requires_python):
        conflicts.append(f"{facts.name} {facts.version} {fault}")
    for requirement in applying(facts.requires, facts.name):
        have = there.get(canonical(requirement.name))
        if have is None or requirement.extras:
            missing.append(str(requirement))
        elif not requirement.specifier.contains(have, prereleases=True):
            needed = f"{requirement.name}{requirement.specifier}"
            conflicts.append(f"{facts.name} {facts.version} needs {needed}, and {have} is here")
    return Needs(tuple(missing), tuple(conflicts))


def applying(lines: Iterable[str], name: str) -> list[Requirement]:
    """Return the requirements that count on this machine, no extras asked for."""
    found = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            raise UsageError(f"{name} has a requirement nobody can read: {line!r}") from None
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.append(requirement)
    return found


def name_of(spec: str) -> str:
    """Return the name of the distribution that a requirement asks for. Raises UsageError."""
    try:
        return canonical(Requirement(spec).name)
    except InvalidRequirement:
        hint = "give a name such as anabranch-quorum, a wheel (.whl), or a folder"
        raise UsageError(f"{spec!r} names no package, no wheel and no folder", hint) from None


def check_wheel_name(file_name: str) -> None:
    """Raise UsageError if a wheel was built for another Python or another machine."""
    try:
        _, _, _, tags = parse_wheel_filename(file_name)
    except (InvalidWheelFilename, InvalidVersion) as error:
        raise UsageError(f"{file_name} is not named as a wheel is: {error}") from None
    if tags.isdisjoint(sys_tags()):
        built_for = ", ".join(sorted(map(str, tags))[:3])
        raise UsageError(f"{file_name} is for another Python or machine ({built_for})")


def still_needed(plugins: Iterable[str], packages: Iterable[Package]) -> set[str]:
    """Return the names of the packages that these plugins need, themselves included."""
    by_name = {package.name: package for package in packages}
    needed: set[str] = set()
    waiting = [name for name in plugins if name in by_name]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        required = (canonical(r.name) for r in applying(by_name[name].requires, name))
        waiting += [other for other in required if other in by_name]
    return needed


def _python_fault(requires_python: str) -> str:
    try:
        fits = SpecifierSet(requires_python).contains(Version(platform.python_version()), True)
    except (InvalidSpecifier, InvalidVersion):
        return f"asks for a Python nobody can read: {requires_python!r}"
    return "" if fits else f"needs Python {requires_python}; this is {platform.python_version()}"
