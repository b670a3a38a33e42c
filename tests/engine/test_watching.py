"""Counting changed files in real folders, by real notifications and by comparing."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.engine.watching import WorkspaceWatcher, emitter, inotify, watch_table
from anabranch.engine.watching.polling import is_silent_file_system

S = StreamId("s")
DEADLINE_SECONDS = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again until the condition holds, at most for the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        pause.wait(0.005)


def wait_for_inode_clock(folder: Path) -> None:
    """Wait until files changed from now on bear a time after this call."""
    began = time.time_ns()
    probe = folder / "probe"

    def has_ticked() -> bool:
        probe.write_text("x")
        return probe.stat().st_ctime_ns > began

    wait_until(has_ticked)


@pytest.fixture(params=["inotify", "poll"])
def watcher(request: pytest.FixtureRequest) -> Iterator[WorkspaceWatcher]:
    """A watcher of either kind."""
    made = WorkspaceWatcher(poll_seconds=0.05, notify=request.param == "inotify")
    yield made
    made.close()


@pytest.fixture
def notified() -> Iterator[WorkspaceWatcher]:
    """A watcher that is told by the kernel and polls often when it has to."""
    made = WorkspaceWatcher(poll_seconds=0.05)
    yield made
    made.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A small workspace with sources, a dependency folder and a repository folder."""
    for name in ("src/app.py", "src/deep/er/mod.py", "node_modules/x/i.js", ".git/HEAD", "README"):
        path = tmp_path / "w" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("begin")
    return tmp_path / "w"


def paths(watcher: WorkspaceWatcher, stream: StreamId = S) -> list[str]:
    """All changed paths of a stream."""
    return watcher.changed_paths(stream, 10_000)


def test_distinct_changed_files_are_counted(watcher: WorkspaceWatcher, workspace: Path) -> None:
    """Written, new, deleted and deep ones; writing twice counts once."""
    watcher.watch(S, workspace)
    assert (watcher.changed_files(S), watcher.last_change_at(S)) == (0, None)
    (workspace / "src/app.py").write_text("one")
    (workspace / "src/app.py").write_text("three")
    (workspace / "src/deep/er/mod.py").write_text("changed")
    (workspace / "new.txt").write_text("new")
    (workspace / "README").unlink()
    expected = ["README", "new.txt", "src/app.py", "src/deep/er/mod.py"]
    wait_until(lambda: paths(watcher) == expected)
    assert watcher.changed_files(S) == 4
    assert watcher.changed_paths(S, 2) == expected[:2]
    assert watcher.last_change_at(S) is not None


def test_what_changed_before_watching_is_looked_at_once_more(
    watcher: WorkspaceWatcher, workspace: Path
) -> None:
    """Whoever looked at the files before watching began has a reason to look again."""
    before = watcher.change_stamp(StreamId("late"))
    (workspace / "early.txt").write_text("written in the first moments")
    watcher.watch(StreamId("late"), workspace)
    begun = watcher.change_stamp(StreamId("late"))
    assert before != begun == watcher.change_stamp(StreamId("late"))
    (workspace / "later.txt").write_text("and this is noticed")
    wait_until(lambda: watcher.change_stamp(StreamId("late")) != begun)


def test_folders_of_tools_are_left_out(watcher: WorkspaceWatcher, workspace: Path) -> None:
    """Repositories, dependencies and build output are not a stream's changes."""
    (workspace / "Cargo.toml").touch()
    watcher.watch(S, workspace)
    for name in (".git/index", "node_modules/x/i.js", "src/__pycache__/a.pyc", "target/debug/a"):
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text("x")
    (workspace / "src/target").mkdir()
    (workspace / "src/target/real.py").write_text("x")
    wait_until(lambda: paths(watcher) == ["src/target/real.py"])


def test_new_folders_are_watched_without_a_gap(watcher: WorkspaceWatcher, workspace: Path) -> None:
    """Files put into a folder the moment it is made are seen, and later ones too."""
    watcher.watch(S, workspace)
    expected = []
    for number in range(30):
        folder = workspace / f"new{number:02}" / "deep"
        folder.mkdir(parents=True)
        (folder / "f").write_text("x")
        expected.append(f"new{number:02}/deep/f")
    wait_until(lambda: paths(watcher) == expected)
    (workspace / "new07/deep/later").write_text("x")
    wait_until(lambda: "new07/deep/later" in paths(watcher))


