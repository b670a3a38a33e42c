"""The frozen copies of what is taken along: made once, named by what they were made of.

A run notes which of them are its own when it begins, so that all its streams get the same files,
whatever becomes of those in the user's checkout meanwhile. The same files in the next run are the
same copies.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import msgspec

from anabranch.core.events import Included
from anabranch.core.ids import RunId
from anabranch.core.wording import listing, size
from anabranch.engine.caches import LOCK, mark_used
from anabranch.engine.git import GitError, decode, repository_lock
from anabranch.engine.workspaces.checking import some
from anabranch.engine.workspaces.including.copying import Copier
from anabranch.engine.workspaces.including.listing import (
    FolderWalk,
    IncludedFile,
    folders_of,
    included_of,
    list_included,
)
from anabranch.engine.workspaces.repository import run_folder
from anabranch.engine.workspaces.values import Repository
from anabranch.files import replace_whole
from anabranch.plain_files import (
    LARGE_FILE_BYTES,
    SMALL_FILE_BYTES,
    NotPlain,
    copy_plain,
    read_if_there,
    read_plain,
)

MUCH_BYTES = 100 << 20
_SPARE_BYTES = 64 << 20
_NOTE, _MANIFEST = "included.json", "included.manifest"


class FrozenFiles(msgspec.Struct, frozen=True):
    """The copies below ``folder``, by path as they were found; ``stamps`` are of their folders.

    One that ``takes_no_room`` says that this file system can have copies share their blocks.
    """

    folder: Path
    files: Mapping[bytes, IncludedFile]
    stamps: Mapping[bytes, int]
    takes_no_room: bool = False


class _Manifest(msgspec.Struct, frozen=True):
    """What is written beside the copies: the files, and when folders were changed, in ns."""

    files: tuple[IncludedFile, ...]
    stamps: dict[bytes, int]
    takes_no_room: bool = False


class _Note(msgspec.Struct, frozen=True):
    """Which frozen copies a run has, "" for none, and what people hear of them."""

    name: str
    included: Included = Included()
    warnings: tuple[str, ...] = ()


def include_ignored(
    repo: Repository, run: RunId, patterns: Sequence[str], *, by_layers: bool
) -> tuple[Included, tuple[str, ...]]:
    """Freeze what is taken along into every workspace of a run; return that, and warnings.

    Args:
        repo: the project.
        run: the run; asked again for it, what was returned before is returned.
        patterns: lines besides those of ``.worktreeinclude``.
        by_layers: whether workspaces show the frozen copies, and have none of their own.

    Raises GitError, OSError.
    """
    note = _noted(repo, run)
    if note is None:
        note = _frozen(repo, patterns, by_layers)
        run_folder(repo, run).mkdir(parents=True, exist_ok=True)
        if note.name:
            _keep_manifest(frozen_folder(repo) / note.name / "manifest", run_folder(repo, run))
        replace_whole(run_folder(repo, run) / _NOTE, msgspec.json.encode(note), synced=True)
    return note.included, note.warnings


def included_in(repo: Repository, run: RunId) -> FrozenFiles | None:
    """Return what every workspace of a run gets besides what git has; None if there is nothing."""
    note = _noted(repo, run)
    if note is None or not note.name:
        return None
    return _read(frozen_folder(repo) / note.name / "files", run_folder(repo, run) / _MANIFEST)


def frozen_folder(repo: Repository) -> Path:
    """Return where the frozen copies of a project lie."""
    return repo.store / "included"


def copies_named_in(of_run: Path) -> str:
    """Return which frozen copies a run notes in its part of the store; empty if it has none.

    Raises OSError, ValueError.
    """
    noted = read_if_there(of_run / _NOTE, SMALL_FILE_BYTES)
    return "" if noted is None else msgspec.json.decode(noted, type=_Note).name


def _noted(repo: Repository, run: RunId) -> _Note | None:
    noted = read_if_there(run_folder(repo, run) / _NOTE, SMALL_FILE_BYTES)
    return None if noted is None else msgspec.json.decode(noted, type=_Note)


def _keep_manifest(manifest: Path, folder: Path) -> None:
    """Have a run know what was taken along also when the copies are cleared away one day."""
    place = folder / _MANIFEST
    place.unlink(missing_ok=True)
    try:
        os.link(manifest, place)
    except OSError:  # it has as many names as the disk allows
        copy_plain(manifest, place)


@lru_cache(maxsize=8)
def _read(files_folder: Path, manifest_path: Path) -> FrozenFiles:
    content = read_plain(manifest_path, LARGE_FILE_BYTES)
    manifest = msgspec.msgpack.decode(content, type=_Manifest)
    files = {file.path: file for file in manifest.files}
    return FrozenFiles(files_folder, files, manifest.stamps, manifest.takes_no_room)


def _frozen(repo: Repository, patterns: Sequence[str], by_layers: bool) -> _Note:
    found = list_included(repo, patterns)
    if not found.files:
        return _Note("", Included(), found.left_out)
    name = blake2b(msgspec.msgpack.encode(found.files), digest_size=12).hexdigest()
    folder = frozen_folder(repo) / name
    changed: tuple[str, ...] = ()
    if not folder.is_dir() or not mark_used(folder):
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with repository_lock(folder.parent / LOCK):
            if folder.is_dir():
                os.utime(folder)
            else:
                changed = _freeze(repo, found.files, folder)
    frozen = _read(folder / "files", folder / "manifest")
    warnings = [*found.left_out]
    if not (by_layers or frozen.takes_no_room):
        warnings += _of_much(tuple(frozen.files.values()))
    if changed:
        warnings.append(f"these changed while they were copied: {some(changed)}")
    return _Note(name, included_of(tuple(frozen.files.values())), tuple(warnings))


def _of_much(files: Sequence[IncludedFile]) -> list[str]:
    """Say what it costs to take much along, where each workspace gets a copy."""
    total_bytes = sum(file.size_bytes for file in files)
    if total_bytes < MUCH_BYTES:
        return []
    sizes: dict[bytes, int] = {}
    for file in files:
        top = file.path.partition(b"/")[0]
        sizes[top] = sizes.get(top, 0) + file.size_bytes
    largest = sorted(sizes, key=lambda top: -sizes[top])
    parts = listing((f"{decode(top)} {size(sizes[top])}" for top in largest), 3)
    return [
        f"{size(total_bytes)} are copied into each workspace ({parts}): what is installed or built "
        "(node_modules, dist) is better made there by a command than listed in .worktreeinclude"
    ]


def _freeze(repo: Repository, files: Sequence[IncludedFile], folder: Path) -> tuple[str, ...]:
    """Copy the files; return which of them changed meanwhile."""
    _require_room(folder.parent, files)
    for unfinished in folder.parent.glob(".*-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (made / "files").mkdir()
        copier = Copier()
        with FolderWalk(repo.root) as source, FolderWalk(made / "files", is_making=True) as target:
            found = [_copied(copier, file, source, target) for file in files]
            copies = tuple(file for file in found if file is not None)
            stamps = dict(_stamps(source, folders_of(file.path for file in copies)))
        give_stamps(made / "files", stamps)
        manifest = _Manifest(copies, stamps, copier.copied_bytes == 0)
        replace_whole(made / "manifest", msgspec.msgpack.encode(manifest))
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return tuple(decode(a.path) for a, b in zip(files, found, strict=True) if a != b)


def _stamps(source: FolderWalk, folders: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield when folders were changed, in ns; those that are gone by now have no time."""
    for at in folders:
        with suppress(OSError):
            yield at, os.fstat(source.at(at)).st_mtime_ns


