"""Who needs a person, why, and since when: one derivation, for everybody who shows it.

The header, the list, the next one that a key goes to, ``status`` and ``anabranch attention`` all
ask here. A stream is *blocked* only on evidence that somebody waits for a person: a question, a
message to the operator that is not acknowledged, a prompt that stands on its terminal. What cannot
be told is *unknown*, never blocked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from anabranch.core.deciding.points.convergence import RESOLVER_AT_WORK
from anabranch.core.deciding.terminal import is_to_be_looked_at as is_unseen
from anabranch.core.deciding.waiting.reasons import called_waits
from anabranch.core.deciding.waiting.wording import in_words, reason_for
from anabranch.core.events import Conflict
from anabranch.core.folds.resolutions import key_of, open_conflicts
from anabranch.core.folds.reviews import waiting_for_review, waits_for_review
from anabranch.core.ids import FINAL_POINT, PointId, Seq, StreamId
from anabranch.core.json_values import text_of, value_of
from anabranch.core.model.joined import JoinedStream
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.messages import OPERATOR, Message
from anabranch.core.model.questions import Question, open_questions
from anabranch.core.model.state import PointPhase, RunPhase, State, Stream
from anabranch.core.wording import conflicting, counted, listing, utc

__all__ = [
    "URGENCY",
    "Attention",
    "AttentionState",
    "Signs",
    "attention_of",
    "attention_status",
    "in_turn",
    "is_unseen",
    "letters_of",
    "needy",
    "of_the_run",
    "signs_of",
    "text_of_message",
]

AttentionState = Literal[
    "blocked", "conflict", "stalled", "done", "working", "waiting", "unknown", "over"
]
"""*Done* is over and not looked at yet, *over* is what somebody has looked at, or never began."""

URGENCY: tuple[AttentionState, ...] = (
    "blocked",
    "conflict",
    "stalled",
    "done",
    "unknown",
    "working",
    "waiting",
    "over",
)
"""In which order they are gone through."""

MOST_CHARACTERS = 120
BAD = (Phase.FAILED, Phase.QUARANTINED)


class Attention(msgspec.Struct, frozen=True):
    """How a stream stands towards whoever steers the run.

    ``why`` is the evidence in words, ``since`` in run seconds. It ``needs_you`` if nothing goes on
    there before a person acts; ``then`` is the command that would.
    """

    state: AttentionState
    why: str
    since: float
    needs_you: bool = False
    then: str = ""


class Signs(msgspec.Struct, frozen=True):
    """What of a run is about several streams, gathered once: who is in conflict, who wrote.

    A conflict is one decision, so one stream ``asks`` for it, and all others that it is about wait
    for that; ``conflicts`` has it for each of them.
    """

    conflicts: Mapping[StreamId, tuple[PointId, Conflict]]
    asks: Mapping[StreamId, int]
    """For how many decisions about conflicts a stream asks."""
    letters: Mapping[StreamId, Message]


def signs_of(state: State) -> Signs:
    """Return the open conflicts by stream, and each one's oldest message to the operator."""
    letters: dict[StreamId, Message] = {}
    mail = state.messages
    for number in sorted(mail.inbox(OPERATOR).open):
        letters.setdefault(mail.messages[number].sender, mail.messages[number])
    conflicts: dict[StreamId, tuple[PointId, Conflict]] = {}
    asks: dict[StreamId, int] = {}
    for same in _decisions(state):
        speaker = _speaker(state, [conflict for _, conflict in same], letters)
        if speaker not in asks:
            conflicts[speaker] = same[0]
        asks[speaker] = asks.get(speaker, 0) + 1
        for point, conflict in same:
            for stream in _whom(conflict):
                conflicts.setdefault(stream, (point, conflict))
    return Signs(conflicts, asks, letters)


def _decisions(state: State) -> list[list[tuple[PointId, Conflict]]]:
    """Return the open conflicts, those together that one decision settles."""
    found: dict[object, list[tuple[PointId, Conflict]]] = {}
    for point, conflict in open_conflicts(state):
        if not state.points[point].resolving:
            paths = frozenset(key_of(path) for path in conflict.paths)
            key = paths or (frozenset(conflict.streams), conflict.halts)
            found.setdefault(key, []).append((point, conflict))
    return list(found.values())


