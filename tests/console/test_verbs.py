"""The registry of verbs, from which keys, commands, palette, help and key docs come."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from anabranch.core import calls
from anabranch_console.app import MOST_TOASTS
from anabranch_console.built_in_verbs import BUILT_IN, OWNERS, PANES, WAYS, keys_markdown
from anabranch_console.panes.handlers import HandlersPane
from anabranch_console.panes.locks import LocksPane
from anabranch_console.panes.streams import StreamsPane
from anabranch_console.registry import Known
from anabranch_console.screens.help import help_lines
from anabranch_console.screens.palette import Hit, best
from anabranch_console.time_travel import Moment
from anabranch_console.verbs import Verb, VerbOwner, shown_keys
from tests.console.conftest import OpenConsole
from tests.console.coordination import call, coordinated_source
from tests.console.scripted_source import demo_source

UNSAFE = {"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+k"}
ASKING = {
    "stop",
    "retry",
    "retry-handler",
    "recover",
    "revoke",
    "allow",
    "approve",
    "stop-run",
    "host",
    "remove-plugin",
    "close",
}
KNOWN = list(BUILT_IN.known.values())


def test_whoever_has_verbs_is_asked_for_them() -> None:
    """A pane, or another owner of verbs, that is not in the registry would have dead keys."""
    known = {known.owner for known in KNOWN}
    assert {owner.name_of for owner in OWNERS if owner.verbs} == known
    everybody = _subclasses(VerbOwner)
    assert {owner for owner in everybody if "verbs" in vars(owner)} <= set(OWNERS)
    assert {pane for pane in PANES if pane.verbs} <= set(OWNERS)
    assert [verb.keys for verb in BUILT_IN if verb.id in WAYS] == [(key,) for key in WAYS.values()]
    digits = tuple(str(digit) for digit in range(1, 10))
    assert tuple(WAYS.values())[:9] == digits, "the first nine have the digits"
    assert len(set(WAYS.values())) == len(PANES), "any other has a key of its own"
    assert all(pane.way for pane in PANES[9:])


def _subclasses(owner: type[VerbOwner]) -> set[type[VerbOwner]]:
    found = {sub for sub in owner.__subclasses__() if sub.__module__.startswith("anabranch")}
    return found | {one for sub in found for one in _subclasses(sub)}


def test_ids_are_unique() -> None:
    everything = [verb.id for owner in OWNERS for verb in owner.verbs]
    assert [name for name, count in Counter(everything).items() if count > 1] == []
    words = Counter(word for verb in BUILT_IN for word in {verb.id, *verb.aliases})
    assert [word for word, count in words.items() if count > 1] == []


@pytest.mark.parametrize("pane", [pane.name_of for pane in PANES])
def test_no_key_means_two_things_in_one_place(pane: str) -> None:
    """Keys are unique in each pane; the log gives some of them a meaning of its own."""
    has_a_log = pane in (StreamsPane.name_of, HandlersPane.name_of)
    for left_out in ({"log"}, *([{"tables", "streams", "growing"}] if has_a_log else [])):
        here = [k for k in KNOWN if k.pane in ("", pane) and k.owner not in left_out]
        keys = Counter(key for known in here for key in known.verb.keys)
        assert [key for key, count in keys.items() if count > 1] == []


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.verb.id)
def test_every_verb_can_be_done(known: Known) -> None:
    """Each verb has a key or takes a word, has a command, and stands in help and the key docs."""
    verb = known.verb
    assert verb.keys or verb.args
    assert BUILT_IN.parse(f":{verb.id}").verb is verb
    text = "\n".join("".join(span.text for span in line) for line in help_lines(BUILT_IN))
    assert f":{verb.id}" in text
    assert shown_keys(verb) in text
    assert f"`:{verb.id}" in keys_markdown()


def test_help_at_home_begins_with_what_a_newcomer_needs() -> None:
    """More streams, then what can be done with the chosen one; elsewhere the pane's own keys."""
    lines = ["".join(s.text for s in line) for line in help_lines(BUILT_IN, StreamsPane.name_of)]
    assert lines[0] == "Streams"
    assert ":new" in lines[1]
    titles = [line for line in lines if line[:1].isalpha()]
    assert titles[:4] == ["Streams", "The chosen stream", "The run", "Anywhere"]
    assert help_lines(BUILT_IN, LocksPane.name_of)[0][0].text == "Locks"


def test_no_key_is_one_that_terminals_keep_for_themselves() -> None:
    """Multiplexers, flow control and suspension keep their keys."""
    assert not UNSAFE & {key for verb in BUILT_IN for key in verb.keys}


def test_what_cannot_be_undone_is_never_one_key_away() -> None:
    """Stopping and retrying are reached through the menu, and their titles promise a question."""
    for verb in BUILT_IN:
        if verb.id in ASKING:
            assert verb.title.endswith("…")
            assert verb.id == "approve" or not verb.direct_keys
        elif any(" " in key for key in verb.keys):
            raise AssertionError(f"{verb.id} is reached by the menu only, but is not in ASKING")


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
    spoken = BUILT_IN.parse(line)
    assert spoken.verb is not None
    assert (spoken.verb.id, spoken.argument) == (verb, argument)


