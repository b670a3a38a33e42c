"""What a stream's process finds in its environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.engine.performers.launching import launch_spec
from anabranch.env_files import BadEnvFile, read_env_files, variables_in
from anabranch.paths import RunFolder
from anabranch.testing.plans import plan_of, stream
from tests.core.working import Crew


def _environment(project: Path, outer: dict[str, str] | None = None, **plan: Any) -> dict[str, str]:
    """Return what a running stream of a plan was given."""
    crew = Crew(plan=plan_of(stream("a", **plan)))
    crew.starts("a")
    state = crew.state
    running = state.streams[StreamId("a")]
    assert running.workspace is not None
    here = replace(running, workspace=replace(running.workspace, path=str(project)))
    state = replace(state, project=str(project), streams=state.streams.insert(StreamId("a"), here))
    spec = launch_spec(
        state,
        StreamId("a"),
        1,
        {"A": "outer", **(outer or {})},
        "",
        lambda *_: {},
        RunFolder(project),
    )
    return dict(spec.env)


def test_a_stream_is_told_how_often_to_report(tmp_path: Path) -> None:
    """As often as its plan says, and always before its silence would count as a stall."""
    for interval, timeout, seen in ((5.0, 60.0, "5"), (60.0, 600.0, "60"), (60.0, 30.0, "15")):
        found = _environment(
            tmp_path, heartbeat_interval_seconds=interval, heartbeat_timeout_seconds=timeout
        )
        assert found["ANABRANCH_HEARTBEAT_SECONDS"] == seen


def test_a_stream_finds_its_ports_and_its_place(tmp_path: Path) -> None:
    found = _environment(tmp_path, ports=("web", "admin-api"))
    assert found["ANABRANCH_PORT_WEB"] == "21000"
    assert found["ANABRANCH_PORT_ADMIN_API"] == "21001"
    assert (found["ANABRANCH_PROJECT"], found["ANABRANCH_INDEX"]) == (str(tmp_path), "1")


def test_a_terminal_of_its_own_is_called_what_all_are(tmp_path: Path) -> None:
    """Whatever that is called on which the run was begun, and however large it is."""
    begun_on = {"TERM": "dumb", "LINES": "24", "COLUMNS": "80"}
    plain = _environment(tmp_path, outer=begun_on)
    assert {name: plain.get(name) for name in begun_on} == begun_on
    own = _environment(tmp_path, tty=True, outer=begun_on)
    assert own["TERM"] == "xterm-256color"
    assert not {"LINES", "COLUMNS"} & own.keys()
    assert _environment(tmp_path, tty=True, env={"TERM": "vt100"})["TERM"] == "vt100"


def test_env_goes_before_files_and_later_files_before_earlier_ones(tmp_path: Path) -> None:
    """And all of them before what the engine was started with."""
    (tmp_path / "one.env").write_text("A=one\nB=one\nC=one\n", "utf-8")
    (tmp_path / "two.env").write_text("B=two\nC=two\n", "utf-8")
    found = _environment(tmp_path, env_files=("one.env", "two.env"), env={"C": "plan"})
    assert (found["A"], found["B"], found["C"]) == ("one", "two", "plan")


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1\n\n # note\nexport B = two words # note\n", {"A": "1", "B": "two words"}),
        ("A='$X # stays'\n", {"A": "$X # stays"}),
        ('B="x\\ny \\"z\\" \\$"', {"B": 'x\ny "z" $'}),
        ("A=\nB=a#b\nC=$HOME/${X}", {"A": "", "B": "a#b", "C": "$HOME/${X}"}),
        ('A="over\ntwo lines"\nB=x\n', {"A": "over\ntwo lines", "B": "x"}),
        ("A=1\r\nA=2\r\n", {"A": "2"}),
        ("", {}),
    ],
)
def test_a_file_of_variables_is_read_as_others_read_it(
    text: str, variables: dict[str, str]
) -> None:
    """Quotes, comments, several lines; nothing is expanded."""
    assert variables_in(text) == variables


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A=1\nwhat is this\n", "line 2: is not NAME=VALUE"),
        ("A=1\n\nB='open\n", "line 3: a quote is not closed"),
        ('A="x" y\n', "line 1: something follows the closing quote"),
        ("1A=x\n", "line 1: is not NAME=VALUE"),
    ],
)
def test_what_is_wrong_in_a_file_of_variables_is_told_with_its_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    """By the file's name and the line's number."""
    (tmp_path / ".env").write_text(text, "utf-8")
    with pytest.raises(BadEnvFile, match=f"'.env', {reason}"):
        read_env_files(tmp_path, [".env"])


def test_nothing_but_a_plain_file_is_read(tmp_path: Path) -> None:
    """A pipe keeps nobody waiting, and a link leads to the file that it names."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"A=1\n" * (1 << 19))
    (tmp_path / "plain").write_text("A=1", "utf-8")
    (tmp_path / "link").symlink_to("plain")
    for name in ("pipe", "large", "nothing", "."):
        with pytest.raises(BadEnvFile, match=f"env_file '{name}'"):
            read_env_files(tmp_path, [name])
    assert read_env_files(tmp_path, ["link"]) == {"A": "1"}
