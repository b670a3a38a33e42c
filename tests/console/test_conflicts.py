"""The pane of conflicts: both sides line by line, and every way to settle one, with real git."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anabranch.core.events import Conflict, ConflictedPath
from anabranch.core.ids import StreamId
from anabranch.core.model.state import RunPhase
from anabranch.core.plans.plan import PointPlan, StreamPlan
from anabranch.engine.host import RunHost
from anabranch.engine.settling import SideTexts
from anabranch.engine.starting import start_run
from anabranch_console.glyphs import ASCII
from anabranch_console.lines import line_cells, plain
from anabranch_console.panes import deciding
from anabranch_console.presenters.conflict_lines import ConflictRow, conflict_detail
from anabranch_console.presenters.side_diff import diff_texts
from tests.console.conftest import Console, OpenConsole
from tests.console.scripted_source import plan_of, strategies, stream
from tests.engine.repositories import FAR_LINES, git, make_repository

DEADLINE_SECONDS = 30.0
STREAMS = [
    stream("left", command="sed -i '1s/.*/left/' a.txt; echo left > b.txt"),
    stream("right", command="sed -i '1s/.*/right/' a.txt; echo right > b.txt"),
]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunHost]:
    """A run of two streams that has come to a conflict in two files."""
    with _blocked(tmp_path, monkeypatch, STREAMS) as host:
        yield host


@contextmanager
def _blocked(
    place: Path, monkeypatch: pytest.MonkeyPatch, streams: list[StreamPlan], **point: Any
) -> Iterator[RunHost]:
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
    user = make_repository(place / "user", {"a.txt": FAR_LINES})
    plan = plan_of(streams)
    if point:
        final = PointPlan(plan.points[0].id, streams=plan.points[0].streams, **point)
        plan = plan_of(streams, points=(final,))
    host = start_run(user, plan, strategies())
    try:
        assert host.wait(DEADLINE_SECONDS)
        yield host
    finally:
        host.close()


async def until_shown(console: Console, text: str) -> None:
    """Pull frames until a text is on the screen."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while text not in console.shown():
            await asyncio.sleep(0.01)
            await console.frame()


