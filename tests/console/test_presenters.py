"""What panes say, tested as values: no terminal here."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core import calls
from anabranch.core import events as ev
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.inputs import RetryStream, StopRun
from anabranch.core.model.approval import Approval
from anabranch.core.model.effects_done import EffectsDone
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.spent import Spent
from anabranch.core.model.state import RunPhase
from anabranch.core.plans.plan import RatePlan, ReadyPlan
from anabranch.core.views.outlook import Rest
from anabranch.engine.latency import DecisionLatency
from anabranch.engine.source import Hosting, Overhead
from anabranch.testing import plans as by_hand
from anabranch_console.glyphs import ASCII, UNICODE, choose_glyphs
from anabranch_console.lines import (
    Line,
    Part,
    Span,
    bar,
    cut,
    cut_left,
    fit,
    fit_parts,
    hang,
    plain,
    wrap,
)
from anabranch_console.presenters import consequences, wording
from anabranch_console.presenters.ending import ending_lines
from anabranch_console.presenters.event_lines import event_words
from anabranch_console.presenters.facts import fact_lines, plan_lines
from anabranch_console.presenters.grid_columns import layout
from anabranch_console.presenters.header import header_line
from anabranch_console.presenters.leaving import about_leaving, leaving_message
from anabranch_console.presenters.point_lines import PointLook, point_detail
from anabranch_console.presenters.story_lines import story_lines
from anabranch_console.presenters.stream_columns import state_of, stream_columns
from anabranch_console.presenters.stream_row import URGENCY, StreamRow, elapsed, stream_row
from anabranch_console.presenters.wording import wall_clock
from anabranch_console.run_model import RunModel
from anabranch_console.stream_list import StreamList
from tests.console.coordination import call
from tests.console.scripted_source import (
    DEMO_STREAMS,
    ScriptedSource,
    conflict_between,
    demo_source,
    finish_everything,
    plan_of,
    stream,
)
from tests.core.given import given

COLUMNS = stream_columns(lambda: UNICODE, lambda: 13)


@pytest.fixture
def model(tmp_path: Path) -> RunModel:
    """Return what the console knows of the demo run."""
    model = RunModel(demo_source(tmp_path))
    model.pull()
    return model


def test_a_state_of_two_words_is_shown_as_two_words() -> None:
    shown = state_of(StreamRow(StreamId("api"), 0, "setting_up", 1, ""), UNICODE)
    assert (shown.text, shown.style) == ("◒ setting up", "state.setting_up")


def text(lines: list[Line]) -> str:
    return "\n".join(plain(line) for line in lines)


@pytest.mark.parametrize(
    ("seconds", "clock"),
    [(None, "—"), (0.4, "00:00"), (61, "01:01"), (3720, "1h02m"), (200_000, "2d07h")],
)
def test_times_are_short(seconds: float | None, clock: str) -> None:
    """A duration fits its column at every magnitude."""
    assert wording.clock(seconds) == clock


def test_memory_is_short() -> None:
    """Memory is told in mebibytes or gibibytes, nothing as a dash."""
    found = [wording.memory(n) for n in (None, 0, 1, 96 << 20, 999 << 20, 3 << 30)]
    assert found == ["—", "—", "1M", "96M", "999M", "3.0G"]


def test_text_is_fitted_by_cells() -> None:
    """Wide characters count as two cells, and the result has exactly the cells asked for."""
    assert fit("日本語", 5) == "日本…"
    assert fit("ab", 4, "right") == "  ab"
    assert cut_left("/a/very/long/path", 8) == "…ng/path"
    assert wrap("a quick brown fox", 7) == ["a quick", "brown", "fox"]
    assert wrap("", 7) == [""]


def test_the_dearest_parts_of_a_bar_stay_longest() -> None:
    """Everything gets shorter before anything goes, and what is left over is used."""
    long, short, keep = (Span("long-long"),), (Span("sh"),), (Span("keep"),)
    parts = [Part(10, (long, short)), Part(90, (keep,))]
    assert fit_parts(parts, 20) == [long, keep]
    assert fit_parts(parts, 9) == [short, keep]
    assert fit_parts(parts, 5) == [(), keep]
    assert plain(bar([keep], [short], 10)) == "keep    sh"


@pytest.mark.parametrize("cells", range(20, 200, 7))
def test_columns_never_overflow(cells: int) -> None:
    """Whatever the width: id and state are there, and the sum fits."""
    columns = layout(COLUMNS, cells)
    names = [column.id for column, _ in columns]
    assert "id" in names
    assert sum(width for _, width in columns) + len(columns) - 1 <= cells
    if cells >= 40:
        assert {"state", "now"} <= set(names)


def test_columns_come_back_with_the_width() -> None:
    """A wide table has all columns; narrower ones lose the least important first."""
    assert len(layout(COLUMNS, 130)) == 10
    assert [c.id for c, _ in layout(COLUMNS, 56)] == ["id", "state", "age", "time", "now"]


def test_a_row_says_why_a_stream_waits(model: RunModel) -> None:
    """The last column has the last line of output, the missing streams, or the failure."""
    record = {str(row.id): row.now for row in model.rows.values()}
    assert record["unit"] == "rerunning 1 failed test (1 of 3)"
    assert record["cart"] == "waits for billing-tax"
    assert record["types"].startswith("exit 1: src/cart/model.py:39")
    assert record["lint"] == "exit 0, 2 files changed"


def test_a_row_of_a_stream_that_waits_follows_those_it_waits_for(tmp_path: Path) -> None:
    """No event names the stream whose wait another one has shortened, nor one in its queue."""
    members = [stream("left"), stream("right"), stream("late", "left", "right"), stream("more")]
    source = ScriptedSource(plan_of(members, parallel=2), tmp_path)
    model, late, more = RunModel(source), StreamId("late"), StreamId("more")
    model.pull()
    assert model.rows[late].now == "waits for left, right"
    source.finish("right")
    model.pull()
    source.pass_time(1.0)
    assert late in model.pull().rows
    for waiting in (late, more):
        stream_now = model.state.streams[waiting]
        assert model.rows[waiting].now == reason_for(model.state, stream_now)
    assert model.rows[late].now == "waits for left"
    source.pass_time(1.0)
    assert late not in model.pull().rows


def test_what_a_stream_says_of_itself_goes_before_its_last_line(tmp_path: Path) -> None:
    """`ab-stream` prints its answers as JSON, which is no news for anybody who looks."""
    source = ScriptedSource(plan_of([stream("a", max_retries=1)]), tmp_path)
    model, a = RunModel(source), StreamId("a")
    source.speak("a", '{"ok":true}')
    model.pull()
    assert model.rows[a].now == '{"ok":true}'
    call(source, calls.Heartbeat, "a", status="compiling \x1b[2J", progress=0.42)
    source.pass_time(1.0)
    model.pull()
    assert model.rows[a].now == "compiling 42%"
    source.finish("a", code=1)
    source.pass_time(60.0)
    source.wake()
    source.speak("a", "another attempt")
    model.pull()
    assert model.rows[a].now == "another attempt"


def test_a_figure_of_files_that_is_an_estimate_is_marked(tmp_path: Path) -> None:
    """Until git has counted; none that were seen may well be some that were written earlier."""
    source = ScriptedSource(plan_of([stream("a")]), tmp_path)
    shown = next(c for c in COLUMNS if c.id == "files").show
    model, a = RunModel(source), StreamId("a")

    def words() -> str:
        model.pull()
        found = shown(model.rows[a])
        assert isinstance(found, Span)
        return found.text

    for files, is_estimate, wanted in ((3, True, "~3"), (4, False, "4"), (0, True, "~0")):
        source.speak("a", files_changed=files, files_are_estimated=is_estimate)
        assert words() == wanted
    source.speak("a", files_changed=0)
    assert words() == ""
    source.speak("a", files_changed=9, files_are_estimated=True)
    source.finish("a", files=2)
    assert words() == "2"


def test_a_line_that_is_too_long_is_cut_with_a_mark() -> None:
    """Wherever the spans lie; spaces at its end are nothing that could be cut."""
    line: Line = (Span("what", "strong"), Span("  it is"), Span(" about"))
    whole = plain(line)
    assert cut(line, len(whole)) == line
    assert cut((*line, Span("   ")), len(whole)) == (*line, Span("   "))
    for cells in range(1, len(whole)):
        shown = plain(cut(line, cells))
        assert shown == whole[: cells - 1] + "…"
    assert [plain(piece) for piece in hang((Span("how  "), Span("one two three")), 13)] == [
        "how  one two",
        "     three",
    ]


def test_a_row_changes_only_when_it_looks_different(model: RunModel) -> None:
    """A pull that brings nothing new for the eye marks no row."""
    assert isinstance(model.source, ScriptedSource)
    assert model.pull().is_nothing
    model.source.pass_time(0.3)
    assert not model.pull().rows
    model.source.pass_time(1.0)
    changed = model.pull().rows
    assert "unit" in changed
    assert "lint" not in changed


def test_a_failing_source_is_told_once(model: RunModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console survives whatever the source does, and keeps the last picture."""

    def broken(cursor: int) -> None:
        raise RuntimeError("journal closed")

    monkeypatch.setattr(model.source, "take", broken)
    assert model.pull().problem == "RuntimeError: journal closed"
    assert model.pull().is_nothing
    assert len(model.rows) == len(DEMO_STREAMS)


