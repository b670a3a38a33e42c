"""Looking at a run as it was: any version, any event, everywhere, and nothing can be steered."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.core import calls
from anabranch.core.folds.evolve import evolve, first_state
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.engine.journal import Journal
from anabranch_console.time_travel import Moment, Rewinder, TimeSource
from tests.console.conftest import Console, OpenConsole, settle
from tests.console.coordination import call, coordinated_source
from tests.console.scripted_source import ScriptedSource, plan_of, stream


@pytest.fixture
def source(tmp_path: Path) -> ScriptedSource:
    """A run with seven versions of its shared state."""
    return coordinated_source(tmp_path)


async def _arrive(console: Console) -> None:
    await console.app.workers.wait_for_complete()
    await settle(console.pilot)
    await console.frame()


def _every_state(source: ScriptedSource) -> list[State]:
    records = source.take(0).events
    states = [first_state(records[0])]
    for record in records[1:]:
        states.append(evolve(states[-1], record))
    return states


def _write_journal(source: ScriptedSource) -> None:
    journal = Journal.create(source.folder / "journal.db", {})
    journal.append(source.take(0).events)
    journal.close()


@pytest.mark.parametrize("is_journalled", [True, False])
def test_any_event_can_be_gone_back_to(source: ScriptedSource, is_journalled: bool) -> None:
    """In any order; the states are those that the engine had."""
    if is_journalled:
        _write_journal(source)
    rewinder, states = Rewinder(source), _every_state(source)
    for seq in (1, len(states), 30, 31, 7, 60):
        assert rewinder.state_at(Moment(seq=seq)) == states[seq - 1]


def test_a_version_is_whole(source: ScriptedSource) -> None:
    """A commit of three keys is shown with all three, and as soon as it was there."""
    rewinder, states = Rewinder(source), _every_state(source)
    for version in (6, 1, 7, 3):
        expected = [s for s in states if s.shared.head == version]
        found = rewinder.state_at(Moment(version=version))
        assert isinstance(found, State)
        assert found.shared.head == version
        whole = {k: e.text for k, e in source.state.shared.versions[version].values.items()}
        assert {k: e.text for k, e in found.shared.values.items()} == whole
        assert found.seq <= expected[-1].seq


def test_what_never_was_cannot_be_gone_to(source: ScriptedSource) -> None:
    """A refusal in words, not an empty picture."""
    for moment in (Moment(version=99), Moment(seq=10**6), Moment(seq=0)):
        found = Rewinder(source).state_at(moment)
        assert isinstance(found, Refusal)
        assert moment.words in found.reason


def test_a_long_way_is_gone_once(tmp_path: Path) -> None:
    """The second journey starts from a state that was kept on the first."""
    source = ScriptedSource(plan_of([stream("a")]), tmp_path)
    for number in range(2500):
        call(source, calls.StateSet, "a", key="k", value=number)
    asked: list[int] = []

    class Counting(ScriptedSource):
        def take(self, cursor: int):  # type: ignore[no-untyped-def]
            asked.append(cursor)
            return ScriptedSource.take(source, cursor)

    counting = Counting(source.state.plan, tmp_path)
    rewinder = Rewinder(counting)
    assert isinstance(rewinder.state_at(Moment(version=2400)), State)
    assert isinstance(rewinder.state_at(Moment(version=2300)), State)
    assert asked[0] == 0
    assert asked[1] > 2000 - 500


def test_the_present_passes_through(source: ScriptedSource) -> None:
    """Live, the wrapper is not there; in the past, nothing moves and nothing can be asked for."""
    wrapped = TimeSource(source)
    assert wrapped.state is source.state
    cursor = wrapped.take(0).cursor
    past = Rewinder(source).state_at(Moment(version=2))
    assert isinstance(past, State)
    wrapped.show(Moment(version=2), past)
    frame = wrapped.take(cursor)
    assert frame.state is past
    assert frame.cursor == cursor
    assert not wrapped.take(cursor).streams
    assert wrapped.now() == past.at
    assert not wrapped.vitals()
    refusal = wrapped.submit(calls.Broadcast(calls.OPERATOR, "r", body="x")).result()
    assert refusal is not None
    assert "esc" in refusal.hint
    wrapped.show_live()
    assert wrapped.take(cursor).state is source.state


async def test_every_pane_shows_the_past(open_console: OpenConsole, source: ScriptedSource) -> None:
    """Locks and messages that were not there yet are gone; the banner says so; esc comes back."""
    async with open_console(source) as console:
        await console.press("3", "j", "t")
        await _arrive(console)
        shown = console.shown()
        assert "viewing version 6" in shown
        assert "1 version behind live" in shown
        assert "esc back to live" in shown
        assert "state changed" in shown
        assert "message sent" not in shown
        await console.press("2")
        assert "nobody holds a lock" in console.shown()
        await console.press("4")
        assert "nobody has written" in console.shown()
        await console.press("1")
        assert "viewing version 6" in console.shown()
        assert "00:16" in console.shown()
        await console.press("escape")
        assert "viewing" not in console.shown()
        await console.press("2")
        assert "db/schema.sql" in console.shown()
        assert "message sent" in console.shown()


async def test_one_steps_through_versions(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """[ and ] move by versions, not by rows, and take the whole run along while travelling."""
    async with open_console(source) as console:
        await console.press("3", "left_square_bracket")
        assert "version 6 ·" in console.shown()
        await console.press("left_square_bracket", "left_square_bracket")
        assert "version 4 ·" in console.shown()
        assert "digits 2 → 4" in console.shown()
        await console.press("t")
        await _arrive(console)
        await console.press("right_square_bracket")
        await _arrive(console)
        assert "viewing version 5" in console.shown()
        await console.command("version 2")
        await _arrive(console)
        assert "viewing version 2" in console.shown()
        assert "5 versions behind live" in console.shown()
        call(source, calls.StateSet, "lint", key="more", value=1)
        await console.frame()
        assert "6 versions behind live" in console.shown()
        assert "version 8" in console.shown()


async def test_an_event_can_be_travelled_to(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """From anywhere by command; nonsense is told."""
    async with open_console(source) as console:
        await console.command("travel event 12")
        await _arrive(console)
        assert "viewing event 12" in console.shown()
        await console.command("live")
        assert "viewing" not in console.shown()
        await console.press("2")
        await console.command("travel event 1")
        await _arrive(console)
        await console.press("1")
        assert "Streams 0" in console.shown()
        await console.press("escape")
        assert "Streams 9" in console.shown()
        await console.command("travel 99")
        await _arrive(console)
        assert "there is no version 99 in this run" in " ".join(console.toasts())
        await console.command("travel yesterday")
        await console.command("version 99")
        await console.command("live")
        text = " ".join(console.toasts())
        assert "'yesterday' is not a moment" in text
        assert "the newest is 7" in text
        assert "this is live" in text


async def test_nothing_is_steered_in_the_past(
    open_console: OpenConsole, source: ScriptedSource
) -> None:
    """Every steering verb says why not; the menu too; quitting looks at the present."""
    async with open_console(source) as console:
        await console.command("travel 3")
        await _arrive(console)
        for line in ("stop lint", "send lint hello", "broadcast x", "revoke a", "stop-run"):
            await console.command(line)
        assert console.source.commands == []
        assert all("viewing version 3" in shown for shown in console.toasts())
        await console.press("q")
        assert "9 streams are running" in console.shown()
