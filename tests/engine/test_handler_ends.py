"""The ends of handlers as the engine hears them: each once, in order, whoever died between."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from anabranch.core.events import HandlerFinished
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.inputs import HandlersSeen
from anabranch.core.model.handlers import Handled
from anabranch.engine import handler_ends
from anabranch.engine.handler_book import decoded_line, read_whole
from anabranch.engine.handler_ends import HandlerEnds
from anabranch.handlers.book import (
    Ended,
    begun_line,
    ended_line,
    heard_line,
    left_line,
    skipped_line,
)
from anabranch.testing import stream
from tests.core.given import given

FAN = StreamId("fan")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book"


def begun(place: int, attempt: int = 1, text: str = "") -> str:
    return begun_line(place, f"k{place}", attempt, 100.0, 0, text or f"item {place}")


def ended(place: int, attempt: int = 1, code: int | None = 0, why: str = "") -> str:
    return ended_line(Ended(place, f"k{place}", attempt, 0.5, code, None, why, 0, 0, None))


def skipped(place: int, attempt: int) -> str:
    return skipped_line(place, f"k{place}", attempt)


def append(path: Path, *lines: str) -> None:
    with open(path, "a", encoding="utf-8") as book:
        book.writelines(lines)


def all_looks(path: Path, heard: int = 0) -> list[HandlersSeen]:
    """Return what somebody finds who looks for the first time, until there is no more."""
    ends, found = HandlerEnds(FAN, path, 90.0), list[HandlersSeen]()
    while (seen := ends.look(heard)) is not None:
        found.append(seen)
        heard = seen.book_offset
    return found


def ends_in(looks: list[HandlersSeen]) -> list[tuple[int, str, str, int, Attempt]]:
    return [
        (e.handler, e.item, e.outcome, e.tries, e.attempt) for look in looks for e in look.ended
    ]


def test_ends_are_told_in_their_order_with_their_items(path: Path) -> None:
    ends = HandlerEnds(FAN, path, 90.0)
    assert ends.look(0) is None
    append(path, begun(0), begun(1))
    assert ends.look(0) is None, "nothing has ended"
    append(path, ended(1, code=3), begun(2), ended(0))
    seen = ends.look(0)
    assert seen is not None
    assert ends_in([seen]) == [(1, "item 1", "failed", 1, 1), (0, "item 0", "succeeded", 1, 1)]
    assert [e.exit_code for e in seen.ended] == [3, 0]
    assert [(e.began_at, e.slot) for e in seen.ended] == [(10.0, 0), (10.0, 0)]
    assert ends.look(seen.book_offset) is None
    append(path, ended(2)[:-9])
    assert ends.look(seen.book_offset) is None, "half a line is none"


def test_what_was_not_written_down_is_told_again(path: Path) -> None:
    """The state says what was: a look that got lost counts for nothing."""
    append(path, begun(0), ended(0))
    ends = HandlerEnds(FAN, path, 90.0)
    first = ends.look(0)
    assert first == ends.look(0)


@pytest.mark.parametrize("most", [1, 2, 3, 1000])
def test_wherever_a_batch_ends_and_somebody_else_goes_on_the_story_is_the_same(
    path: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, begun(0), begun(1), begun(2), ended(1, code=1), begun(1), ended(2))
    append(path, ended(1, code=2), begun(1), ended(1))  # tried again within the attempt
    append(path, ended(0, why="in doubt", code=None))
    append(path, skipped(1, 2), skipped(2, 2), begun(0, 2), ended(0, 2))
    whole = ends_in(all_looks(path))
    assert [(place, tries) for place, _, _, tries, _ in whole] == [
        *[(1, 1), (2, 1), (1, 2), (1, 3), (0, 1)],
        (0, 1),
    ]
    monkeypatch.setattr(handler_ends, "MOST_ENDS", most)
    offset, piecewise, left_out = 0, list[HandlersSeen](), 0
    while (
        seen := HandlerEnds(FAN, path, 90.0).look(offset)
    ) is not None:  # each time another engine
        assert seen.since == offset
        assert len(seen.ended) <= most
        piecewise.append(seen)
        left_out += seen.skipped
        offset = seen.book_offset
    assert ends_in(piecewise) == whole
    assert left_out == 2
    assert offset == path.stat().st_size


def test_bytes_that_are_not_text_lose_no_end(path: Path) -> None:
    append(path, begun(0, text="caf\udce9\ud800"), ended(0, why="no file caf\udce9", code=127))
    append(path, "nonsense\n", '["e",1]\n', '["x",1,2,3]\n', begun(1), ended(1))
    looks = all_looks(path)
    assert [item for _, item, *_ in ends_in(looks)] == ["caf\\udce9\\ud800", "item 1"]
    assert looks[0].ended[0].reason == "no file caf\\udce9"


def test_a_line_longer_than_a_look_keeps_nobody_waiting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_ends, "LOOK_BYTES", 64)
    append(path, begun(0), ended(0, why="x" * 5000, code=127), begun(1), ended(1))
    looks = all_looks(path)
    assert [place for place, *_ in ends_in(looks)] == [0, 1]
    assert len(looks[0].ended[0].reason) == handler_ends.LONGEST_REASON


def test_a_book_that_is_shorter_than_it_was_has_nothing_to_say(path: Path) -> None:
    append(path, begun(0), ended(0))
    assert HandlerEnds(FAN, path, 90.0).look(10_000) is None


def test_each_line_is_read_once_whatever_stands_behind_the_last_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a book that grows, others have always begun by the time that one has ended."""
    read: list[bytes] = []

    def decoded(line: bytes) -> object:
        read.append(line)
        return decoded_line(line)

    monkeypatch.setattr(handler_ends, "decoded_line", decoded)
    run = given(stream("fan"))
    run.run("fan")
    ends, written = HandlerEnds(FAN, path, 90.0), list[str]()
    for place in range(50):
        news = [begun(place), *([ended(place - 2)] if place > 1 else []), begun(place + 100)]
        if place % 9 == 5:
            news.append(skipped(place + 200, 1))
        append(path, *news)
        written += news
        heard = run.state.handlers.get(FAN, Handled()).book_offset
        if (seen := ends.look(heard)) is not None:
            run.give(seen)
            assert run.state.handlers[FAN].book_offset == seen.book_offset
    assert [line.decode() for line in read] == written
    assert run.state.handlers[FAN].succeeded == 48 + 5