def test_the_header_fits_every_width(model: RunModel) -> None:
    """What matters least gives way first; the run's state stays."""
    for cells in (50, 60, 80, 100, 120, 160, 220):
        rows = list(model.rows.values())
        line = header_line(model.state, rows, 151.0, model.overhead, "elsewhere", UNICODE, cells)
        shown = plain(line)
        assert len(shown) == cells
        assert "● running" in shown
        assert "elsewhere" in shown
    assert "20261121-140211-k3f" in shown
    assert "3/13 arrived" in shown
    assert "overhead 1.2 %" in shown


def test_the_header_says_within_what_time_decisions_are_made(model: RunModel) -> None:
    """Beside what they cost, where there is room, and only where the engine runs."""
    assert model.overhead is not None
    latency = DecisionLatency(0.0004, 0.0123, 0.5, 900)
    known = replace(model.overhead, latency=latency)

    def shown(overhead: Overhead, cells: int) -> str:
        rows = list(model.rows.values())
        return plain(header_line(model.state, rows, 151.0, overhead, "here", UNICODE, cells))

    assert "overhead 1.2 %  decides within 12 ms" in shown(known, 220)
    assert "decides" not in shown(model.overhead, 220)
    assert "decides" not in shown(known, 100)
    assert "overhead 1.2 %" in shown(known, 200)


