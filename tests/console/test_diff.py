"""What a stream has changed, in the console: looked at, noted, taken and handed back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core.events import ReviewNote
from anabranch.core.ids import StreamId
from anabranch.core.model.reviews import Noted
from anabranch.engine.differences import FileDifference, Hunk
from anabranch.engine.host import RunHost
from anabranch.engine.starting import start_run
from anabranch_console.diff_reading import Read
from anabranch_console.glyphs import UNICODE
from anabranch_console.lines import plain
from anabranch_console.panes.diff import DiffPane
from anabranch_console.presenters.code_spans import colours_for
from anabranch_console.presenters.diff_lines import row_line
from anabranch_console.presenters.diff_rows import (
    DiffRow,
    anchored,
    note_at,
    other_words,
    partners,
    rows_of,
    same_place,
)
from tests.console.conftest import Console, OpenConsole
from tests.console.scripted_source import plan_of, strategies, stream
from tests.engine.repositories import make_repository

DEADLINE_SECONDS = 30.0
CODE = "".join(f"def f{n}():\n    return {n}\n\n\n" for n in range(20))


def file_of(*lines: str, path: str = "a.py", start: int = 1) -> FileDifference:
    """One file with one hunk."""
    plus, minus = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    hunk = Hunk(start, len(lines) - plus, start, len(lines) - minus, "", lines)
    return FileDifference(path, "modified", path, "100644", "100644", plus, minus, (hunk,))


# --- rows ----------------------------------------------------------------------------------------


def test_lines_are_numbered_on_their_own_side() -> None:
    rows = rows_of(file_of(" one", "-two", "+TWO", "+more", " three", start=10))
    assert [(row.sign, row.before, row.after) for row in rows if row.kind == "line"] == [
        (" ", 10, 10),
        ("-", 11, 0),
        ("+", 0, 11),
        ("+", 0, 12),
        (" ", 12, 13),
    ]


def test_only_what_differs_within_a_line_is_marked() -> None:
    """Runs of removed and added lines go together; where nothing is alike, nothing is marked."""
    rows = rows_of(file_of("-a = old", "-b = 1", "+a = new", "+b = 1  # why", "+c", " d", "-e"))
    assert partners(rows) == {1: 3, 3: 1, 2: 4, 4: 2}
    assert other_words("a = old", "a = new") == [(4, 7)]
    assert other_words("b = 1  # why", "b = 1") == [(5, 12)]
    assert other_words("nothing of it", "else!") == []
    line = row_line(rows[3], UNICODE, (), "a = old")
    assert ("new", "diff.added.word") in line


def test_code_has_colours_and_text_from_streams_is_harmless() -> None:
    pieces = colours_for("a.py")(["def f():  # why", '    return "x"'])
    assert {piece.style for line in pieces for piece in line} == {
        *("code.keyword", "code.name", "code.comment", "code.string"),
    }
    assert colours_for("of.no.language")(["x"]) == [[]]
    row = DiffRow("line", "x\033[2J\u202ey\r", "+", 0, 1)
    assert "\033" not in plain(row_line(row, UNICODE, (), None))
    assert plain(row_line(row, UNICODE, (), None)).endswith("x\\u202ey\\r")


# --- notes stay where they belong ----------------------------------------------------------------

BODY = (" import os", " ", "+x = 1", " ", " def f():", "+    return 1", " ", " def g():")


@pytest.mark.parametrize(
    ("now", "place"),
    [
        (BODY, "    return 1"),
        (("+new", "+lines", *BODY), "    return 1"),
        ((*BODY[:5], "+    x = 2", *BODY[5:]), "    return 1"),
        ((*(f"+{n}" for n in range(5)), "+    return 1", "+6", *BODY), "    return 1"),
        ((*BODY[:5], "+    return 2", *BODY[6:]), None),
        ((*BODY[:5], "-    return 1", *BODY[6:]), None),
    ],
)
def test_a_note_follows_its_line_and_says_when_it_is_gone(
    now: tuple[str, ...], place: str | None
) -> None:
    """Lines come and go around it; of lines that read the same, the one between its own."""
    rows = rows_of(file_of(*BODY))
    note = anchored("a.py", rows, 6, "why one?")
    assert (note.line, note.number, note.side) == ("    return 1", 6, "after")
    shown = rows_of(file_of(*now), [Noted(7, note, "operator", 0.0)])
    (at,) = [i for i, row in enumerate(shown) if row.note == 7]
    if place is None:
        assert (shown[at].kind, at) == ("gone", 0)
        assert "the line is gone: return 1" in shown[at].text
    else:
        assert (shown[at - 1].text, shown[at].kind) == (place, "note")
        assert shown[at - 2].text in (" def f():"[1:], "    x = 2")


def test_a_note_on_a_removed_line_and_on_a_whole_file() -> None:
    rows = rows_of(file_of("-old", "+new"))
    note = anchored("a.py", rows, 1)
    assert (note.side, note.line) == ("before", "old")
    binary = replace(file_of("-old"), hunks=())
    whole = anchored("a.py", rows_of(binary), 0, "what is this?")
    assert (whole.line, whole.number) == ("", 0)
    shown = rows_of(binary, [Noted(3, whole, "operator", 0.0)])
    assert (shown[0].kind, shown[0].text) == ("note", "what is this?")


def test_the_note_of_a_line_is_meant_from_the_line_if_it_is_the_only_one() -> None:
    rows = [DiffRow("line", "a"), DiffRow("note", "x", note=5), DiffRow("line", "b")]
    assert [note_at(rows, at) for at in range(4)] == [5, 5, 0, 0]
    rows.insert(2, DiffRow("note", "y", note=6))
    assert [note_at(rows, at) for at in range(4)] == [0, 5, 6, 0]


def test_who_reads_stays_where_he_was() -> None:
    """What comes above moves the cursor along; a line that is gone leaves it beside."""
    before = rows_of(file_of(*BODY))
    after = rows_of(file_of("+one", "+two", *BODY))
    assert after[same_place(before, 6, after)].text == "    return 1"
    gone = rows_of(file_of(*BODY[:5], *BODY[6:]))
    assert abs(same_place(before, 6, gone) - 6) <= 1
    assert same_place(before, 6, []) == 0


def test_a_hundred_thousand_lines_cost_what_is_in_sight() -> None:
    """Rows are made and paired once; nothing is coloured that nobody sees."""
    file = file_of(*(f"+value_{n} = {n}" for n in range(100_000)))
    began = time.process_time()
    rows = rows_of(file, [Noted(1, ReviewNote(path="a.py", text="t", line="x"), "o", 0.0)])
    partners(rows)
    same_place(rows, 50_000, rows)
    assert len(rows) == 100_002
    assert time.process_time() - began < 3.0


# --- in the console ------------------------------------------------------------------------------


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file: while it is not there, the stream that runs goes on."""
    return tmp_path / "go"


