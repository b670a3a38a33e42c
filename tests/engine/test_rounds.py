"""Rounds in a thread beside the engine: wanted, never two at a time, and none after the end."""

from __future__ import annotations

import threading

from anabranch.engine.rounds import Rounds

PATIENCE_SECONDS = 60.0


def test_a_round_that_raises_is_the_only_one_that_ends_by_it() -> None:
    done, ended = threading.Semaphore(0), threading.Event()
    faults = iter([True, False])

    def work() -> None:
        done.release()
        if next(faults):
            raise ValueError("a fault of the round's")

    rounds = Rounds("test", work, rest_factor=0.0, rest_seconds=0.0, at_end=ended.set)
    assert not rounds.are_going_on
    for _ in range(2):
        rounds.want()
        assert done.acquire(timeout=PATIENCE_SECONDS)
    assert rounds.are_going_on
    rounds.close()
    assert ended.is_set()
    assert not rounds.are_going_on


def test_what_is_wanted_after_the_end_is_not_done() -> None:
    done: list[int] = []
    rounds = Rounds("test", lambda: done.append(1), rest_factor=0.0, rest_seconds=0.0)
    rounds.close()
    rounds.want()
    assert not rounds.are_going_on
    assert done == []


def test_a_round_hears_that_the_end_has_come() -> None:
    """And the end waits for it: what it works on is not taken away under its hands."""
    begun, heard = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        while not rounds.are_closing:
            rounds.want_one_more()
        heard.set()

    rounds = Rounds("test", work, rest_factor=0.0, rest_seconds=0.0, rests_first=False)
    rounds.want()
    assert begun.wait(PATIENCE_SECONDS)
    rounds.close()
    assert heard.is_set()