def test_the_header_says_how_long_it_goes_on_still(model: RunModel) -> None:
    """With the guess called one, shorter where room is short, and only while the run goes on."""

    def shown(rest: Rest | None, cells: int, hosting: Hosting = "here") -> str:
        rows = list(model.rows.values())
        return plain(
            header_line(model.state, rows, 151.0, None, hosting, UNICODE, cells, rest=rest)
        )

    assert "02:31  about 3 min left  " in f"{shown(Rest(185.0, False), 200)}  "
    assert "02:31  about 40 s left, guessed" in shown(Rest(40.0, True), 200)
    assert any(
        "  ~40 s left, guessed" in shown(Rest(40.0, True), cells) for cells in range(60, 160)
    )
    assert "left" not in shown(Rest(0.4, True), 200), "a guess is not about to be right"
    assert "about 0 s left" in shown(Rest(0.4, False), 200)
    assert "left" not in shown(Rest(40.0, True), 60)
    assert "left" not in shown(Rest(40.0, False), 200, "nobody")
    assert "left" not in shown(None, 200)


def test_what_the_header_expects_is_of_the_present(tmp_path: Path) -> None:
    """Learned of what decides it, not of what does not; nothing of a run that is over."""
    long = stream("long", estimate_seconds=90.0, estimate_basis="learned")
    source = ScriptedSource(plan_of([long, stream("new", estimate_seconds=30.0)]), tmp_path)
    model = RunModel(source)
    model.pull()
    assert model.rest is not None
    assert not model.rest.is_guessed
    source.pass_time(10.0)
    model.pull()
    assert model.rest is not None
    assert 79.0 <= model.rest.seconds <= 90.0
    source.finish("long")
    source.pass_time(1.0)
    model.pull()
    assert model.rest is not None
    assert model.rest.is_guessed
    source.pass_time(30.0)
    model.pull()
    assert model.rest is None


