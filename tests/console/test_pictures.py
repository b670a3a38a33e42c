"""Pictures of the console: few, of a run that stands still."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from anabranch.config import PlanContext, open_plan
from anabranch.engine.trusting import Trust
from anabranch_console.app import ConsoleApp
from anabranch_console.cli.beginning import start_choices
from anabranch_console.start_screen import StartApp
from tests.console.conftest import settle
from tests.console.coordination import coordinated_source
from tests.console.fanned import picturesque_source
from tests.console.pressed import pressed_source
from tests.console.scripted_source import demo_source, finish_everything

Compare = Callable[..., bool]


def _app(folder: Path, environ: dict[str, str], *, has_ended: bool = False) -> ConsoleApp:
    source = demo_source(folder)
    if has_ended:
        finish_everything(source)
    return ConsoleApp(
        source,
        is_paced=False,
        environ={"ANABRANCH_GLYPHS": "unicode", "ANABRANCH_THEME": "delta", **environ},
    )


def _press(*keys: str) -> Callable[[Pilot[object]], Awaitable[None]]:
    async def press(pilot: Pilot[object]) -> None:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)

    return press


@pytest.mark.parametrize(
    ("name", "size", "keys", "environ"),
    [
        ("dark", (120, 36), ("j",) * 9, {}),
        ("light wide", (160, 45), (*("j",) * 5, "e"), {"ANABRANCH_THEME": "floodplain"}),
        ("ascii", (120, 36), ("x",), {"ANABRANCH_GLYPHS": "ascii"}),
        ("narrow drawer", (80, 24), (*("j",) * 9, "enter"), {}),
        ("small", (60, 16), ("j", "space"), {}),
    ],
)
def test_the_console_looks_as_it_did(
    name: str,
    size: tuple[int, int],
    keys: tuple[str, ...],
    environ: dict[str, str],
    snap_compare: Compare,
    tmp_path: Path,
) -> None:
    """A run in full swing, in the sizes and styles that matter."""
    app = _app(tmp_path, environ)
    assert snap_compare(app, terminal_size=size, run_before=_press(*keys))


@pytest.mark.parametrize(
    ("name", "size", "keys", "environ"),
    [
        ("dark", (120, 36), ("W", *("j",) * 5), {}),
        ("light wide", (200, 50), ("W", "plus"), {"ANABRANCH_THEME": "floodplain"}),
        ("narrow drawer", (80, 24), ("W", *("j",) * 5, "enter"), {}),
        ("small", (60, 16), ("W",), {}),
    ],
)
def test_the_timeline_looks_as_it_did(
    name: str,
    size: tuple[int, int],
    keys: tuple[str, ...],
    environ: dict[str, str],
    snap_compare: Compare,
    tmp_path: Path,
) -> None:
    """A run in full swing: what ran, what waits and what is expected."""
    app = _app(tmp_path, environ)
    assert snap_compare(app, terminal_size=size, run_before=_press(*keys))


@pytest.mark.parametrize(
    ("name", "size", "keys", "environ"),
    [
        ("dark", (120, 36), ("P", "j"), {}),
        ("light wide", (200, 50), ("P", "z"), {"ANABRANCH_THEME": "floodplain"}),
        ("ascii states", (120, 36), ("P", "o", "s", "z"), {"ANABRANCH_GLYPHS": "ascii"}),
        ("narrow drawer", (80, 24), ("P", "c", "j", "enter"), {}),
        ("small", (60, 16), ("P",), {}),
    ],
)
def test_the_plan_looks_as_it_did(
    name: str,
    size: tuple[int, int],
    keys: tuple[str, ...],
    environ: dict[str, str],
    snap_compare: Compare,
    tmp_path: Path,
) -> None:
    """The graph of a run in full swing: what decides, what waits, what is expected."""
    app = _app(tmp_path, environ)
    assert snap_compare(app, terminal_size=size, run_before=_press(*keys))


@pytest.mark.parametrize(
    ("name", "size", "keys", "environ"),
    [
        ("dark", (120, 36), ("U", *("j",) * 4), {}),
        ("light wide", (200, 50), ("U", "G"), {"ANABRANCH_THEME": "floodplain"}),
        ("ascii", (120, 36), ("U",), {"ANABRANCH_GLYPHS": "ascii"}),
        ("narrow drawer", (80, 24), ("U", "enter"), {}),
        ("small", (60, 16), ("U",), {}),
    ],
)
def test_the_pressure_looks_as_it_did(
    name: str,
    size: tuple[int, int],
    keys: tuple[str, ...],
    environ: dict[str, str],
    snap_compare: Compare,
    tmp_path: Path,
) -> None:
    """A machine under pressure, a width that followed it, and who uses most."""
    environ = {"ANABRANCH_GLYPHS": "unicode", "ANABRANCH_THEME": "delta", **environ}
    app = ConsoleApp(pressed_source(tmp_path), is_paced=False, environ=environ)
    assert snap_compare(app, terminal_size=size, run_before=_press(*keys))


def test_the_end_of_a_run_looks_as_it_did(snap_compare: Compare, tmp_path: Path) -> None:
    """The banner of a failed run."""
    app = _app(tmp_path, {}, has_ended=True)
    assert snap_compare(app, terminal_size=(120, 36), run_before=_press())


@pytest.mark.parametrize(
    ("name", "size", "keys", "environ"),
    [
        ("locks", (120, 36), ("2",), {}),
        ("history light", (160, 45), ("3", *("j",) * 5), {"ANABRANCH_THEME": "floodplain"}),
        ("messages narrow", (80, 24), ("4", "enter"), {}),
        ("resources ascii", (120, 36), ("5",), {"ANABRANCH_GLYPHS": "ascii"}),
        ("timeline ascii", (120, 36), ("W", "j", "j"), {"ANABRANCH_GLYPHS": "ascii"}),
    ],
)
def test_the_panes_look_as_they_did(
    name: str,
    size: tuple[int, int],
    keys: tuple[str, ...],
    environ: dict[str, str],
    snap_compare: Compare,
    tmp_path: Path,
) -> None:
    """A run in which everything that can be seen happens."""
    environ = {"ANABRANCH_GLYPHS": "unicode", "ANABRANCH_THEME": "delta", **environ}
    app = ConsoleApp(coordinated_source(tmp_path), is_paced=False, environ=environ)
    assert snap_compare(app, terminal_size=size, run_before=_press(*keys))


@pytest.mark.parametrize(
    ("name", "size", "keys", "environ"),
    [
        ("row", (160, 45), (), {}),
        ("dark", (120, 36), ("enter", "n"), {}),
        ("light wide", (160, 45), ("enter", *("j",) * 5), {"ANABRANCH_THEME": "floodplain"}),
        ("ascii", (120, 36), ("enter",), {"ANABRANCH_GLYPHS": "ascii"}),
        ("narrow drawer", (80, 24), ("enter", "n", "enter"), {}),
        ("small", (60, 16), ("enter", "o"), {}),
    ],
)
def test_handlers_look_as_they_did(
    name: str,
    size: tuple[int, int],
    keys: tuple[str, ...],
    environ: dict[str, str],
    snap_compare: Compare,
    tmp_path: Path,
) -> None:
    """The row of a stream that fans out, and the pane of its handlers."""
    environ = {"ANABRANCH_GLYPHS": "unicode", "ANABRANCH_THEME": "delta", **environ}
    app = ConsoleApp(picturesque_source(tmp_path), is_paced=False, environ=environ)

    async def press(pilot: Pilot[object]) -> None:
        for key in ("", *keys):
            if key:
                await pilot.press(key)
            for _ in range(2):  # what threads have read is there with the next frame
                app.advance()
                await app.workers.wait_for_complete()
                await settle(pilot)
        app.advance()
        await settle(pilot)

    assert snap_compare(app, terminal_size=size, run_before=press)


@pytest.mark.parametrize(
    ("name", "size", "keys", "environ"),
    [
        ("start", (80, 24), (), {}),
        ("start small ascii", (40, 10), (), {"ANABRANCH_GLYPHS": "ascii"}),
        ("form light wide", (120, 40), ("n", *"make test"), {"ANABRANCH_THEME": "floodplain"}),
        ("form small", (40, 10), ("n", *"make"), {}),
        ("form", (80, 24), ("n", *"make test"), {"ANABRANCH_THEME": "granite"}),
    ],
)
def test_what_a_newcomer_sees_looks_as_it_did(
    name: str,
    size: tuple[int, int],
    keys: tuple[str, ...],
    environ: dict[str, str],
    snap_compare: Compare,
    tmp_path: Path,
) -> None:
    """The start screen of a folder with nothing in it, and the form of its first stream."""
    wanted = {"ANABRANCH_GLYPHS": "unicode", "ANABRANCH_THEME": "delta", **environ}
    choices = start_choices([], has_plan=False)
    context = PlanContext()
    plan = open_plan("shop", context)
    app = StartApp(plan, choices, [], context, {}, Trust(tmp_path), environ=wanted)
    typed = ("space" if key == " " else key for key in keys)
    assert snap_compare(app, terminal_size=size, run_before=_press(*typed))