async def until_over(console: Console, host: RunHost) -> None:
    """Pull frames until the run has converged."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while host.state.phase is not RunPhase.CONVERGED:
        assert time.monotonic() < deadline, f"{console.toasts()}\n{console.shown()}"
        await asyncio.sleep(0.01)
        await console.frame()


def result(host: RunHost, path: str) -> str:
    """Return a file of the result."""
    final = next(p for p in host.state.points.values() if p.commit)
    return git(Path(host.state.project), "show", f"{final.commit}:{path}")


# --- with hands ----------------------------------------------------------------------------------


async def test_both_sides_are_shown_and_taken(open_console: OpenConsole, host: RunHost) -> None:
    """The banner names the key; a decision goes on to the next path; the last one merges."""
    async with open_console(host, (150, 40)) as console:
        assert "6 shows both sides and settles it here" in console.shown()
        assert "1 needs you" in console.shown().splitlines()[0]
        rows = {row.id: (row.needs_you, row.now) for row in console.screen.model.rows.values()}
        clash = "left and right conflict in a.txt, b.txt"
        assert rows == {"left": (False, f"waits for a decision: {clash}"), "right": (True, clash)}
        assert "waits     a decision: left and right" in console.shown()
        await console.press("6")
        await until_shown(console, "+ left")
        shown = console.shown()
        for painted in ("2 to decide", "ours  left", "theirs  right", "+ right", "- line 0"):
            assert painted in shown
        await console.press("o")
        await until_shown(console, "1 to decide")
        assert "✓ ours" in console.shown()
        await console.press("T")
        shown = console.shown()
        for painted in ("Take theirs for b.txt?", "drops    left", "then     final merges"):
            assert painted in shown
        await console.press("escape")
        assert host.state.phase is RunPhase.NEEDS_OPERATOR
        await console.press("T", "y")
        await until_over(console, host)
        await until_shown(console, "2 settled")
        shown = console.shown()
        for painted in ("✓ theirs", "✓ ours", "What was decided", "by       the operator"):
            assert painted in shown
        await console.press("o")
        assert "no path that waits for a decision" in console.toasts()[-1]
        await console.press("m")
        assert "no foreseen conflict is chosen" in console.toasts()[-1]
    assert result(host, "a.txt").startswith("left\n")
    assert result(host, "b.txt") == "right\n"


async def test_both_and_the_menu(open_console: OpenConsole, host: RunHost) -> None:
    """The lines of both, one after the other; the menu leads to the same verbs."""
    async with open_console(host, (150, 40)) as console:
        await console.press("6", "b")
        await until_shown(console, "1 to decide")
        await console.press("x")
        assert "Actions in conflicts" in console.shown()
        await console.press("b", "y")
        await until_over(console, host)
    assert result(host, "a.txt").startswith("left\nright\n")
    assert result(host, "b.txt") == "left\nright\n"


async def test_a_decision_can_be_made_anew_while_another_path_waits(
    open_console: OpenConsole, host: RunHost
) -> None:
    """Nothing goes on from it yet; the list of what was decided tells both."""
    async with open_console(host, (150, 40)) as console:
        await console.press("6", "o")
        await until_shown(console, "1 to decide")
        await console.press("g", "T")
        await until_shown(console, "✓ theirs")
        await console.press("G", "o", "y")
        await until_over(console, host)
    assert result(host, "a.txt").startswith("right\n")
    assert result(host, "b.txt") == "left\n"


async def test_the_last_decision_is_taken_back_and_decided_otherwise(
    open_console: OpenConsole, host: RunHost
) -> None:
    """It was merged at once; the point opens again, until the result is approved."""
    async with open_console(host, (150, 40)) as console:
        await console.press("6", "u")
        assert "nothing was decided" in console.toasts()[-1]
        await console.press("o")
        await until_shown(console, "1 to decide")
        await console.press("g", "u")  # nothing has gone on from it: it is not asked about
        await until_shown(console, "2 to decide")
        await console.press("o")
        await until_shown(console, "1 to decide")
        await console.press("G", "o", "y")
        await until_over(console, host)
        await until_shown(console, "u decides it again")
        await console.press("g", "u")
        shown = console.shown()
        for painted in ("Decide b.txt again?", "was      ours, by the operator", "is merged anew"):
            assert painted in shown
        await console.press("y")
        await until_shown(console, "1 to decide")
        await console.press("T", "y")
        await until_over(console, host)
    assert result(host, "a.txt").startswith("left\n")
    assert result(host, "b.txt") == "right\n"


async def test_an_editor_settles_a_conflict(
    open_console: OpenConsole, host: RunHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text with markers is refused, an unchanged one decides nothing, a clean one counts."""
    texts: list[bytes] = []

    def edited(app: object, name: str, text: bytes) -> bytes:
        texts.append(text)
        if len(texts) == 1:
            return text + b"more\n"
        return b"by hand\n"

    monkeypatch.setattr(deciding, "edited", edited)
    async with open_console(host, (150, 40)) as console:
        await console.press("6", "e")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not any("markers are left" in shown for shown in console.toasts()):
                await asyncio.sleep(0.01)
                await console.frame()
        assert b"<<<<<<< left" in texts[0]
        assert b">>>>>>> right" in texts[0]
        assert b"||||||| before both" in texts[0]
        await console.press("e")
        await until_shown(console, "1 to decide")
        await console.press("o", "y")
        await until_over(console, host)
    assert result(host, "a.txt") == "by hand\n"


