"""Which of a project's settings the engine follows: those that somebody has accepted.

A setting can name a program as a filter or a merge driver, and a stream of one run could leave one
for the engine to start in the next. So what starts programs is written down when a project is first
used, and followed as it was then, until a person accepts what it is now. The attributes in
``info/`` say which files such programs get, and are treated alike. Hooks, which the engine never
runs, and ``info/exclude`` are only told about: the user's own git goes by them.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from anabranch.engine.git import decode
from anabranch.engine.workspaces.settings import FOUND_ON_DISK, Listed, checkout_settings
from anabranch.engine.workspaces.values import Repository
from anabranch.files import replace_whole
from anabranch.plain_files import LARGE_FILE_BYTES, NotPlain, read_if_there, read_plain
from anabranch.undecodable import UNDECODABLE

_CAN_START = frozenset((
    *("alias", "browser", "credential", "difftool", "filter", "gpg", "guitool", "http", "include"),
    *("includeif", "interactive", "man", "mergetool", "pager", "protocol", "receive", "sendemail"),
    *("sequence", "ssh", "tar", "trailer", "transfer", "uploadpack", "url", "web"),
))  # fmt: skip
_HARMLESS_IN_CORE = FOUND_ON_DISK | frozenset((
    *("core.repositoryformatversion", "core.bare", "core.logallrefupdates", "core.autocrlf"),
    *("core.eol", "core.safecrlf", "core.compression", "core.loosecompression", "core.abbrev"),
    *("core.quotepath", "core.commentchar", "core.preloadindex", "core.commitgraph"),
    *("core.sparsecheckout", "core.sparsecheckoutcone", "core.splitindex", "core.untrackedcache"),
    *("core.whitespace", "core.longpaths", "core.sharedrepository", "core.multipackindex"),
))  # fmt: skip
_OF_REMOTES = (".uploadpack", ".receivepack", ".vcs", ".proxy")
_OF_LARGE_FILES = ("customtransfer.", "extension.", "standalonetransferagent", "url", "storage")
_NAMED = ("info/attributes", "info/exclude", "config.worktree")


class Accepted(msgspec.Struct, frozen=True):
    """What may be followed: settings that start programs, and the attributes in ``info/``.

    ``files`` are the digests of what is only named.
    """

    settings: Listed
    attributes: str
    files: dict[str, str]


class Followed(msgspec.Struct, frozen=True):
    """What a run follows; ``left_out`` names what changed and was not accepted."""

    settings: Listed
    attributes: str
    left_out: tuple[str, ...] = ()
    changed_files: tuple[str, ...] = msgspec.field(default=(), name="told")  # in notes on disk


def starts_programs(key: str) -> bool:
    """Return whether a setting can name a program, or where one reads or sends something."""
    section, _, rest = key.partition(".")
    match section:
        case "core":
            return key not in _HARMLESS_IN_CORE
        case "remote":
            return rest.endswith(_OF_REMOTES)
        case "submodule":
            return rest.endswith(".update")
        case "lfs":
            return rest.startswith(_OF_LARGE_FILES)
        case "merge" | "diff":
            return "." in rest or rest in ("external", "tool", "guitool")
    return section in _CAN_START


def follow(repo: Repository, listed: Listed) -> Followed:
    """Return what a run that begins now follows of the settings that the checkout has.

    At the first time everything is accepted as it is.
    """
    now = _now(repo)
    accepted = _accepted(repo)
    if accepted is None:
        _write(repo, _as_it_is(listed, now, repo))
        return Followed(listed, now)
    before, after = _by_key(accepted.settings), _by_key(_programs(listed))
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    settings = [entry for entry in listed if entry[1] not in changed or entry[0] == "system"]
    settings += [entry for entry in accepted.settings if entry[1] in changed]
    names = sorted(changed) + (["info/attributes"] if now != accepted.attributes else [])
    files = shared_files(repo)
    changed = {
        n for n in files.keys() | accepted.files.keys() if files.get(n) != accepted.files.get(n)
    }
    return Followed(settings, accepted.attributes, tuple(names), tuple(sorted(changed - {*names})))


def accept_settings(repo: Repository) -> tuple[str, ...]:
    """Accept what the project's settings are now; return the names of what had changed."""
    listed = checkout_settings(repo)
    found = follow(repo, listed)
    _write(repo, _as_it_is(listed, _now(repo), repo))
    return (*found.left_out, *found.changed_files)


def shared_files(repo: Repository) -> dict[str, str]:
    """Return digests of the files by which a stream could make the user's own git do something."""
    found: dict[str, str] = {}
    hooks = repo.git_dir / "hooks"
    names = [f"hooks/{n}" for n in _listed(hooks) if not n.endswith(".sample")]
    for name in (*names, *_NAMED):
        path = repo.git_dir / name
        with suppress(NotPlain, FileNotFoundError, NotADirectoryError):
            is_link = path.is_symlink()
            content = (
                os.fsencode(path.readlink()) if is_link else read_plain(path, LARGE_FILE_BYTES)
            )
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def _listed(folder: Path) -> list[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(os.listdir(folder))
    return []


def _programs(listed: Listed) -> Listed:
    return [entry for entry in listed if entry[0] != "system" and starts_programs(entry[1])]


def _by_key(listed: Listed) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for _, key, value in listed:
        found.setdefault(key, []).append(value)
    return found


def _as_it_is(listed: Listed, attributes: str, repo: Repository) -> Accepted:
    return Accepted(_programs(listed), attributes, shared_files(repo))


def _now(repo: Repository) -> str:
    path = repo.git_dir / "info" / "attributes"
    return decode(read_if_there(path, LARGE_FILE_BYTES) or b"")


def _accepted(repo: Repository) -> Accepted | None:
    try:
        noted = read_if_there(_path(repo), LARGE_FILE_BYTES)
        return None if noted is None else msgspec.convert(json.loads(noted), Accepted)
    except (NotPlain, *UNDECODABLE):
        return None


def _write(repo: Repository, accepted: Accepted) -> None:
    repo.store.mkdir(parents=True, exist_ok=True)
    replace_whole(_path(repo), json.dumps(msgspec.to_builtins(accepted)).encode())


def _path(repo: Repository) -> Path:
    """Return the note's path; a plain folder that becomes a repository later has another."""
    return repo.store / ("accepted.json" if repo.kind == "git" else "accepted-folder.json")
