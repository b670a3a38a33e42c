"""Opening the user's project, and the engine's own view of it.

Streams share ``.git/config`` with the user, so by the time a run merges, that file may name any
program as a filter or a merge driver. When a run begins we therefore write down the configuration
as it is and make a git directory of our own with it: the frozen view. It has no refs and no
objects; it borrows the repository's object store. Whatever the live configuration says later, the
engine's captures, checkouts and merges never read it. A second frozen view, *raw*, stores bytes as
they are, without any conversion; rescues use it.

A folder that is no repository gets an internal store that plays the repository's part, so one code
path serves both.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from anabranch.core.ids import RunId
from anabranch.engine.git import Git, GitError, decode, encode, repository_lock
from anabranch.engine.workspaces.values import Repository
from anabranch.plain_files import LARGE_FILE_BYTES, open_to_append, read_if_there

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
_DROPPED_SECTIONS = ("include.", "includeif.", "alias.", "credential.", "http.", "url.")
_DROPPED_KEYS = frozenset((
    "core.bare",
    "core.worktree",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "core.hookspath",
    "core.fsmonitor",
    "extensions.worktreeconfig",
    "extensions.objectformat",
    "extensions.refstorage",
    "extensions.relativeworktrees",
))  # fmt: skip
_DANGEROUS_SECTIONS = ("filter.", "merge.", "diff.", "include.", "includeif.", "alias.", "core.")

Setting = tuple[str, str | None]

PUBLISHING = RunId("publishing")
"""Under this name lies the configuration for result folders, which belong to no one run."""


def open_repository(folder: Path, store: Path, lock_path: Path) -> Repository:
    """Opens the project at ``folder``: a git repository, or any plain folder.

    ``store`` is a folder of the engine's own, outside the project, where private indexes, frozen
    configurations and a plain folder's history lie; ``lock_path`` the file that serialises git
    across processes. Raises GitError for a missing folder and for a bare repository.
    """
    if not folder.is_dir():
        raise GitError(f"{folder} is not a folder", hint="name an existing project folder")
    folder = folder.resolve()
    finder = Git(cwd=folder)
    asked = ("--is-bare-repository", "--is-inside-git-dir", "--show-object-format")
    answer = finder.run("rev-parse", *asked, accept=(0, 128))
    if answer.exit_code and b"not a git repository" not in answer.err:
        finder.run("rev-parse", *asked)
    if answer.exit_code:
        return _open_plain(folder, store, lock_path)
    bare, inside, object_format = answer.text.split("\n")
    if "true" in (bare, inside):
        raise GitError(
            f"{folder} is a bare repository or a git directory, with no files to work on",
            hint="run in a checkout of it (git clone or git worktree add)",
        )
    paths = ("--show-toplevel", "--git-common-dir", "--git-dir")
    root, common, checkout = finder.run("rev-parse", "--path-format=absolute", *paths).text.split(
        "\n"
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


def _open_plain(folder: Path, store: Path, lock_path: Path) -> Repository:
    git_dir = store / "folder.git"
    with repository_lock(lock_path):
        if not git_dir.is_dir():
            _build_git_dir(git_dir, "sha1", list(_PLAIN_CONFIG), _RAW_ATTRIBUTES, None, bare=True)
    repo = Repository("plain", folder, git_dir, git_dir, "", store, lock_path)
    freeze_configuration(repo, PUBLISHING)
    return repo


def live_view(repo: Repository) -> Git:
    """The repository with its current configuration; only for commands that run no program."""
    return Git(git_dir=repo.git_dir, cwd=repo.git_dir)


def frozen_view(repo: Repository, run: RunId) -> Git:
    """The repository's objects with the configuration of when the run began."""
    return _view(repo, run, "frozen")


def raw_view(repo: Repository, run: RunId) -> Git:
    """The repository's objects with no conversion of file contents at all."""
    return _view(repo, run, "raw")


def _view(repo: Repository, run: RunId, name: str) -> Git:
    git_dir = run_folder(repo, run) / name
    if not git_dir.is_dir():
        freeze_configuration(repo, run)
    return Git(git_dir=git_dir, objects=repo.git_dir / "objects", frozen=True, cwd=git_dir)


def run_folder(repo: Repository, run: RunId) -> Path:
    """The engine's own files about one run in this repository."""
    return repo.store / "runs" / run


def empty_tree(repo: Repository) -> str:
    """The id of the tree with nothing in it."""
    return _EMPTY_TREE[repo.object_format]