def test_the_header_tells_of_coordination_that_failed(model: RunModel) -> None:
    """Nothing is said of it while all is well."""

    def shown(failed: int) -> str:
        state = replace(model.state, effects=EffectsDone(37, failed))
        rows = list(model.rows.values())
        return plain(header_line(state, rows, 9.0, None, "here", UNICODE, 160))

    assert "failed" not in shown(0).replace("1 failed", "")
    assert "2 of 39 effects failed" in shown(2)


def test_an_open_run_with_nothing_to_do_says_what_could_be_done(tmp_path: Path) -> None:
    """To add and to close it, where there is room; to add first."""
    source = ScriptedSource(plan_of([stream("a")], is_open=True), tmp_path)
    source.finish("a")
    rows = list(RunModel(source).rows.values())

    def shown(cells: int) -> str:
        return plain(header_line(source.state, rows, 9.0, None, "here", UNICODE, cells))

    assert "○ open, n adds, x C closes" in shown(100)
    assert "○ open, n adds" in shown(30)


def test_what_was_merged_before_a_point_was_opened_again_is_no_count(tmp_path: Path) -> None:
    """The old commit stands until the next one; who has arrived since is what is told."""
    source = ScriptedSource(plan_of([stream("a"), stream("b")]), tmp_path)
    source.finish("a")
    source.finish("b", code=1)

    def both() -> tuple[str, str]:
        model = RunModel(source)
        model.pull()
        rows = list(model.rows.values())
        line = header_line(model.state, rows, 9.0, None, "here", UNICODE, 160)
        look = PointLook(model.state, 9.0, UNICODE)
        return plain(line), text(point_detail(look, model.state.points[FINAL_POINT], 60))

    header, detail = both()
    assert "1/2 merged" in header
    assert "merged     1 in " in detail
    again = RetryStream(stream=StreamId("b"), reason="by hand")
    assert source.submit(again).result() is None
    header, detail = both()
    assert "1/2 arrived" in header
    assert "merged  " not in detail
    assert "until it has merged again" in detail


def test_time_is_what_its_attempts_have_run_not_what_lay_between_them(model: RunModel) -> None:
    """As the report counts it: waiting to be tried again or handed back is no work."""
    before = replace(
        model.state.streams[StreamId("billing-tax")],
        first_started_at=100.0,
        started_at=160.0,
        spent=Spent(working=20.0),
    )
    assert elapsed(replace(before, phase=Phase.STOPPED, since=160.0), 900.0) == 20.0
    assert elapsed(replace(before, phase=Phase.QUEUED, since=160.0), 900.0) == 20.0
    running = replace(before, phase=Phase.RUNNING, since=160.0)
    assert elapsed(running, 170.0) == 30.0
    assert "working 30 s" in text(fact_lines(model.state, running, None, 170.0, 60))
    assert "working 01:08" in text(fact_lines(model.state, running, None, 208.0, 60))
    assert elapsed(replace(before, first_started_at=None), 900.0) is None


