"""Messages: nothing is lost, nothing is new twice, order is kept, and nobody is flooded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from anabranch.core import events as ev
from anabranch.core.calls import Broadcast, Send
from anabranch.core.deciding.messages import MOST_WAITING
from anabranch.core.deciding.owed import owed
from anabranch.core.folds.messages import KEPT
from anabranch.core.ids import StreamId
from anabranch.core.json_values import MOST_BYTES
from anabranch.core.views.messages import dead_letters, messages, messages_of, waiting_for
from anabranch.testing import plan_of, stream
from tests.core.talking import OPERATOR, Talk


def state_of(talk: Talk, number: int) -> str:
    (line,) = [m for m in messages(talk.state)["messages"] if m["id"] == number]
    return str(line["state"])


def bodies(talk: Talk, by: str) -> list[Any]:
    return [message["body"] for message in talk.reads(by)]


def waiting(talk: Talk, name: str) -> int:
    return waiting_for(talk.state, StreamId(name))


# --- one to one ----------------------------------------------------------------------------------


def test_a_message_is_queued_delivered_and_acknowledged() -> None:
    """Its number is that of the event that tells of it; each step is told."""
    talk = Talk("a", "b")
    number = talk.sends("a", "b", {"text": "hi"}).facts["id"]
    assert isinstance(talk.records[number - 1].event, ev.MessageSent)
    assert (state_of(talk, number), waiting(talk, "b")) == ("queued", 1)
    (message,) = talk.reads("b")
    assert message["id"] == number
    assert (message["from"], message["to"], message["body"]) == ("a", "b", {"text": "hi"})
    assert message["is_new"]
    assert state_of(talk, number) == "delivered"
    assert talk.acks("b", number).outcome == "done"
    assert (state_of(talk, number), waiting(talk, "b")) == ("acked", 0)
    assert talk.reads("b") == []


def test_what_is_not_acknowledged_is_found_again_but_is_not_new() -> None:
    """A client that lost the answer reads again and misses nothing; one event tells of it."""
    talk = Talk("a", "b")
    talk.sends("a", "b")
    assert [m["is_new"] for m in talk.reads("b")] == [True]
    assert [m["is_new"] for m in talk.reads("b")] == [False]
    assert sum(isinstance(r.event, ev.MessageDelivered) for r in talk.records) == 1


def test_the_same_request_sends_once() -> None:
    """Asked again, the same message is meant."""
    talk = Talk("a", "b")
    first = talk.call(Send, "a", request="x", to="b", body=1)
    assert talk.call(Send, "a", request="x", to="b", body=1) == first
    both = [talk.call(Broadcast, "a", request="y", body=2) for _ in range(2)]
    assert both[0] == both[1]
    assert bodies(talk, "b") == [1, 2]


def test_only_what_was_read_by_the_caller_can_be_acknowledged() -> None:
    """A second acknowledgement does no harm; anybody else's is refused."""
    talk = Talk("a", "b", "c")
    number = talk.sends("a", "b").facts["id"]
    assert talk.acks("b", number).outcome == "refused"
    talk.reads("b")
    assert talk.acks("c", number).outcome == "refused"
    assert talk.acks("b", 1).outcome == "refused"
    assert [talk.acks("b", number).outcome for _ in range(2)] == ["done", "done"]


def test_the_operator_writes_and_reads() -> None:
    """Streams answer to the name operator."""
    talk = Talk("a")
    talk.sends(OPERATOR, "a", "how far?")
    assert [m["from"] for m in talk.reads("a")] == ["operator"]
    talk.sends("a", "operator", "half")
    (answer,) = talk.reads(OPERATOR)
    assert (answer["to"], answer["body"]) == ("operator", "half")
    assert talk.acks(OPERATOR, answer["id"]).outcome == "done"
    talk.broadcasts("a", "to streams only")
    assert talk.reads(OPERATOR) == []
    found = [(m["from"], m["to"]) for m in messages(talk.state)["messages"]]
    assert found == [("operator", "a"), ("a", "operator"), ("a", "*")]


def test_a_large_inbox_is_read_in_pieces_and_new_ones_come_first() -> None:
    """A stream that never acknowledges still gets what is new."""
    talk = Talk("a", "b")
    for n in range(6):
        talk.sends("a", "b", n)
    assert [m["body"] for m in talk.reads("b", limit=4)] == [0, 1, 2, 3]
    assert [(m["body"], m["is_new"]) for m in talk.reads("b", limit=3)] == [
        (0, False),
        (4, True),
        (5, True),
    ]
    big = "x" * 60_000
    for _ in range(6):
        talk.sends("b", "a", big)
    assert len(talk.reads("a")) == 4


# --- broadcasts ----------------------------------------------------------------------------------


