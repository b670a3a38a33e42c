"""A book of handlers as it is read while it grows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.engine.handler_book import HandlerBook, HandlerState, read_whole
from anabranch.engine.handler_output import handler_at
from anabranch.errors import WorldError
from anabranch.handlers.book import Ended, begun_line, ended_line, skipped_line
from anabranch.paths import RunFolder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book"


def ended(place: int, key: str, attempt: int = 1, code: int = 0) -> str:
    return ended_line(Ended(place, key, attempt, 0.5, code, None, "", 0, 0, None))


def begun(place: int, key: str, attempt: int = 1) -> str:
    return begun_line(place, key, attempt, 100.0, 0, f"item {key}")


def append(path: Path, *lines: str) -> None:
    with open(path, "a", encoding="utf-8") as book:
        book.writelines(lines)


def states(book: HandlerBook) -> dict[int, str]:
    return {place: str(handler.state) for place, handler in sorted(book.handlers.items())}


def test_only_what_is_new_is_read(path: Path) -> None:
    book = HandlerBook(path)
    assert book.look() == []
    append(path, begun(0, "a"), begun(1, "b"))
    assert book.look() == [0, 1]
    append(path, ended(1, "b"))
    assert book.look() == [1]
    assert states(book) == {0: "running", 1: "succeeded"}
    assert book.handlers[1].text == "item b"
    assert book.handlers[1].seconds(0.0) == 0.5
    assert book.handlers[0].seconds(103.0) == 3.0


def test_half_a_line_is_not_read_before_it_is_whole(path: Path) -> None:
    append(path, begun(0, "a"), ended(0, "a", code=3)[:20])
    book = HandlerBook(path)
    book.look()
    assert states(book) == {0: "running"}
    append(path, ended(0, "a", code=3)[20:])
    assert book.look() == [0]
    assert states(book) == {0: "failed"}


def test_what_was_done_before_stands_there_as_it_ended_then(path: Path) -> None:
    append(path, begun(0, "a"), ended(0, "a"), begun(1, "b"), ended(1, "b", code=1))
    append(path, skipped_line(5, "a", 2), begun(1, "b", 2), ended(1, "b", 2))
    book = read_whole(path)
    assert book.attempt == 2
    assert (book.handlers[5].attempt, book.handlers[5].state) == (1, HandlerState.SUCCEEDED)
    assert (book.handlers[1].attempt, book.handlers[1].tries) == (2, 2)


def test_a_long_book_is_read_in_several_looks(path: Path) -> None:
    append(path, *(begun(n, f"{n}") + ended(n, f"{n}") for n in range(100)))
    book = HandlerBook(path)
    looks = 0
    while book.look(most_bytes=1000):
        looks += 1
    assert looks > 5
    assert set(states(book).values()) == {"succeeded"}
    assert len(book.handlers) == 100


@pytest.mark.parametrize(
    "line", ["nonsense", "[]", '["b"]', '["e",1,"k",1]', '["b","x",3,4]', "{}"]
)
def test_what_makes_no_sense_is_passed_over(path: Path, line: str) -> None:
    append(path, line + "\n", begun(0, "a"))
    book = HandlerBook(path)
    assert 0 in book.look()
    assert states(book)[0] == "running"


@pytest.mark.parametrize("swap", [Path.mkdir, lambda path: path.symlink_to("/dev/null")])
def test_what_a_handler_puts_in_its_place_is_told_in_words(
    tmp_path: Path, swap: Callable[[Path], None]
) -> None:
    """Whoever asks for one handler hears that the book cannot be read."""
    run, fan = RunFolder(tmp_path), StreamId("fan")
    run.handlers(fan).mkdir(parents=True)
    swap(run.handlers(fan) / "book")
    with pytest.raises(WorldError, match="cannot be read"):
        handler_at(run, fan, 0)
