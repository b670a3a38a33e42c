"""A part of a large repository: some folders, and the files beside the way to them.

A stream that has ``paths`` finds those alone. To git it is a sparse checkout in cone mode, so that
it works inside, and what is not there is not removed. Source: git-sparse-checkout(1), "INTERNALS".
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

from msgspec.structs import replace

from anabranch.core.ids import RunId
from anabranch.engine.git import Git
from anabranch.engine.workspaces.repository import copy_files, frozen_view, run_folder
from anabranch.engine.workspaces.settings import Setting, write_settings
from anabranch.engine.workspaces.values import Repository
from anabranch.files import replace_whole
from anabranch.plain_files import LARGE_FILE_BYTES, read_if_there

_SETTINGS: tuple[Setting, ...] = (
    ("core.sparsecheckout", "true"),
    ("core.sparsecheckoutcone", "true"),
)
_PATTERNS = "info/sparse-checkout"
_ABOVE = re.compile(r"!/.+/\*/")
_SPECIAL = re.compile(r"([\\*?\[])")


def patterns_of(paths: Sequence[str]) -> bytes:
    """Return what git keeps of folders in cone mode; one that lies in another adds nothing."""
    wanted = sorted({path.strip("/") for path in paths})
    leaves = [path for path in wanted if not any(path.startswith(f"{one}/") for one in wanted)]
    above = {path[:at] for path in leaves for at in _ends_of_folders(path)}
    lines = ["/*", "!/*/"]
    for path in sorted({*leaves, *above}):
        written = _SPECIAL.sub(r"\\\1", path)
        lines.append(f"/{written}/")
        if path not in leaves:
            lines.append(f"!/{written}/*/")
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _ends_of_folders(path: str) -> list[int]:
    return [at for at, letter in enumerate(path) if letter == "/"]


def name_of_cone(paths: Sequence[str]) -> str:
    """Return a short name of a part; nothing if it is the whole."""
    return blake2b(patterns_of(paths), digest_size=6).hexdigest() if paths else ""


def held_in(root: Path, git_dir: Path | None) -> Callable[[str], bool]:
    """Return what says whether a workspace holds a path: it lies in its part, or it is there.

    The part is what git there says by now, for a stream may bring more. Where it does not say it in
    cone mode, everything is held.
    """
    said = read_if_there(git_dir / _PATTERNS, LARGE_FILE_BYTES) if git_dir is not None else None
    if said is None:
        return lambda _: True
    written = said.decode("utf-8", "surrogateescape").splitlines()
    whole = {_unquoted(line) for line in written if line.startswith("/") and line.endswith("/")}
    above = {_unquoted(line[1:-2]) for line in written if _ABOVE.fullmatch(line)}
    if not {"/*", "!/*/"} <= set(written):
        return lambda _: True
    leaves = whole - above

    def is_held(path: str) -> bool:
        folder = f"/{path.rpartition('/')[0]}/".replace("//", "/")
        is_inside = folder == "/" or folder in above or any(map(folder.startswith, leaves))
        return is_inside or os.path.lexists(root / path)

    return is_held


def _unquoted(line: str) -> str:
    return re.sub(r"\\(.)", r"\1", line)


def view_of(repo: Repository, run: RunId, paths: Sequence[str]) -> Git:
    """Return the frozen view, which checks out no more than a part if paths are given."""
    git = frozen_view(repo, run)
    if not paths:
        return git
    assert git.git_dir is not None
    place = run_folder(repo, run) / f"cone-{name_of_cone(paths)}"
    if not place.is_dir():
        _make(git.git_dir, place, paths)
    return replace(git, git_dir=place, settings=(*git.settings, *_SETTINGS))


def _make(frozen: Path, place: Path, paths: Sequence[str]) -> None:
    made = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        copy_files(frozen, made)
        (made / "info").mkdir(exist_ok=True)
        replace_whole(made / _PATTERNS, patterns_of(paths))
        made.rename(place)
    except OSError:
        if not place.is_dir():  # somebody else has made it meanwhile
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def confine(git_dir: Path, paths: Sequence[str]) -> None:
    """Have a stream's own git know that its workspace is a part, and which one."""
    (git_dir / "info").mkdir(exist_ok=True)
    replace_whole(git_dir / _PATTERNS, patterns_of(paths), mode=0o666)
    write_settings(git_dir / "config", _SETTINGS)