async def test_the_terminal_is_given_to_the_users_editor(
    open_console: OpenConsole, host: RunHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that is impossible, or the editor cannot be started, the reason is told."""
    monkeypatch.setenv("VISUAL", "")
    monkeypatch.setenv("EDITOR", f"{sys.executable} -c 'raise SystemExit(3)'")
    async with open_console(host, (150, 40)) as console:
        await console.press("6", "e")
        assert any("cannot be given to an editor" in shown for shown in console.toasts())


async def test_a_command_settles_a_conflict_from_the_console(
    open_console: OpenConsole, host: RunHost
) -> None:
    """`:settle COMMAND` runs it where the markers are."""
    async with open_console(host, (150, 40)) as console:
        await console.press("6")
        await console.command("settle echo settled > a.txt; echo settled > b.txt")
        await until_over(console, host)
    assert result(host, "a.txt") == "settled\n"


async def test_a_conflict_is_handed_back_from_the_console(
    open_console: OpenConsole, host: RunHost
) -> None:
    """A dialog asks to which stream; it runs again, on top of the other's work."""
    async with open_console(host, (150, 40)) as console:
        await console.press("6", "h")
        assert "right does its work again" in console.shown()
        await console.press("enter")
        await until_over(console, host)
    assert host.state.streams[StreamId("right")].attempt == 2
    assert result(host, "a.txt").startswith("right\n")


# --- in words ------------------------------------------------------------------------------------


def row_of(path: str = "src/a.py") -> ConflictRow:
    conflicted = ConflictedPath(path=path, kind="contents", base="1", ours="2", theirs="3")
    conflict = Conflict(streams=(StreamId("left"), StreamId("right")), paths=(conflicted,))
    return ConflictRow(conflict.streams, conflicted, conflict=conflict)


@pytest.mark.parametrize("cells", [30, 60, 89, 90, 140])
def test_hostile_text_is_shown_and_does_nothing(cells: int) -> None:
    """Escapes stay visible, so that two sides that differ look different; nothing is too wide."""
    texts = SideTexts(b"a\n", b"a\x1b[31m\x1b]0;title\x07\n", "a\u202egnp\n".encode(), None)
    lines = conflict_detail(row_of("x\x1b[2Jy"), texts, cells, ASCII)
    text = "\n".join(plain(line) for line in lines)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "\\x1b" in text.replace("\n", "").replace(" ", "")
    assert all(line_cells(line) <= cells for line in lines[4:])


@pytest.mark.parametrize(("is_told", "hint"), [(False, "m tells both"), (True, "both know of it")])
def test_who_was_told_of_a_foreseen_conflict_need_not_be_told(is_told: bool, hint: str) -> None:
    path = ConflictedPath(path="a.txt", kind="contents", base="0", ours="1", theirs="2")
    row = ConflictRow((StreamId("a"), StreamId("b")), path, is_told=is_told)
    shown = "\n".join(plain(line) for line in conflict_detail(row, None, 80))
    assert f"would not merge as they are now; {hint}" in shown


def test_a_difference_tells_what_cannot_be_compared() -> None:
    """Binary files, missing ones and very long ones are told of, not shown."""
    assert next(diff_texts(b"a", None)).text == "too large to be shown"
    assert next(diff_texts(b"a", None, is_there=False)).text == "this side has no such file"
    assert [line.text for line in diff_texts(b"a", b"b\0")] == ["binary, 2 bytes"]
    assert "too many" in next(diff_texts(b"", b"x\n" * 5000)).text
    assert [line.text for line in diff_texts(b"a\n", b"a\n")] == ["the same as before"]


def test_a_difference_has_a_few_lines_around_each_change() -> None:
    old = b"".join(b"%d\n" % n for n in range(50))
    new = old.replace(b"10\n", b"ten\n").replace(b"40\n", b"")
    signs = "".join(line.sign for line in diff_texts(old, new))
    assert signs == "   -+   …   -   "


def test_a_side_is_as_long_as_it_is_and_a_missing_one_is_missing() -> None:
    """A last line without its end is a line; what was removed is not perhaps too large."""
    path = ConflictedPath(path="f", kind="modify/delete", base="0" * 40, ours="1" * 40, theirs=None)
    row = replace(row_of("f"), path=path)
    text = "\n".join(map(plain, conflict_detail(row, SideTexts(b"d\n", b"dd", None, None), 60)))
    assert "  1 line" in text
    assert "this side has no such file" in text
    there = replace(
        row,
        path=ConflictedPath(
            path="f", kind="contents", base="0" * 40, ours="1" * 40, theirs="2" * 40
        ),
    )
    texts = SideTexts(b"d\n", b"d\0d", None, None)
    text = "\n".join(map(plain, conflict_detail(there, texts, 60)))
    assert "too large to be shown" in text
    assert "binary, 3 bytes" in text
    assert " line" not in text
