"""Failures by class: what may pass is tried again, what would happen again is not."""

from __future__ import annotations

import signal

import msgspec
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from anabranch.core import inputs
from anabranch.core.deciding.streams.failures import classify
from anabranch.core.ids import StreamId
from anabranch.core.model.state import Exit
from anabranch.core.strategies import EndedAttempt, FailureClass
from anabranch.core.strategies.failures import CANNOT_START, UNKNOWN
from anabranch.testing import ByHand, stream
from tests.core.given import STRATEGIES, given

A = StreamId("a")


def failing(run: ByHand, *, code: int | None = 1, tail: tuple[str, ...] = ()) -> list[str]:
    """The stream's process ends, and what it left is kept."""
    run.exited("a", code)
    return run.give(
        inputs.ResultReady(
            stream=A,
            attempt=run.stream("a").attempt,
            commit="",
            tree="",
            files_changed=0,
            ref="",
            log_tail=tail,
            cause=1,
        )
    )


@pytest.mark.parametrize(
    ("code", "tail", "name", "is_permanent"),
    [
        (1, (), "", False),
        (127, (), "cannot start", True),
        (126, ("HTTP 429",), "cannot start", True),
        (75, (), "temporary failure", False),
        (78, (), "bad configuration", True),
        (1, ("HTTP 429 Too Many Requests",), "rate limited", False),
        (1, ("Error: Invalid API key", "exiting"), "not authorised", True),
        (1, ("Invalid API key", "rate limit reached"), "rate limited", False),
        (1, ("write: No space left on device",), "disk full", False),
    ],
)
def test_the_class_decides_whether_it_is_tried_again(
    code: int, tail: tuple[str, ...], name: str, is_permanent: bool
) -> None:
    run = given(stream("a", max_retries=2))
    run.run("a")
    words = failing(run, code=code, tail=tail)
    assert ("retry_scheduled a" in words) is not is_permanent
    assert ("stream_failed a" in words) is is_permanent
    assert run.stream("a").failure_class == (name or UNKNOWN.name)
    if tail and name != "cannot start":
        deciding = tail[0] if name == "not authorised" else tail[-1]
        assert deciding in run.stream("a").reason


def test_the_plans_own_patterns_come_first() -> None:
    """The newest line that the plan knows decides, whatever the classifiers would say."""
    for tail, expected in (
        (("HTTP 429",), "stream_failed a"),
        (("HTTP 429", "a flaky little test"), "retry_scheduled a"),
        (("a flaky little test", "HTTP 429"), "stream_failed a"),
    ):
        run = given(
            stream("a", max_retries=1),
            permanent_failures=("429",),
            transient_failures=("flaky .* test",),
        )
        run.run("a")
        assert expected in failing(run, tail=tail)


def test_a_plugins_classifier_is_asked_before_the_built_in_ones() -> None:
    class Mine:
        name = "mine"

        def classify(self, view: EndedAttempt) -> FailureClass | None:
            return FailureClass("moon", True, view.log_tail[-1]) if view.log_tail else None

    strategies = msgspec.structs.replace(
        STRATEGIES, classifiers={**STRATEGIES.classifiers, "mine": Mine()}
    )
    run = given(stream("a"))
    run.run("a")
    known = msgspec.structs.replace(run.stream("a"), exit=Exit(code=1))
    assert classify(run.state, known, strategies, "exit 1", ("429",)).name == "moon"
    assert classify(run.state, known, strategies, "exit 1", ()) == UNKNOWN
    gone = msgspec.structs.replace(known, exit=Exit(error="no such file"))
    assert classify(run.state, gone, strategies, "no such file", ("429",)) == CANNOT_START


@drawn(
    st.integers(0, 255),
    st.one_of(st.none(), st.sampled_from([int(s) for s in signal.Signals])),
    st.lists(st.text(max_size=200), max_size=20),
)
def test_the_built_in_classifiers_answer_whatever_they_are_shown(
    code: int, number: int | None, tail: list[str]
) -> None:
    view = EndedAttempt(A, 1, None if number else code, number, "reason", tuple(tail))
    for classifier in STRATEGIES.classifiers.values():
        found = classifier.classify(view)
        assert found is None or found.name


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGSEGV, "crashed"), (signal.SIGKILL, "killed")]
)
def test_a_crash_is_one_however_a_shell_spells_it(number: int, name: str) -> None:
    """``signal 11`` and ``exit 139`` are of one class."""
    for code in (None, 128 + number):
        run = given(stream("a", max_retries=1))
        run.run("a")
        run.exited("a", code, signal=None if code else number)
        run.kept("a")
        assert run.stream("a").failure_class == name