def test_the_facts_answer_what_how_and_where(model: RunModel) -> None:
    """Reason, evidence, dependencies, times, retries, commit, workspace and kept work."""
    state = model.state
    facts = text(fact_lines(state, state.streams[StreamId("billing-tax")], None, 151.0, 60))
    for needed in (
        "why ",
        "attempt 2, slot ",
        ", pid",
        "feeds",
        "cart",
        "retries   1",
        "partial/billing",
    ):
        assert needed in facts
    done = text(fact_lines(state, state.streams[StreamId("lint")], None, 151.0, 60))
    assert "commit    c0ffee0000  2 files" in done
    assert "…" in done
    assert done.count("workspaces/lint") == 1


def test_a_wait_that_ends_by_itself_tells_how_long_still(tmp_path: Path) -> None:
    """A delay before the next attempt, as it stands now."""
    source = ScriptedSource(plan_of([stream("a", max_retries=1)]), tmp_path)
    source.finish("a", code=1)
    a = source.state.streams[StreamId("a")]
    assert a.phase is Phase.RETRYING

    def words(now: float) -> str:
        return text(fact_lines(source.state, a, None, now, 60))

    end = a.not_before
    assert f"waits     its next attempt, for 0s, {int(end - a.since)}s to go" in words(a.since)
    assert "0s to go" in words(end + 9.0)


def test_who_waits_for_the_clock_says_until_when(tmp_path: Path) -> None:
    """In its row, in the details, and among the events; the plan says what is wanted."""
    waits = stream("a", spread_seconds=600.0, rate=RatePlan(2, 60.0), at="", zone="")
    timed = stream("b", at="02:30", zone="Europe/Berlin", catch_up="skip")
    source = ScriptedSource(plan_of([waits, timed]), tmp_path)
    a, b = (source.state.streams[StreamId(name)] for name in "ab")
    moment = wall_clock(source.state.started_wall, a.not_before)
    row = stream_row(source.state, a, None, 1.0)
    assert row.now == f"waits for its moment within 10 min, until {moment}"
    assert "its moment within 10 min, for 1s" in text(fact_lines(source.state, a, None, 1.0, 70))
    assert stream_row(source.state, b, None, 1.0).now == "waits for 02:30"
    lines = text(plan_lines(source.state, a, 60))
    assert "rate      2 starts in 60 s, of its attempts" in lines
    assert "spread    over 10:00" in lines
    assert "at        02:30 Europe/Berlin; missed, the next day" in text(
        plan_lines(source.state, b, 60)
    )


def test_the_plan_tab_shows_the_command(model: RunModel) -> None:
    """The command as the user wrote it, and the limits that apply."""
    lines = text(plan_lines(model.state, model.state.streams[StreamId("billing-tax")], 60))
    assert "codemod money src/billing" in lines
    assert "up to 1" in lines


def test_the_story_names_causes(model: RunModel) -> None:
    """A stream that could start because another one ended says so."""
    records = model.story("unit")
    shown = text(story_lines(model.state, "unit", records, model.event, UNICODE))
    assert "because run started" in shown
    assert "because lint" in shown
    assert shown.index("queued") < shown.index("· started")


def test_every_event_has_words() -> None:
    """Each class of event is told with a known level, and failures are told as failures."""
    samples = {
        ev.StreamFailed(StreamId("a"), attempt=1, reason="exit 1"): "error",
        ev.StreamExited(
            StreamId("a"),
            attempt=1,
            exit_code=3,
            signal=None,
            error=None,
            happened_at=0.0,
            survivors_ended=2,
            lost_bytes=10,
        ): "warning",
        ev.ConvergenceMerged("final", commit="c" * 40, tree="t", branch="b", merged=()): "good",  # type: ignore[arg-type]
        ev.RunNeedsOperator(reason="conflict", hint="resume"): "warning",
    }
    for event, level in samples.items():
        words = event_words(event)
        assert words.level == level
        assert words.type.replace(" ", "_") == ev.wire_name(type(event).__name__)
    assert event_words(
        ev.StreamExited(
            StreamId("a"),
            attempt=1,
            exit_code=3,
            signal=None,
            error=None,
            happened_at=0.0,
            survivors_ended=2,
            lost_bytes=10,
        )
    ).detail == ("exit 3, 2 left-over processes ended, 10 bytes of output lost")


