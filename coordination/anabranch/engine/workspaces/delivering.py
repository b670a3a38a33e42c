"""Bringing others' files into a workspace while its stream works there.

Each file is replaced in one step, so a reader sees the old content or the new. A file is only
touched if it still is what the stream's last snapshot had, byte for byte, and nobody wrote it just
now; whatever else is there is the stream's, and stays. Everything happens relative to folders
opened on the way down from the workspace, so no link leads out of it. What was brought is written
down beside the run, for the detector of reversals and for the merges to come.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import msgspec

from anabranch.core.deciding.conflicts.reverting import reverts
from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine.git import Git, encode
from anabranch.engine.workspaces.capturing import trusted_git_dir, workspace_view
from anabranch.engine.workspaces.cone import held_in
from anabranch.engine.workspaces.layers.spare import spare_folder_inside
from anabranch.engine.workspaces.names import given_ref
from anabranch.engine.workspaces.objects import (
    Change,
    Drafts,
    ObjectReader,
    changes,
    commit_content,
)
from anabranch.engine.workspaces.records import note_of, write_record
from anabranch.engine.workspaces.refs import keep_ref
from anabranch.engine.workspaces.repository import frozen_view, run_folder
from anabranch.engine.workspaces.union import Leaf, apply_leaves, leaves_of
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository
from anabranch.files import replace_whole, write_fresh
from anabranch.plain_files import LARGE_FILE_BYTES, NotPlain, read_if_there, read_plain
from anabranch.shortage import is_short
from anabranch.undecodable import UNDECODABLE

QUIET_SECONDS = 2.0
MOMENT_SECONDS, BETWEEN_MOMENTS_SECONDS = 0.03, 0.05
"""How long files are brought while a stream is kept still, and how long it then gets on."""

KEPT_VERSIONS = 4
"""Of a file that is brought again and again, this many versions are remembered."""

_UNFINISHED = (
    *("index.lock", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"),
    *("rebase-merge", "rebase-apply", "sequencer"),
)
_FILES = ("100644", "100755")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CONVERTING = ("filter", "text", "eol", "ident", "crlf", "working-tree-encoding")


Moment = Callable[[], AbstractContextManager[bool]]
"""Keeps a stream still while it is entered; says whether that was to be had."""


class Version(msgspec.Struct, frozen=True):
    """A file as it was and became when it was brought; None: there was no file."""

    before: str | None
    after: str | None
    before_mode: str = ""
    after_mode: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """What was brought, what was not, and what the workspace was given and is known to hold."""

    files: int
    removed: int
    left_alone: tuple[str, ...]
    given_tree: str
    known_tree: str


def why_busy(workspace: PreparedWorkspace) -> str | None:
    """Return what git is in the middle of in a workspace, or None. Raises GitError."""
    git_dir = trusted_git_dir(workspace)
    found = next((name for name in _UNFINISHED if os.path.lexists(git_dir / name)), None)
    return f"git is at work there ({found})" if found else None


def to_bring(
    repo: Repository, at: PreparedWorkspace, snapshot: str, merged: str, withheld: Collection[str]
) -> list[Change]:
    """Return the files in which a checkpoint differs from a stream's snapshot, removals first.

    What a workspace that is a part does not hold stays as it is there.
    """
    listed = changes(frozen_view(repo, at.run), snapshot, merged)
    is_held = held_in(at.path, at.git_dir)
    wanted = [c for c in listed if c.path not in withheld and is_held(c.path)]
    return sorted(wanted, key=lambda c: (c.after is not None, -c.path.count("/"), c.path))


def bring(
    repo: Repository,
    workspace: PreparedWorkspace,
    wanted: Sequence[Change],
    snapshot: str,
    quiet_seconds: float = QUIET_SECONDS,
    moment: Moment | None = None,
) -> Delivery:
    """Bring files into a workspace and note them; what cannot be brought is left alone.

    ``snapshot`` is the tree of the stream's snapshot that the checkpoint was merged from. A file
    that was written less than ``quiet_seconds`` ago is left alone. With a ``moment`` files are only
    brought inside of one, a few at a time. Done again after an interruption it comes to the same.
    """
    run = workspace.run
    git = workspace_view(repo, workspace)
    brought: list[Change] = []
    left_alone: list[str] = []
    converted = _converted(git, [change.path for change in wanted])
    with (
        _spare_folder(repo, workspace) as spare,
        _Hands(git, workspace, spare, quiet_seconds) as hands,
    ):
        for few in _in_moments(wanted, moment):
            for change, is_still in few:
                done = is_still and hands.bring(change, change.path in converted)
                (brought.append(change) if done else left_alone.append(change.path))
    given = _given(repo, run, workspace.start_tree, snapshot, brought)
    known = _overlaid(repo, run, snapshot, brought)
    _keep(repo, workspace, given, known)
    _note(repo, workspace, brought)
    write_record(repo, msgspec.structs.replace(workspace, start_tree=given))
    removed = sum(change.after is None for change in brought)
    return Delivery(len(brought) - removed, removed, tuple(left_alone), given, known)


def _in_moments(
    wanted: Sequence[Change], moment: Moment | None
) -> Iterator[Iterator[tuple[Change, bool]]]:
    """Yield the changes, few at a time, each with whether now is the time for it."""
    waiting = deque(wanted)
    if moment is None:
        yield ((change, True) for change in wanted)
        return
    while waiting:
        with moment() as is_still:
            yield _for_a_moment(waiting, is_still)
        time.sleep(BETWEEN_MOMENTS_SECONDS if waiting else 0.0)


def _for_a_moment(waiting: deque[Change], is_still: bool) -> Iterator[tuple[Change, bool]]:
    until = time.monotonic() + MOMENT_SECONDS
    yield waiting.popleft(), is_still
    while waiting and time.monotonic() < until:
        yield waiting.popleft(), is_still


def _given(
    repo: Repository, run: RunId, given: str, snapshot: str, brought: Sequence[Change]
) -> str:
    """Return the tree of what others brought, all in all: never with the stream's own changes.

    In a file that the stream had changed too, only what the checkpoint added counts; where that
    cannot be told apart, the whole file goes on counting as the stream's.
    """
    git, drafts = frozen_view(repo, run), Drafts(repo.object_format)
    own = {c.path: c.before for c in changes(git, given, snapshot)}
    leaves: list[Leaf] = []
    with ObjectReader(git) as reader, tempfile.TemporaryDirectory(prefix="anabranch-") as folder:
        for change in brought:
            if change.path not in own:
                leaves.append(Leaf(change.path, change.after_mode, change.after))
                continue
            sides = (own[change.path], change.before, change.after)
            merged = _merged(git, Path(folder), [_blob(reader, side) for side in sides])
            if merged is not None:
                leaves.append(Leaf(change.path, change.after_mode, drafts.add("blob", merged)))
    drafts.store(git)
    return overlaid(repo, run, given, leaves)


def _merged(git: Git, folder: Path, sides: Sequence[bytes | None]) -> bytes | None:
    """Return three versions of a text in one, or None if they do not merge."""
    files = [folder / name for name in ("ours", "base", "theirs")]
    for file, content in zip(files, sides, strict=True):
        if content is None or b"\0" in content:
            return None
        file.write_bytes(content)
    answer = git.run("merge-file", "-p", "-q", *map(str, files), accept=tuple(range(256)))
    return answer.out if answer.exit_code == 0 else None


def _overlaid(repo: Repository, run: RunId, tree: str, brought: Sequence[Change]) -> str:
    return overlaid(repo, run, tree, list(leaves_of(brought)))


def overlaid(repo: Repository, run: RunId, tree: str, leaves: Sequence[Leaf]) -> str:
    """Return the tree with these paths set or removed."""
    if not leaves:
        return tree
    git, drafts = frozen_view(repo, run), Drafts(repo.object_format)
    with ObjectReader(git) as reader:
        made = apply_leaves(reader, drafts, tree, leaves)
    drafts.store(git)
    return made


def with_paths_of(repo: Repository, run: RunId, tree: str, other: str, paths: list[str]) -> str:
    """Return the tree with some paths as another one has them."""
    if not paths:
        return tree
    wanted = set(paths)
    differing = [c for c in changes(frozen_view(repo, run), tree, other) if c.path in wanted]
    return _overlaid(repo, run, tree, differing)


def _keep(repo: Repository, workspace: PreparedWorkspace, given: str, known: str) -> None:
    """Let one ref keep both trees."""
    drafts = Drafts(repo.object_format)
    content = commit_content(given, (), "What was brought", int(time.time()))
    first = drafts.add("commit", content)
    last = drafts.add("commit", commit_content(known, (first,), "What is known", int(time.time())))
    drafts.store(frozen_view(repo, workspace.run))
    keep_ref(repo, given_ref(workspace.run, workspace.stream, workspace.attempt), last)


# --- one file ------------------------------------------------------------------------------------


class _Hands:
    """Puts files into one workspace, relative to opened folders only."""

    def __init__(
        self, git: Git, workspace: PreparedWorkspace, spare: int, quiet_seconds: float
    ) -> None:
        self._git, self._quiet_seconds = git, quiet_seconds
        self._algorithm = "sha1" if len(workspace.start_tree) == 40 else "sha256"
        self._reader = ObjectReader(git)
        self._root = os.open(workspace.path, _FOLDER)
        self._spare = spare

    def __enter__(self) -> _Hands:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__(None, None, None)
        os.close(self._root)

    def bring(self, change: Change, is_converted: bool) -> bool:
        """Bring one file; False if something else stands there, or it is of no kind for this."""
        parts = change.path.split("/")
        modes = [m for m, blob in _sides(change) if blob is not None]
        if any(not _is_plain_name(part) for part in parts) or parts[0] == ".anabranch":
            return False
        if any(mode not in _FILES for mode in modes):
            return False
        try:
            with self._folder(parts[:-1], make=change.after is not None) as folder:
                return self._bring(folder, parts[-1], change, is_converted)
        except FileNotFoundError:
            return change.after is None
        except OSError as error:
            if is_short(error.errno):
                raise
            return False
        finally:
            if change.after is None:
                self._tidy(parts[:-1])

    def _bring(self, folder: int, name: str, change: Change, is_converted: bool) -> bool:
        seen = _stat(folder, name)
        if seen is None:
            if change.after is None:
                return True
            return change.before is None and self._put(folder, name, change, None, is_converted)
        if not stat.S_ISREG(seen.st_mode):
            return False
        content = _read(folder, name)
        if self._is(content, change.after, change.path, is_converted):
            return True
        if not self._is(content, change.before, change.path, is_converted):
            return False
        if time.time() - seen.st_mtime < self._quiet_seconds or _identity(folder, name) != _key(
            seen
        ):
            return False
        if change.after is None:
            os.unlink(name, dir_fd=folder)
            return True
        return self._put(folder, name, change, seen, is_converted)

    def _put(
        self, folder: int, name: str, change: Change, seen: os.stat_result | None, converted: bool
    ) -> bool:
        content = self._content(change, converted)
        if content is None:
            return False
        temporary = secrets.token_hex(8)
        mode = _mode(seen, change.after_mode)
        try:
            write_fresh(temporary, content, at=self._spare, exact_mode=mode)
            if seen is None:  # a link never replaces what was made there meanwhile
                os.link(temporary, name, src_dir_fd=self._spare, dst_dir_fd=folder)
                return True
            if _identity(folder, name) != _key(seen):
                return False
            os.rename(temporary, name, src_dir_fd=self._spare, dst_dir_fd=folder)
            return True
        except FileExistsError:
            return False
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self._spare)

    def _content(self, change: Change, is_converted: bool) -> bytes | None:
        if change.after is None:
            return None
        if is_converted:
            return self._git.run("cat-file", "--filters", f"--path={change.path}", change.after).out
        found = self._reader.read(change.after)
        return found[1] if found else None

    def _is(self, content: bytes, blob: str | None, path: str, is_converted: bool) -> bool:
        if blob is None:
            return False
        head = f"blob {len(content)}\0".encode()
        if hashlib.new(self._algorithm, head + content).hexdigest() == blob:
            return True
        if not is_converted:
            return False
        asked = ("hash-object", "--stdin", f"--path={path}")
        return self._git.run(*asked, stdin=content).text == blob

    @contextmanager
    def _folder(self, parts: Sequence[str], *, make: bool) -> Iterator[int]:
        at = os.dup(self._root)
        try:
            for part in parts:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o777, dir_fd=at)
                inner = os.open(part, _FOLDER, dir_fd=at)
                os.close(at)
                at = inner
            yield at
        finally:
            os.close(at)

    def _tidy(self, parts: Sequence[str]) -> None:
        """Remove the folders that a removal has left empty, as git does."""
        for depth in range(len(parts), 0, -1):
            try:
                with self._folder(parts[: depth - 1], make=False) as folder:
                    os.rmdir(parts[depth - 1], dir_fd=folder)
            except OSError:
                return


def _sides(change: Change) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
    return (change.before_mode, change.before), (change.after_mode, change.after)


def _is_plain_name(part: str) -> bool:
    return part not in ("", ".", "..") and part.lower() != ".git" and "\0" not in part


def _stat(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(encode(name), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _key(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size


def _identity(folder: int, name: str) -> tuple[int, ...] | None:
    seen = _stat(folder, name)
    return _key(seen) if seen else None


def _read(folder: int, name: str) -> bytes:
    return read_plain(name, LARGE_FILE_BYTES, at=folder)


def _mode(seen: os.stat_result | None, mode: str) -> int:
    is_executable = mode == "100755"
    if seen is None:
        return 0o755 if is_executable else 0o644
    kept = stat.S_IMODE(seen.st_mode) & ~0o111
    return kept | ((kept & 0o444) >> 2) if is_executable else kept


def _converted(git: Git, paths: Sequence[str]) -> set[str]:
    """Return the paths whose files are not the bytes of their blobs."""
    if not paths:
        return set()
    if git.run("config", "core.autocrlf", accept=(0, 1)).text in ("true", "input"):
        return set(paths)
    asked = b"".join(encode(path) + b"\0" for path in paths)
    answer = git.run("check-attr", "-z", "--stdin", *_CONVERTING, stdin=asked)
    fields = iter(answer.fields)
    rows = zip(fields, fields, fields, strict=True)
    return {path for path, _, value in rows if value not in ("unspecified", "unset")}


@contextmanager
def _spare_folder(repo: Repository, workspace: PreparedWorkspace) -> Iterator[int]:
    """Give a folder where nobody looks, for files that are about to be renamed into place.

    Nothing can be renamed into layers from outside, so there it lies inside.
    """
    if workspace.layers is not None:
        with spare_folder_inside(workspace.path) as folder:
            yield folder
        return
    path = run_folder(repo, workspace.run) / "delivering"
    path.mkdir(exist_ok=True)
    folder = os.open(path, _FOLDER)
    try:
        yield folder
    finally:
        os.close(folder)


# --- what was brought, and taken back ------------------------------------------------------------


def _log_path(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Path:
    return note_of(run_folder(repo, run) / "delivered", stream, attempt)


def brought_to(
    repo: Repository, run: RunId, stream: StreamId, attempt: Attempt
) -> dict[str, list[Version]]:
    """Return every file that was brought into an attempt's workspace, its versions in order."""
    try:
        text = read_if_there(_log_path(repo, run, stream, attempt), LARGE_FILE_BYTES)
        return msgspec.json.decode(text or b"{}", type=dict[str, list[Version]])
    except (NotPlain, *UNDECODABLE):
        return {}