def freeze_configuration(repo: Repository, run: RunId) -> None:
    """Records the repository's configuration for the run, once; later calls change nothing."""
    folder = run_folder(repo, run)
    folder.mkdir(parents=True, exist_ok=True)
    with repository_lock(folder / "freezing.lock"):
        if (folder / "frozen").is_dir():
            return
        for unfinished in folder.glob(".*-*"):  # of an engine that was killed in the middle of this
            shutil.rmtree(unfinished, ignore_errors=True)
        (folder / "empty").mkdir(exist_ok=True)
        (folder / "index").mkdir(exist_ok=True)
        listed = _list_settings(repo)
        _write_seen(folder / "settings.json", listed)
        info = repo.git_dir / "info"
        attributes = _read_text(info / "attributes")
        if not (folder / "raw").is_dir():
            _build_git_dir(folder / "raw", repo.object_format, _kept(listed), _RAW_ATTRIBUTES, repo)
        _build_git_dir(folder / "frozen", repo.object_format, _kept(listed), attributes, repo)


def changed_settings(repo: Repository, run: RunId) -> tuple[str, ...]:
    """Names of the settings that can start programs and changed since the run began."""
    seen = read_if_there(run_folder(repo, run) / "settings.json", LARGE_FILE_BYTES)
    if seen is None:
        return ()
    before = {tuple(item) for item in json.loads(decode(seen))}
    after = {(scope, key, value) for scope, key, value in _list_settings(repo)}
    changed = {key for _, key, _ in before ^ after if key.startswith(_DANGEROUS_SECTIONS)}
    return tuple(sorted(changed))


def _list_settings(repo: Repository) -> list[tuple[str, str, str | None]]:
    git = Git(git_dir=repo.checkout_dir, cwd=repo.root)
    fields = git.run("config", "--list", "-z", "--show-scope", "--includes").fields
    settings: list[tuple[str, str, str | None]] = []
    for scope, entry in zip(fields[::2], fields[1::2], strict=True):
        key, separator, value = entry.partition("\n")
        if scope != "command":
            settings.append((scope, key, value if separator else None))
    return settings


def local_settings(repo: Repository) -> list[Setting]:
    """What a clone should take over from the repository's own configuration."""
    wanted = ("user.", "core.", "filter.", "merge.", "diff.", "lfs.")
    return [
        (key, value)
        for scope, key, value in _list_settings(repo)
        if scope in ("local", "worktree") and key.startswith(wanted) and _is_kept(key)
    ]


def _write_seen(path: Path, listed: list[tuple[str, str, str | None]]) -> None:
    path.write_text(json.dumps(listed), "utf-8", "surrogateescape")


def _kept(listed: list[tuple[str, str, str | None]]) -> list[Setting]:
    return [(key, value) for _, key, value in listed if _is_kept(key)]


def _is_kept(key: str) -> bool:
    return key not in _DROPPED_KEYS and not key.startswith(_DROPPED_SECTIONS)


def _build_git_dir(
    path: Path,
    object_format: str,
    settings: list[Setting],
    attributes: str,
    repo: Repository | None,
    *,
    bare: bool = False,
) -> None:
    """Makes a git directory under a temporary name and renames it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        Git(frozen=True, cwd=made).run(
            "init", "-q", "--bare", "--template=", f"--object-format={object_format}", str(made)
        )
        if repo is not None:
            settings = [*settings, ("lfs.storage", str(repo.git_dir / "lfs"))]
            _link_shallow(repo, made)
        write_settings(made / "config", [*settings, ("core.bare", "true" if bare else "false")])
        (made / "info").mkdir(exist_ok=True)
        (made / "info" / "attributes").write_text(attributes, "utf-8", "surrogateescape")
        excludes = "" if repo is None else _read_text(repo.git_dir / "info" / "exclude")
        (made / "info" / "exclude").write_text(excludes, "utf-8", "surrogateescape")
        made.rename(path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _link_shallow(repo: Repository, git_dir: Path) -> None:
    shallow = repo.git_dir / "shallow"
    if shallow.exists():
        os.symlink(shallow, git_dir / "shallow")


def write_settings(path: Path, settings: list[Setting]) -> None:
    """Appends settings to a git configuration file."""
    lines = []
    for key, value in settings:
        section, _, rest = key.partition(".")
        subsection, dot, name = rest.rpartition(".")
        title = f'{section} "{_escaped(subsection)}"' if dot else section
        lines.append(
            f"[{title}]\n\t{name}" + ("\n" if value is None else f' = "{_escaped(value)}"\n')
        )
    with open_to_append(path) as file:
        file.write(encode("".join(lines)))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")


def _read_text(path: Path) -> str:
    return decode(read_if_there(path, LARGE_FILE_BYTES) or b"")
