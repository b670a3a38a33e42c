"""Checkouts that are made ahead: how they are taken, kept, and made of workspaces again."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.engine.caches import LEAST_AGE_SECONDS, MOST_AGE_SECONDS
from anabranch.engine.reaching_layers import may_mount
from anabranch.engine.workspaces import (
    Kept,
    PreparedWorkspace,
    Reclaimed,
    prepare_workspace,
    reclaim_workspace,
    result_ref,
)
from anabranch.engine.workspaces.ageing import forget_old
from anabranch.engine.workspaces.pool.bounds import Bounds
from anabranch.engine.workspaces.pool.checkouts import Checkout, checkouts, pool_folder
from anabranch.engine.workspaces.pool.filling import fill_by_one, make_ahead
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write
from tests.engine.test_killed_while_preparing import MOMENTS, killed_after

FILES: dict[str, str | bytes | None] = {
    "a.txt": "a\n",
    "b.txt": "b\n",
    "d/b.txt": "b\n",
    "d/e/c.txt": "c\n",
    "d/e/own.sh": "#!/bin/sh\n",
    ".gitignore": "out/\n",
    **{f"more/{number}.txt": f"{number}\n" for number in range(8)},
}
TWO = Bounds(2)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    user = make_repository(tmp_path / "user", FILES)
    (user / "d/e/own.sh").chmod(0o755)
    (user / "link").symlink_to("d/b.txt")
    git(user, "add", "-A")
    git(user, "commit", "-q", "-m", "a program and a link")
    return open_project(user, tmp_path / "out")


def taken(project: Project, stream: str) -> PreparedWorkspace:
    """A workspace by the pool, which has to hold one for it."""
    before = {found.files.stat().st_ino for found in checkouts(project.repo)}
    made = by_pool(project, stream)
    assert made.path.stat().st_ino in before
    return made


def by_pool(project: Project, stream: str) -> PreparedWorkspace:
    folder = project.outside / "workspaces" / stream
    made = prepare_workspace(
        project.repo, RUN, StreamId(stream), 1, "isolated", folder, project.base, method="pool"
    )
    assert isinstance(made, PreparedWorkspace)
    return made


def filled(project: Project, count: int = 1) -> list[Checkout]:
    for _ in range(count):
        assert make_ahead(project.repo, RUN, project.base.tree) is not None
    return checkouts(project.repo)


def require_as_fresh(project: Project, folder: Path) -> None:
    """Nothing tells a workspace from one that git has just written."""
    fresh = project.workspace(f"fresh-{folder.name}").path
    assert _all_of(folder) == _all_of(fresh)
    assert git(folder, "status", "--porcelain", "--ignored") == ""


def _all_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.name == ".git":
            continue
        facts = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        attributes = os.listxattr(path, follow_symlinks=False)
        number = 1 if path.is_dir() and not path.is_symlink() else facts.st_nlink
        about = (facts.st_mode, facts.st_uid, facts.st_gid, number, content, attributes)
        found[path.relative_to(folder).as_posix()] = about
    return found


# --- taking --------------------------------------------------------------------------------------


def test_one_that_is_taken_is_like_one_that_was_written(project: Project) -> None:
    filled(project)
    made = taken(project, "s")
    require_as_fresh(project, made.path)
    assert list(pool_folder(project.repo).iterdir()) == []
    write(made.path, {"a.txt": "changed\n"})
    assert git(made.path, "status", "--porcelain") == " M a.txt\n"


def test_without_one_the_files_are_written(project: Project) -> None:
    require_as_fresh(project, by_pool(project, "s").path)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda files: (files / "a.txt").write_text("x\n"),
        lambda files: (files / "more.txt").write_text("x\n"),
        lambda files: (files / "d/b.txt").unlink(),
        lambda files: (files / "a.txt").chmod(0o777),
        lambda files: _with_forged_times(files / "a.txt"),
    ],
)
def test_one_that_somebody_reached_is_nobodys(
    project: Project, tamper: Callable[[Path], object]
) -> None:
    tamper(filled(project)[0].files)
    require_as_fresh(project, by_pool(project, "s").path)
    assert checkouts(project.repo) == []


def _with_forged_times(path: Path) -> None:
    found = path.stat()
    path.write_text("x\n")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_one_of_another_commit_becomes_what_is_wanted(project: Project) -> None:
    filled(project)
    write(project.user, {"d/b.txt": "changed\n", "new/n.txt": "n\n", "a.txt": None})
    git(project.user, "add", "-A")
    git(project.user, "commit", "-q", "-m", "next")
    again = open_project(project.user, project.outside)
    require_as_fresh(again, taken(again, "s").path)


def test_one_is_not_taken_where_other_attributes_hold(project: Project) -> None:
    filled(project)
    write(project.user, {".gitattributes": "*.txt text eol=crlf\n"})
    git(project.user, "add", "-A")
    git(project.user, "commit", "-q", "-m", "next")
    again = open_project(project.user, project.outside)
    made = by_pool(again, "s")
    assert (made.path / "a.txt").read_bytes() == b"a\r\n"
    assert len(checkouts(again.repo)) == 1


def test_who_is_killed_while_taking_one_loses_none(project: Project) -> None:
    """The next one has the workspace, and all that were there are there but the one."""
    for calls in MOMENTS:
        filled(project, 2 - len(checkouts(project.repo)))
        is_whole = killed_after(calls, partial(by_pool, project, f"s{calls}"))
        made = by_pool(project, f"s{calls}")
        assert git(made.path, "status", "--porcelain") == ""
        assert set(_all_of(made.path)) == {*FILES, "link", "d", "d/e", "more"}
        assert len(checkouts(project.repo)) == 1
        if is_whole:
            return
    raise AssertionError("there is no end to it")


# --- filling -------------------------------------------------------------------------------------


def fill(project: Project, most: int) -> int:
    """Fill as long as there is something to do; how often there was."""
    rounds = 0
    while fill_by_one(project.repo, RUN, project.base.tree, most, lambda: True):
        rounds += 1
    return rounds


def test_it_is_filled_up_to_what_is_wanted(project: Project) -> None:
    assert fill(project, 3) == 3
    assert fill(project, 3) == 0
    taken(project, "s")
    assert fill(project, 3) == 1
    assert fill(project, 1) == 0
    assert len(checkouts(project.repo)) == 1


def test_who_stops_it_waits_for_no_checkout(project: Project) -> None:
    assert not fill_by_one(project.repo, RUN, project.base.tree, 1, lambda: False)
    assert list(pool_folder(project.repo).iterdir()) == []


def test_those_of_long_ago_become_those_of_today(project: Project) -> None:
    """None is added to them, and none is written anew where few files differ."""
    before = {found.files.stat().st_ino for found in filled(project, 2)}
    for found in checkouts(project.repo):
        long_ago = time.time() - 2 * LEAST_AGE_SECONDS
        os.utime(found.folder, (long_ago, long_ago))
    write(project.user, {"a.txt": "changed\n"})
    git(project.user, "commit", "-q", "-a", "-m", "next")
    again = open_project(project.user, project.outside)
    fill(again, 2)
    now = checkouts(again.repo)
    assert {found.files.stat().st_ino for found in now} == before
    assert {found.tree for found in now} == {again.base.tree}
    require_as_fresh(again, taken(again, "s").path)


def test_what_a_kill_left_goes_and_what_is_being_made_stays(project: Project) -> None:
    for calls in MOMENTS:
        is_whole = killed_after(calls, partial(make_ahead, project.repo, RUN, project.base.tree))
        fill(project, 1)
        (only,) = pool_folder(project.repo).iterdir()
        assert only == checkouts(project.repo)[0].folder
        require_as_fresh(project, taken(project, f"s{calls}").path)
        if is_whole:
            break
    else:
        raise AssertionError("there is no end to it")

    def meanwhile() -> bool:
        return fill_by_one(project.repo, RUN, project.base.tree, 1, lambda: True)

    assert fill_by_one(project.repo, RUN, project.base.tree, 2, meanwhile)
    assert len(checkouts(project.repo)) == 2


def test_they_grow_old_like_other_caches(project: Project) -> None:
    (found,) = filled(project)
    long_ago = time.time() - 2 * MOST_AGE_SECONDS
    os.utime(found.folder, (long_ago, long_ago))
    (aged,) = forget_old(project.repo.store, MOST_AGE_SECONDS)
    assert (aged.kind, aged.outcome) == ("checkouts made ahead", "removed")
    assert not found.folder.exists()


# --- recycling -----------------------------------------------------------------------------------


def test_a_workspace_that_is_given_back_is_taken_again(project: Project) -> None:
    made = by_pool(project, "s")
    write(made.path, {"a.txt": "changed\n", "out/built.o": "o\n", "new.txt": "n\n", "b.txt": None})
    inode = (made.path / "d/e/own.sh").stat().st_ino
    project.capture(made)
    reclaim_workspace(project.repo, RUN, made, recycled=TWO)
    assert not os.path.lexists(made.path)
    again = taken(project, "next").path
    require_as_fresh(project, again)
    assert (again / "d/e/own.sh").stat().st_ino == inode


def test_no_more_are_kept_than_wanted(project: Project) -> None:
    filled(project, 2)
    made = by_pool(project, "s")
    reclaim_workspace(project.repo, RUN, made, recycled=Bounds(1))
    assert len(checkouts(project.repo)) == 1
    few = by_pool(project, "t")
    assert reclaim_workspace(project.repo, RUN, few, recycled=Bounds(3, 100)) == Reclaimed()
    assert checkouts(project.repo) == []


def test_what_has_to_stay_is_not_recycled(project: Project) -> None:
    made = by_pool(project, "s")
    make_repository(made.path / "own", {"x": "x\n"})
    assert isinstance(reclaim_workspace(project.repo, RUN, made, recycled=TWO), Kept)
    assert (made.path / "own/x").exists()
    assert checkouts(project.repo) == []


@pytest.mark.parametrize("attributes", ["* text=auto eol=crlf\n", "*.txt ident\n", ""])
def test_files_are_as_a_checkout_writes_them(tmp_path: Path, attributes: str) -> None:
    """What is the same to git is not the same file."""
    files = {
        "a.txt": "a\n$Id$\n",
        "b.txt": "b\n",
        "c d.txt": "c\n",
        "line\nend": "x\n",
        "e": "",
        "f": "f\n",
    }
    user = make_repository(tmp_path / "user", {**files, ".gitattributes": attributes})
    project = open_project(user, tmp_path / "out")
    made = by_pool(project, "s")
    write(made.path, {"a.txt": "a\n$Id$\n", "c d.txt": "c\r\n"})
    project.capture(made)
    reclaim_workspace(project.repo, RUN, made, recycled=TWO)
    require_as_fresh(project, taken(project, "next").path)


def _other_ways(made: PreparedWorkspace) -> Iterator[Callable[[], object]]:
    root, outside = made.path, made.path.parents[1]
    yield lambda: os.link(root / "a.txt", outside / "a-second-name")
    yield lambda: (root / "a.txt").chmod(0o4777)
    yield lambda: (root / "d/b.txt").chmod(0o400)
    yield lambda: (root / "d").chmod(0o3777)
    yield lambda: os.setxattr(root / "d/b.txt", "user.note", b"n")
    yield lambda: os.setxattr(root / "d", "user.note", b"n")
    yield lambda: _with_forged_times(root / "d/e/c.txt")
    yield lambda: write(root, {"a.txt": None, "a.txt/x": "x\n"})
    yield lambda: _replace_by_link(root / "a.txt", "b.txt")
    yield lambda: os.mkfifo(root / "d/pipe")
    yield lambda: _replace_by_link(root / "link", "/etc/passwd")
    yield lambda: _replace_by_link(root / "d", "aside")
    yield lambda: (root / "empty").mkdir()
    yield lambda: git(root, "config", "filter.x.smudge", "touch /nowhere")
    yield lambda: git(root, "config", "core.hooksPath", str(root))
    yield lambda: write(root, {".gitattributes": "* filter=x\n", ".gitmodules": "x"})
    yield lambda: git(root, "update-index", "--assume-unchanged", "a.txt", "b.txt")
    yield lambda: git(root, "update-index", "--skip-worktree", "d/b.txt")
    yield lambda: git(root, "rm", "-q", "-r", "d")


def _replace_by_link(path: Path, target: str) -> None:
    path.rename(path.with_name("aside"))
    path.symlink_to(target)


WAYS = range(19)


@pytest.mark.parametrize("way", WAYS)
def test_what_a_stream_did_to_its_workspace_does_not_reach_the_next(
    project: Project, way: int
) -> None:
    made = by_pool(project, "s")
    list(_other_ways(made))[way]()
    project.capture(made)
    outcome = reclaim_workspace(project.repo, RUN, made, recycled=TWO)
    assert not isinstance(outcome, Kept)
    again = taken(project, "next")
    require_as_fresh(project, again.path)
    assert again.git_dir is not None
    assert "filter" not in (again.git_dir / "config").read_text()
    (again.path / "a.txt").write_text("the next stream's\n")
    second = made.path.parents[1] / "a-second-name"
    assert not second.exists() or second.read_text() == "a\n"


def test_every_way_is_tried(project: Project) -> None:
    assert len(list(_other_ways(by_pool(project, "s")))) == len(WAYS)


def test_no_link_leads_the_moving_out_of_the_workspace(project: Project) -> None:
    """The user's own files lie where the stream's link leads."""
    made = by_pool(project, "s")
    (made.path / "d").rename(made.path / "aside")
    (made.path / "d").symlink_to(project.user / "d")
    project.capture(made)
    reclaim_workspace(project.repo, RUN, made, recycled=TWO)
    assert git(project.user, "status", "--porcelain") == ""
    require_as_fresh(project, taken(project, "next").path)


def test_who_still_works_in_it_reaches_nothing(project: Project) -> None:
    """By where it stands, by an open file, by what it has mapped, by a descriptor on its way."""
    made = by_pool(project, "s")
    program = (
        "import mmap, os, signal, sys\n"
        "opened = open('a.txt', 'r+'); b = open('b.txt', 'r+b')\n"
        "mapped = mmap.mmap(b.fileno(), 0); b.close(); d = os.open('d', os.O_RDONLY)\n"
        "print(flush=True); sys.stdin.readline()\n"
        "opened.write('x'); opened.flush(); mapped[0:1] = b'x'; mapped.flush()\n"
        "for path in ('a.txt', 'd/b.txt'):\n"
        "    try: open(path, 'r+').write('x')\n"
        "    except OSError: pass\n"
        "try: open(os.open('b.txt', os.O_RDWR, dir_fd=d), 'r+').write('x')\n"
        "except OSError: pass\n"
    )
    with subprocess.Popen(
        ["python3", "-c", program], cwd=made.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as left:
        assert left.stdin is not None
        assert left.stdout is not None
        left.stdout.readline()
        project.capture(made)
        reclaim_workspace(project.repo, RUN, made, recycled=TWO)
        again = taken(project, "next").path
        left.stdin.write(b"\n")
        left.stdin.close()
        assert left.wait() == 0
    require_as_fresh(project, again)


@pytest.mark.skipif(not may_mount(), reason="only the privileged mount")
def test_a_workspace_in_which_something_is_mounted_is_not_recycled(project: Project) -> None:
    made = by_pool(project, "s")
    libc = ctypes.CDLL(None, use_errno=True)
    source, target = bytes(project.user / "d"), bytes(made.path / "d")
    assert libc.mount(source, target, None, 4096, None) == 0
    try:
        reclaim_workspace(project.repo, RUN, made, recycled=TWO)
        assert checkouts(project.repo) == []
    finally:
        for place in (made.path, made.path.with_name(f".{made.path.name}.reclaimed")):
            libc.umount2(bytes(place / "d"), 2)


def test_who_is_killed_while_recycling_loses_nothing(project: Project) -> None:
    for calls in MOMENTS:
        made = by_pool(project, f"s{calls}")
        write(made.path, {"a.txt": f"{calls}\n"})
        project.capture(made)
        work = partial(reclaim_workspace, project.repo, RUN, made, recycled=TWO)
        is_whole = killed_after(calls, work)
        assert project.content(result_ref(RUN, made.stream), "a.txt")
        reclaim_workspace(project.repo, RUN, made, recycled=TWO)
        assert not os.path.lexists(made.path)
        for found in checkouts(project.repo):
            require_as_fresh(project, taken(project, f"next{calls}{found.folder.name[-3:]}").path)
        if is_whole:
            return
    raise AssertionError("there is no end to it")