def test_an_atomic_write_is_one_changed_file(watcher: WorkspaceWatcher, workspace: Path) -> None:
    """The temporary file that is renamed over the real one does not count."""
    watcher.watch(S, workspace)
    (workspace / "src/.app.tmp").write_text("whole")
    os.replace(workspace / "src/.app.tmp", workspace / "src/app.py")
    wait_until(lambda: paths(watcher) == ["src/app.py"])


def test_a_moved_folder_is_followed(watcher: WorkspaceWatcher, workspace: Path) -> None:
    """Its files count at the new place, and go on being seen there."""
    watcher.watch(S, workspace)
    (workspace / "src/deep").rename(workspace / "moved")
    wait_until(lambda: "moved/er/mod.py" in paths(watcher))
    (workspace / "moved/er/more").write_text("x")
    wait_until(lambda: "moved/er/more" in paths(watcher))


def test_linked_folders_are_not_followed(
    watcher: WorkspaceWatcher, workspace: Path, tmp_path: Path
) -> None:
    """A link counts as one file; what lies behind it is not the stream's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (workspace / "old").symlink_to(outside)
    watcher.watch(S, workspace)
    (workspace / "link").symlink_to(outside)
    (outside / "f").write_text("x")
    (workspace / "end").write_text("x")
    wait_until(lambda: "end" in paths(watcher) and "link" in paths(watcher))
    assert paths(watcher) == ["end", "link"]


def test_streams_may_share_a_workspace(watcher: WorkspaceWatcher, workspace: Path) -> None:
    """Each has its own count, and one leaving does not blind the other."""
    other = StreamId("other")
    watcher.watch(S, workspace, already_changed=frozenset({"before"}))
    watcher.watch(other, workspace)
    (workspace / "f").write_text("x")
    wait_until(lambda: paths(watcher) == ["before", "f"] and paths(watcher, other) == ["f"])
    watcher.unwatch(S)
    assert (watcher.changed_files(S), watcher.is_watching(S)) == (0, False)
    (workspace / "g").write_text("x")
    wait_until(lambda: paths(watcher, other) == ["f", "g"])
    watcher.unwatch(other)
    watcher.unwatch(other)


def test_a_workspace_inside_another_belongs_to_both(
    notified: WorkspaceWatcher, workspace: Path
) -> None:
    """The kernel's one watch of a folder serves two streams, and the last one lets it go."""
    inner = StreamId("inner")
    notified.watch(S, workspace)
    notified.watch(inner, workspace / "src")
    (workspace / "src/app.py").write_text("x")
    wait_until(lambda: paths(notified) == ["src/app.py"] and paths(notified, inner) == ["app.py"])
    notified.unwatch(S)
    (workspace / "src/more.py").write_text("x")
    wait_until(lambda: paths(notified, inner) == ["app.py", "more.py"])


def test_a_listener_hears_of_changes_and_may_fail(workspace: Path) -> None:
    """Listeners run with no lock held, and their failures end nothing."""
    heard: list[StreamId] = []

    def listen(stream: StreamId) -> None:
        heard.append(stream)
        raise RuntimeError("broken listener")

    watcher = WorkspaceWatcher(listen)
    try:
        watcher.watch(S, workspace)
        (workspace / "a").write_text("x")
        wait_until(lambda: heard == [S])
        (workspace / "b").write_text("x")
        wait_until(lambda: len(heard) > 1 and paths(watcher) == ["a", "b"])
    finally:
        watcher.close()
        watcher.close()
        watcher.unwatch(S)
    assert watcher.changed_files(S) == 0


