"""Who is stopped when a disk fills up: whoever takes the room, in time, and nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.engine.disk_hold import (
    FILES,
    Disk,
    Look,
    count_of,
    found_in,
    is_short,
    size_of,
    who_fills,
)

MIB = 1 << 20
DISK = Disk(0, 1024 * MIB)


def looks(*seen: tuple[int, int, int]) -> list[Look]:
    """Return looks at a disk: what is left, and what ``a`` and ``b`` have written, in MiB."""
    return [
        Look(left * MIB, {StreamId("a"): a * MIB, StreamId("b"): b * MIB}) for left, a, b in seen
    ]


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        ([(90, 0, 0)], None),
        ([(90, 0, 0), (80, 9, 1)], "a"),
        ([(90, 0, 0), (80, 1, 9)], "b"),
        ([(90, 0, 0), (80, 1, 1)], None),  # others took it
        ([(90, 0, 0), (80, 9, 0), (79, 9, 1)], None),  # the one who took it writes no more
        ([(90, 0, 0), (80, 9, 0), (78, 9, 3)], "b"),
        ([(90, 0, 0), (95, 9, 0)], None),  # there is more room than before
        ([(90, 5, 5), (90, 5, 5)], None),
    ],
)
def test_whoever_takes_the_room_is_named(
    seen: list[tuple[int, int, int]], name: str | None
) -> None:
    found = who_fills(looks(*seen))
    assert (found and found[0]) == name


def test_who_takes_the_room_slowly_is_named_all_the_same() -> None:
    """Looks are so near each other that none sees it write much; of late it has taken all of it."""
    step = MIB // 64
    slow = [Look(90 * MIB - n * step, {StreamId("a"): n * step}) for n in range(100)]
    assert who_fills(slow[-8:]) == (StreamId("a"), 7 * step)
    crawling = [Look(look.left, {StreamId("a"): look.written[StreamId("a")]}) for look in slow]
    crawling = [look for look in crawling for _ in range(3)][:-2]  # it writes in each third look
    assert who_fills(crawling[-8:]) is None
    assert found_in(crawling) == (StreamId("a"), 99 * step)


def test_who_fills_the_disk_now_comes_before_who_did() -> None:
    """One wrote much a while ago and writes a little still; another one takes the room now."""
    a, b = StreamId("a"), StreamId("b")
    early = [Look((200 - 5 * n) * MIB, {a: 5 * n * MIB, b: 0}) for n in range(20)]
    late = [Look((100 - n) * MIB, {a: 100 * MIB + n, b: n * MIB}) for n in range(20)]
    assert found_in([*early, *late]) == (b, 7 * MIB)


@pytest.mark.parametrize(
    ("left", "taken", "stops"),
    [(500, 0, False), (500, 100, False), (300, 100, True), (52, 0, False), (50, 0, True)],
)
def test_little_room_or_little_time_is_short(left: int, taken: int, stops: bool) -> None:
    """Of a gibibyte, a twentieth is kept free; at a fast pace it is seen looks ahead."""
    assert DISK.kept == DISK.size // 20
    assert is_short(replace(DISK, left=left * MIB), taken * MIB) is stops


def test_a_large_disk_keeps_no_more_than_it_takes() -> None:
    assert Disk(0, 1 << 40).kept == 64 * MIB


def test_files_run_out_as_bytes_do() -> None:
    """A disk that can hold few more files is as full as one that can hold few more bytes."""
    disk = Disk(40, 1000, FILES)
    assert disk.kept == 50
    assert is_short(disk, 0)
    a, b = StreamId("a"), StreamId("b")
    seen = [Look(90, {a: 0, b: 0}), Look(60, {a: 25, b: 5}), Look(40, {a: 45, b: 5})]
    assert who_fills(seen, FILES) == (a, 45)
    assert disk.in_words(disk.left) == "40 files"
    assert Disk(0, 1 << 30, FILES).kept == FILES.kept_at_most


def test_files_are_counted_with_the_folders_that_they_lie_in(tmp_path: Path) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "deep" / ".hidden").touch()
    (tmp_path / "deep" / "deeper" / "link").symlink_to(tmp_path)
    assert count_of(tmp_path) == 4


def test_what_a_folder_takes_is_counted_without_following_links(tmp_path: Path) -> None:
    """Files, folders of folders, what is hidden; not what lies behind a link, and no pipe waits."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (inside / "deep" / "deeper").mkdir(parents=True)
    outside.mkdir()
    (outside / "big").write_bytes(os.urandom(8 * MIB))
    before = size_of(inside)
    (inside / "link").symlink_to(outside)
    (inside / "file").symlink_to(outside / "big")
    os.mkfifo(inside / "pipe")
    assert size_of(inside) - before < MIB
    (inside / "deep" / "deeper" / ".hidden").write_bytes(os.urandom(2 * MIB))
    assert 2 * MIB <= size_of(inside) - before < 3 * MIB
