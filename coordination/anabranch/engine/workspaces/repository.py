"""Opening the user's project, and the engine's own view of it.

Streams share ``.git/config`` with the user, so by the time a run merges, that file may name any
program as a filter or a merge driver. When a run begins we therefore write down the configuration
as it is and make a git directory of our own with it: the frozen view. It has no refs and no
objects; it borrows the repository's object store. Whatever the live configuration says later, the
engine's captures, checkouts and merges never read it. A second frozen view, *raw*, stores bytes as
they are, without any conversion; rescues use it.

A folder that is not a repository gets an internal store that plays the repository's part, so one
code path serves both.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anabranch.core.ids import RunId
from anabranch.engine.git import Answer, Git, GitError, decode, repository_lock
from anabranch.engine.workspaces.accepting import (
    Followed,
    follow,
    shared_files,
    starts_programs,
)
from anabranch.engine.workspaces.settings import (
    Listed,
    Setting,
    checkout_settings,
    disk_settings,
    for_the_engine,
    sparse_settings,
    write_settings,
)
from anabranch.engine.workspaces.settings_now import settings_now
from anabranch.engine.workspaces.values import Repository
from anabranch.files import replace_whole
from anabranch.plain_files import LARGE_FILE_BYTES, copy_plain, read_if_there

_KINDS = ("--is-bare-repository", "--is-inside-git-dir", "--show-object-format")
_PLACES = ("--path-format=absolute", "--show-toplevel", "--git-common-dir", "--git-dir")
_RAW_ATTRIBUTES = "* -text -filter -ident -working-tree-encoding -eol\n"
_EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
_PLAIN_CONFIG = (
    ("core.autocrlf", "false"),
    ("core.compression", "1"),
    ("core.fileMode", "true"),
    ("gc.auto", "0"),
)


def open_repository(folder: Path, store: Path, lock_path: Path) -> Repository:
    """Open the project at ``folder``: a git repository, or any plain folder.

    ``store`` is a folder of the engine's own, outside the project, where private indexes, frozen
    configurations and a plain folder's history lie; ``lock_path`` the file that serialises git
    across processes. Raises GitError for a missing folder and for a bare repository.
    """
    if not folder.is_dir():
        raise GitError(f"{folder} is not a folder", hint="name an existing project folder")
    folder = folder.resolve()
    finder = Git(cwd=folder)
    at_once = _lines_of(finder.run("rev-parse", *_KINDS, *_PLACES, accept=(0, 128)))
    if len(at_once) == len(_KINDS) + len(_PLACES) - 1:
        kinds, places = at_once[: len(_KINDS)], at_once[len(_KINDS) :]
    else:
        answer = finder.run("rev-parse", *_KINDS, accept=(0, 128))
        if answer.exit_code and b"not a git repository" not in answer.err:
            finder.run("rev-parse", *_KINDS)
        if answer.exit_code:
            _require_no_repository(folder)
            return _open_plain(folder, store, lock_path)
        kinds, places = _lines_of(answer), []
    bare, inside, object_format = kinds
    if "true" in (bare, inside):
        raise GitError(
            f"{folder} is a bare repository or a git directory, with no files to work on",
            hint="run in a checkout of it (git clone or git worktree add)",
        )
    root, common, checkout = places or _places(finder)
    if not folder.is_relative_to(root):
        raise GitError(
            f"the files of the repository at {folder} are in {root} (core.worktree says so)",
            hint=f"run in a checkout of it: git worktree add DIR, or git clone {folder} DIR",
        )
    return Repository(
        kind="git",
        root=Path(root),
        git_dir=Path(common),
        checkout_dir=Path(checkout),
        prefix="" if folder == Path(root) else folder.relative_to(root).as_posix(),
        store=store,
        lock_path=lock_path,
        object_format=object_format,
    )


def _require_no_repository(folder: Path) -> None:
    """Raise GitError for a folder that was a repository, and that git no longer takes for one.

    As a plain folder it would lose its history on the way, without a word.
    """
    inside = folder / ".git"
    if inside.is_dir() and any(inside.iterdir()):
        raise GitError(
            f"{inside} is there, but git takes it for no repository",
            hint="git fsck says what is damaged; to work on the files alone, move .git away",
        )


def _places(finder: Git) -> list[str]:
    """Return the top of the checkout, the repository's git directory and the checkout's own.

    git has no other way to end a path here than a line feed, which a path may hold as well; so
    where several answers do not come apart, each is asked for by itself.
    """
    absolute, *asked = _PLACES
    return [
        decode(finder.run("rev-parse", absolute, each).out).removesuffix("\n") for each in asked
    ]


def _lines_of(answer: Answer) -> list[str]:
    return [] if answer.exit_code else decode(answer.out).removesuffix("\n").split("\n")


def _open_plain(folder: Path, store: Path, lock_path: Path) -> Repository:
    git_dir = store / "folder.git"
    with repository_lock(lock_path):
        if not git_dir.is_dir():
            with _building(git_dir) as made:
                _init(made, "sha1")
                _configure(made, [*_PLAIN_CONFIG, ("core.bare", "true")], _RAW_ATTRIBUTES, "")
    return Repository("plain", folder, git_dir, git_dir, "", store, lock_path)


def live_view(repo: Repository) -> Git:
    """Return the repository as it is configured now; only for commands that run no program."""
    return Git(git_dir=repo.git_dir, cwd=repo.git_dir)


def frozen_view(repo: Repository, run: RunId) -> Git:
    """Return the repository's objects with the configuration of when the run began."""
    return _view(repo, run, "frozen")