def test_a_broadcast_reaches_every_other_stream_and_is_stored_once() -> None:
    """It is one event and one message, whoever reads it when."""
    talk = Talk("a", "b", "c")
    answer = talk.broadcasts("a", "all")
    assert answer.facts["recipients"] == 2
    assert [waiting(talk, s) for s in "abc"] == [0, 1, 1]
    assert bodies(talk, "b") == ["all"]
    number = answer.facts["id"]
    talk.acks("b", number)
    (line,) = messages(talk.state)["messages"]
    assert (line["to"], line["state"]) == ("*", "delivered")
    assert line["deliveries"] == {"acked": 1, "queued": 1}
    talk.reads("c")
    talk.acks("c", number)
    assert state_of(talk, number) == "acked"
    assert talk.state.messages.live == ()


def test_messages_and_broadcasts_of_one_sender_keep_their_order() -> None:
    """An inbox is in the order of sending, whatever the kind."""
    talk = Talk("a", "b", "c")
    talk.sends("a", "b", 1)
    talk.broadcasts("a", 2)
    talk.sends("a", "b", 3)
    talk.broadcasts("b", "own")
    talk.broadcasts("c", 4)
    assert bodies(talk, "b") == [1, 2, 3, 4]


def test_a_broadcast_is_for_those_who_live_when_it_is_sent() -> None:
    """Who has ended does not get it, not even when it runs again."""
    talk = Talk("a", "b", "c", keep_going=True)
    talk.broadcasts("a", "early")
    talk.ends("b", exit_code=1)
    assert talk.broadcasts("a", "late").facts["recipients"] == 1
    talk.is_retried("b")
    talk.broadcasts("a", "again")
    assert bodies(talk, "b") == ["again"]
    assert bodies(talk, "c") == ["early", "late", "again"]


def test_a_broadcast_to_nobody_is_settled_at_once() -> None:
    """A stream alone may speak."""
    talk = Talk("a")
    assert talk.broadcasts("a").facts["recipients"] == 0
    assert talk.state.messages.live == ()


# --- waiting, ending, deadlines ------------------------------------------------------------------


def test_messages_wait_for_a_stream_that_has_not_started() -> None:
    """Direct ones and broadcasts."""
    plan = plan_of(stream("a"), stream("b", "a"), stream("c"))
    talk = Talk(plan=plan)
    talk.starts("a")
    talk.starts("c")
    talk.sends("a", "b", 1)
    talk.broadcasts("c", 2)
    talk.ends("a")
    talk.starts("b")
    assert bodies(talk, "b") == [1, 2]


def test_what_an_attempt_read_and_did_not_acknowledge_waits_for_the_next() -> None:
    """A message survives the crash of its reader."""
    plan = plan_of(stream("a"), stream("b", max_retries=1))
    talk = Talk(plan=plan)
    talk.starts("a")
    talk.starts("b")
    talk.sends("a", "b", 1)
    talk.reads("b")
    talk.ends("b", exit_code=1)
    assert not dead_letters(talk.state)
    talk.passes(3600.0)
    talk.starts("b")
    assert bodies(talk, "b") == [1]


def test_what_an_ended_stream_leaves_becomes_dead_letters() -> None:
    """With the reason; requeued they reach it when it is retried."""
    talk = Talk("a", "b", keep_going=True)
    first = talk.sends("a", "b", 1).facts["id"]
    second = talk.broadcasts("a", 2).facts["id"]
    talk.reads("b", limit=1)
    talk.ends("b", exit_code=1)
    third = talk.sends("a", "b", 3)
    assert third.facts["state"] == "dead"
    letters = dead_letters(talk.state)
    assert [line["id"] for line in letters] == [first, second, third.facts["id"]]
    assert all("ended" in line["reason"] for line in letters)
    assert talk.requeues(first).outcome == "refused"
    assert talk.requeues(first, by="a").outcome == "refused"
    talk.is_retried("b")
    assert bodies(talk, "b") == []
    for number in (first, second, third.facts["id"]):
        assert talk.requeues(number).outcome == "done"
        assert state_of(talk, number) == "queued"
    assert [(m["body"], m["is_new"]) for m in talk.reads("b")] == [(1, True), (2, True), (3, True)]
    assert talk.requeues(first).outcome == "refused"


def test_a_message_to_nobody_is_refused_with_the_nearest_name() -> None:
    """The sender is told at once, and nothing is kept."""
    talk = Talk("a", "tester")
    answer = talk.sends("a", "testr")
    assert answer.outcome == "refused"
    assert answer.facts["hint"] == "did you mean 'tester'?"
    assert "lists" in talk.sends("a", "q").facts["hint"]
    assert dead_letters(talk.state) == []


