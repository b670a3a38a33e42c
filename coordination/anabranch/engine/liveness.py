"""How each running stream gets on, from what can be seen of it: two clocks, and what excuses it.

Once a tick every running stream is judged from its *signs*: output, changed files and calls are
progress; work of its processes is not, but excuses silence, up to :data:`WORK_EXCUSES` times the
stream's timeout; waiting for a lock, for resources or for others at a point excuses it for as long
as somebody waits for the answer. A stream that has sent a heartbeat has made a promise, and from
then on its heartbeats alone count. What has never given a sign is a case of its own: it is not
very old silence.

A stream that stands still, or was asked for a sign, gets on when it gives one *since then*, and one
of its own: what :mod:`~anabranch.engine.interference` knows to be the engine's doing is not.

Ages are counted here, tick by tick, and no tick counts for more than :data:`LONGEST_TICK_SECONDS`.
So time in which nobody looked (the console was stopped, the machine slept, another engine hosted
the run) makes no stream any older, and nobody is declared stalled for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from anabranch.core import calls, inputs
from anabranch.core import events as ev
from anabranch.core.deciding.guardian.liveness import BAD, UNCLEAR, has_to_answer
from anabranch.core.deciding.streams.heartbeats import LONGEST_STATUS, last_said, says_the_same
from anabranch.core.deciding.waiting.wording import waiting_for
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.joined import JoinedStream
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.plan import StreamPlan
from anabranch.core.strategies.rungs import SOFT
from anabranch.core.wording import length
from anabranch.engine.interference import Interference
from anabranch.engine.vitals import Vitals

LONGEST_TICK_SECONDS = 3.0

WORK_EXCUSES = 6.0
"""Work excuses silence for so many times the stream's timeout (an hour, unless the plan says)."""

LOOKS_THAT_ARE_WORK = 3
"""A stream that was asked is at work once so many looks have seen it work: a stir is not work."""

VerdictName = Literal["lively", "quiet", "unclear", "never_heard", "stalled"]


class Signs(msgspec.Struct, frozen=True):
    """What is known of one stream; ages in seconds in which somebody looked.

    ``silent_seconds`` count since progress, ``idle_seconds`` since progress or work, or else since
    the first look; ``has_progressed`` tells the two apart. ``beat_seconds`` count since the last
    heartbeat, None for a stream that never sent one. ``seen`` are the sampler's words.
    """

    silent_seconds: float = 0.0
    idle_seconds: float = 0.0
    has_progressed: bool = False
    beat_seconds: float | None = None
    is_alive: bool | None = None
    waits_for: str = ""
    seen: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """How a stream gets on, and the evidence for it."""

    name: VerdictName
    evidence: str


def judge(signs: Signs, plan: StreamPlan) -> Verdict:
    """Return how a stream gets on. In doubt it does: unknown means alive."""
    interval, timeout = plan.heartbeat_interval_seconds, plan.heartbeat_timeout_seconds
    if signs.is_alive is False:  # its end is on its way, in its holder's record
        return Verdict("lively", "its holder is gone; how it ended will be known in a moment")
    if signs.waits_for:
        return Verdict("quiet", f"waits for {signs.waits_for}")
    if signs.beat_seconds is not None:
        return _judge_beats(signs.beat_seconds, interval, timeout)
    seen = f" ({signs.seen})" if signs.seen else ""
    excused = WORK_EXCUSES * timeout
    if signs.silent_seconds < min(interval, timeout):
        return Verdict("lively", signs.seen)
    if signs.silent_seconds < (timeout if signs.idle_seconds >= timeout else excused):
        works = f", but it works, which excuses it for {length(excused)}"
        excuse = works if signs.idle_seconds < interval else ""
        return Verdict("quiet", f"no progress for {length(signs.silent_seconds)}{excuse}{seen}")
    if plan.tty and not plan.ask.words:  # it may well wait for a person, and nobody can tell
        return Verdict("unclear", f"no progress for {length(signs.silent_seconds)} on its terminal")
    if signs.idle_seconds < timeout:
        evidence = (
            f"no progress for {length(signs.silent_seconds)}; its work excuses {length(excused)}"
        )
        return Verdict("stalled", f"{evidence}{seen}")
    limit = f"its timeout is {length(timeout)}"
    if not signs.has_progressed:
        evidence = f"never heard from in {length(signs.silent_seconds)}; {limit}{seen}"
        return Verdict("never_heard", evidence)
    evidence = f"neither progress nor work for {length(signs.idle_seconds)}; {limit}{seen}"
    return Verdict("stalled", evidence)


def _judge_beats(age: float, interval: float, timeout: float) -> Verdict:
    evidence = f"last heartbeat {length(age)} ago"
    if age >= timeout:
        return Verdict("stalled", f"{evidence}; its timeout is {length(timeout)}")
    return Verdict("quiet" if age >= 2 * interval else "lively", evidence)