def _note(repo: Repository, workspace: PreparedWorkspace, brought: Sequence[Change]) -> None:
    known = brought_to(repo, workspace.run, workspace.stream, workspace.attempt)
    for change in brought:
        version = Version(change.before, change.after, change.before_mode, change.after_mode)
        versions = [v for v in known.get(change.path, ()) if v != version]
        known[change.path] = [*versions, version][-KEPT_VERSIONS:]
    path = _log_path(repo, workspace.run, workspace.stream, workspace.attempt)
    path.parent.mkdir(exist_ok=True)
    replace_whole(path, msgspec.json.encode(known))


class Reversal(msgspec.Struct, frozen=True):
    """A file that was written from an old copy: as it was, was brought, and is now."""

    path: str
    version: Version
    now: str | None
    now_mode: str


def reversals(
    repo: Repository, run: RunId, stream: StreamId, attempt: Attempt, known: str, tree: str
) -> tuple[Reversal, ...]:
    """Return the files in which a stream took back what was brought, among those it changed.

    ``known`` is what its workspace was known to hold, ``tree`` what it holds now.
    """
    brought = brought_to(repo, run, stream, attempt)
    if not brought or known == tree:
        return ()
    git = frozen_view(repo, run)
    changed = [c for c in changes(git, known, tree) if c.path in brought]
    with ObjectReader(git) as reader:
        found = [(c, _reversed(reader, c, brought[c.path])) for c in changed]
    return tuple(Reversal(c.path, v, c.after, c.after_mode) for c, v in found if v is not None)


def _reversed(reader: ObjectReader, change: Change, versions: Sequence[Version]) -> Version | None:
    now = _blob(reader, change.after)
    for version in reversed(versions):
        if reverts(_blob(reader, version.before), _blob(reader, version.after), now):
            return version
    return None


def _blob(reader: ObjectReader, name: str | None) -> bytes | None:
    found = reader.read(name) if name else None
    return found[1] if found else None
