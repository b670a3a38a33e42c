"""How clients are told of their jobserver, by which of them there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.engine.make_flags import Version, form_for, served, version_of_make
from anabranch.engine.performers.processes import Form

FIFO = Path("/state/runs/r/attempts/a.1/jobs")
AUTH = "-j4 --jobserver-auth=90,91"


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ("", f" {AUTH}"),
        ("kw", f"kw {AUTH}"),
        ("kj8", f"k {AUTH}"),
        ("-k -j8", f" -k {AUTH}"),
        ("-j 8 -k", f" -k {AUTH}"),
        (" -j2 --jobserver-auth=fifo:/tmp/GMfifo12", f" {AUTH}"),
        ("w -j2 --jobserver-fds=3,4 -- CC=gcc X=-j9", f"w {AUTH} -- CC=gcc X=-j9"),
        ("--no-print-directory --jobs=3", f" --no-print-directory {AUTH}"),
    ],
)
def test_what_the_flags_say_besides_is_kept(given: str, flags: str) -> None:
    """Another server, or a number of jobs, makes room for ours."""
    found = served({"MAKEFLAGS": given, "A": "b"}, "descriptors", FIFO, 4)
    assert found == {"MAKEFLAGS": flags, "A": "b", "ANABRANCH_JOBSERVER": str(FIFO)}


def test_no_other_server_is_left_for_clients_to_find() -> None:
    env = {"CARGO_MAKEFLAGS": "--jobserver-auth=3,4", "MFLAGS": "-j2"}
    assert served(env, "fifo", FIFO, 2) == {
        "MAKEFLAGS": f" -j2 --jobserver-auth=fifo:{FIFO}",
        "ANABRANCH_JOBSERVER": str(FIFO),
    }


@pytest.mark.parametrize(
    ("said", "version", "form"),
    [
        ("GNU Make 4.4.1\nBuilt for x", (4, 4), "fifo"),
        ("GNU Make 4.3\nBuilt for x", (4, 3), "descriptors"),
        ("GNU Make 5.0\n", (5, 0), "fifo"),
        ("GNU Make 3.81\n", (3, 81), ""),
        ("usage: make [-BeikNnqrSstWwX]", (0, 0), ""),
        (None, None, "fifo"),
    ],
)
def test_the_form_is_one_that_the_make_there_understands(
    tmp_path: Path, said: str | None, version: Version | None, form: Form
) -> None:
    """A make that is told of a server in a form that it does not know ends with an error."""
    if said is not None:
        make = tmp_path / "make"
        make.write_text(f"#!/bin/sh\nprintf '%s' '{said}'\n")
        make.chmod(0o755)
    assert version_of_make(f".:{tmp_path}") == version
    assert form_for(version, FIFO) == form


def test_a_name_that_would_be_taken_apart_is_given_to_nobody() -> None:
    assert form_for((4, 4), Path("/home/a user/jobs")) == "descriptors"