@pytest.fixture
def host(tmp_path: Path, gate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunHost]:
    """Two streams that have ended, one to be reviewed, and one that still runs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    user = make_repository(tmp_path / "user", {"src/app.py": CODE, "b.txt": "b\n"})
    again = 'test -n "$ANABRANCH_REVIEW" && cp "$ANABRANCH_REVIEW" said.txt'
    edit = "sed -i 's/return 1$/return one/; s/return 15$/return fifteen/' src/app.py"
    streams = [
        stream("one", command=f"{again} || {{ {edit}; echo new > new.txt; }}", review=True),
        stream("two", command="echo two > two.txt"),
        stream(
            "live",
            command=f"echo 1 > live.txt; while [ ! -e {gate} ]; do sleep 0.05; done; "
            "(echo 0; cat live.txt) > l; mv l live.txt; sleep 600",
        ),
    ]
    host = start_run(user, plan_of(streams), strategies())
    try:
        yield host
    finally:
        _end(host)


def _open(gate: Path) -> None:
    gate.touch()


def _end(host: RunHost) -> None:
    from anabranch.core.inputs import StopRun

    if not host.state.has_ended:
        host.submit(StopRun(reason="the test is over")).result()
        assert host.wait(DEADLINE_SECONDS)
    host.close()


async def until_shown(console: Console, text: str) -> None:
    """Pull frames until a text is on the screen."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while text not in console.shown():
        assert time.monotonic() < deadline, f"{text!r} is not shown:\n{console.shown()}"
        await asyncio.sleep(0.01)
        await console.frame()


