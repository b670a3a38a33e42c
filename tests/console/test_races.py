"""Races in the console: attempts side by side, and one adopted by a key after a look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.core import inputs
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.state import State
from anabranch.core.plans.plan import PointPlan, StreamPlan
from anabranch_console.glyphs import ASCII, UNICODE
from anabranch_console.lines import line_cells, plain
from anabranch_console.presenters.race_lines import of_adopting, race_lines
from tests.console.conftest import OpenConsole
from tests.console.scripted_source import ScriptedSource, plan_of, stream

TRY = PointId("try")
NAMES = ("try.1", "try.2", "try.3")


def race(folder: Path, *more: StreamPlan) -> ScriptedSource:
    """Return a run of three attempts, of which one has failed, that asks for one to adopt."""
    attempts = [stream(name, converge=TRY, optional=True) for name in NAMES]
    points = (
        PointPlan(TRY, "race", tuple(map(StreamId, NAMES)), adopts_one=True),
        PointPlan(PointId("final"), streams=tuple(s.id for s in more)),
    )
    plan = plan_of([*attempts, *more], points=points, keep_going=True)
    source = ScriptedSource(plan, folder)
    source.pass_time(3.0)
    source.finish("try.1")
    source.finish("try.3", code=1)
    source.finish("try.2", files=1)
    return source


async def test_one_is_adopted_after_a_look_at_all(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """The banner names the keys; what follows is said before; only the adopted one is merged."""
    source = race(tmp_path)
    async with open_console(source, (120, 40)) as console:
        assert "8 T shows the attempts and adopts one here" in console.shown()
        assert console.screen.model.attentions.sum.needs_you == 1
        await console.press("8")
        shown = console.shown()
        for painted in ("Who races here", "can be adopted", "failed: exit 1", "T Adopt"):
            assert painted in shown
        await console.press("T")
        assert "Adopt one at try" in console.shown()
        await console.press("2")
        shown = console.shown()
        for painted in ("Adopt try.2?", "merges   try.2: 1 file", "keeps    try.1, try.3"):
            assert painted in shown
        await console.press("escape")
        assert source.state.points[TRY].adoption.adopted is None
        await console.press("T", "2", "y")
        await console.frame()
        assert source.state.points[TRY].adoption.adopted == "try.2"
        assert source.state.points[TRY].merged == ("try.2",)
        assert "not adopted: try.2 is" in console.shown()
        assert source.state.streams[StreamId("try.1")].public_state == "succeeded"


async def test_a_command_adopts_too_and_is_refused_in_words(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = race(tmp_path)
    async with open_console(source, (120, 40)) as console:
        await console.press("colon", *"adopt try.3", "enter")
        assert "try.3 has not succeeded" in console.shown()
        await console.press("colon", *"adopt try.1", "enter", "y")
        await console.frame()
        assert source.state.points[TRY].merged == ("try.1",)


@pytest.mark.parametrize("cells", [28, 40, 60, 100])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_the_comparison_fits_and_hides_nobody(tmp_path: Path, cells: int, glyphs: object) -> None:
    state: State = race(tmp_path).state
    counts = {StreamId("try.1"): (120, 3)}
    lines = race_lines(state, TRY, state.at, counts, glyphs, cells)  # type: ignore[arg-type]
    text = "\n".join(map(plain, lines))
    assert all(name in text for name in NAMES)
    assert "+120 -3" in text or cells < 40
    assert all(line_cells(line) <= cells for line in lines if plain(line).startswith("    "))
    asked = of_adopting(state, TRY, StreamId("try.1"), counts)
    assert asked.title == "Adopt try.1?"


async def test_it_is_told_at_once_that_one_is_to_be_adopted(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Who has ended long ago needs a person as soon as the last one has."""
    source = race(tmp_path)
    source.feed(inputs.RetryStream(stream=StreamId("try.3"), reason="once more"))
    async with open_console(source, (120, 40)) as console:
        assert console.screen.model.attentions.sum.needs_you == 0
        source.pass_time(3.0)
        source.finish("try.3", code=1)
        await console.frame()
        assert source.state.points[TRY].adoption.asked == ("try.1", "try.2")
        assert console.screen.model.attentions.sum.needs_you == 1
