"""What was chosen is there again in the next console, whatever became of the last one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from anabranch.core.ids import RunId
from anabranch_console.remembering import RUNS_KEPT, Memory
from tests.console.conftest import OpenConsole, settle
from tests.console.scripted_source import demo_source


async def test_what_was_chosen_is_there_again(open_console: OpenConsole, tmp_path: Path) -> None:
    """Theme, order and details for any run; pane and filters for the run they belong to."""
    memory = Memory(tmp_path / "state" / "console.json")
    async with open_console(memory=memory, ANABRANCH_THEME="") as console:
        await console.command("theme estuary")
        await console.command("sort age")
        await console.command("filter !quiet")
        await console.press("i", "2", "slash")
        await console.type("re:lock")
        await console.press("enter")
    async with open_console(memory=memory, ANABRANCH_THEME="") as console:
        await settle(console.pilot)
        assert console.app.palette.name == "estuary"
        assert console.screen.mode == "locks"
        assert console.screen.pane.filter.text == "re:lock"
        assert console.screen.has_class("-no-details")
        assert console.screen.home.filter.text == "!quiet"
        assert (console.screen.home.listed.sort, console.screen.home.listed.is_reversed) == (
            "age",
            True,
        )
        await console.press("1")
        await console.command("sort plan")
        await console.press("escape")
    other = demo_source(tmp_path)
    other.run_id = RunId("another")
    async with open_console(other, memory=memory, ANABRANCH_THEME="") as console:
        await settle(console.pilot)
        assert (console.screen.mode, console.screen.home.filter.text) == ("streams", "")
        assert console.app.palette.name == "estuary"
        assert console.screen.home.listed.is_usual


async def test_a_theme_that_is_asked_for_comes_first(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Neither the environment's nor one that is gone by now is overruled by what is remembered."""
    memory = Memory(tmp_path / "console.json")
    memory.keep({"theme": "estuary", "theme beside basalt": "estuary"})
    async with open_console(memory=memory, ANABRANCH_THEME="granite") as console:
        assert console.app.palette.name == "granite"
    memory.keep({"theme": "gone", "theme beside basalt": "gone", "sort streams": ["gone", "up"]})
    async with open_console(memory=memory, ANABRANCH_THEME="") as console:
        assert console.app.palette.name in ("delta", "basalt")
        assert console.screen.home.listed.is_usual


async def test_a_broken_file_is_passed_over_with_a_word(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """The console opens as if nothing were remembered, says so, and remembers from then on."""
    memory = Memory(tmp_path / "console.json")
    for broken in ("{", '{"theme": 3}', "\x00\x1b[2J", "x" * 100_000):
        (tmp_path / "console.json").write_text(broken)
        async with open_console(memory=memory) as console:
            assert "is passed over" in "".join(console.toasts())
    (tmp_path / "console.json").unlink()
    (tmp_path / "console.json").symlink_to("/dev/zero")
    assert "passed over" in memory.recall()[1]
    memory.keep({"theme": "delta"})
    assert memory.recall() == ({"theme": "delta"}, "")


def test_several_consoles_lose_nothing(tmp_path: Path) -> None:
    """Each writes what was chosen in it, at the same time as others do."""
    path = tmp_path / "new" / "console.json"
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: Memory(path).keep({f"sort {n}": ["a", "up"]}), range(200)))
    assert len(Memory(path).recall()[0]) == 200
    Memory(path).keep({"sort 7": None})
    assert len(Memory(path).recall()[0]) == 199


def test_old_runs_are_forgotten(tmp_path: Path) -> None:
    """The file stays small, however many runs were looked at."""
    memory = Memory(tmp_path / "console.json")
    for n in range(RUNS_KEPT + 20):
        memory.keep({f"run {n} pane": "locks", "theme": "delta"})
    kept, _ = memory.recall()
    assert len(kept) == RUNS_KEPT + 1
    assert f"run {RUNS_KEPT + 19} pane" in kept


def test_nothing_fails_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A folder that is a file, say."""
    (tmp_path / "state").write_text("")
    memory = Memory(tmp_path / "state" / "console.json")
    memory.keep({"theme": "delta"})
    assert memory.recall() == ({}, "")