def test_the_events_of_whole_runs_can_be_told(tmp_path: Path) -> None:
    """Whatever the core says in a run from start to end has a level and harmless words."""
    source = demo_source(tmp_path)
    finish_everything(source)
    for record in source.take(0).events:
        words = event_words(record.event)
        assert words.level in UNICODE.levels
        assert words.detail.isprintable()


def test_the_banner_of_a_converged_run(tmp_path: Path) -> None:
    """Outcome, branch, and that it waits for approval."""
    source = ScriptedSource(plan_of([stream("a"), stream("b", "a")]), tmp_path)
    assert ending_lines(source.state, UNICODE, 116) == []
    finish_everything(source)
    shown = text(ending_lines(source.state, UNICODE, 116))
    assert "✓ Converged" in shown
    assert "2 streams merged into anabranch/20261121-140211-k3f" in shown
    assert "x A brings it to your branch" in shown
    assert "anabranch report" in shown


def test_the_banner_says_what_fits(tmp_path: Path) -> None:
    """The first step always stands there; further ones where there is room."""
    source = ScriptedSource(plan_of([stream("a")]), tmp_path)
    finish_everything(source)
    shown = text(ending_lines(source.state, UNICODE, 40))
    assert "x A brings it to your branch" in shown
    assert "anabranch report" not in shown


def test_the_banner_of_a_refused_approval_tells_it_whole(tmp_path: Path) -> None:
    """The reason and the way on, however narrow; what a key here can do needs no command."""
    source = ScriptedSource(plan_of([stream("a")]), tmp_path)
    finish_everything(source)
    reason, hint = "your checkout has uncommitted changes: a.txt", "put them away, then try again"
    refused = replace(source.state, approval=Approval(message=reason, hint=hint))
    words = " ".join(text(ending_lines(refused, UNICODE, 40)).split())
    assert f"not approved: {reason}; {hint} x A tries it again" in words
    sensitive = Approval(message="it changes AGENTS.md", hint="anabranch approve", kind="sensitive")
    words = text(ending_lines(replace(source.state, approval=sensitive), UNICODE, 80))
    assert "not approved: it changes AGENTS.md" in words
    assert "x A asks about that" in words
    assert "anabranch approve" not in words


def test_a_plain_folder_is_not_told_of_branches(tmp_path: Path) -> None:
    """Its result lies in the run's folder, and approving it writes files."""
    source = ScriptedSource(plan_of([stream("a")]), tmp_path)
    finish_everything(source)
    assert source.state.base is not None
    state = replace(source.state, base=replace(source.state.base, head=None, branch=None))
    shown = text(ending_lines(state, UNICODE, 116))
    assert "1 stream merged after" in shown
    assert "x A brings it to your folder" in shown
    asked = text(list(consequences.of_approving(state).lines))
    assert "the changed files into your folder" in asked
    assert "the branch" not in asked


def test_the_banner_of_a_conflict(tmp_path: Path) -> None:
    """A run that needs a person says between whom, over what, and what to do."""
    source = ScriptedSource(plan_of([stream("a"), stream("b")]), tmp_path)
    source.conflict = conflict_between("a", "b", "src/cart.py")
    finish_everything(source)
    shown = text(ending_lines(source.state, ASCII, 116))
    assert source.state.phase is RunPhase.NEEDS_OPERATOR
    assert "B Needs you" in shown
    assert "a and b conflict in src/cart.py" in shown
    assert "6 shows both sides and settles it here" in shown


