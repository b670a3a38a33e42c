"""Copies in the console: a row, the details, and the events in sentences."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch_console.lines import plain
from anabranch_console.presenters.copy_events import KINDS
from anabranch_console.presenters.event_lines import event_words
from anabranch_console.presenters.facts import fact_lines
from anabranch_console.presenters.stream_row import stream_row
from tests.core.test_copies import with_copy

SAID = (ev.CommitGranted, ev.AttemptFenced)


def test_a_row_and_the_details_say_that_a_copy_runs_and_why() -> None:
    run = with_copy()
    words = "a copy in slot 2: past its p95 of 10 s, for 4s"
    row = stream_row(run.state, run.stream("a"), None, run.clock() + 4.0)
    assert row.now.startswith(words)
    lines = [plain(line) for line in fact_lines(run.state, run.stream("a"), None, 15.0, 200)]
    assert f"copy      {words}" in lines
    run.exited("a@2")
    row = stream_row(run.state, run.stream("a"), None, run.clock())
    assert row.now.startswith("attempt 1 is fenced, and ends: attempt 2 has the right to commit")


def test_what_happens_to_two_attempts_is_said_in_sentences() -> None:
    run = with_copy()
    run.exited("a@1", 3)
    run.kept("a@1")
    run.exited("a@2")
    said = [event_words(e).detail for e in run.events(*KINDS)]
    assert said == [
        "attempt 2 begins beside attempt 1, in slot 2: that one has worked for 11 s, past its p95 "
        "of 10 s, with 3 slots idle",
        "attempt 2 goes on as the stream: attempt 1 failed: exit 3",
        "attempt 1 is over and counts for nothing: exit 3",
    ]
    run = with_copy()
    run.exited("a@2")
    first, *_, last = [event_words(e).detail for e in run.events(*SAID)]
    assert first == (
        "attempt 2 has the right to commit, attempt 1 has not: it was the first to succeed"
    )
    assert last.startswith("attempt 1 is fenced: attempt 2 has the right to commit")