def test_a_deadline_makes_a_dead_letter_of_what_was_not_acknowledged() -> None:
    """Also of what was read; what was acknowledged in time stays so."""
    talk = Talk("a", "b", "c")
    numbers = [talk.sends("a", "b", n, seconds=10).facts["id"] for n in range(3)]
    shared = talk.broadcasts("a", "all", seconds=5).facts["id"]
    talk.reads("b", limit=2)
    talk.acks("b", numbers[0])
    talk.reads("c")
    talk.acks("c", shared)
    (wake,) = [e for e in owed(talk.state) if getattr(e, "subject", "") == "messages"]
    assert getattr(wake, "at", None) == 5.0
    talk.passes(5.0)
    assert state_of(talk, shared) == "expired"
    assert [waiting(talk, s) for s in "bc"] == [3 - 1, 0]
    talk.passes(5.0)
    assert [state_of(talk, n) for n in numbers] == ["acked", "expired", "expired"]
    assert waiting(talk, "b") == 0
    assert talk.acks("b", numbers[1]).outcome == "refused"
    assert not [e for e in owed(talk.state) if getattr(e, "subject", "") == "messages"]
    assert talk.requeues(shared).outcome == "done"
    assert talk.requeues(numbers[2]).outcome == "done"
    talk.passes(1000.0)
    assert bodies(talk, "b") == [2, "all"]
    assert bodies(talk, "c") == []
    assert bodies(talk, "a") == [], "nobody gets back what he sent himself"


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_deadline_is_a_length_of_time(seconds: float) -> None:
    """Anything else is refused."""
    assert Talk("a", "b").sends("a", "b", seconds=seconds).outcome == "refused"


# --- limits --------------------------------------------------------------------------------------


def test_a_body_has_a_size() -> None:
    """A larger one is refused in words."""
    talk = Talk("a", "b")
    assert talk.sends("a", "b", "x" * MOST_BYTES).outcome == "refused"
    assert talk.broadcasts("a", float("nan")).outcome == "refused"