class _Track(msgspec.Struct):
    """The ages of one attempt's signs.

    ``matter`` is what it has to answer for, a verdict or a question; ``has_moved`` whether it has
    given a sign since, ``worked`` at how many looks it was seen to work since.
    """

    attempt: Attempt
    signs: tuple[float | None, ...] = (None, None)
    busy_at: float | None = None
    calls: int = 0
    beats: int = 0
    silent: float = 0.0
    idle: float = 0.0
    beat: float | None = None
    has_progressed: bool = False
    matter: tuple[str, int] = ("", 0)
    has_moved: bool = False
    worked: int = 0

    def answers_for(self, matter: tuple[str, int]) -> bool:
        """Take note of what it has to answer for; say whether that is new."""
        if matter == self.matter:
            return False
        self.matter, self.has_moved, self.worked = matter, False, 0
        return True

    def look(self, vitals: Vitals, heard: _Heard, passed: float, *, is_stirred: bool) -> None:
        """Let time pass, and notice what is new; work of one that ``is_stirred`` is not its own."""
        signs = (vitals.last_output_at, vitals.last_change_at)
        is_progress = signs != self.signs or heard.calls != self.calls
        is_busy = not is_stirred and (vitals.busy or vitals.last_busy_at != self.busy_at)
        self.silent = 0.0 if is_progress else self.silent + passed
        self.idle = 0.0 if is_progress or is_busy else self.idle + passed
        if heard.beats != self.beats:
            self.beat = 0.0
        elif self.beat is not None:
            self.beat = 0.0 if heard.calls != self.calls else self.beat + passed
        self.has_progressed |= is_progress
        self.has_moved |= is_progress
        self.worked += is_busy
        self.signs, self.busy_at = signs, vitals.last_busy_at
        self.calls, self.beats = heard.calls, heard.beats

    @property
    def is_back(self) -> bool:
        """Whether it has given a sign of its own of late, or is at work again for good."""
        return self.has_moved or self.worked >= LOOKS_THAT_ARE_WORK

    def as_signs(self, vitals: Vitals, waits_for: str) -> Signs:
        return Signs(
            self.silent,
            self.idle,
            self.has_progressed,
            self.beat,
            vitals.alive,
            waits_for,
            vitals.evidence,
        )


class _Heard(msgspec.Struct):
    """What one attempt has said by calls; ``beats`` are its heartbeats."""

    attempt: Attempt = 0
    calls: int = 0
    beats: int = 0
    status: str = ""
    progress: float | None = None
    info: dict[str, Any] = {}


class _Outside(msgspec.Struct):
    """The silence of one stream that joined by itself."""

    attempt: Attempt
    calls: int
    silent: float = 0.0