def test_running_out_of_watches_falls_back_to_comparing(
    notified: WorkspaceWatcher, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed before stays counted, what changes afterwards is found by comparing."""
    notified.watch(S, workspace)
    assert notified.mode(S) == "inotify"
    wait_for_inode_clock(tmp_path)
    (workspace / "before").write_text("x")
    wait_until(lambda: paths(notified) == ["before"])
    monkeypatch.setattr(watch_table, "DIRECTORIES_LIMIT", 1)
    (workspace / "one-more").mkdir()
    (workspace / "one-more/f").write_text("x")
    wait_until(lambda: notified.mode(S) == "poll")
    wait_until(lambda: paths(notified) == ["before", "one-more/f"])
    (workspace / "src/app.py").write_text("later")
    wait_until(lambda: "src/app.py" in paths(notified))


def test_a_workspace_that_keeps_the_watcher_too_busy_is_compared(
    notified: WorkspaceWatcher, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream cannot hold up the counting of all others."""
    monkeypatch.setattr(emitter, "WORK_LIMIT", 20)
    notified.watch(S, workspace)
    wait_for_inode_clock(tmp_path)
    for number in range(40):
        (workspace / f"f{number}").write_text("x")
    wait_until(lambda: notified.mode(S) == "poll" and notified.changed_files(S) == 40)


def test_lost_notifications_lead_to_a_new_look(
    notified: WorkspaceWatcher, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an overflow, files and folders changed since the beginning are found again."""
    lost = threading.Event()
    read = inotify.Inotify.read

    def lose(self: inotify.Inotify) -> list[inotify.Notice]:
        notices = read(self)
        if not notices or lost.is_set():
            return notices
        lost.set()
        return [inotify.Notice(-1, inotify.OVERFLOW, "")]

    monkeypatch.setattr(inotify.Inotify, "read", lose)
    notified.watch(S, workspace)
    wait_for_inode_clock(tmp_path)
    (workspace / "fresh/deep").mkdir(parents=True)
    (workspace / "fresh/deep/f").write_text("x")
    wait_until(lambda: "fresh/deep/f" in paths(notified))
    assert lost.is_set()
    (workspace / "fresh/deep/g").write_text("x")
    wait_until(lambda: paths(notified) == ["fresh/deep/f", "fresh/deep/g"])
    assert notified.mode(S) == "inotify"


def test_a_removed_workspace_takes_nothing_down(
    watcher: WorkspaceWatcher, workspace: Path, tmp_path: Path
) -> None:
    """The others go on being watched."""
    other = tmp_path / "other"
    other.mkdir()
    watcher.watch(S, workspace)
    watcher.watch(StreamId("other"), other)
    shutil.rmtree(workspace)
    (other / "f").write_text("x")
    wait_until(lambda: paths(watcher, StreamId("other")) == ["f"])
    watcher.unwatch(S)


def test_hostile_names_are_kept_as_they_are(watcher: WorkspaceWatcher, workspace: Path) -> None:
    """Bytes that are no text, newlines and escapes do not break the counting."""
    watcher.watch(S, workspace)
    names = [b"bad\xff", b"new\nline", b"\x1b[2J", b"x" * 255]
    for name in names:
        (Path(os.fsdecode(os.fsencode(workspace) + b"/" + name))).write_text("x")
    wait_until(lambda: sorted(paths(watcher)) == sorted(map(os.fsdecode, names)))


def test_a_missing_workspace_is_refused(watcher: WorkspaceWatcher, tmp_path: Path) -> None:
    """There is nothing to count in a folder that does not exist."""
    with pytest.raises(NotADirectoryError):
        watcher.watch(S, tmp_path / "missing")


def test_a_local_folder_can_be_notified(tmp_path: Path) -> None:
    """The file system under the tests is no network one."""
    assert not is_silent_file_system("/proc")
    assert not is_silent_file_system("relative/nowhere")


def test_a_hundred_workspaces_are_set_up_quickly(
    notified: WorkspaceWatcher, tmp_path: Path
) -> None:
    """A hundred workspaces of 700 files share one descriptor and one thread."""
    for folder in range(35):
        (tmp_path / f"first/d{folder}").mkdir(parents=True)
        for number in range(20):
            (tmp_path / f"first/d{folder}/f{number}").touch()
    roots = [tmp_path / "first"]
    for number in range(9):
        shutil.copytree(tmp_path / "first", tmp_path / f"copy{number}", copy_function=os.link)
        roots.append(tmp_path / f"copy{number}")
    threads = threading.active_count()
    for root in roots:
        notified.watch(StreamId(root.name), root)
    assert threading.active_count() == threads
    (roots[5] / "d3/new").touch()
    wait_until(lambda: notified.changed_files(StreamId(roots[5].name)) == 1)