def test_a_full_inbox_refuses_until_it_is_read() -> None:
    """Direct messages and broadcasts count together; dead ones do not count."""
    talk = Talk("a", "b", "c")
    with talk.in_bulk():
        for n in range(MOST_WAITING // 2):
            assert talk.sends("a", "b", n).outcome == "done"
            assert talk.broadcasts("c", n, seconds=10).outcome == "done"
    for refused in (talk.sends("c", "b"), talk.broadcasts("a"), talk.sends(OPERATOR, "b")):
        assert refused.outcome == "refused"
        assert refused.facts["full"] == "b"
    assert talk.sends("c", "a").outcome == "done"
    assert talk.broadcasts("b").outcome == "done"
    talk.passes(10.0)
    assert talk.broadcasts("a").outcome == "done"


def test_acknowledged_messages_leave_the_state_in_time() -> None:
    """The newest stay, the journal has all."""
    talk = Talk("a", "b")
    with talk.in_bulk():
        for n in range(KEPT + 20):
            number = talk.sends("a", "b", n).facts["id"]
            talk.reads("b")
            talk.acks("b", number)
    assert len(messages(talk.state)["messages"]) == KEPT
    everything = messages_of(talk.records, talk.state)["messages"]
    assert [line["state"] for line in everything] == ["acked"] * (KEPT + 20)


def test_a_snapshot_carries_everything() -> None:
    """Open, acknowledged, expired and dead ones, broadcasts read by some."""
    talk = Talk("a", "b", "c", keep_going=True)
    talk.sends("a", "b", 1, seconds=3)
    talk.broadcasts("a", 2, seconds=9)
    talk.sends("c", "a", 3)
    talk.reads("b")
    talk.broadcasts("b", 4)
    talk.sends("a", "nobody", 5)
    talk.passes(4.0)
    talk.ends("c", exit_code=1)
    talk.remembers()
    assert bodies(talk, "a") == [3, 4]


# --- a model -------------------------------------------------------------------------------------

NAMES = ("a", "b", "c")
ANYBODY = st.sampled_from(NAMES)


class Modelled(RuleBasedStateMachine):
    """The mailboxes against a dictionary of what each stream has still to do with each message."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk(*NAMES, keep_going=True)
        self.ended: set[str] = set()
        self.sent: dict[int, tuple[str, float | None]] = {}
        self.deliveries: dict[tuple[str, int], str] = {}

    def _live(self) -> list[str]:
        return [name for name in NAMES if name not in self.ended]

    def _sent(self, number: int, by: str, to: list[str], seconds: float | None) -> None:
        assert number > max(self.sent, default=0)
        self.sent[number] = (by, None if seconds is None else self.talk.now + seconds)
        for name in to:
            self.deliveries[name, number] = "dead" if name in self.ended else "queued"

    @precondition(lambda self: self._live())
    @rule(data=st.data(), to=ANYBODY, seconds=st.none() | st.integers(1, 5))
    def sends(self, data: st.DataObject, to: str, seconds: int | None) -> None:
        by = data.draw(st.sampled_from(self._live()))
        answer = self.talk.sends(by, to, [by, to], seconds)
        self._sent(answer.facts["id"], by, [to], seconds)
        if to in self.ended:
            self.sent[answer.facts["id"]] = (by, None)

    @precondition(lambda self: self._live())
    @rule(data=st.data(), seconds=st.none() | st.integers(1, 5))
    def broadcasts(self, data: st.DataObject, seconds: int | None) -> None:
        by = data.draw(st.sampled_from(self._live()))
        others = [name for name in self._live() if name != by]
        answer = self.talk.broadcasts(by, [by], seconds)
        assert answer.facts["recipients"] == len(others)
        self._sent(answer.facts["id"], by, others, seconds)

    @precondition(lambda self: self._live())
    @rule(data=st.data(), limit=st.integers(1, 4))
    def reads(self, data: st.DataObject, limit: int) -> None:
        by = data.draw(st.sampled_from(self._live()))
        new = sorted(n for (s, n), now in self.deliveries.items() if (s, now) == (by, "queued"))
        found = self.talk.reads(by, limit)
        assert [m["id"] for m in found] == sorted(m["id"] for m in found)
        assert [m["id"] for m in found if m["is_new"]] == new[:limit]
        for message in found:
            assert self.deliveries[by, message["id"]] in ("queued", "delivered")
            assert message["from"] == self.sent[message["id"]][0]
            self.deliveries[by, message["id"]] = "delivered"

    @precondition(lambda self: self.sent and self._live())
    @rule(data=st.data())
    def acknowledges(self, data: st.DataObject) -> None:
        by = data.draw(st.sampled_from(self._live()))
        number = data.draw(st.sampled_from(sorted(self.sent)))
        may = self.deliveries.get((by, number)) in ("delivered", "acked")
        assert (self.talk.acks(by, number).outcome == "done") == may
        if may:
            self.deliveries[by, number] = "acked"

    @rule(seconds=st.integers(1, 4))
    def passes(self, seconds: int) -> None:
        self.talk.passes(seconds)
        if self.talk.state.has_ended:
            return
        for (name, number), now in self.deliveries.items():
            deadline = self.sent[number][1]
            if (
                deadline is not None
                and deadline <= self.talk.now
                and now in ("queued", "delivered")
            ):
                self.deliveries[name, number] = "expired"

    @precondition(lambda self: len(self._live()) > 1)
    @rule(data=st.data())
    def ends(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self._live()))
        self.talk.ends(name, exit_code=1)
        self.ended.add(name)
        for (other, number), now in self.deliveries.items():
            if other == name and now in ("queued", "delivered"):
                self.deliveries[name, number] = "dead"

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def is_retried(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.ended)))
        self.talk.is_retried(name)
        self.ended.discard(name)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def requeues(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.sent)))
        before = {s for (s, n), now in self.deliveries.items() if n == number and self._died(now)}
        answer = self.talk.requeues(number)
        if answer.outcome != "done":
            assert not before - self.ended, answer
            return  # an expired broadcast may go to others than those who missed it then
        (again,) = [r.event for r in self.talk.records[-1:]]
        assert isinstance(again, ev.MessageRequeued)
        assert before - self.ended <= set(again.to)
        self.sent[number] = (self.sent[number][0], None)
        for name in again.to:
            self.deliveries[name, number] = "queued"

    @staticmethod
    def _died(now: str) -> bool:
        return now in ("expired", "dead")

    @rule()
    def remembers(self) -> None:
        self.talk.remembers()

    @invariant()
    def nothing_is_lost(self) -> None:
        """Everything stands where the model has it, and what waits is counted rightly."""
        mail = self.talk.state.messages
        for name in self._live():
            mine = {n: now for (s, n), now in self.deliveries.items() if s == name}
            assert mail.new(StreamId(name)) == sorted(
                n for n, now in mine.items() if now == "queued"
            )
            read = sorted(n for n, now in mine.items() if now == "delivered")
            assert mail.delivered(StreamId(name)) == read
            assert waiting(self.talk, name) == len(mail.new(StreamId(name))) + len(read)

    @invariant()
    def every_message_counts_its_recipients(self) -> None:
        for number, message in self.talk.state.messages.messages.items():
            mine = [now for (_, n), now in self.deliveries.items() if n == number]
            assert message.acked == mine.count("acked")
            assert message.open == mine.count("queued") + mine.count("delivered")


TestModelled = Modelled.TestCase
TestModelled.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