def test_an_unknown_command_names_a_near_one() -> None:
    """A typing error costs no trip to the manual."""
    assert "did you mean :approve?" in BUILT_IN.parse("aprove").problem
    assert ":help" in BUILT_IN.parse("xyzzy").problem
    assert BUILT_IN.parse("res").problem == ":res may be :resources, :reset-breaker"
    assert BUILT_IN.parse("").verb is None


@pytest.mark.parametrize("verb", list(BUILT_IN), ids=lambda verb: verb.id)
def test_what_a_command_would_leave_out_is_refused(verb: Verb[Any]) -> None:
    """`:take-ours OTHER` must not settle the chosen path as if OTHER had been heard."""
    spoken = BUILT_IN.parse(f"{verb.id} other")
    if verb.args:
        assert (spoken.verb, spoken.argument) == (verb, "other")
    else:
        assert spoken.verb is None
        assert spoken.problem == f":{verb.id} takes nothing after it"
    assert BUILT_IN.parse(f"{verb.id} ").verb is verb


def test_completion_knows_commands_and_arguments() -> None:
    """Command names first, then whatever the command takes."""
    names = {"streams": ["unit", "ui"], "columns": ["cpu"]}
    assert BUILT_IN.completions("st", names) == ["stop", "stop-run", "story", "streams"]
    assert BUILT_IN.completions("stop u", names) == ["stop unit", "stop ui"]
    assert BUILT_IN.completions("sort c", names) == ["sort cpu"]
    assert BUILT_IN.completions("quit x", names) == []


async def test_what_a_verb_completes_is_brought_by_somebody(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    async with open_console(coordinated_source(tmp_path)) as console:
        wanted = {verb.completes for verb in BUILT_IN} - {""}
        assert wanted <= set(console.screen.completable())


async def test_what_steers_is_refused_while_the_past_is_shown(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """The reason is told in words; what only looks goes on."""
    source = coordinated_source(tmp_path)
    async with open_console(source) as console:
        console.screen.model.time.show(Moment(seq=3), source.state)
        refused = {verb.id: console.screen.why_not(verb.id) or "" for verb in BUILT_IN}
        steering = {verb.id for verb in BUILT_IN if verb.steers}
        assert {v for v, why in refused.items() if "goes back to live" in why} == steering
        assert ASKING - {"remove-plugin"} <= steering
        for pane in ("messages", "conflicts", "guardian"):
            assert {verb.id for verb in BUILT_IN.of_owner(pane)} <= steering


async def test_why_a_verb_cannot_be_used(open_console: OpenConsole) -> None:
    """The reason is told in words, not by doing nothing."""
    async with open_console() as console:
        why_not = console.screen.why_not
        assert why_not("stop", "docs") == "it has ended"
        assert why_not("retry", "types") is None
        assert why_not("retry", "unit") == "it has not ended; stop it first"
        first = "only a converged run can be approved"
        assert why_not("approve") == f"{first}; this one goes on"
        assert why_not("settle", "true") == "no path that waits for a decision is chosen"
        assert why_not("live") == "this is live"
        assert why_not("revoke") == "nobody holds it; give a lock's path"
        assert why_not("revoke", "a.txt") is None
        await console.command("filter nothing-is-called-so")
        assert why_not("copy") == "no stream is chosen"
        assert why_not("open") == "nothing is chosen"
        assert why_not("help") is None
        await console.press("escape", "2", "x", "v")
        assert "Take the lock away: nobody holds it; give a lock's path" in console.toasts()


async def test_a_lock_over_the_chosen_one_is_named_as_what_can_be_taken_away(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Who waits for a file in a folder that somebody holds is not told that nobody holds it."""
    source = demo_source(tmp_path)
    async with open_console(source) as console:
        call(source, calls.Lock, "unit", path="tests/")
        call(source, calls.Lock, "auth-session", path="tests/unit.py")
        await console.frame()
        await console.press("2", "G")
        reason = console.screen.why_not("revoke")
        assert reason is not None
        assert reason.startswith("unit holds tests/, which reaches here")


def test_the_footer_belongs_to_the_place() -> None:
    """In the log, / finds; in the table, / filters."""
    log = [verb.id for verb in BUILT_IN.in_footer(("log", "anywhere"))]
    assert "find" in log
    assert "filter" not in log


@pytest.mark.parametrize(
    ("text", "first"),
    [("st", "stop"), ("run", "stop-run"), ("retr", "retry"), ("copy", "copy"), ("fndlg", "find")],
)
def test_the_palette_ranks(text: str, first: str) -> None:
    """Beginnings of titles come first, then beginnings of words, then parts, then letters."""
    hits = [Hit(verb.id, "", verb.title, "") for verb in BUILT_IN]
    assert best(text, hits)[0].id == first
    assert best("", hits) == hits


async def test_few_toasts_stand_at_once_and_each_once(open_console: OpenConsole) -> None:
    """Slips do not cover what one looks at: the newest stand, the same one once."""
    async with open_console() as console:
        for name in ("k1", "k2", "k3", "k4", "k3"):
            await console.command(f"log {name}")
        await console.frame()
        assert [text.split("'")[1] for text in console.toasts()] == ["k2", "k4", "k3"]
        assert MOST_TOASTS == 3
