"""Which files are taken along: listed by the project or the plan, and ignored by git.

git itself matches both, with the user's own rules. Nothing of what it answers is believed where it
could lead out of the project: each folder on the way is opened without following a link.
"""

from __future__ import annotations

import os
import posixpath
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from anabranch.core.events import Included
from anabranch.core.wording import counted
from anabranch.engine.git import Git, GitError, decode, encode
from anabranch.engine.workspaces.checking import some
from anabranch.engine.workspaces.own_state import own_paths
from anabranch.engine.workspaces.values import Repository
from anabranch.files import write_fresh
from anabranch.hostile_text import utf8_text
from anabranch.plain_files import SMALL_FILE_BYTES, read_if_there

LIST_FILE = ".worktreeinclude"
MOST_NAMED = 20
MOST_FILES = 300_000
MOST_BYTES = 4 << 30
"""More than this is refused: it is not what a workspace begins with, but what one makes in it."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PERMISSIONS = 0o777
"""What a copy has of them: it does not run as somebody else."""

_KIND = 0o170000
_OF_THE_ENGINE = b".anabranch/"


class TooMuchIncluded(GitError):
    """More is listed than a workspace can begin with."""


class IncludedFile(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A file or link as it was found: what it is known again by."""

    path: bytes
    mode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    def is_as(self, found: os.stat_result) -> bool:
        """Say whether a copy of it is as it was made, by its kind, size, permissions and time."""
        same_mode = not (self.mode ^ found.st_mode) & (_KIND | PERMISSIONS)
        return same_mode and (found.st_size, found.st_mtime_ns) == (
            self.size_bytes,
            self.modified_ns,
        )

    @classmethod
    def of(cls, path: bytes, found: os.stat_result) -> IncludedFile:
        """Return a file by what the kernel says of it."""
        times = (found.st_mtime_ns, found.st_ctime_ns)
        return cls(path, found.st_mode, found.st_size, *times, found.st_ino)


