"""Notices: what rings, when, and how; and what never does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.core import calls, inputs
from anabranch.core.ids import StreamId
from anabranch_console.notices.deciding import QUIET_SECONDS, Need, Rings, in_words, needs_of
from anabranch_console.notices.noticing import Noticing, fault_of_telling
from anabranch_console.notices.settings import Settings, read_settings
from anabranch_console.notices.signals import desktop_for, desktop_notice, window_title
from tests.console.conftest import Console, OpenConsole
from tests.console.coordination import call
from tests.console.scripted_source import ScriptedSource, finish_everything, plan_of, stream

DELAY = 5.0


def need(name: str, since: float = 0.0, sort: str = "blocked") -> Need:
    return Need(name, sort, "asks: `go on?`", since, "warning", 0)


# --- what rings when, by a clock that is given ----------------------------------------------------


def test_what_passes_within_the_delay_never_rings_and_what_stands_rings_once() -> None:
    rings = Rings(DELAY)
    assert rings.look([], 0.0) == []
    assert rings.look([need("a")], 1.0) == []
    assert rings.look([], 4.0) == []  # answered in time
    assert rings.look([need("b", 5.0)], 5.0) == []
    assert rings.look([need("b", 5.0)], 10.0) == [need("b", 5.0)]
    assert rings.look([need("b", 5.0)], 11.0) == []


def test_what_was_there_when_the_console_opened_has_been_seen() -> None:
    rings = Rings(DELAY)
    rings.look([need("a")], 0.0)
    assert rings.look([need("a"), need("b", 1.0)], 1.0) == []
    assert rings.look([need("a"), need("b", 1.0)], 60.0) == [need("b", 1.0)]


def test_the_same_sort_of_need_of_one_stream_does_not_ring_twice_in_a_row() -> None:
    rings = Rings(DELAY)
    rings.look([], 0.0)
    for at in (10.0, 20.0):
        rings.look([need("a", at)], at)
    assert rings.look([need("a", 20.0)], 25.0) == [need("a", 20.0)]
    rings.look([need("a", 30.0)], 30.0)
    assert rings.look([need("a", 30.0)], 36.0) == []
    assert rings.look([need("a", 30.0)], 25.0 + QUIET_SECONDS) == [need("a", 30.0)]


def test_muted_names_do_not_ring_and_all_can_be_muted_for_a_time() -> None:
    rings = Rings(0.0, muted=["docs-*"])
    rings.look([], 0.0)
    assert rings.look([need("docs-1"), need("a")], 1.0) == [need("a")]
    assert rings.mute("b")
    assert rings.look([need("b")], 2.0) == []
    assert not rings.mute("b")
    rings.mute_all(100.0)
    assert rings.look([need("b")], 99.0) == []
    assert rings.look([need("b")], 100.0) == [need("b")]  # it still needs somebody


@given(
    st.lists(
        st.tuples(
            st.floats(0.1, 7.0),
            st.sets(st.sampled_from("abc")),
            st.sampled_from(["", "a", "b"]),
        ),
        max_size=40,
    )
)
def test_no_story_rings_for_what_is_looked_at_or_has_passed(
    story: list[tuple[float, set[str], str]],
) -> None:
    rings, now = Rings(DELAY), 0.0
    rings.look([], now)
    stands: dict[str, float] = {}
    rung: list[tuple[str, float]] = []
    for step, names, looked_at in story:
        now += step
        stands = {name: stands.get(name, now) for name in names}
        needs = [need(name, stands[name]) for name in sorted(names)]
        for one in rings.look(needs, now, looked_at or None):
            assert one.name in names
            assert one.name != looked_at
            assert now - stands[one.name] >= DELAY
            rung.append((one.name, one.since))
    assert len(rung) == len(set(rung))


# --- what needs somebody --------------------------------------------------------------------------


def test_streams_go_before_points_and_the_run_in_what_is_said(tmp_path: Path) -> None:
    source = ScriptedSource(plan_of([stream("agent"), stream("other")]), tmp_path)
    call(source, calls.Ask, "agent", question="go on?")
    (found,) = needs_of(source.state)
    assert (found.name, found.level) == ("agent", "warning")
    more = [Need("r", "blocked", "needs you", 0.0, "warning", 2), found, found._replace(name="b")]
    assert in_words(more) == "agent: asks: `go on?`; 1 other too"


def test_a_run_that_is_over_is_told_too(tmp_path: Path) -> None:
    source = ScriptedSource(plan_of([stream("a")]), tmp_path)
    source.pass_time(1.0)
    finish_everything(source)
    assert [n.sort for n in needs_of(source.state)][-1] == "over"


# --- bytes and settings ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["osc9", "osc777", "osc99"])
def test_what_a_stream_says_steers_no_terminal(kind: Any) -> None:
    hostile = "\x1b]0;owned\x07 \x9b31m;more\n\u202eback" + "x" * 999
    text = desktop_notice(kind, "anabranch", hostile)
    inner = re.sub(r"\x1b\](9|777|99);|\x1b\\", "", text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", inner)
    assert len(text) < 500
    assert "\x1b]0;" not in window_title("\x1b]0;x")[1:]


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"TERM": "xterm-kitty"}, "osc99"),
        ({"TERM_PROGRAM": "WezTerm"}, "osc9"),
        ({"VTE_VERSION": "7006"}, "osc777"),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "WezTerm"}, "none"),
        ({"TERM": "xterm-256color"}, "none"),
    ],
)
def test_only_a_terminal_that_is_known_for_it_gets_desktop_notices(
    environ: dict[str, str], kind: str
) -> None:
    assert desktop_for(environ) == kind


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ""),
        ('delay = "2s"\nbell = false\nmute = ["docs-*"]\ncommand = "say {text}"', ""),
        ("dealy = 3", "dealy"),
        ('desktop = "growl"', "growl"),
        ('delay = "soon"', "not a duration"),
        ('command = "say {txt}"', "{txt}"),
        ("= 3", "left out"),
    ],
)
def test_settings_are_strict_and_a_mistake_never_stops_the_console(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "notices.toml"
    path.write_text(text)
    settings, said = read_settings(path)
    assert problem in said
    assert bool(said) == bool(problem)
    assert settings.delay_seconds == (2.0 if "2s" in text else 5.0)
    assert read_settings(tmp_path / "none.toml") == (Settings(), "")


def test_a_command_of_ones_own_gets_the_words_as_words(tmp_path: Path) -> None:
    values = {"title": "t", "text": "$(touch x) 'q'", "name": "a", "run": "r", "count": "1"}
    place = tmp_path / "said"
    assert fault_of_telling(f"printf %s {{text}} > '{place}'", values) == ""
    assert place.read_text() == values["text"]
    assert fault_of_telling("echo no >&2; exit 3", values) == "exit 3 no"


# --- in the console -------------------------------------------------------------------------------


class Hearing:
    """A console whose terminal, clock and eyes are the test's."""

    def __init__(self, console: Console) -> None:
        self.heard: list[str] = []
        self.now, self.is_away = 0.0, False
        self.looked_at: str | None = None
        self.noticing = Noticing(
            console.screen.model,
            console.screen.steering,
            Settings(desktop="osc9"),
            self._write,
            lambda: self.looked_at,
            {},
            lambda: self.now,
        )
        console.screen.the_run.noticing = self.noticing
        self.noticing.look()
        self.heard.clear()

    def _write(self, text: str) -> bool:
        self.heard += [text] if text and not self.is_away else []
        return not self.is_away

    def after(self, seconds: float) -> str:
        """Return what is heard when so much time has passed."""
        self.heard.clear()
        self.noticing.look()
        self.now += seconds
        self.noticing.look()
        return "".join(self.heard)


