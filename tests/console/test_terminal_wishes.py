"""Colours, signs and widths: what the person's surroundings ask for."""

from __future__ import annotations

import io
import sys

import pytest

from anabranch_console.cli.output import print_table, shown
from anabranch_console.cli.terminal import is_in_ci, wants_colour


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "on_a_screen", "in_a_pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "3", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"CLICOLOR": "0"}, False, False),
        ({"CLICOLOR": "1"}, True, False),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, True, True),
        ({"CLICOLOR_FORCE": "0"}, True, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_colours_follow_the_conventions(
    environ: dict[str, str], on_a_screen: bool, in_a_pipe: bool
) -> None:
    assert wants_colour(Screen(), environ) is on_a_screen
    assert wants_colour(io.StringIO(), environ) is in_a_pipe


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("1", True), ("", False), ("false", False), ("0", False)],
)
def test_ci_is_what_its_variable_says(value: str, expected: bool) -> None:
    assert is_in_ci({"CI": value}) is expected


def test_columns_stand_under_each_other_whatever_the_script(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(["PLAN", "STATE"], [["計画", "x"], ["plan-b", "y"]])
    assert capsys.readouterr().out == "PLAN    STATE\n計画    x\nplan-b  y\n"


def test_one_long_value_pushes_nothing_away(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns have a bound; the last one, which nothing follows, is whole."""
    print_table(["KEY", "WHY"], [["k" * 5000, "w" * 5000], ["a", "b"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("w" * 5000)
    assert len(lines[1]) == 5000 + 2 + 120
    assert len(lines[2]) == 120 + 2 + 1


def test_only_a_screen_has_an_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "/a/long/path/" * 40
    assert shown(text) == text
    assert shown(text, stream=Screen()).endswith("…")
    monkeypatch.setattr(sys, "stdout", Screen())
    assert len(shown(text)) == 200
