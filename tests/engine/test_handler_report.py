"""What a report tells of handlers: true of what their book says, and bounded."""

from __future__ import annotations

from pathlib import Path

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import FanPlan
from anabranch.engine.handler_report import MOST_FAILURES, handler_reports
from anabranch.engine.handler_results import shared_results
from anabranch.handlers.book import Ended, begun_line, ended_line
from anabranch.paths import RunFolder
from anabranch.testing import ByHand, stream
from anabranch_console.cli.report_handlers import handler_figures
from tests.core.given import given

FAN = StreamId("fan")


def lines(place: int, code: int, seconds: float) -> str:
    ended = Ended(place, f"k{place}", 1, seconds, code, None, "", 0, 0, None)
    return begun_line(place, f"k{place}", 1, 0.0, 0, f"item {place}") + ended_line(ended)


def test_failures_are_in_the_order_of_the_items_and_only_the_first_are_named(
    tmp_path: Path,
) -> None:
    run = given(stream("fan", fan=FanPlan({"items": []}, "x")), stream("plain"))
    run.succeed("fan")
    home = RunFolder(tmp_path)
    home.handlers(FAN).mkdir(parents=True)
    book = "".join(lines(n, n % 2, n / 100) for n in reversed(range(100)))
    book += begun_line(100, "k100", 1, 0.0, 0, "item 100")
    (home.handlers(FAN) / "book").write_text(book)
    (entry,) = handler_reports(run.state, home)
    assert [f["handler"] for f in entry["failures"]] == list(range(1, 2 * MOST_FAILURES, 2))
    assert entry["more_failures"] == 50 - MOST_FAILURES
    assert [s["handler"] for s in entry["slowest"]] == [99, 98, 97, 96, 95]
    assert entry["seconds"] == {"median": 0.49, "p95": 0.94, "longest": 0.99, "all": 49.5}
    assert entry["in_doubt"] == 1
    assert entry["results"] is None


def test_the_slowest_are_each_named_once_however_often_they_were_tried(tmp_path: Path) -> None:
    run = given(stream("fan", fan=FanPlan({"items": []}, "x")))
    home = RunFolder(tmp_path)
    home.handlers(FAN).mkdir(parents=True)
    tried_often = "".join(lines(7, 1, seconds) for seconds in (50, 90, 70))
    book = tried_often + "".join(lines(n, 0, n) for n in range(1, 7)) + lines(7, 0, 80)
    (home.handlers(FAN) / "book").write_text(book)
    (entry,) = handler_reports(run.state, home)
    assert entry["failures"] == [], "in the end it has succeeded"
    shown = [(s["handler"], s["seconds"]) for s in entry["slowest"]]
    assert shown == [(7, 90.0), (6, 6.0), (5, 5.0), (4, 4.0), (3, 3.0)]


def test_results_are_told_where_they_are(tmp_path: Path) -> None:
    """In the shared state only once the stream has succeeded, and as long as they stand there."""
    home = RunFolder(tmp_path)
    home.handlers(FAN).mkdir(parents=True)
    file = home.handlers(FAN) / "results.jsonl"
    file.write_text('{"index":0,"result":7}\n{"index":2,"result":[]}\n')

    def told(run: ByHand) -> str:
        return dict(handler_figures(handler_reports(run.state, home)))["  results"]

    fan = stream("fan", fan=FanPlan({"items": []}, "x"), max_retries=0)
    failed, succeeded = given(fan), given(fan, stream("other"))
    failed.fail("fan")
    assert told(failed) == f"2, in {file}, not in the shared state"
    succeeded.run("fan", "other")
    succeeded.exited("fan")
    assert told(succeeded) == f"2, in {file}, not in the shared state"
    succeeded.kept("fan", handler_results=shared_results(home, FAN))
    assert told(succeeded) == "2, in the shared state as results/fan"
    file.write_text('{"index":0,"result":8}\n')
    assert told(succeeded) == f"1, in {file}, not in the shared state"


def test_a_stream_whose_handlers_never_began_is_told_of_too(tmp_path: Path) -> None:
    run = given(stream("fan", fan=FanPlan({"items": []}, "x")))
    (entry,) = handler_reports(run.state, RunFolder(tmp_path))
    assert (entry["total"], entry["seconds"], entry["failures"]) == (0, None, [])


def test_what_a_handler_puts_in_the_place_of_the_book_hides_no_report(tmp_path: Path) -> None:
    run = given(stream("fan", fan=FanPlan({"items": []}, "x")))
    (RunFolder(tmp_path).handlers(FAN) / "book").mkdir(parents=True)
    (entry,) = handler_reports(run.state, RunFolder(tmp_path))
    assert "cannot be read" in entry["problem"]