def _speaker(state: State, same: list[Conflict], letters: Mapping[StreamId, Message]) -> StreamId:
    """Return who asks for a decision: who is kept from going on, else who has come too late.

    One that asks something else meanwhile is shown for that, so another one asks if it can.
    """
    whom = [c.halts for c in same if c.halts] + [c.late for c in same]
    whom += [stream for conflict in same for stream in _whom(conflict)]

    def asks_otherwise(name: StreamId) -> bool:
        stream = state.streams.get(name)
        asks = name in letters or bool(open_questions(state.questions, name))
        return stream is None or (asks and not stream.has_ended)

    return next((name for name in whom if not asks_otherwise(name)), whom[0])


def _whom(conflict: Conflict) -> tuple[StreamId, ...]:
    return (*conflict.streams, *((conflict.halts,) if conflict.halts else ()))


def letters_of(state: State, stream: StreamId) -> list[Message]:
    """Return what a stream has written to the operator that is not acknowledged, oldest first."""
    mail = state.messages
    found = (mail.messages[number] for number in sorted(mail.inbox(OPERATOR).open))
    return [message for message in found if message.sender == stream]


def text_of_message(message: Message) -> str:
    """Return what a message says, JSON as it is written."""
    body = value_of(message.body)
    return body if isinstance(body, str) else text_of(body)


def attention_of(
    state: State, name: StreamId, signs: Signs | None = None, *, is_hosted: bool = True
) -> Attention:
    """Return how a stream of the plan, or one that joined, stands.

    Args:
        state: the run.
        name: the stream.
        signs: those of the run, if they are known already.
        is_hosted: whether somebody hosts the run; otherwise nobody knows how its streams get on.
    """
    signs = signs_of(state) if signs is None else signs
    asked = _asked(state, name, signs)
    joined = state.registry.joined.get(name)
    if joined is not None:
        return asked if asked and joined.is_live else _of_joined(state, joined, signs)
    stream = state.streams[name]
    if asked is not None and not stream.has_ended:
        return asked
    for source in _SOURCES:
        found = source(state, stream, signs)
        if found is not None:
            break
    else:
        found = Attention("working", reason_for(state, stream), _began(stream))
    if found.state == "working" and not is_hosted and not state.has_ended:
        return Attention("unknown", "nobody hosts the run, so nobody knows", stream.since)
    return found


def needy(state: State, *, is_hosted: bool = True) -> Iterator[tuple[StreamId, Attention]]:
    """Yield every stream with how it stands, in plan order, those that joined last."""
    signs = signs_of(state)
    names = [*(plan.id for plan in state.plan.streams), *sorted(state.registry.joined)]
    for name in names:
        if name in state.streams or name in state.registry.joined:
            yield name, attention_of(state, name, signs, is_hosted=is_hosted)


def in_turn(found: Mapping[StreamId, Attention]) -> list[StreamId]:
    """Return who is to be gone through: who needs a person first, then what is to be looked at.

    Among the same it is the one that has waited longest.
    """
    wanted = [(s, a) for s, a in found.items() if a.needs_you or a.state == "done"]
    order = sorted(
        wanted,
        key=lambda p: (not p[1].needs_you, URGENCY.index(p[1].state), p[1].since),
    )
    return [stream for stream, _ in order]


def attention_status(state: State, attention: Attention) -> dict[str, Any]:
    """Return it as ``attention`` of ``status --json``."""
    return {
        "state": attention.state,
        "why": attention.why,
        "since": utc(state.started_wall + attention.since),
        "needs_you": attention.needs_you,
        "then": attention.then or None,
    }


