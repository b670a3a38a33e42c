"""Making checkouts ahead, a little at a time: whoever has to wait for nothing else does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from anabranch.core.ids import RunId
from anabranch.engine.caches import LEAST_AGE_SECONDS
from anabranch.engine.workspaces.direct.index_file import read_entries
from anabranch.engine.workspaces.layers.bases import way_of_writing
from anabranch.engine.workspaces.pool.checkouts import (
    VERSION,
    Checkout,
    checkouts,
    clear_unfinished,
    forget,
    give_name,
    is_as_made,
    is_near,
    unfinished,
)
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.values import Repository
from anabranch.plain_files import LARGE_FILE_BYTES, read_plain

FILES_AT_A_TIME = 200
"""So many files are written before it is asked again whether to go on."""
MOST_TIMES_TOO_MANY = 3
"""Of other trees, too, no more than so many times what is wanted of one are kept."""


class TreeSize(msgspec.Struct, frozen=True):
    """How many files a tree has, and how many bytes git keeps in them."""

    files: int
    bytes: int


def size_of_tree(repo: Repository, run: RunId, tree: str) -> TreeSize:
    """Return how large a checkout of a tree is, as far as git knows. Raises GitError."""
    rows = frozen_view(repo, run).run("ls-tree", "-r", "-l", "-z", tree).out.split(b"\0")
    sizes = [row.partition(b"\t")[0].split()[-1] for row in rows if row]
    return TreeSize(len(sizes), sum(int(size) for size in sizes if size.isdigit()))


def fill_by_one(
    repo: Repository, run: RunId, tree: str, most: int, goes_on: Callable[[], bool]
) -> bool:
    """Bring the pool nearer to what is wanted, by one checkout; False if there is nothing to do.

    Args:
        repo: the project.
        run: whose settings say how files are written.
        tree: what they are to hold.
        most: how many there are to be.
        goes_on: asked in between; once it says no, what is not whole is removed.

    What is there of trees of long ago is made anew of this one, or goes. Raises GitError, OSError.
    """
    clear_unfinished(repo)
    way, there = way_of_writing(repo, run), checkouts(repo)
    ready = [found for found in there if (found.tree, found.way) == (tree, way)]
    for found in ready[most:]:
        forget(found)
    if len(ready) >= most:
        return False
    for old in filter(_is_old, (found for found in there if found not in ready)):
        if old.way == way and is_near(repo, run, old.tree, tree):
            if make_anew(repo, run, old, tree) is not None:
                return True
        else:
            forget(old)
            there.remove(old)
    if len(there) >= MOST_TIMES_TOO_MANY * most:
        return False
    return make_ahead(repo, run, tree, goes_on) is not None


def make_ahead(
    repo: Repository, run: RunId, tree: str, goes_on: Callable[[], bool] = lambda: True
) -> Checkout | None:
    """Make a checkout; None if it was told not to go on. Raises GitError, OSError."""
    with unfinished(repo) as made:
        (made / "files").mkdir()
        git = frozen_view(repo, run).at(work_tree=made / "files", index=made / "index")
        git.run("read-tree", tree, config=VERSION)
        paths = git.run("ls-files", "-z").out.split(b"\0")[:-1]
        for at in range(0, len(paths), FILES_AT_A_TIME):
            if not goes_on():
                return None
            part = b"".join(path + b"\0" for path in paths[at : at + FILES_AT_A_TIME])
            git.run("checkout-index", "-u", "-z", "--stdin", stdin=part, config=VERSION)
        return give_name(repo, run, made, tree)


def make_anew(repo: Repository, run: RunId, old: Checkout, tree: str) -> Checkout | None:
    """Make the checkout of another tree one of this; None if it is not there as it was."""
    with unfinished(repo) as made:
        with suppress(FileNotFoundError):
            old.files.rename(made / "files")
            old.index.rename(made / "index")
        forget(old)
        try:
            content = read_plain(made / "index", LARGE_FILE_BYTES)
        except FileNotFoundError:
            return None
        if not is_as_made(made / "files", read_entries(content, repo.object_format)):
            return None
        git = frozen_view(repo, run).at(work_tree=made / "files", index=made / "index")
        git.run("read-tree", "-m", "-u", tree, config=VERSION)
        return give_name(repo, run, made, tree)


def _is_old(found: Checkout) -> bool:
    """Say whether no run can be about to take a checkout that another one does not want."""
    with suppress(FileNotFoundError):
        return time.time() - found.folder.stat().st_mtime > LEAST_AGE_SECONDS
    return False