def test_stopping_what_has_not_begun_ends_and_keeps_nothing(tmp_path: Path) -> None:
    source = ScriptedSource(plan_of([stream("a"), stream("b", "a")]), tmp_path)
    shown = text(list(consequences.of_stopping(source.state, [StreamId("b")], 1.0).lines))
    assert "nothing that runs; it will not start" in shown
    assert "killed" not in shown
    assert "keeps" not in shown


def test_the_consequences_of_stopping(model: RunModel) -> None:
    """What ends, what is kept, and who is skipped because of it."""
    asked = consequences.of_stopping(model.state, [StreamId("unit")], 151.0)
    shown = text(list(asked.lines))
    assert asked.title == "Stop unit?"
    assert "unit (pid 41009, 02:22)" in shown
    assert "integration, e2e: skipped" in shown
    assert "partial work" in shown


def test_the_consequences_of_retrying(model: RunModel) -> None:
    """Which attempt it will be, and that earlier work stays."""
    shown = text(list(consequences.of_retrying(model.state, [StreamId("types")]).lines))
    assert "types as attempt 2" in shown
    assert "no others" in shown


def test_all_that_comes_back_with_a_retry_is_foretold(tmp_path: Path) -> None:
    """By the engine's own rule: what is behind it and was skipped, or left out of a merge."""
    source = ScriptedSource(plan_of([stream("types"), stream("unit", "types")]), tmp_path)
    types, unit = StreamId("types"), StreamId("unit")
    source.finish("types", code=1)
    streams = source.state.streams
    left_out = streams.insert(unit, replace(streams[unit], phase=Phase.QUARANTINED))
    for state in (source.state, replace(source.state, streams=left_out)):
        shown = text(list(consequences.of_retrying(state, [types]).lines))
        assert "unit: tried again too" in shown
        shown = text(list(consequences.of_retrying(state, [types, unit]).lines))
        assert "no others" in shown


def test_what_a_stopped_stream_frees_for_others_is_foretold(tmp_path: Path) -> None:
    """Who waits for its locks and tokens is affected, though no plan says that it needs it."""
    source = ScriptedSource(plan_of([stream("a"), stream("b"), stream("c")]), tmp_path)
    for name in ("a", "b", "c"):
        call(source, calls.Lock, name, path="src/")
    shown = text(list(consequences.of_stopping(source.state, [StreamId("a")], 1.0).lines))
    assert "frees    src/ (b waits for it), src/ (c waits for it)" in shown
    shown = text(list(consequences.of_stopping(source.state, [StreamId("b")], 1.0).lines))
    assert "frees" not in shown, "who has only asked before has nothing to give"
    both = consequences.of_stopping(source.state, [StreamId("a"), StreamId("b")], 1.0)
    assert "frees    src/ (c waits for it)" in text(list(both.lines))


def test_what_is_said_after_leaving(tmp_path: Path) -> None:
    """Running streams go on, and the way back is named."""
    source = demo_source(tmp_path)
    assert leaving_message(source.state, "here") == (
        "5 streams run on; 4 wait until the run is hosted again. "
        "Come back with: anabranch console 20261121-140211-k3f"
    )
    about = text(about_leaving(source.state))
    assert "run on   auth-session, auth-tokens, billing-tax, unit, release-notes" in about
    assert "wait     4 streams, until the run is hosted again" in about
    assert "goes on elsewhere" in leaving_message(source.state, "elsewhere")
    source.feed(StopRun(reason="enough"))
    assert leaving_message(source.state, "here").startswith("split-auth: stopped (enough)")


