"""Names in paths and refs: two streams, two attempts, two points never share one."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anabranch.core.ids import PointId, RunId, StreamId, id_fault
from anabranch.core.written_names import in_path, in_ref, name_of, workspace_name
from anabranch.engine.workspaces import names
from anabranch.paths import RunFolder, attempt_of

RUN = RunFolder(Path("/nowhere/runs/20261129-120000-abc"))
RUN_ID = RunId("20261129-120000-abc")

plain = st.text("aAbBzZ129.-_", min_size=1, max_size=64)
tricky = st.text("aA12.@%~-_/\\ \u00e9e\u0301\u017fK\u212a", min_size=1, max_size=64)
alike = st.text("aAbB", min_size=1, max_size=3)
names_of_streams = plain | tricky | alike | st.text(min_size=1, max_size=64)
attempts = st.integers(1, 12)
KNOWN_TWINS = (
    *(("a", 2, "a.2", 1), ("A", 1, "a", 1), ("a@2", 1, "a", 2), ("a.1", 2, "a", 1)),
    ("aB", 1, "Ab", 1),
)


def folded(written: str) -> str:
    """Return what the least careful file system makes of a name."""
    return unicodedata.normalize("NFC", written.casefold())


def everything_of(stream: str, attempt: int) -> Iterable[str]:
    """Return each folder, log and ref that an attempt of a stream has to itself."""
    name = StreamId(stream)
    yield f"workspaces/{workspace_name(stream, attempt, False)}"
    yield f"attempts/{in_path(stream, False)}.{attempt}"
    yield f"logs/{in_path(stream, False)}.{attempt}.log"
    yield f"notes/{in_ref(stream)}.{attempt}.json"
    yield names.start_ref(RUN_ID, name, attempt)
    yield names.partial_ref(RUN_ID, name, attempt)
    yield names.rescue_ref(RUN_ID, name, attempt)
    yield names.given_ref(RUN_ID, name, attempt)
    yield names.checkpoint_ref(RUN_ID, name, attempt)


@given(names_of_streams, attempts, names_of_streams, attempts)
@example(*KNOWN_TWINS[0])
@example(*KNOWN_TWINS[1])
@example(*KNOWN_TWINS[2])
@example(*KNOWN_TWINS[3])
@example(*KNOWN_TWINS[4])
def test_two_attempts_share_nothing_on_any_file_system(a: str, i: int, b: str, j: int) -> None:
    """Whatever the names, no folder, log, note or ref of one attempt is another's."""
    if (a, i) == (b, j):
        assert list(everything_of(a, i)) == list(everything_of(b, j))
    else:
        mine, others = map(folded, everything_of(a, i)), map(folded, everything_of(b, j))
        assert not set(mine) & set(others)


@given(names_of_streams, names_of_streams)
def test_a_result_and_a_point_are_nobody_elses(a: str, b: str) -> None:
    """Results, and what a point keeps, are told apart as attempts are."""
    if a != b:
        assert folded(names.result_ref(RUN_ID, StreamId(a))) != folded(
            names.result_ref(RUN_ID, StreamId(b))
        )
        assert folded(names.candidate_ref(RUN_ID, a)) != folded(names.candidate_ref(RUN_ID, b))
    point = names.point_checkpoint_ref(RUN_ID, PointId(a), 1)
    assert point != names.checkpoint_ref(RUN_ID, StreamId(b), 1)


@given(plain, attempts, plain)
@example("verify", 1, "1")
@example("resolver.by-hand", 1, "by-hand")
def test_the_log_of_a_point_is_no_streams(stream: str, attempt: int, point: str) -> None:
    """What verify and the resolver say never goes into the log of a stream."""
    logs = {
        RUN.verify_log(PointId(point)),
        RUN.resolver_log(PointId(point)),
        RUN.resolver_log(None),
    }
    assert len(logs) == 3
    assert RUN.log(StreamId(stream), attempt) not in logs


@given(names_of_streams, attempts)
def test_what_was_written_is_read_back(stream: str, attempt: int) -> None:
    """A folder's name says whose it is, a ref's component too."""
    assert name_of(in_path(stream, True)) == name_of(in_path(stream, False)) == stream
    assert name_of(in_ref(stream)) == stream
    assert attempt_of(f"{in_path(stream, False)}.{attempt}") == (stream, attempt)


@given(names_of_streams)
def test_a_part_of_a_path_is_one_part_and_a_ref_is_a_ref(stream: str) -> None:
    """Nothing in a name leads elsewhere, and git takes every component."""
    written, component = in_path(stream, False), in_ref(stream)
    assert written.isascii()
    assert "/" not in written
    assert id_fault(stream) or workspace_name(stream, 1, True) not in (".", "..")
    assert component.isascii()
    assert component != "@"
    assert not set(component) & set(" ~^:?*[\\./")
    assert "@{" not in component


@pytest.mark.parametrize(
    ("name", "capitals_count", "written"),
    [
        ("build-2", False, "build-2"),
        ("Build", False, "Build@u1"),
        ("buildUI", False, "buildUI@u60"),
        ("Build", True, "Build"),
        ("a b", True, "a%20b"),
    ],
)
def test_only_what_cannot_be_told_apart_is_written_otherwise(
    name: str, capitals_count: bool, written: str
) -> None:
    assert in_path(name, capitals_count) == written


@given(plain)
def test_a_usual_name_is_written_as_it_is(stream: str) -> None:
    """Where capitals count, folders and logs are named as the contract says."""
    if id_fault(stream) is None:
        assert RUN.log(StreamId(stream), 1).name == f"{stream}.1.log"
        assert RUN.workspace(StreamId(stream), 1).name == stream
