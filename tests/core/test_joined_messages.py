"""Messages of streams that join by themselves, and to them."""

from __future__ import annotations

from anabranch.core import calls
from tests.core.talking import OPERATOR
from tests.core.working import Crew


def test_a_broadcast_is_for_who_has_joined_too_and_nobody_takes_it_from_another() -> None:
    """What the one has acknowledged still waits for the other."""
    crew = Crew("a", "b")
    crew.registers("scout")
    sent = crew.broadcasts("a")
    assert sent.facts["recipients"] == 2
    message = crew.reads("scout")[0]["id"]
    crew.acks("scout", message)
    assert [m["id"] for m in crew.reads("b")] == [message]


def test_what_was_broadcast_before_it_joined_is_not_for_it() -> None:
    crew = Crew("a", "b")
    crew.broadcasts("a")
    crew.registers("scout")
    assert crew.reads("scout") == []


def test_one_that_joined_is_written_to_until_it_leaves() -> None:
    """What it has not acknowledged then dies, as with any stream that ends."""
    crew = Crew("a")
    crew.registers("scout")
    number = crew.sends("a", "scout").facts["id"]
    assert [m["id"] for m in crew.reads("scout")] == [number]
    crew.call(calls.Leave, "scout")
    assert crew.state.messages.messages[number].died == 1
    late = crew.sends("a", "scout")
    assert late.facts["state"] == "dead"
    assert crew.requeues(number, OPERATOR).outcome == "refused"
