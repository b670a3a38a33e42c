"""What the panes say, without a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.core.events import StateChanged
from anabranch.core.ids import StreamId
from anabranch.core.model.locks import LockTable
from anabranch.core.model.sharing import Change
from anabranch.engine.requests import leave, pending
from anabranch_console.glyphs import ASCII, UNICODE
from anabranch_console.lines import Line, Span, line_cells, plain
from anabranch_console.operator_calls import body_of
from anabranch_console.presenters.change_lines import before_and_after, diff_lines
from anabranch_console.presenters.event_lines import event_words
from anabranch_console.presenters.grid_columns import Column, layout
from anabranch_console.presenters.lock_lines import LockLook, lock_detail, lock_rows, spark
from anabranch_console.presenters.message_lines import message_rows, thread_of
from anabranch_console.presenters.resource_lines import ResourceLook, claim_rows, resource_detail
from anabranch_console.presenters.travel_line import travel_line
from anabranch_console.text_filter import cells_of, compile_text_filter, keys_of
from anabranch_console.time_travel import Moment
from tests.console.coordination import coordinated_source
from tests.console.scripted_source import ScriptedSource


@pytest.fixture
def source(tmp_path: Path) -> ScriptedSource:
    """A run in which everything that can be seen happens."""
    return coordinated_source(tmp_path)


def _texts(lines: list[Line]) -> list[str]:
    return [plain(line) for line in lines]


def _change(before: str | None, after: str | None) -> Change:
    return Change(1, "key", before, after, StreamId("a"), 0.0, "")


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (None, "3", "new  3"),
        ("3", "4", "3 → 4"),
        ('"ruff"', None, '"ruff" → removed'),
        ('{"a":1,"b":2}', '{"a":1,"b":3}', "b 2 → 3  "),
        ('{"a":1}', '{"a":1,"c":true}', "c new → true  "),
        ('{"a":1,"b":2}', '{"b":2}', "a 1 → removed  "),
        ('{"a":1}', '{"b":2}', '{"a":1} → {"b":2}'),
        (f'"{"x" * 40}"', "1", f'"{"x" * 14}… → 1'),
    ],
)
def test_a_change_is_told_shortly(before: str | None, after: str | None, shown: str) -> None:
    """Of objects that are alike only the fields that differ are told."""
    shortly = before_and_after(_change(before, after))
    assert plain(shortly if not isinstance(shortly, Span) else (shortly,)) == shown


def test_a_difference_is_told_line_by_line() -> None:
    """A comma more is no difference; order is kept; a new value is all plus."""
    lines = diff_lines('{"a":1,"b":2}', '{"a":1,"b":3,"c":[]}', 40)
    signs = [plain(line)[:1] for line in lines]
    assert signs == [" ", " ", "-", "+", "+", " "]
    assert _texts(diff_lines(None, "7", 40)) == ["+ 7"]
    assert all(line_cells(line) <= 20 for line in diff_lines(None, f'"{"y" * 90}"', 20))


@pytest.mark.parametrize(
    ("waits", "drawn"),
    [
        ([], ""),
        ([(0.0, 60.0)], "▂" * 10),
        ([(54.0, 60.0)], " " * 9 + "▂"),
        ([(0.0, 60.0)] * 9, "█" * 10),
        ([(-100.0, -61.0)], " " * 10),
    ],
)
def test_the_last_minute_is_drawn(waits: list[tuple[float, float]], drawn: str) -> None:
    """One sign for six seconds, higher the more waited at once."""
    assert spark(waits, 60.0, UNICODE) == drawn
    assert spark(waits, 60.0, ASCII).isascii()


def test_locks_that_are_waited_for_come_first(source: ScriptedSource) -> None:
    """The longest wait first; the rest by path."""
    rows = [entry.path for entry in lock_rows(LockLook(source.state, source.now()))]
    assert rows[:2] == ["db/schema.sql", "src/cart/model.py"]
    assert rows[2:] == sorted(rows[2:])


def test_the_tree_shows_those_behind_those_that_wait(source: ScriptedSource) -> None:
    """Holder, its own wait, the queue, and who waits for what somebody in the queue holds."""
    entry = lock_rows(LockLook(source.state, source.now()))[0]
    lines = _texts(lock_detail(LockLook(source.state, source.now()), entry, 60))
    assert lines[0] == "db/schema.sql"
    assert lines[1].startswith("■ ● schema#1  write for 48s  fence")
    assert lines[3:6] == [
        "├─ ● auth-session#1  42s  write",
        "└─ ● cart#1  31s  read",
        "   └─ ● billing-tax#1  26s  write src/cart/model.py",
    ]
    nobody = _texts(lock_detail(LockLook(source.state, 0.0), None, 60))
    assert nobody[0].startswith("Cycles  1 found")
    assert isinstance(source.state.locks, LockTable)


def test_dead_letters_come_first_then_what_waits(source: ScriptedSource) -> None:
    """Threads are pairs, or the broadcasts of one stream."""
    rows = message_rows(source.state)
    assert [bool(m.died) for m in rows] == [True] + [False] * (len(rows) - 1)
    assert [bool(m.open) for m in rows[1:]] == sorted(
        (bool(m.open) for m in rows[1:]), reverse=True
    )
    threads = {thread_of(m) for m in rows}
    assert ("auth-session", "schema") in threads
    assert ("lint", "*") in threads


def test_claims_are_the_queue_then_the_holders(source: ScriptedSource) -> None:
    """In the order they are served; what is short is told."""
    claims = claim_rows(source.state, source.now())
    assert [(c.stream, c.place) for c in claims][:1] == [("schema", 1)]
    assert {c.stream for c in claims if not c.place} == {"types", "cart", "auth-tokens", "docs"}
    look = ResourceLook(source.state, source.now(), source.vitals())
    shown = "\n".join(_texts(resource_detail(look, claims[0], 60)))
    for words in ("8 of 8 granted", "0 free", "4.3 really used", "1 gpu short of 1", "8.9G"):
        assert words in shown


@pytest.mark.parametrize(
    ("text", "row", "matches"),
    [
        ("money", "3 cart Money", True),
        ("!money", "3 cart money", False),
        ("re:^3.c.rt", "3 cart money", True),
        ("re:(", "3 cart money", False),
        ("cart 3", "3 cart money", True),
        ("cart 4", "3 cart money", False),
        ("", "anything", True),
    ],
)
def test_filters_of_panes(text: str, row: str, matches: bool) -> None:
    """Words that must all be there; a bad expression is told and taken as text."""
    compiled = compile_text_filter(text)
    assert compiled.matches(row) is matches
    assert bool(compiled.problem) is (text == "re:(")


_KEYED: list[Column[tuple[str, str, str]]] = [
    Column("FROM → TO", 20, 100, lambda r: Span(r[0])),
    Column("WAIT", 4, 90, lambda r: (Span(" "), Span(r[1]))),
    Column("MEMORY", 6, 80, lambda r: Span(r[2])),
    Column("", 0, 50, lambda r: Span("")),
]


@pytest.mark.parametrize(
    ("text", "row", "matches"),
    [
        ("from:api", ("API → cart", "", ""), True),
        ("from:cart", ("api → cart", "", ""), True),
        ("!from:api", ("api → cart", "", ""), False),
        ("wait>10", ("", "12s", ""), True),
        ("wait>10s", ("", "9s", ""), False),
        ("wait>1m", ("", "90s", ""), True),
        ("wait<=2m", ("", "2m", ""), True),
        ("wait>1h", ("", "01:00:01", ""), True),
        ("wait>90m", ("", "01:07", ""), False),
        ("wait>0", ("", "", ""), False),
        ("memory>1g", ("", "", "310M"), False),
        ("memory>0.3G", ("", "", "310M"), True),
        ("memory>300", ("", "", "310M"), True),
        ("memory=~310m", ("", "", "310M"), True),
    ],
)
def test_the_columns_of_a_table_are_the_keys_of_its_filter(
    text: str, row: tuple[str, str, str], matches: bool
) -> None:
    """By what they show, as text and as amounts in any unit."""
    keys = keys_of(_KEYED)
    compiled = compile_text_filter(text, keys)
    assert compiled.matches(" ".join(row), cells_of(keys, row)) is matches
    assert compiled.problem == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("foo:bar", "foo:bar: keys are from: wait: memory: re:"),
        ("cpu>10%", "cpu>10%: keys are from: wait: memory: re:"),
        ("wait>long", "wait>long: no number to compare with"),
        ("src://x a>b:c", "a>b:c: keys are from: wait: memory: re:"),
    ],
)
def test_an_unknown_key_is_said_to_be_one(text: str, problem: str) -> None:
    """And taken as text, in every table."""
    compiled = compile_text_filter(text, keys_of(_KEYED))
    assert compiled.problem == problem
    assert compiled.matches(f"it says {text}")


@pytest.mark.parametrize(("cells", "titles"), [(60, "ABC"), (36, "AC"), (22, "A"), (3, "C")])
def test_columns_give_way_by_priority(cells: int, titles: str) -> None:
    """And what is left goes to the one without a width."""
    columns: list[Column[str]] = [
        Column("A", 20, 100, Span),
        Column("B", 10, 10, Span),
        Column("C", 0, 50, Span),
    ]
    chosen = layout(columns, cells)
    assert [c.title for c, _ in chosen] == list(titles)
    if "C" in titles:
        assert sum(width for _, width in chosen) + len(chosen) - 1 == cells


@pytest.mark.parametrize("cells", [120, 80, 60])
def test_the_past_is_always_marked(source: ScriptedSource, cells: int) -> None:
    """Which moment it is and the way back are there in every width."""
    line = travel_line(Moment(version=3), source.state, source.state, UNICODE, cells)
    assert "viewing version 3" in plain(line)
    assert "esc" in plain(line)
    assert "behind live" in plain(line)
    assert line_cells(line) <= cells


def test_what_the_operator_types_becomes_a_message(tmp_path: Path) -> None:
    """Objects and lists are JSON, the rest is text; what is asked has words and can be read."""
    assert body_of(' {"a": 1} ') == {"a": 1}
    assert body_of("[b]no[/b]") == "[b]no[/b]"
    assert body_of("12") == "12"
    from anabranch_console import operator_calls

    calls = [
        operator_calls.send(StreamId("a"), "x"),
        operator_calls.broadcast("x"),
        operator_calls.requeue(7),
        operator_calls.revoke("p"),
        operator_calls.acknowledge(7),
        operator_calls.restore(3, None),
        operator_calls.restore(3, StreamId("a")),
    ]
    assert [c.words for c in calls] == [
        "message to a",
        "message to all",
        "send 7 again",
        "take the lock of p away",
        "acknowledge message 7",
        "restore the shared state to version 3",
        "restore the shared state to version 3",
    ]
    for call in calls:
        leave(tmp_path, call)
    assert [command for _, command in pending(tmp_path)] == calls
    assert len({c.request for c in calls}) == len(calls)


def test_events_of_coordination_are_told(source: ScriptedSource) -> None:
    """No event of the run is without words of its own where it has something to say."""
    events = [record.event for record in source.take(0).events]
    words = {type(e).__name__: event_words(e) for e in events}
    assert "version 1: schema/version was nothing, is 3" in {
        event_words(e).detail for e in events if isinstance(e, StateChanged)
    }
    assert words["LockViolated"].level == "error"
    assert words["DeadlockDetected"].level == "error"
    assert "gpu" in words["ResourcesQueued"].detail