def raw_view(repo: Repository, run: RunId) -> Git:
    """Return the repository's objects with no conversion of file contents at all."""
    return _view(repo, run, "raw")


def _view(repo: Repository, run: RunId, name: str) -> Git:
    git_dir = run_folder(repo, run) / name
    if not git_dir.is_dir():
        freeze_configuration(repo, run)
    return Git(git_dir=git_dir, objects=repo.git_dir / "objects", frozen=True, cwd=git_dir)


def checkout_view(repo: Repository, run: RunId, listed: Listed | None = None) -> Git:
    """Return the frozen view over the user's own files, as their disk and sparse checkout are.

    Both are looked at anew, unless the settings are given: the user may have changed what the
    checkout holds since the run began.
    """
    git = frozen_view(repo, run).at(work_tree=repo.root)
    if repo.kind == "plain":
        return git
    listed = checkout_settings(repo) if listed is None else listed
    git = replace(git, settings=tuple(disk_settings(repo, listed)))
    sparse = sparse_settings(listed)
    if not sparse:
        return git
    assert git.git_dir is not None
    cone = run_folder(repo, run) / "cone"
    shutil.rmtree(cone, ignore_errors=True)
    cone.mkdir()
    copy_files(git.git_dir, cone)
    patterns = read_if_there(repo.checkout_dir / "info" / "sparse-checkout", LARGE_FILE_BYTES)
    replace_whole(cone / "info" / "sparse-checkout", patterns or b"")
    return replace(git, git_dir=cone, settings=(*git.settings, *sparse))


def copy_files(folder: Path, target: Path) -> None:
    """Copy what lies below a folder of ours into another one."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), target / entry.name)
            elif entry.is_dir():
                (target / entry.name).mkdir()
                copy_files(Path(entry.path), target / entry.name)
            else:
                copy_plain(Path(entry.path), target / entry.name)


def run_folder(repo: Repository, run: RunId) -> Path:
    """Return the engine's own files about one run in this repository."""
    return repo.store / "runs" / run


def empty_tree(repo: Repository) -> str:
    """Return the id of the tree with nothing in it."""
    return _EMPTY_TREE[repo.object_format]


def freeze_configuration(repo: Repository, run: RunId) -> None:
    """Record the repository's configuration for the run, once; later calls change nothing."""
    folder = run_folder(repo, run)
    folder.mkdir(parents=True, exist_ok=True)
    with repository_lock(folder / "freezing.lock"):
        if (folder / "frozen").is_dir():
            return
        remove_unfinished(folder)
        (folder / "empty").mkdir(exist_ok=True)
        (folder / "index").mkdir(exist_ok=True)
        listed = checkout_settings(repo)
        _write_note(folder / "settings.json", (listed, shared_files(repo)))
        followed = follow(repo, listed)
        _write_note(folder / "followed.json", msgspec.to_builtins(followed))
        settings, attributes = for_the_engine(followed.settings), followed.attributes
        with _building(folder / "frozen") as made:
            _make_view(repo, run, made, settings, attributes)
            _require_usable(made)
            if not (folder / "raw").is_dir():
                with _building(folder / "raw") as raw:
                    _make_view(repo, run, raw, settings, _RAW_ATTRIBUTES)


