"""The execution report in words: what was learned, and what that brought."""

from __future__ import annotations

from typing import Any

import pytest

from anabranch_console.cli.report_text import _of_estimates


def said(**found: Any) -> list[tuple[str, str]]:
    gain = {"gain_seconds": 12.0, "gain_share": 0.08, "gain_reason": ""}
    return list(_of_estimates({**gain, "streams": [], **found}))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "durations saved about 12 s (8%), by a replay"),
        ({"gain_seconds": 0.2, "gain_share": 0.004}, "no gain: guesses would have given an order"),
        ({"gain_seconds": -9.0, "gain_share": -0.1}, "no gain: guesses would have saved about 9.0"),
        (
            {"gain_seconds": None, "gain_share": None, "gain_reason": "nothing had been learned"},
            "no gain can be told: nothing had been learned",
        ),
    ],
)
def test_the_gain_of_what_was_learned_is_told(found: dict[str, Any], words: str) -> None:
    ((name, text),) = said(**found)
    assert (name.strip(), text[: len(words)]) == ("learned", words)


def test_the_streams_that_were_furthest_off_stand_beside_what_was_expected() -> None:
    """The worst first, and of those alone of which something was learned."""

    def one(name: str, took: float | None, basis: str = "learned") -> dict[str, Any]:
        expected = {"predicted_seconds": 10.0, "p50_seconds": 9.0, "p95_seconds": 14.0}
        return {"stream": name, "basis": basis, "actual_seconds": took, **expected}

    streams = [
        one("right", 11.0),
        one("near", 13.0),
        one("far", 90.0),
        one("new", 99.0, "guessed"),
        one("ill", None),
    ]
    _, first, second = said(streams=streams)
    assert first[1] == "far took 1m30s, 10s were expected (p50 9.0s, p95 14s)"
    assert second[1].startswith("near took 13s")


def test_reports_of_earlier_versions_have_neither() -> None:
    assert list(_of_estimates({"learned": 3, "median_factor": 1.1})) == []
