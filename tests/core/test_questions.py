"""Questions of streams: put once, answered once, told for certain, and gone with their attempt."""

from __future__ import annotations

from typing import Any

import pytest

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.calls import Answer, Ask, Withdraw
from anabranch.core.deciding.decide import decide
from anabranch.core.deciding.questions import MOST_OPEN
from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.outcome import Decision, Refusal
from anabranch.core.model.questions import Question
from anabranch.core.views import questions
from anabranch.core.views.waiting import called_waits
from tests.core.talking import STRATEGIES, Talk


class Asking(Talk):
    def asks(self, text: str = "go on?", by: str = "a", **facts: Any) -> Answer:
        return self.call(Ask, by, question=text, **facts)

    def answers(self, text: str, ticket: str | None = None, of: str = "a") -> Refusal | None:
        number = None if ticket is None else Seq(int(ticket))
        given = inputs.AnswerQuestion(stream=StreamId(of), answer=text, question=number)
        outcome = decide(self.state, given, self.now, STRATEGIES)
        if isinstance(outcome, Refusal):
            return outcome
        self._step(given)
        return None

    def takes(self, ticket: str, by: str = "a", **facts: Any) -> Answer:
        return self.call(Withdraw, by, ticket=ticket, **facts)

    def named(self, kind: type[ev.Event]) -> list[Any]:
        return [r.event for r in self.records if isinstance(r.event, kind)]


@pytest.fixture
def talk() -> Asking:
    return Asking("a", "b")


def test_a_question_waits_for_its_answer(talk: Asking) -> None:
    asked = talk.asks(request="r1")
    assert asked.outcome == "waiting"
    assert [w.holder for w in called_waits(talk.state, StreamId("a"))] == ["operator"]
    assert talk.answers("yes", asked.facts["ticket"]) is None
    again = talk.asks(request="r1")
    assert (again.outcome, again.facts["answer"]) == ("done", "yes")
    assert called_waits(talk.state, StreamId("a")) == []


def test_the_same_words_are_the_same_question_until_its_answer_is_taken(talk: Asking) -> None:
    ticket = talk.asks().facts["ticket"]
    assert talk.asks().facts["ticket"] == ticket
    assert talk.asks("another?").facts["ticket"] != ticket
    assert talk.asks(choices=("x", "y")).facts["ticket"] != ticket
    talk.answers("yes")
    talk.remembers()
    assert talk.asks().facts["answer"] == "yes"
    talk.takes(ticket)
    assert talk.asks().outcome == "waiting"
    assert len(talk.named(ev.QuestionAsked)) == 4


def test_nobody_is_answered_twice(talk: Asking) -> None:
    ticket = talk.asks().facts["ticket"]
    assert talk.answers("yes", ticket) is None
    refusal = talk.answers("no", ticket)
    assert refusal is not None
    assert "answered already" in refusal.reason
    assert [e.answer for e in talk.named(ev.QuestionAnswered)] == ["yes"]
    assert talk.answers("no", of="b") is not None
    assert talk.answers("no", of="nobody") is not None


def test_the_oldest_question_is_answered_first_unless_one_is_named(talk: Asking) -> None:
    first, second = (talk.asks(text).facts["ticket"] for text in ("one?", "two?"))
    talk.answers("2", second)
    talk.answers("1")
    assert [str(e.ticket) for e in talk.named(ev.QuestionAnswered)] == [second, first]


def test_an_answer_is_one_of_the_choices(talk: Asking) -> None:
    talk.asks(choices=("keep", "drop"))
    refusal = talk.answers("maybe")
    assert refusal is not None
    assert "`keep`" in refusal.hint
    assert talk.answers("drop") is None


