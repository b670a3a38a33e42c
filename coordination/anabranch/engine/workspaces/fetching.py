"""Objects that a partial clone has not fetched yet, brought before anything needs them.

Git fetches a missing object by itself, one at a time, at whatever moment it is met. For the files
of a run's base that is done here at once, by the way the user's own git would take: their remotes,
rewritten addresses, proxies and credentials, as far as the run follows them.
"""

from __future__ import annotations

from anabranch.core.ids import RunId
from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.repository import followed_by, frozen_view
from anabranch.engine.workspaces.settings import Listed
from anabranch.engine.workspaces.values import Repository

FETCH_SECONDS = 3600.0
_MOST_ROUNDS = 64
"""A clone without trees learns of the next level of folders only when it has fetched one."""


def fetch_missing(repo: Repository, run: RunId, tree: str) -> None:
    """Fetch what of a tree a partial clone does not have. Raises GitError."""
    remote = _promisor(followed_by(repo, run).settings)
    if remote is None:
        return
    git, before = frozen_view(repo, run), set[str]()
    for _ in range(_MOST_ROUNDS):
        missing = _missing(git, tree)
        if not missing or missing == before:
            return
        _fetch(git, remote, missing)
        before = missing


def _promisor(listed: Listed) -> str | None:
    """Return the remote that has promised the objects which are not here, if there is one."""
    for _, key, value in listed:
        if key == "extensions.partialclone" and value:
            return value
        if key.startswith("remote.") and key.endswith(".promisor") and value != "false":
            return key.removeprefix("remote.").removesuffix(".promisor")
    return None


def _missing(git: Git, tree: str) -> set[str]:
    asked = ("rev-list", "--objects", "--missing=print", "--no-object-names", tree)
    listed = git.run(*asked, timeout_seconds=FETCH_SECONDS).text.splitlines()
    return {line[1:] for line in listed if line.startswith("?")}


def _fetch(git: Git, remote: str, missing: set[str]) -> None:
    wanted = "".join(f"{name}\n" for name in sorted(missing)).encode()
    options = ("--no-tags", "--no-write-fetch-head", "--recurse-submodules=no", "--no-auto-gc")
    try:
        git.run(
            *("fetch", remote, "-q", *options, "--filter=blob:none", "--stdin"),
            stdin=wanted,
            config=(("fetch.negotiationAlgorithm", "noop"), ("fetch.writeCommitGraph", "false")),
            timeout_seconds=FETCH_SECONDS,
        )
    except GitError as error:
        raise GitError(
            f"{len(missing)} files of this partial clone cannot be fetched: {error.reason}",
            command=error.command,
            exit_code=error.git_exit_code,
            stderr=error.stderr,
            hint=f"look whether git fetch {remote} works in your checkout, then try again",
        ) from None