async def test_a_question_rings_and_stands_in_the_title(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = ScriptedSource(plan_of([stream("agent"), stream("other")]), tmp_path)
    async with open_console(source) as console:
        hearing = Hearing(console)
        call(source, calls.Ask, "agent", question="go on?")
        await console.frame()
        assert "\a" not in hearing.after(4.0)
        heard = hearing.after(1.0)
        assert "\a\x1b]9;anabranch split-auth: agent: asks: `go on?`\x1b\\" in heard
        await console.frame()
        assert any("agent: asks: `go on?`" in toast for toast in console.toasts())
        assert hearing.after(60.0) == ""
        call(source, calls.Ask, "other", question="and you?")
        await console.frame()
        assert "2 need you, 2 at work" in hearing.after(0.0)


async def test_nothing_rings_while_it_is_looked_at_muted_or_somebody_else_has_the_terminal(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    names = ("agent", "other", "third")
    source = ScriptedSource(plan_of([stream(name) for name in names]), tmp_path)
    async with open_console(source) as console:
        hearing = Hearing(console)
        hearing.looked_at = "agent"
        call(source, calls.Ask, "agent", question="go on?")
        await console.frame()
        assert "\a" not in hearing.after(9.0)
        await console.command("mute other")
        call(source, calls.Ask, "other", question="go on?")
        await console.frame()
        assert "\a" not in hearing.after(9.0)
        for nobody in ("mute nosuch", "mute 99x"):
            await console.command(nobody)
            assert any("there is no stream" in toast for toast in console.toasts())
            console.app.clear_notifications()
        await console.command("mute 10m")
        call(source, calls.Ask, "third", question="go on?")
        await console.frame()
        assert "\a" not in hearing.after(9.0)
        await console.command("mute off")
        hearing.is_away = True
        assert hearing.after(9.0) == ""
        hearing.is_away = False
        assert "third: asks" in hearing.after(0.0)
        source.feed(inputs.StopRun(reason="enough"))
        assert source.state.streams[StreamId("agent")].stop is not None