def of_the_run(state: State, *, is_hosted: bool = True) -> list[tuple[str, Attention]]:
    """Return what needs a person and is not about a stream: points that stand, the run itself."""
    found: list[tuple[str, Attention]] = []
    conflicted = {point for point, _ in open_conflicts(state)}
    for plan in state.plan.points:
        point = state.points[plan.id]
        if point.phase is PointPhase.BLOCKED and plan.id not in conflicted and not point.resolving:
            is_race = bool(point.adoption.asked)
            then = f"anabranch convergence {state.run}"
            then = f"anabranch race --compare {plan.id}" if is_race else then
            found.append((plan.id, Attention("blocked", point.reason, point.since, True, then)))
    if not is_hosted and not state.has_ended:
        then = f"anabranch resume {state.run}"
        found.append((state.run, Attention("unknown", "nobody hosts it", state.at, True, then)))
    ended_at = state.at if state.ended_at is None else state.ended_at
    final = state.points[FINAL_POINT]
    if state.phase is RunPhase.NEEDS_OPERATOR and not (found or _is_said_elsewhere(state)):
        why = f"{state.reason}; {state.hint}"
        then = f"anabranch resume {state.run}"
        found.append((state.run, Attention("blocked", why, ended_at, True, then)))
    elif state.phase is RunPhase.CONVERGED and final.commit and not state.approval.is_done:
        then = f"anabranch approve {state.run}"
        why = "its result waits for you"
        found.append((state.run, Attention("done", why, ended_at, False, then)))
    return found


def _is_said_elsewhere(state: State) -> bool:
    """Say whether what keeps a run from its end is shown at one of its streams already."""
    asks = any(point.adoption.asked for point in state.points.values())
    blocked = any(stream.phase is Phase.BLOCKED for stream in state.streams.values())
    return asks or blocked or bool(open_conflicts(state) or waiting_for_review(state))


# --- the sources, the most urgent first ----------------------------------------------------------


def _asked(state: State, name: StreamId, signs: Signs) -> Attention | None:
    """Return what a stream asks a person, by a question or a message."""
    questions = open_questions(state.questions, name)
    if questions:
        return _of_question(name, questions[0], len(questions) - 1)
    letter = signs.letters.get(name)
    if letter is not None:
        return Attention("blocked", _letter_in_words(letter), letter.at, True, _ack(letter.id))
    return None


def _of_question(name: StreamId, question: Question, more: int) -> Attention:
    choices = f" ({listing(question.choices)})" if question.choices else ""
    others = f"; {more} more" if more else ""
    why = f"asks: `{_short(question.text)}`{choices}{others}"
    how = "TEXT"
    if question.choices:
        how = "--yes" if question.meant_by(True) else question.choices[0]
    return Attention("blocked", why, question.since, True, f"anabranch answer {name} {how}")


def _letter_in_words(letter: Message) -> str:
    return f"wrote to you: `{_short(text_of_message(letter))}`"


def _ack(number: Seq) -> str:
    return f"anabranch messages --ack {number}"


def _conflict(state: State, stream: Stream, signs: Signs) -> Attention | None:
    if stream.phase is Phase.BLOCKED and stream.reason.endswith(RESOLVER_AT_WORK):
        return Attention("waiting", stream.reason, stream.since)
    found = signs.conflicts.get(stream.id)
    if found is not None:
        point, conflict = found
        why = conflicting(conflict.streams, [path.path for path in conflict.paths])
        since = stream.since if conflict.halts else state.points[point].since
        asks = signs.asks.get(stream.id, 0)
        if not asks:
            return Attention("waiting", f"waits for a decision: {why}", since)
        why = why if asks == 1 else f"{why}; {asks - 1} more to decide"
        return Attention("conflict", why, since, True, f"anabranch conflicts {state.run}")
    if stream.phase is Phase.BLOCKED:
        then = f"anabranch conflicts {state.run}"
        return Attention("conflict", stream.reason, stream.since, True, then)
    return None


def _prompt(state: State, stream: Stream, signs: Signs) -> Attention | None:
    prompt = stream.terminal.prompt
    if prompt is None or stream.phase is not Phase.RUNNING or stream.held:
        return None
    how = "waits for you" if prompt.announced else "asks"
    why = f"{how} at its terminal: `{_short(prompt.text)}`"
    return Attention("blocked", why, prompt.since, True, f"anabranch send {stream.id} TEXT")