def test_what_it_remembers_is_flat_in_what_has_succeeded(path: Path) -> None:
    append(path, *(line for n in range(2000) for line in (begun(n), ended(n))))
    ends = HandlerEnds(FAN, path, 90.0)
    seen = ends.look(0)
    while seen is not None:
        seen = ends.look(seen.book_offset)
    assert len(json.dumps([*ends._begun, *ends._failures])) < 10


@pytest.mark.parametrize(
    "line",
    [
        '["b",0,"k0",1,1.0,0,{"item":1}]',
        '["e","0","k0",1,0.5,0,null,"",0,0,null]',
        '["e",0,"k0",1,"long",0,null,"",0,0,null]',
        '["e",0,"k0",1,NaN,0,null,"\\ud800",0,0,null]',
        '["e",0,"k0",1,0.5,"zero",null,"",0,0,null]',
        f'["e",{10**30},"k0",1,0.5,0,null,"",0,0,null]',
        f'["e",0,"k0",{10**30},0.5,0,null,"",0,0,null]',
        '["e",0,"k0",1,0.5,0,null,["why"],0,0,null]',
        pytest.param("[" * 20_000, id="deep"),
        pytest.param("x" * 3_000_000, id="long"),
    ],
)
def test_what_handlers_have_put_into_the_book_is_never_told(path: Path, line: str) -> None:
    """What is told is journalled: a run would never be read again that held such a thing."""
    append(path, begun(1), f"{line}\n", ended(1), begun(2, text="x" * 5000), ended(2))
    looks = all_looks(path)
    assert [e.handler for look in looks for e in look.ended] == [1, 2]
    for look in looks:
        for end in look.ended:
            assert msgspec.json.decode(msgspec.json.encode(end), type=HandlerFinished) == end
    assert read_whole(path).handlers.keys() == {1, 2}


def test_a_book_that_is_endless_fills_no_memory(path: Path) -> None:
    append(path, begun(1), ended(1))
    os.truncate(path, 100_000_000)
    append(path, "\n", begun(2), ended(2))
    tracemalloc.start()
    try:
        looks = all_looks(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert [e.handler for look in looks for e in look.ended] == [1, 2]


def test_what_an_attempt_left_is_told_and_what_it_tried_then_is_told_apart(path: Path) -> None:
    """Wherever a look ends, and whoever goes on."""
    append(path, begun(0), ended(0, code=1), begun(1), ended(1, code=1))
    append(path, left_line(0, "k0", 2), left_line(1, "k1", 2))
    append(path, begun(0, 2), ended(0, 2, code=1), begun(0, 2), ended(0, 2))
    looks = all_looks(path)
    assert sum(look.left for look in looks) == 2
    was_left = [e.was_left for look in looks for e in look.ended]
    assert was_left == [False, False, True, False]
    (last,) = all_looks(path, looks[-1].ended[-2].book_offset)
    assert (last.left, last.ended) == (0, looks[-1].ended[-1:])
    append(path, begun(1, 3), ended(1, 3, code=1))
    assert not all_looks(path)[-1].ended[-1].was_left, "it is another attempt"
    only_left = path.with_name("other")
    append(only_left, begun(0), ended(0, code=1), left_line(0, "k0", 2))
    ends = HandlerEnds(FAN, only_left, 90.0)
    first = ends.look(0)
    assert first is not None
    assert (first.left, first.book_offset) == (1, only_left.stat().st_size)
    assert ends.look(first.book_offset) is None
    assert ends.still_failed == {0}


def test_the_table_says_which_attempt_has_left_a_handler(path: Path) -> None:
    append(path, begun(0), ended(0, code=1), left_line(0, "k0", 2), left_line(7, "k7", 2))
    found = read_whole(path)
    assert (found.handlers[0].left_by, found.attempt) == (2, 2)
    assert 7 not in found.handlers
    append(path, begun(0, 3), ended(0, 3, code=1))
    assert read_whole(path).handlers[0].left_by == 0


def test_what_was_taken_up_is_told_and_read_on_from(path: Path) -> None:
    append(path, heard_line(2, 7), heard_line(2, 9))
    ends = HandlerEnds(FAN, path, 90.0)
    first = ends.look(0)
    assert first is not None
    assert (first.heard, first.book_offset) == ((7, 9), path.stat().st_size)
    assert ends.look(first.book_offset) is None