def _copied(
    copier: Copier, file: IncludedFile, source: FolderWalk, target: FolderWalk
) -> IncludedFile | None:
    """Copy a file and return what it was by then; None if it is gone: it was never there."""
    at = file.path.rpartition(b"/")[0]
    try:
        return copier.copy(file, source.at(at), target.at(at))
    except (FileNotFoundError, NotADirectoryError, NotPlain):
        return None


def require_there(frozen: FrozenFiles) -> None:
    """Note that frozen copies are used; raise GitError if they were cleared away."""
    try:
        os.utime(frozen.folder.parent)
    except FileNotFoundError:
        raise GitError(
            "the copies of ignored files that this run began with were cleared away",
            hint="begin a new run: it takes them along as they are now",
        ) from None


def copy_included(repo: Repository, run: RunId, folder: Path) -> None:
    """Copy what a run took along into a folder that is not a stream's. Raises GitError, OSError."""
    frozen = included_in(repo, run)
    if frozen is not None:
        require_there(frozen)
        copy_into(frozen, folder)


def copy_into(frozen: FrozenFiles, folder: Path) -> None:
    """Copy frozen files to where they belong in a workspace, wherever nothing stands there.

    No link in the workspace is followed. Raises OSError.
    """
    copier = Copier()
    with FolderWalk(frozen.folder) as source, FolderWalk(folder, is_making=True) as target:
        for file in frozen.files.values():
            at = file.path.rpartition(b"/")[0]
            with suppress(FileExistsError, NotADirectoryError):
                copier.copy(file, source.at(at), target.at(at))
        made = {at: ns for at, ns in frozen.stamps.items() if at in target.made}
    give_stamps(folder, made)


def _require_room(place: Path, files: Iterable[IncludedFile]) -> None:
    needed, free = sum(file.size_bytes for file in files), shutil.disk_usage(place).free
    if needed + _SPARE_BYTES > free:
        raise GitError(
            f"{size(needed)} are to be taken along into workspaces, and the disk has {size(free)} "
            "left",
            hint="make room, or name less in .worktreeinclude or `include`",
        )


def give_stamps(root: Path, stamps: Mapping[bytes, int]) -> None:
    """Set when folders were changed; npm, for one, goes by that. Raises OSError."""
    with FolderWalk(root) as walk:
        for at in stamps:
            os.utime(walk.at(at), ns=(stamps[at], stamps[at]))