class Listing(msgspec.Struct, frozen=True):
    """What is taken along, in order of paths, and in words what is not though it is listed."""

    files: tuple[IncludedFile, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """How much is in the files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def included(self) -> Included:
        """What people hear of it."""
        return included_of(self.files)


class FolderWalk:
    """Opens the folders on the way to paths below a root, following no link; keeps the last open.

    Use it as a context manager. With ``is_making`` folders that are not there are made.
    """

    def __init__(self, root: Path, *, is_making: bool = False) -> None:
        self._is_making = is_making
        self._open: list[tuple[bytes, int]] = [(b"", os.open(root, _FOLDER))]
        self.made: set[bytes] = set()
        """The paths of the folders that were made."""

    def __enter__(self) -> FolderWalk:
        return self

    def __exit__(self, *about: object) -> None:
        for _, descriptor in self._open:
            os.close(descriptor)

    def at(self, folder: bytes) -> int:
        """Return the descriptor of a folder, open until another is asked for. Raises OSError."""
        wanted = folder.split(b"/") if folder else []
        known = [name for name, _ in self._open[1:]]
        same = 0
        while same < len(known) and same < len(wanted) and known[same] == wanted[same]:
            same += 1
        while len(self._open) > same + 1:
            os.close(self._open.pop()[1])
        for name in wanted[same:]:
            self._open.append((name, self._opened(name, self._open[-1][1])))
        return self._open[-1][1]

    def _opened(self, name: bytes, above: int) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=above)
        except FileNotFoundError:
            if not self._is_making:
                raise
        os.mkdir(name, dir_fd=above)
        self.made.add(b"/".join((*(part for part, _ in self._open[1:]), name)))
        return os.open(name, _FOLDER, dir_fd=above)


def list_included(repo: Repository, patterns: Sequence[str]) -> Listing:
    """Return which ignored files of the user's checkout belong into every workspace.

    ``patterns`` are lines besides those of ``.worktreeinclude``, in the syntax of a ``.gitignore``
    at the top of the project. Raises GitError, also if it is more than a workspace can begin with.
    """
    rules = _rules(repo, patterns)
    if not rules.strip():
        return Listing()
    names = _ignored_and_listed(repo, rules)
    own = tuple(encode(path) + b"/" for path in own_paths(repo))
    nested = [decode(name) for name in names if name.endswith(b"/")]
    wanted = [n for n in names if not n.endswith(b"/") and not n.startswith((*own, _OF_THE_ENGINE))]
    files, leading_out, unread = _looked_at(repo.root, wanted)
    said = (
        ("repositories of their own are left out", nested),
        ("links that lead out of the project are left out", leading_out),
        ("what cannot be read is left out", unread),
    )
    left_out = tuple(f"{what}: {some(paths)}" for what, paths in said if paths)
    listing = Listing(tuple(files), left_out)
    _require_bearable(listing)
    return listing


def _rules(repo: Repository, patterns: Sequence[str]) -> bytes:
    try:
        content = read_if_there(repo.root / LIST_FILE, SMALL_FILE_BYTES) or b""
    except OSError as error:
        raise GitError(
            f"{LIST_FILE} cannot be read: {error.strerror}", hint="make it a small text file"
        ) from error
    return content + b"".join(b"\n" + encode(pattern) for pattern in patterns) + b"\n"


def _ignored_and_listed(repo: Repository, rules: bytes) -> list[bytes]:
    """Return what git does not track, ignores, and finds in these rules; folders end in a slash."""
    here = Git(git_dir=repo.checkout_dir, cwd=repo.root).at(work_tree=repo.root)
    with tempfile.TemporaryDirectory(prefix="anabranch-") as made:
        place = os.path.join(made, "rules")
        write_fresh(place, rules)
        listed = here.run("ls-files", "-o", "-i", f"--exclude-from={place}", "-z").out
    if not listed:
        return []
    ignored = here.run("check-ignore", "-z", "--stdin", stdin=listed, accept=(0, 1)).out
    return sorted(name for name in ignored.split(b"\0") if name)


def _looked_at(
    root: Path, paths: Iterable[bytes]
) -> tuple[list[IncludedFile], list[str], list[str]]:
    """Return files and links as they are, and which paths are links that lead out, or not there."""
    files, leading_out, unread = list[IncludedFile](), list[str](), list[str]()
    real_root = os.fsencode(os.path.realpath(root))
    with FolderWalk(root) as walk:
        for path in paths:
            folder, _, name = path.rpartition(b"/")
            try:
                at = walk.at(folder)
                found = os.stat(name, dir_fd=at, follow_symlinks=False)
                is_link = stat.S_ISLNK(found.st_mode)
                target = os.readlink(name, dir_fd=at) if is_link else b""
            except OSError:
                unread.append(decode(path))
                continue
            if is_link and leads_out(real_root, folder, target):
                leading_out.append(decode(path))
            elif is_link or stat.S_ISREG(found.st_mode):
                files.append(IncludedFile.of(path, found))
    return files, leading_out, unread


def leads_out(real_root: bytes, folder: bytes, target: bytes) -> bool:
    """Say whether a link in a folder of the project leads out of it, or into git's own folder."""
    if target.startswith(b"/"):
        return True
    inside = posixpath.normpath(posixpath.join(folder, target))
    if inside.split(b"/", 1)[0] in (b"..", b".git"):
        return True
    real = os.path.realpath(os.path.join(real_root, folder, target))
    return real != real_root and not real.startswith(real_root.rstrip(b"/") + b"/")


def _require_bearable(listing: Listing) -> None:
    """Raise GitError if so much is listed that no workspace can begin with it."""
    count, size_bytes = len(listing.files), listing.size_bytes
    if count <= MOST_FILES and size_bytes <= MOST_BYTES:
        return
    largest = some(_largest_folders(listing.files))
    raise TooMuchIncluded(
        f"{counted(count, 'file')} of {size_bytes >> 20} MB are to be taken along into workspaces, "
        f"and at most {MOST_FILES} files of {MOST_BYTES >> 20} MB can be",
        hint=f"name less in {LIST_FILE} or `include` (most is in {largest}): what is built or "
        "installed is better made anew in a workspace",
    )


def _largest_folders(files: Iterable[IncludedFile]) -> Iterator[str]:
    """Yield the topmost folders (or files), those with the most in them first."""
    sizes: dict[bytes, int] = {}
    for file in files:
        top = file.path.partition(b"/")[0]
        sizes[top] = sizes.get(top, 0) + file.size_bytes
    yield from (decode(top) for top in sorted(sizes, key=lambda top: -sizes[top]))


def included_of(files: Sequence[IncludedFile]) -> Included:
    """Return what people hear of files that are taken along."""
    paths = tuple(utf8_text(decode(file.path)) for file in files[:MOST_NAMED])
    size_bytes = sum(file.size_bytes for file in files)
    return Included(files=len(files), size_bytes=size_bytes, paths=paths)


def folders_of(paths: Iterable[bytes]) -> list[bytes]:
    """Return the folders that paths lie in, and those above, in order."""
    found: set[bytes] = set()
    for path in paths:
        at = path.rpartition(b"/")[0]
        while at and at not in found:
            found.add(at)
            at = at.rpartition(b"/")[0]
    return sorted(found)
