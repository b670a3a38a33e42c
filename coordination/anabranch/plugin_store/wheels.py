"""Wheels, looked at before anything of them is written, and unpacked without running anything.

A wheel is a zip file that names where its files go, so a hostile one can aim elsewhere: above its
folder, at modules of Python or of the host, at files that Python runs at every start (``.pth``).
Each of these is refused with the name of the file. What is left has to be what the wheel's RECORD
lists, each file by its hash.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec
from installer.sources import WheelFile

from anabranch.errors import PluginRefused, UsageError, machine_errors
from anabranch.hostile_text import escape_for_terminal
from anabranch.plugin_store.facts import facts_folder
from anabranch.plugin_store.host import Host
from anabranch.plugin_store.names import canonical

LARGEST_BYTES = 1 << 30
MOST_ISSUES = 3
NOTHING_CHANGED = "nothing was installed; what was installed before still is"
_BROKEN = "it was damaged, or changed after it was built: fetch or build it again"
_RUN_AT_START = {"sitecustomize", "usercustomize"}
_UNPACKED_SCHEMES = {"purelib", "platlib"}


class Entry(msgspec.Struct, frozen=True):
    """One file of a distribution, by the path it asks for."""

    path: str
    is_link: bool = False


def unpack(wheel: Path, folder: Path, host: Host) -> None:
    """Unpack a wheel into a fresh folder, if nothing is wrong with it.

    Raises, before anything is written, PluginRefused naming every file that is refused, and
    UsageError if the wheel is damaged or does not hold what its RECORD lists.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            entries = [Entry(info.filename, _is_link(info)) for info in infos]
            refuse(wheel.name, [*faults_in(entries, host), *_oversize(infos)])
            _check_metadata(wheel.name, {entry.path for entry in entries})
            source = WheelFile(archive)
            _check_record(wheel, source)
            with machine_errors():
                for (path, _, _), content, _ in source.get_contents():
                    _write(content, path, folder)
    except FileNotFoundError:
        raise UsageError(f"there is no file {str(wheel)!r}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UsageError(f"{wheel.name} is not a wheel, or is damaged: {error}") from None


def check_distribution(wheel: str, name: str) -> None:
    """Raise PluginRefused if a distribution is not the one that its wheel's file name says."""
    if canonical(wheel.split("-")[0]) != canonical(name):
        raise PluginRefused(f"{wheel} holds another distribution: {canonical(name)}")


def _check_metadata(wheel: str, paths: Collection[str]) -> None:
    facts = facts_folder({path.split("/")[0] for path in paths}, wheel)
    check_distribution(wheel, facts.removesuffix(".dist-info").rpartition("-")[0])
    if f"{facts}/RECORD" not in paths:
        raise UsageError(f"{wheel} has no RECORD, which lists its files", _BROKEN)


def _check_record(wheel: Path, source: WheelFile) -> None:
    """Raise UsageError if a file differs from its hash in RECORD, or is not listed there."""
    try:
        source.validate_record()
    except source.validation_error as error:
        issues = getattr(error, "issues", [str(error)])
        shown = [escape_for_terminal(issue.removeprefix(f"In {wheel}, ")) for issue in issues]
        more = f"; and {len(shown) - MOST_ISSUES} more" if len(shown) > MOST_ISSUES else ""
        raise UsageError(
            f"{wheel.name} is not what its RECORD says: {'; '.join(shown[:MOST_ISSUES])}{more}",
            _BROKEN,
        ) from None
    except TypeError as error:  # a hash whose length is free, as of shake_128
        raise UsageError(
            f"{wheel.name} has a RECORD that cannot be checked: {error}", _BROKEN
        ) from None


def refuse(what: str, faults: Iterable[str]) -> None:
    """Raise PluginRefused if there are faults, naming each of them."""
    listed = list(faults)
    if listed:
        raise PluginRefused(f"{what} is refused: {'; '.join(listed)}", NOTHING_CHANGED)


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


def _write(content: BinaryIO, path: str, folder: Path) -> None:
    placed = _placed(path)
    if not placed:
        return
    target = folder / placed
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as copy:
        shutil.copyfileobj(content, copy)


def fingerprint(folder: Path) -> str:
    """Return a short digest of what lies in a folder, which tells two builds of a version apart."""
    digest = blake2b(digest_size=4)
    with machine_errors():
        for entry in entries_of(folder):
            digest.update(entry.path.encode("utf-8", "surrogateescape") + b"\0")
            digest.update((folder / entry.path).read_bytes())
    return digest.hexdigest()
