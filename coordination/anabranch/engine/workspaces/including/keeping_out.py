"""Nothing of what was taken along enters a commit of the engine's, whatever a stream does.

It may add such a file by force, commit it, or change what is ignored. So before git writes the
files of a workspace as a tree, the index is asked for them, and they are taken out of it; and
commits of the stream in which one was ever are not taken over: its files are put onto its start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from anabranch.core.ids import RunId
from anabranch.engine.git import Git, decode, encode
from anabranch.engine.workspaces.checking import some
from anabranch.engine.workspaces.including.frozen_files import included_in
from anabranch.engine.workspaces.including.listing import folders_of
from anabranch.engine.workspaces.values import Repository


class KeptOut(msgspec.Struct, frozen=True):
    """What was taken along and given to git; ``withheld`` is what git would add of it again."""

    paths: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()


def keep_out(git: Git, repo: Repository, run: RunId) -> KeptOut:
    """Take what was taken along out of a private index. Raises GitError."""
    included = included_in(repo, run)
    if included is None:
        return KeptOut()
    listed = git.run("ls-files", "-c", "-o", "--exclude-standard", "-z").out
    found = _among(listed, included.files)
    if not found:
        return KeptOut()
    taken_out = b"".join(path + b"\0" for path in found)
    git.run("update-index", "--force-remove", "-z", "--stdin", stdin=taken_out)
    # An ignored file is not added by itself, and git complains where it is named.
    others = git.run("ls-files", "-o", "--exclude-standard", "-z").out
    withheld = _among(others, included.files)
    return KeptOut(tuple(map(decode, found)), tuple(map(decode, withheld)))


def add_all_but_included(
    git: Git,
    repo: Repository,
    run: RunId,
    withheld: Sequence[str] = (),
    made: Collection[bytes] = (),
) -> None:
    """Add all files of a folder to an index, ignored or not, but what was taken along.

    Folders that are ``withheld`` are not added either, nor files that a setup has ``made``. Raises
    GitError.
    """
    included = included_in(repo, run)
    if included is None and not made:
        excluded = (f":(exclude,top,literal){path}" for path in withheld)
        git.run("add", "-A", "-f", "--", ":/", *excluded)
        return
    out_of_it = tuple(encode(path) + b"/" for path in withheld)
    listed = git.run("ls-files", "-o", "-m", "-d", "-z").out.split(b"\0")
    added = dict.fromkeys(path for path in listed if path and not path.startswith(out_of_it))
    known = included.files if included else ()
    wanted = [path for path in added if path not in known and path not in made]
    stdin = b"".join(path + b"\0" for path in wanted)
    git.run("update-index", "--add", "--remove", "--replace", "-z", "--stdin", stdin=stdin)


def committed_in(git: Git, repo: Repository, run: RunId, commits: Iterable[str]) -> tuple[str, ...]:
    """Return which files that were taken along some commits hold, in any version of theirs.

    ``commits`` are revisions as ``git log`` takes them. Raises GitError.
    """
    included = included_in(repo, run)
    if included is None:
        return ()
    asked = ("log", "--format=", "--name-only", "-z", "-m", "--no-renames", "--stdin")
    revisions = "".join(f"{revision}\n" for revision in commits)
    out = git.run(*asked, stdin=encode(revisions)).out
    # Between two commits there may be an end of a line, which no path begins with here.
    return tuple(map(decode, _among(out.replace(b"\0\n", b"\0").lstrip(b"\n"), included.files)))


def but_included(ignored: Sequence[str], repo: Repository, run: RunId) -> tuple[str, ...]:
    """Return ignored files and folders but those in which is what was taken along."""
    included = included_in(repo, run)
    if included is None:
        return tuple(ignored)
    known = {*included.files, *(at + b"/" for at in folders_of(included.files))}
    return tuple(path for path in ignored if encode(path) not in known)


def left_out_in_words(paths: Collection[str]) -> str:
    """Return what to say of files that were taken along and that a stream has given to git."""
    return f"it gave git what was only copied into its workspace; that is left out: {some(paths)}"


def committed_in_words(paths: Collection[str]) -> str:
    """Return what to say of a history in which files are that were taken along."""
    return (
        f"its commits hold what was only copied into its workspace ({some(paths)}); that is left "
        "out, and the work was put onto its start as one commit"
    )


def _among(listed: bytes, known: Collection[bytes]) -> list[bytes]:
    return sorted({path for path in listed.split(b"\0") if path in known})