def test_the_streams_are_sorted_as_asked(model: RunModel) -> None:
    """A second time turns the order round; figures begin with the largest."""
    listed = StreamList(COLUMNS)
    for column, place, name in (("state", 0, "types"), ("state", -1, "types"), ("cpu", 0, "unit")):
        listed.set_sort(column)
        listed.rearrange(model.rows)
        assert listed.order[place] == name
    listed.step_sort(-1)
    assert listed.sort == "files"


def test_verbs_act_on_marks_first(model: RunModel) -> None:
    """Marked streams are the targets, in the order of the table; else the one under the cursor."""
    listed = StreamList(COLUMNS)
    listed.rearrange(model.rows)
    assert listed.targets(StreamId("lint")) == ["lint"]
    assert listed.targets(None) == []
    for name in ("billing-tax", "auth-session"):
        listed.toggle_mark(StreamId(name))
    assert listed.targets(StreamId("lint")) == ["auth-session", "billing-tax"]


def test_glyphs_are_one_cell_and_complete() -> None:
    """Both sets know every state and level, each sign one cell wide."""
    from rich.cells import cell_len

    for glyphs in (UNICODE, ASCII):
        signs = [*glyphs.states.values(), *glyphs.levels.values(), glyphs.cursor, glyphs.bar_on]
        assert all(cell_len(sign) == 1 for sign in signs)
        assert set(URGENCY) <= set(glyphs.states)
    assert all(sign.isascii() for sign in ASCII.states.values())
    assert UNICODE.states.keys() == ASCII.states.keys()


@pytest.mark.parametrize(
    ("environ", "encoding", "expected"),
    [
        ({}, "UTF-8", UNICODE),
        ({}, "ANSI_X3.4-1968", ASCII),
        ({"ANABRANCH_GLYPHS": "ascii"}, "UTF-8", ASCII),
        ({"ANABRANCH_GLYPHS": "unicode"}, "ascii", UNICODE),
    ],
)
def test_choosing_glyphs(environ: dict[str, str], encoding: str, expected: object) -> None:
    """The setting wins over the locale."""
    assert choose_glyphs(environ, encoding) is expected


def test_rows_of_a_large_run_are_cheap(tmp_path: Path) -> None:
    """A thousand streams make a thousand rows, and a quiet pull touches none of them."""
    many = [stream(f"s-{number:04}") for number in range(1000)]
    source = ScriptedSource(plan_of(many, parallel=1000), tmp_path)
    model = RunModel(source)
    assert len(model.pull().rows) == 1000
    assert model.pull().is_nothing
    row = stream_row(source.state, source.state.streams[StreamId("s-0000")], None, 1.0)
    assert row.state == "running"


def test_an_age_grows_between_two_looks(tmp_path: Path) -> None:
    """Row and details tell the same age, and it is that of now, not of the last look."""
    source = ScriptedSource(plan_of([stream("a")]), tmp_path)
    source.speak("a", "hello", progress_age_seconds=3.0, last_output_at=100.0, processes=2)
    model = RunModel(source)
    model.pull()
    source.pass_time(4.0)
    model.pull()
    a = StreamId("a")
    assert model.rows[a].age_seconds == 7
    shown = text(fact_lines(source.state, source.state.streams[a], model.vitals_of(a), 4.0, 60))
    assert "output 7s ago, 2 processes" in shown


def test_a_service_is_shown_as_ready_and_not_waited_for_at_the_end() -> None:
    api = by_hand.stream("api", kind="service", ready=ReadyPlan(port="web"), ports=("web",))
    run = given(api, by_hand.stream("e2e", "api:ready"))
    run.run("api")
    run.is_ready("api")
    service = run.state.streams[StreamId("api")]
    row = stream_row(run.state, service, None, 1.0)
    header = plain(header_line(run.state, [row], 1.0, None, "here", UNICODE, 160))
    assert "1 ready" in header
    assert "0/1 arrived" in header
    shown = text(fact_lines(run.state, service, None, 1.0, 60))
    assert "ready     since 00:00: GET /health: 200" in shown
    assert f"ports     web {service.ports['web']}" in shown