def _stalled(state: State, stream: Stream, signs: Signs) -> Attention | None:
    care, seen = stream.care, stream.liveness
    if not stream.is_active:
        return None
    if care.remedy:
        why = f"{care.remedy} recovery of what was {care.diagnosis}: {care.evidence}"
        return Attention("stalled", why, care.since)
    if stream.phase is not Phase.RUNNING:
        return None
    then = f"anabranch recover {stream.id} hard"
    if seen.verdict:
        return Attention("stalled", seen.evidence or seen.verdict, seen.since, True, then)
    if care.is_unclear:
        return Attention("unknown", care.alert, care.since)
    if care.alert:
        return Attention("stalled", care.alert, care.since, True, then)
    return None


def _review(state: State, stream: Stream, signs: Signs) -> Attention | None:
    if not waits_for_review(state, stream.id):
        return None
    files = counted(stream.files_changed or 0, "changed file")
    why = f"its work waits for your review: {files}"
    return Attention("done", why, stream.since, True, f"anabranch review {stream.id}")


def _race(state: State, stream: Stream, signs: Signs) -> Attention | None:
    """Of those who can be adopted the first asks for all: it is one decision."""
    place = state.topology.adopted_at.get(stream.id)
    asked = () if place is None else state.points[place].adoption.asked
    if stream.id not in asked or place is None:
        return None
    point = state.points[place]
    if stream.id != asked[0]:
        why = f"can be adopted: {counted(stream.files_changed or 0, 'changed file')}"
        return Attention("done", why, point.since, False, f"anabranch adopt {stream.id}")
    return Attention("done", point.reason, point.since, True, f"anabranch race --compare {place}")


def _ended(state: State, stream: Stream, signs: Signs) -> Attention | None:
    if not stream.has_ended:
        return None
    since = stream.since if stream.ended_at is None else stream.ended_at
    why = f"{stream.public_state}: {stream.reason}"
    letter = signs.letters.get(stream.id)
    if letter is not None:
        why = f"{why}; {_letter_in_words(letter)}"
        return Attention("done", why, since, True, _ack(letter.id))
    if not is_unseen(state, stream.id):
        return Attention("over", why, since)
    needs_you = stream.phase in BAD and _matters(state, stream)
    return Attention("done", why, since, needs_you, f"anabranch logs {stream.id}")


def _matters(state: State, stream: Stream) -> bool:
    """Return whether a person has to know that a stream has failed.

    In an open run nobody called it optional, it only does not keep others from going on; of those
    who race it is enough that one does not fail.
    """
    place = state.topology.adopted_at.get(stream.id)
    if place is not None:
        racing = [s for s, at in state.topology.adopted_at.items() if at == place]
        return all(state.streams[s].phase in BAD for s in racing if s in state.streams)
    return state.plan.is_open or not state.stream_plan(stream.id).optional


def _waiting(state: State, stream: Stream, signs: Signs) -> Attention | None:
    if stream.phase is Phase.RUNNING:
        waits = called_waits(state, stream.id)
        if not waits:
            return None
        since = min(wait.since for wait in waits)
        return Attention("waiting", f"waits for {in_words(waits)}", since)
    if stream.is_active:
        return None
    return Attention("waiting", reason_for(state, stream), stream.since)


_Source = Callable[[State, Stream, Signs], Attention | None]

_SOURCES: tuple[_Source, ...] = (_conflict, _prompt, _stalled, _review, _race, _ended, _waiting)
"""What may claim a stream that asks nobody, in this order; one that none claims is at work."""


def _of_joined(state: State, joined: JoinedStream, signs: Signs) -> Attention:
    if joined.has_left:
        ended_at = joined.since if joined.ended_at is None else joined.ended_at
        letter = signs.letters.get(joined.id)
        if letter is not None:
            why = _letter_in_words(letter)
            return Attention("done", why, ended_at, True, _ack(letter.id))
        return Attention("over", joined.reason, ended_at)
    waits = called_waits(state, joined.id)
    if waits:
        since = min(wait.since for wait in waits)
        return Attention("waiting", f"waits for {in_words(waits)}", since)
    return Attention("working", joined.status or joined.reason, joined.since)


def _began(stream: Stream) -> float:
    return stream.since if stream.started_at is None else stream.started_at


def _short(text: str) -> str:
    """Return a text on one line, cut where it is too long for one."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"
