"""Wheels, looked at before anything of them is written, and unpacked without running anything.

A wheel is a zip file that names where its files go, so a hostile one can aim elsewhere: above its
folder, at modules of Python or of the host, at files that Python runs at every start (``.pth``).
Each of these is refused with the name of the file.
"""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path, PurePosixPath

import msgspec

from anabranch.errors import PluginRefused, UsageError, machine_errors
from anabranch.plugin_store.host import Host
from anabranch.plugin_store.names import canonical

LARGEST_BYTES = 1 << 30
NOTHING_CHANGED = "nothing was installed; what was installed before still is"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_RUN_AT_START = {"sitecustomize", "usercustomize"}
_UNPACKED_SCHEMES = {"purelib", "platlib"}


class Entry(msgspec.Struct, frozen=True):
    """One file of a distribution, by the path it asks for."""

    path: str
    is_link: bool = False


class Facts(msgspec.Struct, frozen=True):
    """What a distribution says of itself. ``entry_points`` are ``group:name``."""

    name: str
    version: str
    summary: str
    author: str
    requires: tuple[str, ...]
    requires_python: str
    entry_points: tuple[str, ...]


def read_facts(folder: Path, what: str) -> Facts:
    """Return what the one distribution unpacked in a folder says. Raises UsageError.

    ``what`` is named in the error.
    """
    found = sorted(folder.glob("*.dist-info"))
    if len(found) != 1:
        raise UsageError(f"{what} is no wheel: it holds {len(found)} .dist-info folders, not one")
    try:
        return _facts(PathDistribution(found[0]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{what} has metadata that cannot be read: {error}") from None


def _facts(distribution: Distribution) -> Facts:
    told = distribution.metadata
    name, version = canonical(str(told["Name"])), str(told["Version"])
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise ValueError(f"the name {name!r} or the version {version!r} is none")
    author = told["Author"] or told["Author-email"] or ""
    return Facts(
        name=name,
        version=version,
        summary=str(told["Summary"] or ""),
        author=str(author),
        requires=tuple(distribution.requires or ()),
        requires_python=str(told["Requires-Python"] or ""),
        entry_points=tuple(f"{point.group}:{point.name}" for point in distribution.entry_points),
    )


def unpack(wheel: Path, folder: Path, host: Host) -> int:
    """Unpack a wheel into a fresh folder, if nothing is wrong with it; return how many files.

    Raises PluginRefused naming every file that is refused, before anything is written.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            entries = [Entry(info.filename, _is_link(info)) for info in infos]
            refuse(wheel.name, [*faults_in(entries, host), *_oversize(infos)])
            with machine_errors():
                for info in infos:
                    _extract(archive, info, folder)
            return len(infos)
    except FileNotFoundError:
        raise UsageError(f"there is no file {str(wheel)!r}") from None
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise UsageError(f"{wheel.name} is no wheel, or is damaged: {error}") from None


def refuse(what: str, faults: Iterable[str]) -> None:
    """Raise PluginRefused if there are faults, naming each of them."""
    told = list(faults)
    if told:
        raise PluginRefused(f"{what} is refused: {'; '.join(told)}", NOTHING_CHANGED)


def entries_of(folder: Path) -> list[Entry]:
    """Return what lies in a folder, links unfollowed."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
    return [Entry(path.relative_to(folder).as_posix(), path.is_symlink()) for path in files]


def faults_in(entries: Iterable[Entry], host: Host) -> list[str]:
    """Return why a distribution with these files may not be installed; nothing if it may."""
    entries = list(entries)
    faults = [fault for entry in entries if (fault := _fault_of(entry))]
    twice = [path for path, count in Counter(e.path for e in entries).items() if count > 1]
    faults += [f"it holds {path!r} twice" for path in sorted(twice)]
    whole = whole_modules(entries)
    for top in sorted({top for entry in entries if (top := _top_level(entry.path))}):
        if fault := host.shadowed(top, is_whole=top in whole):
            faults.append(fault)
    return faults


def whole_modules(entries: Iterable[Entry]) -> set[str]:
    """Return the top-level modules and packages among files, parts of shared ones left out."""
    return {
        top
        for entry in entries
        if (top := _top_level(entry.path))
        and ("/" not in _placed(entry.path) or _is_package_start(entry.path))
    }


def _fault_of(entry: Entry) -> str:
    path = PurePosixPath(entry.path)
    if path.is_absolute() or ".." in path.parts or "\\" in entry.path or "\0" in entry.path:
        return f"{entry.path!r} would be written outside its folder"
    if entry.is_link:
        return f"{entry.path!r} is a symbolic link"
    placed = _placed(entry.path)
    if placed and "/" not in placed and placed.endswith(".pth"):
        return f"{entry.path!r} would be run at every start of Python"
    if _top_level(entry.path) in _RUN_AT_START:
        return f"{entry.path!r} would be run at every start of Python"
    return ""


def _placed(path: str) -> str:
    """Return where a file goes, relative to the folder; nothing if it is not unpacked."""
    first, _, rest = path.partition("/")
    if not first.endswith(".data"):
        return path
    scheme, _, rest = rest.partition("/")
    return rest if scheme in _UNPACKED_SCHEMES else ""


def _top_level(path: str) -> str:
    """Return the name under which a file can be imported from the top, if it can."""
    first, slash, _ = _placed(path).partition("/")
    if slash:
        return first if first.isidentifier() else ""
    stem, dot, kind = first.partition(".")
    is_module = dot and kind.endswith(("py", "so", "pyc"))
    return stem if is_module and stem.isidentifier() else ""


def _is_package_start(path: str) -> bool:
    parts = _placed(path).split("/")
    return len(parts) == 2 and parts[1].startswith("__init__.")


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)


def _oversize(infos: list[zipfile.ZipInfo]) -> list[str]:
    total = sum(info.file_size for info in infos)
    return [f"it unpacks to {total >> 20} MiB"] if total > LARGEST_BYTES else []


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    placed = _placed(info.filename)
    if not placed:
        return
    target = folder / placed
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, open(target, "xb") as copy:
        shutil.copyfileobj(source, copy)


def fingerprint(folder: Path) -> str:
    """Return a short digest of what lies in a folder, which tells two builds of a version apart."""
    digest = blake2b(digest_size=4)
    with machine_errors():
        for entry in entries_of(folder):
            digest.update(entry.path.encode("utf-8", "surrogateescape") + b"\0")
            digest.update((folder / entry.path).read_bytes())
    return digest.hexdigest()