def test_an_abandoned_question_stands_and_one_taken_back_does_not(talk: Asking) -> None:
    ticket = talk.asks().facts["ticket"]
    talk.takes(ticket, is_abandoned=True)
    assert talk.named(ev.QuestionWithdrawn) == []
    talk.takes(ticket)
    assert [e.reason for e in talk.named(ev.QuestionWithdrawn)] == ["the wait was given up"]
    assert talk.answers("yes", ticket) is not None
    assert talk.takes(ticket, by="b").outcome == "refused"


def test_with_the_attempt_its_questions_are_over(talk: Asking) -> None:
    talk.asks("one?")
    talk.asks("two?")
    talk.answers("yes")
    talk.ends("a", exit_code=1)
    assert [e.was_answered for e in talk.named(ev.QuestionWithdrawn)] == [True, False]
    assert not talk.state.questions
    talk.is_retried("a")
    assert talk.asks("one?").outcome == "waiting"


def test_there_are_only_so_many_at_a_time(talk: Asking) -> None:
    for number in range(MOST_OPEN):
        talk.asks(f"{number}?")
    assert talk.asks("one more?").outcome == "refused"
    talk.answers("yes")
    assert talk.asks("one more?").outcome == "waiting"


@pytest.mark.parametrize(("waits", "seconds"), [(True, 5.0), (False, 0.0)])
def test_only_time_that_was_waited_is_no_work(talk: Asking, waits: bool, seconds: float) -> None:
    talk.asks(wait=waits)
    talk.now += 5
    talk.answers("yes")
    assert talk.state.streams[StreamId("a")].worked.waited == seconds


@pytest.mark.parametrize(
    ("choices", "yes", "no"),
    [
        ((), "yes", "no"),
        (("Yes", "No"), "Yes", "No"),
        (("abort", "y"), "y", "abort"),
        (("keep", "drop"), None, None),
        (("ok", "approve"), "approve", None),
    ],
)
def test_a_yes_is_the_likeliest_choice(
    choices: tuple[str, ...], yes: str | None, no: str | None
) -> None:
    question = Question(Seq(1), StreamId("a"), 1, "r", "?", 0.0, choices)
    assert (question.meant_by(True), question.meant_by(False)) == (yes, no)


def test_a_decision_names_its_question_as_its_cause(talk: Asking) -> None:
    ticket = int(talk.asks().facts["ticket"])
    given = inputs.AnswerQuestion(stream=StreamId("a"), answer="yes")
    outcome = decide(talk.state, given, 0.0, STRATEGIES)
    assert isinstance(outcome, Decision)
    assert [r.cause for r in outcome.events] == [ticket]


@pytest.mark.parametrize(
    ("choices", "text", "is_yes", "meant_is"),
    [
        ((), " go on ", None, "go on"),
        ((), "  ", None, None),
        ((), None, True, "yes"),
        ((), None, False, "no"),
        (("Yes", "No"), None, True, "Yes"),
        (("left", "right"), None, True, None),
        (("left", "right"), "le", None, "left"),
        (("left", "right"), "RIGHT", None, "right"),
        (("left", "less"), "le", None, None),
        (("left", "less"), "LESS", None, "less"),
        (("a", "A"), "A", None, "A"),
        (("left", "right"), "", None, None),
    ],
)
def test_an_answer_means_one_of_the_choices_or_is_refused(
    choices: tuple[str, ...], text: str | None, is_yes: bool | None, meant_is: str | None
) -> None:
    """Their beginning is enough, if it is that of one only."""
    question = Question(Seq(1), StreamId("a"), 1, "r", "go on?", 0.0, choices=choices)
    found = questions.meant(question, text, is_yes)
    assert (None if isinstance(found, Refusal) else found) == meant_is


def test_what_is_asked_is_told_with_its_ticket(talk: Asking) -> None:
    ticket = talk.asks(choices=("x", "y")).facts["ticket"]
    (told,) = questions.questions_status(talk.state, StreamId("a"))
    assert (told["ticket"], told["question"], told["choices"]) == (ticket, "go on?", ["x", "y"])
