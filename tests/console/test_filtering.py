"""The filter language of the streams table."""

from __future__ import annotations

import pytest

from anabranch.core.ids import StreamId
from anabranch_console.built_in_verbs import WAYS
from anabranch_console.filtering import compile_filter
from anabranch_console.presenters.stream_row import StreamRow
from tests.console.conftest import OpenConsole

ROWS = [
    StreamRow(StreamId("api"), 0, "running", 1, "pytest tests/api", 3, 12, 64, 310 << 20, 75),
    StreamRow(StreamId("docs"), 1, "failed", 3, "exit 1: [bold]no", None, 2, None, None, 4000),
    StreamRow(StreamId("API-client"), 2, "waiting", 0, "waits for api"),
    StreamRow(
        *(StreamId("lint"), 3, "running", 1, "quiet", 200, None, 0, 20 << 20, 200),
        attention="blocked",
        needs_you=True,
    ),
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "api docs API-client lint"),
        ("api", "api API-client"),
        ("!api", "docs lint"),
        ("id:api", "api API-client"),
        ("re:^a", "api API-client"),
        ("!re:^a", "docs lint"),
        ("state:failed", "docs"),
        ("state:r", "api lint"),
        ("state:blocked", "lint"),
        ("attention:blo", "lint"),
        ("!attention:blocked needs:you", ""),
        ("needs:you", "lint"),
        ("now:pytest", "api"),
        ("!state:running", "docs API-client"),
        ("state:running cpu>50", "api"),
        ("cpu>50", "api"),
        ("cpu>50%", "api"),
        ("src://x", ""),
        ("cpu<=0", "lint"),
        ("mem>100m", "api"),
        ("mem<=20", "lint"),
        ("mem>0.2g", "api"),
        ("files>=12", "api"),
        ("files=2", "docs"),
        ("age>2m", "lint"),
        ("age<5s", "api"),
        ("time>1h", "docs"),
        ("try>1", "docs"),
        ("TRY>1", "docs"),
        ("[bold]", "docs"),
        ("nothing-like-it", ""),
        ("!", ""),
    ],
)
def test_finds(text: str, found: str) -> None:
    """Each word narrows the list, and all of them must hold."""
    wanted = compile_filter(text)
    assert " ".join(row.id for row in ROWS if wanted.matches(row)) == found
    assert wanted.problem == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("re:(", "missing )"),
        ("re:(?=a)", "look-around"),
        ("cpu>much", "no number"),
        ("mem>3x", "unknown unit 'x'"),
        ("cpu>5h", "unknown unit 'h'"),
        ("foo:bar", "foo:bar: keys are state: id: attention:"),
        ("cpu:50", "cpu:50: cpu> compares"),
    ],
)
def test_says_what_it_did_not_understand(text: str, problem: str) -> None:
    """A word without sense is plain text, and the filter says so instead of failing."""
    wanted = compile_filter(text)
    assert problem in wanted.problem
    assert not any(wanted.matches(row) for row in ROWS)


async def test_every_table_knows_keys_and_says_which(open_console: OpenConsole) -> None:
    """A key that it has is no problem, one that it has not is named with those that there are."""
    async with open_console() as console:
        for pane in WAYS:
            await console.command(f"{pane} /foo:bar")
            shown = console.screen.pane
            assert (console.screen.mode, shown.filter.text) == (pane, "foo:bar")
            keys = shown.filter.problem.removeprefix("foo:bar: keys are ").split()
            assert len(keys) > 2, pane
            for key in keys[:-1]:
                shown.apply_filter(f"{key}x")
                assert shown.filter.problem == "", (pane, key)
            await console.command(f"{pane} //")
            assert shown.filter.is_empty
