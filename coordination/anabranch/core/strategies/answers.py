"""What an answer of each kind of strategy has to be before anybody acts on it.

Each function takes what a strategy answered and what it was shown, and returns the same answer made
of our own parts: nothing that a stranger's object does is asked of it again. It raises
:class:`WrongAnswer` with what is wrong. Texts are bounded and cleaned by who asks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from anabranch.core.ids import StreamId
from anabranch.core.strategies.assigning import Assigning, Assignment, SlotQueue, Steal, most_stolen
from anabranch.core.strategies.balancing import Placement, Placing, QueuedStream
from anabranch.core.strategies.convergence import (
    Abandon,
    AskForOne,
    Checkpoint,
    Converge,
    PointDecision,
    PointView,
    WaitForMore,
)
from anabranch.core.strategies.failures import EndedAttempt, FailureClass
from anabranch.core.strategies.placing import Room
from anabranch.core.strategies.point_laws import fault_of
from anabranch.core.strategies.recovery import FailedAttempt, GiveUp, RecoveryDecision, Retry
from anabranch.core.strategies.remedies import (
    Ask,
    Drop,
    EndAndRetry,
    EndRun,
    RemedyDecision,
    RunAlone,
    Trouble,
)

LONGEST_DELAY_SECONDS = 24 * 3600.0
_ENDS = (EndAndRetry, RunAlone, Drop, EndRun)


class WrongAnswer(Exception):
    """An answer that no strategy of its kind may give."""


def point_decision(found: Any, view: PointView) -> PointDecision:
    """Return what a convergence type decided."""
    if not isinstance(found, WaitForMore | Converge | Checkpoint | AskForOne | Abandon):
        raise WrongAnswer(f"{type(found).__name__} is not a decision about a convergence point")
    fault = fault_of(view, found)
    if fault:
        raise WrongAnswer(fault)
    reason = _text(found.reason, "its reason")
    ours = {stream: stream for stream in (*view.arrived, *view.running)}
    match found:
        case Converge():
            return Converge(tuple(ours[s] for s in found.streams), reason, bool(found.is_final))
        case Checkpoint():
            return Checkpoint(tuple(ours[s] for s in found.streams), reason)
        case AskForOne():
            return AskForOne(tuple(ours[s] for s in found.streams), reason)
        case WaitForMore(look_again_at=at):
            return WaitForMore(reason, None if at is None else float(at))
    return Abandon(reason)


def rank(found: Any, view: QueuedStream) -> tuple[float, ...]:
    """Return the place that a load balancer gives a stream."""
    numbers = tuple(found)
    if not all(isinstance(n, float | int) and math.isfinite(n) for n in numbers):
        raise WrongAnswer("its rank is not a tuple of numbers")
    return tuple(float(number) for number in numbers)


def placements(found: Any, view: Placing) -> tuple[Placement, ...]:
    """Return whom a load balancer places where: each stream and each slot once, and all fit."""
    answer = tuple(found)
    if len(answer) > len(view.slots):
        raise WrongAnswer(f"it places {len(answer)} streams in {len(view.slots)} slots")
    queue = {stream.stream: stream for stream in view.queue} if answer else {}
    slots, room = {slot.number for slot in view.slots}, Room(view.free)
    ours = []
    for placement in answer:
        if not isinstance(placement, Placement):
            raise WrongAnswer(f"{type(placement).__name__} is not a placement")
        try:
            stream, slot = queue.pop(placement.stream, None), placement.slot
        except TypeError:
            raise WrongAnswer("it places something that is not the name of a stream") from None
        if stream is None:
            raise WrongAnswer("it places a stream that may not start now, or one stream twice")
        if type(slot) is not int or slot not in slots:
            raise WrongAnswer("it places a stream in a slot that is not free, or is taken twice")
        if stream.own_slot not in (0, slot):
            raise WrongAnswer("it places a stream that waits in the queue of another slot")
        if not room.take(stream.resources):
            raise WrongAnswer("it places streams that ask for more together than there is")
        slots.discard(slot)
        ours.append(Placement(stream.stream, slot, _text(placement.reason, "its reason")))
    return tuple(ours)


def assignments(found: Any, view: Assigning) -> tuple[Assignment | Steal, ...]:
    """Return who is to wait for which slot, and what is stolen: each slot and stream at most once.

    A stream may be assigned to a slot in whose favour others are stolen in the same answer.
    """
    common = {stream.stream: stream.stream for stream in view.queue}
    slots = {slot.slot: slot for slot in view.slots}
    parties = {number: slot for number, slot in slots.items() if not slot.is_under_way}
    ours: list[Assignment | Steal] = []
    for one in tuple(found):
        try:
            if isinstance(one, Assignment):
                ours.append(_assignment(one, common, slots))
            elif isinstance(one, Steal):
                ours.append(_steal(one, parties))
            else:
                raise WrongAnswer(f"{type(one).__name__} is neither an assignment nor a steal")
        except TypeError:
            raise WrongAnswer("it names something that is not a stream, or not a slot") from None
    return tuple(ours)


def _assignment(
    one: Assignment, common: dict[StreamId, StreamId], slots: Mapping[int, SlotQueue]
) -> Assignment:
    stream = common.pop(one.stream, None)
    if stream is None:
        raise WrongAnswer("it assigns a stream that is not in the common queue, or one twice")
    if one.slot not in slots:
        raise WrongAnswer("it assigns a stream to a slot that may own no queue")
    return Assignment(stream, slots[one.slot].slot, _text(one.reason, "its reason"))


def _steal(one: Steal, parties: dict[int, SlotQueue]) -> Steal:
    thief, victim = parties.pop(one.thief, None), parties.pop(one.victim, None)
    if thief is None or victim is None:
        raise WrongAnswer("it steals with a slot that may own no queue, or is part of a steal")
    if not thief.is_free or thief.streams:
        raise WrongAnswer("it steals for a slot that is not free, or has a queue of its own")
    if victim.is_free:
        raise WrongAnswer("it steals from a slot that is free, and can start what waits for it")
    waiting = [stream.stream for stream in victim.streams]
    tail = waiting[len(waiting) - most_stolen(len(waiting)) :]
    stolen = tuple(stream for stream in tail if stream in set(one.streams))
    if not stolen or len(stolen) < len(one.streams):
        raise WrongAnswer("it steals what is not in the later half of the victim's queue")
    return Steal(thief.slot, victim.slot, stolen, _text(one.reason, "its reason"))


def recovery_decision(found: Any, view: FailedAttempt) -> RecoveryDecision:
    """Return whether and when a recovery strategy tries again."""
    if not isinstance(found, Retry | GiveUp):
        raise WrongAnswer(f"{type(found).__name__} is not a decision about a failure")
    reason = _text(found.reason, "its reason")
    if isinstance(found, GiveUp):
        return GiveUp(reason)
    delay = found.delay_seconds
    if not _is_number(delay) or not 0 <= delay <= LONGEST_DELAY_SECONDS:
        raise WrongAnswer(f"{delay!r} s is not a delay")
    if view.retries >= view.max_retries:
        used = f"{view.retries} of {view.max_retries} retries are used up"
        raise WrongAnswer(f"it tries again though {used}")
    return Retry(float(delay), reason)


def remedy_decision(found: Any, view: Trouble) -> RemedyDecision:
    """Return what a rung does about a stream in trouble."""
    if not isinstance(found, Ask | EndAndRetry | RunAlone | Drop | EndRun):
        raise WrongAnswer(f"{type(found).__name__} is not a remedy")
    if not isinstance(found, Ask):
        end = next(kind for kind in _ENDS if isinstance(found, kind))
        return end(_text(found.reason, "its reason"))
    text = _text(found.text, "its question")
    if not text.strip():
        raise WrongAnswer("its question has no text")
    wait = found.wait_seconds
    if not _is_number(wait) or not 0 < wait <= LONGEST_DELAY_SECONDS:
        raise WrongAnswer(f"{wait!r} s is not a time to wait for an answer")
    return Ask(text, float(wait))


def failure_class(found: Any, view: EndedAttempt) -> FailureClass | None:
    """Return what a classifier takes a failure for, or None."""
    if found is None:
        return None
    if not isinstance(found, FailureClass):
        raise WrongAnswer(f"{type(found).__name__} is not a class of failures")
    name, evidence = _text(found.name, "its name"), _text(found.evidence, "its evidence")
    if not isinstance(found.is_permanent, bool):
        raise WrongAnswer("it does not say whether the failure is permanent")
    if not any(evidence in line for line in (*view.log_tail, view.reason)):
        raise WrongAnswer("its evidence is in no line of the log")
    return FailureClass(name, found.is_permanent, evidence)


def _text(found: Any, what: str) -> str:
    if not isinstance(found, str):
        raise WrongAnswer(f"{what} is not text")
    return found


def _is_number(value: object) -> bool:
    """Say whether something is a plain number: the journal could not read any other one again."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