async def until_ended(console: Console, host: RunHost, name: str, attempt: int = 1) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (
            (known := host.state.streams[StreamId(name)]).has_ended and known.attempt == attempt
        ):
            await asyncio.sleep(0.01)
            await console.frame()


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_a_review_is_done_with_keys(
    open_console: OpenConsole, host: RunHost, size: tuple[int, int]
) -> None:
    """Looked at, noted, handed back with the notes, looked at again and taken."""
    async with open_console(host, size) as console:
        await until_ended(console, host, "one")
        await console.command("diff one")
        await until_shown(console, "1 + new")
        await until_shown(console, "waits for your review")
        assert "enter Open" not in console.shown()
        await console.press("n")
        await until_shown(console, "return one")
        assert "-     return 1" in console.shown()
        await console.press("n", "j", "j", "j", "j", "c")
        await console.type("say it in words")
        await console.press("enter")
        await until_shown(console, "▪ say it in words")
        await console.press("H")
        for painted in ("Hand the work of one back?", "src/app.py:", "say it in words"):
            assert painted in console.shown()
        await console.press("escape", "H", "y")
        await until_ended(console, host, "one", 2)
        await until_shown(console, "said.txt")
        await until_shown(console, "attempt 2, its result")
        await until_shown(console, "waits for your review")
        await console.press("T")
        assert "Take the work of one?" in console.shown()
        assert "attempt 2" in console.shown()
        await console.press("y")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not host.state.points[host.state.plan.points[-1].id].arrived:
                await asyncio.sleep(0.01)
                await console.frame()
        assert "waits for your review" not in console.shown()


async def test_a_note_survives_the_console_and_is_taken_back(
    open_console: OpenConsole, host: RunHost
) -> None:
    """It is in the journal; another console shows it, and takes it back."""
    async with open_console(host, (120, 30)) as console:
        await until_ended(console, host, "one")
        await console.command("diff one")
        await until_shown(console, "+ new")
        await console.press("j", "enter")
        await console.type("what for?")
        await console.press("enter")
        await until_shown(console, "▪ what for?")
    async with open_console(host, (120, 30)) as console:
        await console.command("diff one")
        await until_shown(console, "▪ what for?")
        await console.press("j", "j", "D")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while "▪ what for?" in console.shown():
                await asyncio.sleep(0.01)
                await console.frame()


async def test_what_runs_is_shown_live_from_where_one_was(
    open_console: OpenConsole, host: RunHost, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that comes above moves the cursor along; nothing is to be taken or noted here."""
    monkeypatch.setattr("anabranch_console.panes.diff.LEAST_REST_SECONDS", 0.0)
    monkeypatch.setattr("anabranch_console.panes.diff.REST_FACTOR", 0.0)
    async with open_console(host, (120, 30)) as console:
        await console.command("diff live")
        await until_shown(console, "1 + 1")
        await until_shown(console, "as it is now")
        await console.press("j")
        _open(gate)
        await until_shown(console, "2 + 1")
        pane = console.screen.pane
        assert isinstance(pane, DiffPane)
        assert pane.view.rows[pane.view.cursor].text == "1"
        pane._take((pane._looked_at, Read(None, "a file went away meanwhile", 0.0)))
        assert pane.view.rows[pane.view.cursor].text == "1", "one stays where one was"
        for key in ("c", "T", "H"):
            await console.press(key)
            await until_shown(console, "live needs no review")
        await console.press("t")
        await until_shown(console, "nothing has merged yet")
        await console.press("t", "escape", "escape")
        assert console.screen.mode == "streams"
        await until_ended(console, host, "two")
        await console.command("diff two")
        await until_shown(console, "+ two")
