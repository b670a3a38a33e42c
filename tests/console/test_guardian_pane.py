"""The guardian's pane and that of convergence points: what they show, and recovering by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from tests.console.conftest import OpenConsole
from tests.console.coordination import coordinated_source
from tests.console.scripted_source import ScriptedSource, demo_source, plan_of, stream


@pytest.fixture
def source(tmp_path: Path) -> ScriptedSource:
    """Give a run in which two streams stand still, one of which answers."""
    source = coordinated_source(tmp_path)
    for name, verdict in (("docs", "never_heard"), ("cart", "stalled")):
        fact = inputs.LivenessSeen(
            stream=StreamId(name), attempt=1, verdict=verdict, evidence="silent for 12 min"
        )
        source.feed(fact)
    source.pass_time(5.0)
    back = inputs.LivenessSeen(
        stream=StreamId("docs"), attempt=1, verdict="back", evidence="output 1 s ago"
    )
    source.feed(back)
    return source


async def test_the_guardian_shows_whom_it_cares_for_and_why(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Those in trouble come first, with rung, evidence, and what each remedy would do."""
    async with open_console(source) as console:
        await console.press("7")
        shown = console.shown()
        for painted in ("1 in trouble", "silent for 12 min", "soft", "0 of 3 ended within 60 s"):
            assert painted in shown
        rows = [row.id for row in console.grid("guardian").rows]
        assert rows[:2] == ["cart", "docs"]
        assert "fallback" in shown


async def test_a_remedy_that_ends_something_wants_the_name_typed(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """A wrong name does nothing; escape calls it off; the right name and enter do it."""
    async with open_console(source) as console:
        await console.press("7", "r", "h")
        assert "End and restart cart?" in console.shown()
        await console.press(*"crat")
        await console.press("enter")
        assert not console.source.commands
        await console.press(*["backspace"] * 3)
        await console.press(*"art")
        await console.press("enter")
        (asked,) = console.source.commands
        assert isinstance(asked, inputs.RecoverStream)
        assert (asked.stream, asked.remedy) == ("cart", "hard")
        await console.frame()
        assert console.source.state.streams[StreamId("cart")].attempt >= 1


async def test_a_question_needs_only_a_yes_and_a_name_in_the_command_will_do(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Soft ends nothing. ``:recover NAME REMEDY`` goes straight to the question."""
    async with open_console(source) as console:
        await console.command("recover lint soft")
        assert "Ask lint?" in console.shown()
        await console.press("y")
        (asked,) = console.source.commands
        assert isinstance(asked, inputs.RecoverStream)
        assert (asked.stream, asked.remedy) == ("lint", "soft")
        await console.command("recover nobody hard")
        assert any("no stream 'nobody'" in shown for shown in console.toasts())
        await console.command("recover lint gently")
        assert "there is no remedy 'gently'; there are soft, hard, fallback" in console.toasts()
        assert console.app.screen is console.screen


async def test_a_stream_that_is_not_shown_is_not_recovered(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Where nothing is chosen, what another pane has chosen is not meant."""
    async with open_console(source) as console:
        await console.press("space", "7")
        await console.command("filter nobody-is-called-so")
        assert "nothing matches" in console.shown()
        for key in ("r", "R"):
            await console.press(key)
            assert console.app.screen is console.screen
            assert "no stream is chosen" in console.toasts()[-1]
        assert not console.source.commands


async def test_the_points_show_who_has_come_and_who_is_waited_for(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Also how long the first has waited, and for whom."""
    async with open_console(demo_source(tmp_path)) as console:
        await console.press("8")
        shown = console.shown()
        for painted in ("3/13", "barrier", "has arrived, waits", "is waited for", "left: exit 1"):
            assert painted in shown


@pytest.fixture
def failing(tmp_path: Path) -> ScriptedSource:
    """Give a run whose agents all fail, so that its breaker is open and one is a dead letter."""
    agents = [stream(f"agent-{n}", command="agent --task", max_retries=0) for n in range(7)]
    source = ScriptedSource(plan_of(agents, parallel=3, keep_going=True), tmp_path)
    source.pass_time(1.0)
    for number in range(3):
        source.finish(f"agent-{number}", code=69, files=0)
    source.pass_time(0.5)
    return source


async def test_an_open_breaker_says_whom_it_holds_back_and_a_key_closes_it(
    open_console: OpenConsole, failing: ScriptedSource
) -> None:
    async with open_console(failing) as console:
        await console.press("7")
        assert "agent --task open" in console.shown()
        assert "holds back" in console.shown()
        assert "waiting for a slot" not in console.shown(), "that would be untrue"
        await console.press("b")
        (asked,) = console.source.commands
        assert isinstance(asked, inputs.ResetBreaker)
        await console.frame()
        assert not console.source.state.breakers.tripped


async def test_a_dead_letter_is_shown_with_its_last_word_and_a_key_requeues_it(
    open_console: OpenConsole, failing: ScriptedSource
) -> None:
    async with open_console(failing) as console:
        await console.press("7")
        assert "laid aside after 1 attempt" in " ".join(console.shown().split())
        await console.press("R")
        (asked,) = console.source.commands
        assert isinstance(asked, inputs.RetryStream)
        await console.frame()
        assert console.source.state.streams[asked.stream].attempt >= 1
        assert not console.source.state.streams[asked.stream].has_ended


async def test_all_that_are_marked_are_recovered(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """The menu says how many, the question names what happens to each, the yes is how many."""
    async with open_console(source) as console:
        await console.press("space", "space", "x", "g")
        assert "Recover 2 marked streams" in console.shown()
        await console.press("h")
        assert "End and restart 2 marked streams?" in console.shown()
        typed = "2 marked streams".replace(" ", "_")
        await console.press(*("space" if key == "_" else key for key in typed), "enter")
        marked = [str(s) for s in console.screen.home.listed.order[:2]]
        asked = console.source.commands
        assert [(c.stream, c.remedy) for c in asked if isinstance(c, inputs.RecoverStream)] == [
            (name, "hard") for name in marked
        ]


async def test_who_was_ended_for_its_memory_is_told_with_the_rule(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """In the guardian's panel and history, and beside the stream itself."""
    source = ScriptedSource(plan_of([stream("greedy", limits={"memory_mb": 200.0})]), tmp_path)
    use = inputs.MemoryUse(StreamId("greedy"), 1, 300.0)
    source.feed(inputs.MemorySeen(uses=(use,)))
    source.finish("greedy", code=1)
    async with open_console(source) as console:
        await console.press("1")
        shown = " ".join(console.shown().split())
        assert "200M memory" in shown
        assert "had 300 MB of memory" in shown
        await console.press("7")
        shown = " ".join(console.shown().split())
        assert "First whoever is above" in shown
        assert "200 is its ceiling" in shown
