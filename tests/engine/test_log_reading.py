"""Reading hostile logs: lines as a terminal would show them, and nothing that can do harm."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.engine.log_reading import (
    LONGEST_LINE,
    RAW_LINE_LIMIT,
    LineAssembler,
    LogTail,
    follow,
    last_line,
    read_tail,
)
from anabranch.hostile_text import escape_for_terminal

HOSTILE_PIECES = st.sampled_from(
    ["\x1b[31m", "\x1b]0;t\x07", "\x1b]52;c;aGk=\x1b\\", "\x9b2J", "\x90q\x9c", "\x1b", "\u202e",
     "\u200b", "\u2066", "\r", "\n", "\t", "\x07", "\x08", "\x7f", "\x85", "\u2028", "\ud800", "x",
     "\u3164", "é", "漢", "👍🏽", "\U000e0041"]
)  # fmt: skip
HOSTILE_TEXT = st.lists(HOSTILE_PIECES | st.text(max_size=5), max_size=30).map("".join)


@given(HOSTILE_TEXT)
def test_escaped_text_can_only_be_shown(text: str) -> None:
    """Nothing that moves a cursor, hides, or turns the reading direction comes through."""
    shown = escape_for_terminal(text)
    assert shown.isprintable()
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in shown)
    shown.encode()


@given(HOSTILE_TEXT)
def test_escaping_twice_changes_nothing_more(text: str) -> None:
    """Everyone who shows text may escape it, even if someone else did before."""
    once = escape_for_terminal(text)
    assert escape_for_terminal(once) == once


PLAIN = st.characters(categories=["L", "N", "P", "S"], exclude_characters="ᅟᅠㅤﾠ🏻🏼🏽🏾🏿")


@given(st.text(PLAIN))
def test_plain_text_is_left_alone(text: str) -> None:
    """Letters, digits, punctuation and symbols of any script stay as they are, but skin tones."""
    assert escape_for_terminal(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31merror\x1b[0m: no", "error: no"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bplain", "plain"),
        ("cut \x1b[38;5", "cut "),
        ("a\tb", "a       b"),
        ("bell\x07", "bell\\x07"),
        ("rtl\u202etxt", "rtl\\u202etxt"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("two\nlines", "two\\nlines"),
        ("no\u00a0break", "no break"),
        ("\x1b\x1b[0m[31mred", "\\x1b[31mred"),
        (os.fsdecode(b"bad\xffname"), "bad\\xffname"),
        ("\ufe0f heart ❤️ 1️⃣ 👍🏽", " heart ❤ 1⃣ 👍"),  # as wide as all terminals have them
    ],
)
def test_known_tricks_are_shown_for_what_they_are(text: str, shown: str) -> None:
    """Sequences go, other unprintable characters become visible."""
    assert escape_for_terminal(text) == shown


@given(
    st.binary(max_size=200) | HOSTILE_TEXT.map(lambda text: text.encode(errors="replace")),
    st.data(),
)
def test_the_pieces_in_which_a_log_is_read_do_not_matter(data: bytes, draw: st.DataObject) -> None:
    """Any way to cut the bytes gives the same lines and the same unfinished one."""
    whole, pieces = LineAssembler(), LineAssembler()
    expected = whole.feed(data)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    lines: list[str] = []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        lines += pieces.feed(data[begin:end])
    assert (lines, pieces.unfinished) == (expected, whole.unfinished)


@pytest.mark.parametrize(
    ("data", "lines", "unfinished"),
    [
        (b"one\ntwo", ["one"], "two"),
        (b"dos\r\nline\r\r\n", ["dos", "line"], ""),
        (b"10%\r50%\r100%\n", ["100%"], ""),
        (b"10%\r50%\r", [], "50%"),
        (b"progress\r\x1b[K\n", [""], ""),
        (b"nel\xc2\x85same\n", ["nel\\x85same"], ""),
        (b"half\xe6\xbc", [], "half"),
        (b"bad\xff\n", ["bad\ufffd"], ""),
    ],
)
def test_lines_are_split_as_a_terminal_shows_them(
    data: bytes, lines: list[str], unfinished: str
) -> None:
    """The last overwrite wins, and only a newline ends a line."""
    assembler = LineAssembler()
    assert (assembler.feed(data), assembler.unfinished) == (lines, unfinished)


def test_an_endless_line_takes_bounded_memory() -> None:
    """Ten megabytes without a newline become one cut line."""
    assembler = LineAssembler()
    for _ in range(160):
        assert assembler.feed(b"x" * 65536) == []
    assert len(assembler._segment) == RAW_LINE_LIMIT
    (line,) = assembler.feed(b"\n")
    assert len(line) == LONGEST_LINE
    assert line.endswith("…")


def test_a_tail_reads_what_is_new_and_no_more_than_asked(tmp_path: Path) -> None:
    """Each call goes on where the last one ended."""
    log = tmp_path / "s.1.log"
    tail = LogTail(log)
    assert tail.read_new() == []
    log.write_bytes(b"one\ntwo\nthr")
    assert tail.read_new(max_bytes=5) == ["one"]
    assert tail.read_new() == ["two"]
    assert tail.unfinished == "thr"
    with log.open("ab") as more:
        more.write(b"ee\n")
    assert tail.read_new() == ["three"]
    log.write_bytes(b"new\n")
    assert tail.read_new() == ["new"]


def test_a_tail_can_begin_near_the_end(tmp_path: Path) -> None:
    """It begins with a whole line, however large the log is."""
    log = tmp_path / "s.1.log"
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))
    lines = LogTail.near_end(log, last_bytes=100).read_new()
    assert lines[-1] == "line 99999"
    assert all(line.startswith("line ") for line in lines)


def test_the_last_lines_are_read_from_the_end(tmp_path: Path) -> None:
    """Any number of them, the unfinished one included."""
    log = tmp_path / "s.1.log"
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(50_000)) + b"and")
    assert read_tail(log, 3) == ["line 49998", "line 49999", "and"]
    assert len(read_tail(log, 20_000)) == 20_000
    assert read_tail(log, 0) == []
    assert read_tail(tmp_path / "missing", 3) == []


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", ""),
        (b"one\ntwo\n\n  \n", "two"),
        (b"one\n10%\r20%\r", "20%"),
        (b"x" * 9000 + b"end", "x" * 4093 + "…"),
    ],
)
def test_the_last_line_is_the_last_with_something_on_it(
    tmp_path: Path, data: bytes, shown: str
) -> None:
    """Blank lines say nothing about what a stream is doing."""
    log = tmp_path / "s.1.log"
    log.write_bytes(data)
    line = last_line(log)
    assert line == shown or (len(data) > 4096 and line.endswith("end"))


def test_a_log_swapped_for_a_pipe_or_a_link_is_refused(tmp_path: Path) -> None:
    """Neither hangs the reader nor leads it elsewhere."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/etc/hostname")
    for path in (pipe, link, tmp_path):
        assert last_line(path) == ""
        assert LogTail(path).read_new() == []


async def test_following_yields_lines_as_they_are_written(tmp_path: Path) -> None:
    """From before the log exists to the unfinished line at its end."""
    log = tmp_path / "s.1.log"
    ended = asyncio.Event()
    log_lines = follow(log, poll_seconds=0.01, has_ended=ended.is_set)
    async with asyncio.timeout(5):
        first = asyncio.ensure_future(anext(log_lines))
        log.write_bytes(b"one\ntw")
        assert await first == "one"
        with log.open("ab") as more:
            more.write(b"o\nlast")
        ended.set()
        assert [line async for line in log_lines] == ["two", "last"]
