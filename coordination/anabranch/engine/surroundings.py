"""What of the environment leads streams out of their workspaces and into the user's checkout.

A package that is installed *editable* is imported from where it was installed, and a search path
such as ``PYTHONPATH`` may name the checkout too. A stream then edits its workspace and runs the
user's files, and every test is green. Nothing is run to find that out: files are read.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from anabranch.plain_files import NotPlain, read_plain
from anabranch.undecodable import UNDECODABLE

SEARCH_PATHS = (
    *("PYTHONPATH", "NODE_PATH", "CLASSPATH", "RUBYLIB", "PERL5LIB", "GOPATH", "CPATH"),
    *("LD_LIBRARY_PATH", "LIBRARY_PATH", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH"),
)
_INTERPRETERS = ("python", "python3")
_LARGEST_FILE_BYTES = 1 << 20
_MOST_FILES = 4_000
_FINDER = re.compile(r"['\"](/[^'\"\n]+)['\"]")


def leads_into_checkout(root: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Say what in an environment leads into the checkout at ``root``, and the way out."""
    real = Path(os.path.realpath(root))
    for name in SEARCH_PATHS:
        listed = environment.get(name, "").split(os.pathsep)
        inside = [entry for entry in listed if os.path.isabs(entry) and _is_inside(entry, real)]
        if inside:
            yield (
                f"{name} names {inside[0]} in your checkout: streams find your files there, not "
                f"their own; have the plan's env name it relative to the workspace"
            )
    for place in dict.fromkeys(_site_packages(real, environment)):
        found = dict(_editable(place, real))
        for package, source in found.items():
            relative = os.path.relpath(source, real)
            yield (
                f"{package} is installed from your checkout ({place}): streams that import it get "
                f'your files, not their own; set env = {{ PYTHONPATH = "{relative}" }}, or '
                "install it anew inside each workspace"
            )


def _is_inside(path: str | Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _site_packages(root: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where the Pythons that streams will find have their packages."""
    prefixes = [root / ".venv", root / "venv"]
    if environment.get("VIRTUAL_ENV"):
        prefixes.insert(0, Path(environment["VIRTUAL_ENV"]))
    for name in _INTERPRETERS:
        found = shutil.which(name, path=environment.get("PATH"))
        if found:
            prefixes.append(Path(found).parent.parent)
    if environment.get("HOME"):
        prefixes.append(Path(environment["HOME"]) / ".local")
    for prefix in prefixes:
        for kind in ("site-packages", "dist-packages"):
            yield from sorted(prefix.glob(f"lib/python3*/{kind}"))


def _editable(place: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the packages in one folder of them that are imported from inside ``root``."""
    for name in _some(place):
        path = place / name
        if name.endswith((".pth", ".egg-link")):
            lines = _text(path).splitlines()
            yield from _those_inside(name, (line for line in lines if os.path.isabs(line)), root)
        elif name.startswith("__editable__") and name.endswith(".py"):
            yield from _those_inside(name, _FINDER.findall(_text(path)), root)
        elif name.endswith(".dist-info"):
            source = _editable_source(path / "direct_url.json")
            if source:
                sources = [f"{source}/src", source] if (Path(source) / "src").is_dir() else [source]
                yield from _those_inside(name, sources, root)


def _those_inside(name: str, sources: Iterable[str], root: Path) -> Iterator[tuple[str, Path]]:
    for source in sources:
        real = Path(os.path.realpath(source))
        if real.is_relative_to(root):
            folder = real.parent if real.name != "src" and (real / "__init__.py").exists() else real
            yield _package(name), folder
            return


def _package(name: str) -> str:
    """Return the package that a file of an installation is about."""
    stem = re.sub(r"\.(py|pth|egg-link|dist-info)$", "", name)
    stem = re.sub(r"^__editable__[._]*|^_|_finder$", "", stem)
    stem = re.sub(r"[-_]\d+([._]\w+)*$", "", re.sub(r"_finder$", "", stem))
    return stem.replace("_", "-") or name


def _editable_source(record: Path) -> str | None:
    try:
        origin = json.loads(_text(record) or "{}")
        if origin.get("dir_info", {}).get("editable"):
            return unquote(urlsplit(origin["url"]).path)
    except (*UNDECODABLE, KeyError, AttributeError, TypeError):
        return None
    return None


def _some(place: Path) -> list[str]:
    try:
        return sorted(os.listdir(place))[:_MOST_FILES]
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return read_plain(path, _LARGEST_FILE_BYTES).decode("utf-8", "replace")
    except (OSError, NotPlain):
        return ""