def remove_unfinished(folder: Path) -> None:
    """Remove what an engine was making in a run's folder when it was killed. Under that lock."""
    for unfinished in folder.glob(".*-*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def blank_git_dir(repo: Repository, run: RunId) -> Path:
    """Return an empty git directory to copy; `git init` is a process. Under the freezing lock."""
    blank = run_folder(repo, run) / "blank"
    if not blank.is_dir():
        with _building(blank) as made:
            _init(made, repo.object_format)
    return blank


def followed_by(repo: Repository, run: RunId) -> Followed:
    """Return what a run follows of the settings that the user's checkout had when it began."""
    folder = run_folder(repo, run)
    if not (folder / "frozen").is_dir():
        freeze_configuration(repo, run)
    noted = read_if_there(folder / "followed.json", LARGE_FILE_BYTES)
    if noted is not None:
        return msgspec.convert(json.loads(noted), Followed)
    return Followed(_shared_then(repo, run)[0], "")  # a run of a version that followed everything


def settings_at_start(repo: Repository, run: RunId) -> Listed:
    """Return every setting that held in the user's checkout when the run began."""
    return _shared_then(repo, run)[0]


def changed_settings(repo: Repository, run: RunId) -> tuple[str, ...]:
    """Return the settings and files that can start programs and changed since the run began.

    And of those that say who somebody is: ``git config --global`` reaches every repository.
    """
    if not (run_folder(repo, run) / "settings.json").is_file():
        return ()
    settings, files = _shared_then(repo, run)
    now, files_now = _shared_now(repo)
    changed = {key for _, key, _ in set(settings) ^ set(now) if _is_named(key)}
    if files is not None:
        changed |= {name for name, _ in files.items() ^ files_now.items()}
    return tuple(sorted(changed))


def _is_named(key: str) -> bool:
    return starts_programs(key) or key.startswith(("user.", "author.", "committer."))


def _shared_now(repo: Repository) -> tuple[Listed, dict[str, str]]:
    return settings_now(repo), shared_files(repo)


def _shared_then(repo: Repository, run: RunId) -> tuple[Listed, dict[str, str] | None]:
    """Return settings and digests of files when the run began; earlier versions noted no files."""
    seen = read_if_there(run_folder(repo, run) / "settings.json", LARGE_FILE_BYTES) or b"[]"
    noted = json.loads(seen)
    if len(noted) == 2 and isinstance(noted[1], dict):
        return msgspec.convert(noted, tuple[Listed, dict[str, str]])
    return msgspec.convert(noted, Listed), None


def _write_note(path: Path, content: object) -> None:
    replace_whole(path, json.dumps(content).encode())


@contextmanager
def _building(path: Path) -> Iterator[Path]:
    """Give a folder under a temporary name, which gets its own when all is well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield made
        made.rename(path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _init(made: Path, object_format: str) -> None:
    asked = ("-q", "--bare", "--template=", f"--object-format={object_format}")
    Git(frozen=True, cwd=made).run("init", *asked, str(made))


def _make_view(
    repo: Repository, run: RunId, made: Path, settings: list[Setting], attributes: str
) -> None:
    """Make the git directory of a view of the repository."""
    copy_files(blank_git_dir(repo, run), made)
    _link_shallow(repo, made)
    own = [("lfs.storage", str(repo.git_dir / "lfs")), ("core.bare", "false")]
    excludes = _read_text(repo.git_dir / "info" / "exclude")
    _configure(made, [*settings, *own], attributes, excludes)


def _configure(made: Path, settings: list[Setting], attributes: str, excludes: str) -> None:
    write_settings(made / "config", settings)
    (made / "info").mkdir(exist_ok=True)
    (made / "info" / "attributes").write_text(attributes, "utf-8", "surrogateescape")
    (made / "info" / "exclude").write_text(excludes, "utf-8", "surrogateescape")


def _require_usable(made: Path) -> None:
    """Raise GitError if git does not take the settings, which would be kept as they are."""
    try:
        Git(git_dir=made, frozen=True, cwd=made).run("rev-parse", "--git-dir")
    except GitError as error:
        raise GitError(
            f"git does not take your settings: {error.reason}",
            stderr=error.stderr,
            hint="mend what it names; git config --list --show-origin says where each stands",
        ) from None


def _link_shallow(repo: Repository, git_dir: Path) -> None:
    shallow = repo.git_dir / "shallow"
    if shallow.exists():
        os.symlink(shallow, git_dir / "shallow")


def _read_text(path: Path) -> str:
    return decode(read_if_there(path, LARGE_FILE_BYTES) or b"")
