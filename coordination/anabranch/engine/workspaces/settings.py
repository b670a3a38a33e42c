"""Git's settings of the user's checkout, and which of them go where.

Three kinds never leave the checkout: what says where a repository lies, what git found out about
the disk it lies on (asked anew for ours), and what would start a hook. The engine's own views get
all others; a stream's repository gets the project's own, and those of the user's that only hold in
the project's folder (``includeIf``): everything else a stream's git reads by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from anabranch.engine.git import Git, encode
from anabranch.engine.workspaces.values import Repository
from anabranch.plain_files import open_to_append

Setting = tuple[str, str | None]
Listed = list[tuple[str, str, str | None]]
"""Settings as ``git config --list`` tells them: scope, key, value (None: a key without ``=``)."""

FOUND_ON_DISK = frozenset((
    "core.filemode",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.symlinks",
))  # fmt: skip
_OF_ONE_REPOSITORY = frozenset((
    "core.bare",
    "core.fsmonitor",
    "core.hookspath",
    "core.repositoryformatversion",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "core.splitindex",
    "core.untrackedcache",
    "core.worktree",
    "extensions.objectformat",
    "extensions.preciousobjects",
    "extensions.refstorage",
    "extensions.relativeworktrees",
    "extensions.worktreeconfig",
    "index.sparse",
))  # fmt: skip
_INCLUDES = ("include.", "includeif.")
_NOT_FOR_THE_ENGINE = (*_INCLUDES, "alias.", "maintenance.", "worktree.")
_NOT_FOR_STREAMS = (*_INCLUDES, "maintenance.", "worktree.")
_FOR_CLONES = ("author.", "committer.", "user.", "core.", "filter.", "merge.", "diff.", "lfs.")


def list_settings(git_dir: Path, folder: Path) -> Listed:
    """Return every setting that holds in a git directory, in git's order, whoever's it is."""
    git = Git(git_dir=git_dir, cwd=folder)
    fields = git.run("config", "--list", "-z", "--show-scope", "--includes").fields
    settings: Listed = []
    for scope, entry in zip(fields[::2], fields[1::2], strict=True):
        key, separator, value = entry.partition("\n")
        if scope != "command":
            settings.append((scope, key, value if separator else None))
    return settings


def checkout_settings(repo: Repository) -> Listed:
    """Return every setting that holds in the user's checkout."""
    return list_settings(repo.checkout_dir, repo.root)


def for_the_engine(listed: Listed) -> list[Setting]:
    """Return what the engine's views of the repository take over."""
    return [(key, value) for _, key, value in listed if _moves(key, _NOT_FOR_THE_ENGINE)]


def of_the_project(listed: Listed, *, is_trusted: bool) -> list[Setting]:
    """Return the project's settings for a stream's repository; fewer if it is not trusted."""
    return [
        (key, value)
        for scope, key, value in listed
        if scope in ("local", "worktree") and _is_for_streams(key, is_trusted)
    ]


def only_in_the_checkout(listed: Listed, elsewhere: Listed, *, is_trusted: bool) -> list[Setting]:
    """Return the settings that hold in the checkout but not where ``elsewhere`` was listed."""
    here, there = _by_key(listed), _by_key(elsewhere)
    settings: list[Setting] = []
    for key, values in here.items():
        known = there.get(key, [])
        if values == known or not _is_for_streams(key, is_trusted):
            continue
        more = values[len(known) :] if values[: len(known)] == known else values
        settings += [(key, value) for value in more]
    return settings


def _by_key(listed: Listed) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for scope, key, value in listed:
        if scope in ("global", "system"):
            found.setdefault(key, []).append(value)
    return found


def _is_for_streams(key: str, is_trusted: bool) -> bool:
    return _moves(key, _NOT_FOR_STREAMS) and (is_trusted or key.startswith(_FOR_CLONES))


def _moves(key: str, sections: tuple[str, ...]) -> bool:
    return not (key in _OF_ONE_REPOSITORY or key in FOUND_ON_DISK or key.startswith(sections))


def write_settings(path: Path, settings: Iterable[Setting]) -> None:
    """Append settings to a git configuration file."""
    with open_to_append(path) as file:
        file.write(encode("".join(map(_written, settings))))


def _written(setting: Setting) -> str:
    key, value = setting
    section, _, rest = key.partition(".")
    subsection, dot, name = rest.rpartition(".")
    title = f'{section} "{_escaped(subsection)}"' if dot else section
    return f"[{title}]\n\t{name}" + ("\n" if value is None else f' = "{_escaped(value)}"\n')


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")


def disk_settings(repo: Repository, listed: Listed) -> list[tuple[str, str]]:
    """Return how the user's disk is to be seen: as the checkout says, but for letters' case.

    Whether that counts is looked up in the git directory, as git does when it makes one; a setting
    that was carried here from another disk would hide files.
    """
    said = {key: value or "true" for _, key, value in listed if key in FOUND_ON_DISK}
    said["core.ignorecase"] = str(os.path.lexists(repo.checkout_dir / "HeAd")).lower()
    return list(said.items())


def sparse_settings(listed: Listed) -> list[tuple[str, str]]:
    """Return what makes a view leave out what a sparse checkout does; nothing for a whole one."""
    said = {key: value or "true" for _, key, value in listed}
    if said.get("core.sparsecheckout", "false").lower() not in ("true", "yes", "on", "1"):
        return []
    cone = said.get("core.sparsecheckoutcone", "false")
    return [("core.sparseCheckout", "true"), ("core.sparseCheckoutCone", cone)]
