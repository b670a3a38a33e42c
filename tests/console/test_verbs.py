"""The registry of verbs, from which keys, commands, palette, help and key docs come."""

from __future__ import annotations

from collections import Counter

import pytest

from anabranch_console.commands import completions, parse_command
from anabranch_console.screens.help import help_lines
from anabranch_console.screens.palette import Hit, best
from anabranch_console.screens.run_screen import RunScreen
from anabranch_console.verbs import (
    VERBS,
    Scope,
    Situation,
    Verb,
    footer_verbs,
    keys_markdown,
    shown_keys,
)

UNSAFE = {"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+k"}


def test_no_key_means_two_things_in_one_place() -> None:
    """Keys are unique in each mode; the log gives some of them a meaning of its own."""
    everywhere = {Scope.ANYWHERE, Scope.LISTS, Scope.RUN, Scope.TRAVEL}
    modes = [{scope, Scope.TABLES} for scope in (Scope.LOCKS, Scope.HISTORY, Scope.MESSAGES)]
    home = [{Scope.STREAMS, Scope.STREAM, Scope.TABLES}, {Scope.LOG, Scope.STREAM}]
    for near in (*home, *modes):
        verbs = [v for v in VERBS if v.scope in near | everywhere]
        keys = Counter(key for verb in verbs for key in verb.keys)
        assert [key for key, count in keys.items() if count > 1] == []


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.id)
def test_every_verb_can_be_done(verb: Verb) -> None:
    """Each verb has a key, a method, a command, and stands in help and in the key docs."""
    assert verb.keys
    assert callable(getattr(RunScreen, f"do_{verb.id.replace('-', '_')}"))
    assert parse_command(f":{verb.id}").verb is verb
    told = "\n".join("".join(span.text for span in line) for line in help_lines(None))
    assert f":{verb.id}" in told
    assert shown_keys(verb) in told
    assert f"`:{verb.id}" in keys_markdown()


def test_no_key_is_one_that_terminals_keep_for_themselves() -> None:
    """Multiplexers, flow control and suspension keep their keys."""
    assert not UNSAFE & {key for verb in VERBS for key in verb.keys}


def test_dangerous_verbs_are_never_one_key_away_without_a_dialog() -> None:
    """Stopping and retrying are reached through the menu, and their titles promise a question."""
    for verb in VERBS:
        if verb.is_dangerous:
            assert verb.steers
            assert verb.title.endswith("…")
            assert verb.id == "approve" or not verb.direct_keys


@pytest.mark.parametrize(
    ("line", "verb", "argument"),
    [
        (":q", "quit", ""),
        ("stop unit", "stop", "unit"),
        ("stop-run", "stop-run", ""),
        ("filter state:failed !docs", "filter", "state:failed !docs"),
        ("th delta", "theme", "delta"),
        ("why", "story", ""),
    ],
)
def test_commands_are_understood(line: str, verb: str, argument: str) -> None:
    """Full names, aliases and unmistakable beginnings."""
    spoken = parse_command(line)
    assert spoken.verb is not None
    assert (spoken.verb.id, spoken.argument) == (verb, argument)


def test_an_unknown_command_names_a_near_one() -> None:
    """A typing error costs no trip to the manual."""
    assert "did you mean :approve?" in parse_command("aprove").problem
    assert ":help" in parse_command("xyzzy").problem
    assert parse_command("res").problem == ":res may be :resources, :reset-breaker"
    assert parse_command("").verb is None


def test_what_a_command_would_leave_out_is_refused() -> None:
    """`:take-ours OTHER` must not settle the chosen path as if OTHER had been heard."""
    for verb in VERBS:
        spoken = parse_command(f"{verb.id} other")
        if verb.args:
            assert (spoken.verb, spoken.argument) == (verb, "other")
        else:
            assert spoken.verb is None
            assert spoken.problem == f":{verb.id} takes nothing after it"
        assert parse_command(f"{verb.id} ").verb is verb


def test_completion_knows_commands_and_arguments() -> None:
    """Command names first, then whatever the command takes."""
    names = {"streams": ["unit", "ui"], "columns": ["cpu"]}
    assert completions("st", names) == ["stop", "stop-run", "story", "streams"]
    assert completions("stop u", names) == ["stop unit", "stop ui"]
    assert completions("sort c", names) == ["sort cpu"]
    assert completions("quit x", names) == []


def test_why_a_verb_cannot_be_used() -> None:
    """The reason is told in words, not by doing nothing."""
    reasons = {verb.id: verb.why_not(Situation(viewing="event 3")) for verb in VERBS if verb.steers}
    calls = {"revoke", "allow", "send", "broadcast", "requeue", "acknowledge"}
    settling = {v.id for v in VERBS if v.scope is Scope.CONFLICTS}
    guarding = {"recover", "remedy", "requeue-stream", "reset-breaker"}
    guarding |= {"choose-strategy"}
    assert set(reasons) == {"stop", "retry", "approve", "stop-run"} | calls | settling | guarding
    assert all(reason and "goes back to live" in reason for reason in reasons.values())
    by_id = {verb.id: verb for verb in VERBS}
    assert by_id["stop"].why_not(Situation(stream_has_ended=True)) == "it has ended"
    assert by_id["retry"].why_not(Situation()) == "it has not ended; stop it first"
    assert by_id["copy"].why_not(Situation(has_stream=False)) == "no stream is chosen"
    assert by_id["help"].why_not(Situation(has_stream=False)) is None


def test_the_footer_belongs_to_the_pane() -> None:
    """In the log, / finds; in the table, / filters."""
    log = [verb.id for verb in footer_verbs((Scope.LOG, Scope.ANYWHERE))]
    assert "find" in log
    assert "filter" not in log


@pytest.mark.parametrize(
    ("text", "first"),
    [("st", "stop"), ("run", "stop-run"), ("retr", "retry"), ("copy", "copy"), ("fnlg", "find")],
)
def test_the_palette_ranks(text: str, first: str) -> None:
    """Beginnings of titles come first, then beginnings of words, then parts, then letters."""
    hits = [Hit(verb.id, "", verb.title, "") for verb in VERBS]
    assert best(text, hits)[0].id == first
    assert best("", hits) == hits
