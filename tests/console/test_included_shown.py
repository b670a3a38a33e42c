"""What git ignores and every workspace gets, in the console: details, events, status."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.views.included import included_in_words
from anabranch.core.views.projections import status
from anabranch.testing import ByHand, plan_of, stream
from anabranch_console.lines import plain
from anabranch_console.presenters.event_lines import event_words
from anabranch_console.presenters.facts import fact_lines
from tests.core.given import STRATEGIES

INCLUDED = ev.Included(files=30_003, size_bytes=814_000_000, paths=(".env", "a\x1b[2J", "b", "c"))
WORDS = "30003 files, 814 MB (.env, a"


def test_what_a_workspace_begins_with_is_in_details_events_and_status() -> None:
    run = ByHand(plan_of(stream("a")), STRATEGIES, has_base=False)
    run.give(
        inputs.BaseFound(commit="base", tree="t", branch=None, head="h", included=INCLUDED, cause=1)
    )
    run.ready("a")
    lines = [plain(line) for line in fact_lines(run.state, run.stream("a"), None, 15.0, 200)]
    (shown,) = [line for line in lines if line.startswith("included")]
    assert WORDS in shown
    assert "\x1b" not in shown
    (event,) = [r for r in run.records if isinstance(r.event, ev.BaseCaptured)]
    assert "ignored files in each workspace: 30003 files" in event_words(event.event).detail
    told = status(run.state, True, None)["included"]
    assert (told["files"], told["bytes"], told["paths"][0]) == (30_003, 814_000_000, ".env")


def test_how_many_are_not_named_is_counted() -> None:
    few = ev.Included(files=1, size_bytes=17, paths=(".env",))
    assert included_in_words(few) == "1 file, 17 bytes (.env)"
    many = ev.Included(files=25, size_bytes=1_234, paths=("a", "b", "c", "d"))
    assert included_in_words(many) == "25 files, 1.2 kB (a, b, c and 22 more)"