class LivenessWatch(msgspec.Struct):
    """Judges all streams once a tick. :meth:`heard` may be called from any thread.

    ``is_visited`` says whether a person is attached to an attempt's terminal: nobody ends a stream
    under somebody's hands.
    """

    now: Callable[[], float] = time.monotonic
    interference: Interference = msgspec.field(default_factory=Interference)
    is_visited: Callable[[StreamId, Attempt], bool] = lambda stream, attempt: False
    _tracks: dict[StreamId, _Track] = {}
    _outside: dict[StreamId, _Outside] = {}
    _heard: dict[StreamId, _Heard] = {}
    _verdicts: Mapping[StreamId, Verdict] = {}
    _looked_at: float | None = None
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)

    @property
    def verdicts(self) -> Mapping[StreamId, Verdict]:
        """The latest verdict on every running stream. A snapshot."""
        return self._verdicts

    def heard(self, call: calls.Call) -> None:
        """Note that a stream has made a call: a sign of life, and of progress."""
        caller = call.caller
        if caller.is_operator or isinstance(call, calls.Renew):
            return
        with self._lock:
            known = self._heard.get(caller.stream)
            if known is None or known.attempt != caller.attempt:
                known = self._heard[caller.stream] = _Heard(caller.attempt)
            known.calls += 1
            if isinstance(call, calls.Heartbeat):
                known.beats += 1
                known.status = call.status if call.status is not None else known.status
                known.progress = call.progress if call.progress is not None else known.progress
                known.info = dict(call.info) if call.info is not None else known.info

    def last_words(self, state: State, records: Iterable[ev.Recorded]) -> Iterator[inputs.Input]:
        """Yield what those whose process has ended said last, if that is not known yet."""
        for event in (record.event for record in records):
            if isinstance(event, ev.StreamExited | ev.StreamLost):
                said = self._unheard(state, event.stream, event.attempt, is_last=True)
                if said is not None:
                    yield said

    def look(self, state: State, vitals: Mapping[StreamId, Vitals]) -> list[inputs.Input]:
        """Judge everybody; return what the engine has to know.

        Heartbeats are repeated until the engine has written them down.
        """
        now = self.now()
        before = now if self._looked_at is None else self._looked_at
        passed = min(max(0.0, now - before), LONGEST_TICK_SECONDS)
        self._looked_at = now
        found: list[inputs.Input] = []
        verdicts: dict[StreamId, Verdict] = {}
        for stream in active_streams(state):
            seen = vitals.get(stream.id)
            if stream.phase is Phase.RUNNING and seen and seen.attempt == stream.attempt:
                verdicts[stream.id] = self._judge(state, stream, seen, passed)
                found += self._news(stream, verdicts[stream.id])
                found += self._said(state, stream.id, stream.attempt)
        for gone in self._tracks.keys() - verdicts.keys():
            del self._tracks[gone]
        for joined in state.registry.joined.values():
            found += self._look_outside(state, joined, passed)
            found += self._said(state, joined.id, joined.attempt)
        self._verdicts = MappingProxyType(verdicts)
        return found

    def _judge(self, state: State, stream: Stream, seen: Vitals, passed: float) -> Verdict:
        heard = self._heard_of(stream.id, stream.attempt)
        track = self._tracks.get(stream.id)
        if track is None or track.attempt != stream.attempt:
            track = self._tracks[stream.id] = _Track(stream.attempt, busy_at=seen.last_busy_at)
            track.beat = None if stream.liveness.status_at is None else 0.0  # to another engine
        if track.answers_for(_matter(stream)) and stream.care.remedy == SOFT:
            self.interference.touched(stream.id)  # the question itself may make it stir
        is_stirred = self.interference.is_settling(stream.id)
        track.look(seen, heard, passed, is_stirred=is_stirred)
        waits_for = waiting_for(state, stream.id)
        plan = state.stream_plan(stream.id)
        verdict = judge(track.as_signs(seen, waits_for), plan)
        if plan.is_service and track.beat is None:
            return Verdict("lively", "a service may well be silent")
        if verdict.name in BAD and plan.tty and self.is_visited(stream.id, stream.attempt):
            return Verdict("unclear", f"{verdict.evidence}; a person is attached to its terminal")
        return verdict

    def _news(self, stream: Stream, verdict: Verdict) -> Iterator[inputs.Input]:
        """Yield a turn for worse; one for better only if the stream itself gave a sign."""
        track = self._tracks[stream.id]
        name: VerdictName | Literal["back"] = verdict.name
        if verdict.name in BAD:
            is_news = verdict.name != stream.liveness.verdict
        elif verdict.name == UNCLEAR:
            is_news = not stream.care.alert
        else:
            is_news = has_to_answer(stream) and track.is_back
            name = "quiet" if verdict.name == "quiet" else "back"
        if is_news:
            yield _seen(stream, name, verdict.evidence, track.silent)

    def _said(self, state: State, stream: StreamId, attempt: Attempt) -> Iterator[inputs.Input]:
        found = self._unheard(state, stream, attempt)
        if found is not None:
            yield found

    def _unheard(
        self, state: State, stream: StreamId, attempt: Attempt, *, is_last: bool = False
    ) -> inputs.Input | None:
        heard, known = self._heard_of(stream, attempt), last_said(state, stream)
        if not heard.beats or known is None:
            return None
        fact = inputs.HeartbeatHeard(
            stream=stream,
            attempt=attempt,
            status=heard.status[:LONGEST_STATUS],
            progress=heard.progress,
            info=heard.info,
            is_last=is_last,
        )
        return None if says_the_same(known, fact) else fact

    def _look_outside(
        self, state: State, joined: JoinedStream, passed: float
    ) -> Iterator[inputs.Input]:
        if joined.has_left:
            self._outside.pop(joined.id, None)
            return
        heard = self._heard_of(joined.id, joined.attempt)
        track = self._outside.get(joined.id)
        if track is None or track.attempt != joined.attempt or track.calls != heard.calls:
            self._outside[joined.id] = _Outside(joined.attempt, heard.calls)
            return
        track.silent += passed
        limit = state.plan.heartbeat_timeout_seconds
        if track.silent >= limit and not waiting_for(state, joined.id):
            evidence = (
                f"nothing heard of it for {length(track.silent)}; the timeout is {length(limit)}"
            )
            yield inputs.JoinedStreamSilent(
                stream=joined.id, attempt=joined.attempt, evidence=evidence, cause=joined.ticket
            )

    def _heard_of(self, stream: StreamId, attempt: Attempt) -> _Heard:
        with self._lock:
            known = self._heard.get(stream)
            if known is None or known.attempt != attempt:
                return _Heard(attempt)
            return replace(known)


def is_somebody_asked(state: State) -> bool:
    """Say whether a running stream was asked for a sign that has not come yet."""
    return any(s.care.remedy == SOFT for s in active_streams(state))


def _matter(stream: Stream) -> tuple[str, int]:
    """Return what a stream has to answer for now: a verdict, and a question if one is asked."""
    care = stream.care
    is_unclear = UNCLEAR if care.is_unclear else ""
    return stream.liveness.verdict or is_unclear, care.cause if care.remedy == SOFT else 0


def _seen(stream: Stream, verdict: str, evidence: str, silent: float) -> inputs.Input:
    return inputs.LivenessSeen(
        stream=stream.id,
        attempt=stream.attempt,
        verdict=verdict,
        evidence=evidence,
        silent_seconds=silent,
        cause=stream.cause,
    )
