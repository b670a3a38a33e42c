"""Who needs a person: what a person would say of each situation, and what the view says.

The table is written by hand, a story a row; below it situations are put together at random, and
what must never be said of any of them is checked: nobody is blocked without evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core import calls, inputs
from anabranch.core.calls import OPERATOR, Caller
from anabranch.core.events import Verdict
from anabranch.core.folds.resolutions import key_of
from anabranch.core.ids import FINAL_POINT, Seq, StreamId
from anabranch.core.model.guardian import MAY_WAIT
from anabranch.core.model.lifecycle import ENDED, Phase
from anabranch.core.model.questions import all_open, open_questions
from anabranch.core.model.state import State
from anabranch.core.views.attention import (
    Attention,
    attention_of,
    attention_status,
    in_turn,
    needy,
    of_the_run,
    signs_of,
)
from anabranch.core.views.projections import status
from anabranch.testing import ByHand, plan_of, point, stream
from anabranch.testing.by_hand import conflict_of
from tests.core.given import STRATEGIES


class Story:
    """A run told in words: ``run a``, ``ask a``, ``fail a``; who is not named has yet to begin."""

    def __init__(self, words: str = "") -> None:
        plan = plan_of(
            stream("a", tty=True, max_retries=0),
            stream("b", "a", max_retries=0),
            stream("c", max_retries=0),
            stream("d", optional=True, max_retries=0),
            stream("e", max_retries=2),
            point("final", on_conflict="ask"),
            max_parallel=3,
        )
        self.hand = ByHand(plan, STRATEGIES)
        self._requests = 0
        for step in filter(None, (part.strip() for part in words.split(";"))):
            verb, *rest = step.split(" ")
            getattr(self, verb.replace("-", "_"))(*rest)

    @property
    def state(self) -> State:
        return self.hand.state

    def seen(self, name: str, *, is_hosted: bool = True) -> Attention:
        return attention_of(self.state, StreamId(name), is_hosted=is_hosted)

    def _call(self, kind: type[calls.Call], name: str, **facts: Any) -> None:
        self._requests += 1
        is_person = name == "you"
        attempt = 0 if is_person else self.hand.stream(name).attempt
        caller = OPERATOR if is_person else Caller(StreamId(name), attempt)
        self.hand.give(kind(caller=caller, request=f"q{self._requests}", **facts))

    def _about(self, name: str) -> dict[str, Any]:
        return {"stream": StreamId(name), "attempt": self.hand.stream(name).attempt}

    # --- what a stream does ----------------------------------------------------------------------

    def run(self, name: str) -> None:
        self.hand.run(name)

    def prepare(self, name: str) -> None:
        self.hand.ready(name)

    def ask(self, name: str, text: str = "go on?") -> None:
        self._call(calls.Ask, name, question=text)

    def choose(self, name: str, choices: str) -> None:
        self._call(calls.Ask, name, question="which?", choices=tuple(choices.split("/")))

    def take_back(self, name: str) -> None:
        asked = open_questions(self.state.questions, StreamId(name))[0]
        self._call(calls.Withdraw, name, ticket=str(asked.ticket))

    def write(self, name: str, text: str = "help") -> None:
        self._call(calls.Send, name, to=StreamId("operator"), body=text)

    def write_to(self, name: str, other: str) -> None:
        self._call(calls.Send, name, to=StreamId(other), body="hello")

    def lock(self, name: str) -> None:
        self._call(calls.Lock, name, path="src/x")

    def want(self, name: str) -> None:
        self._call(calls.RequestResources, name, amounts={"cpu_cores": 1.0})

    def arrive(self, name: str) -> None:
        self._call(calls.Arrive, name, point="final")

    def beat(self, name: str, text: str) -> None:
        self._call(calls.Heartbeat, name, status=text)

    def exit(self, name: str, code: str = "0") -> None:
        self.hand.exited(name, int(code))

    def keep(self, name: str) -> None:
        self.hand.kept(name)

    def succeed(self, name: str) -> None:
        self.exit(name)
        self.keep(name)

    def fail(self, name: str) -> None:
        self.exit(name, "1")
        self.keep(name)

    def lose(self, name: str) -> None:
        self.hand.lost(name)

    # --- what is seen of it ----------------------------------------------------------------------

    def prompt(self, name: str, text: str = "Continue? [y/N]") -> None:
        self.hand.give(inputs.PromptSeen(text=text, since=1.0, **self._about(name)))

    def no_prompt(self, name: str) -> None:
        self.hand.give(inputs.PromptSeen(text="", **self._about(name)))

    def say_prompt(self, name: str, text: str = "") -> None:
        self._call(calls.Prompt, name, text=text)

    def judge(self, name: str, verdict: str) -> None:
        facts: dict[str, Any] = {
            "verdict": verdict,
            "evidence": f"seen as {verdict}",
            "silent_seconds": 700.0,
        }
        self.hand.give(inputs.LivenessSeen(**facts, **self._about(name)))

    def hold(self, name: str) -> None:
        self.hand.give(inputs.StreamHeld(reason="the disk is full", **self._about(name)))

    def delay(self, name: str) -> None:
        self.hand.give(inputs.EffectDelayed(reason="the disk is full", **self._about(name)))

    # --- what a person does ----------------------------------------------------------------------

    def answer(self, name: str, text: str = "yes") -> None:
        self.hand.give(inputs.AnswerQuestion(stream=StreamId(name), answer=text))

    def ack(self) -> None:
        for number in sorted(self.state.messages.inbox(StreamId("")).open):
            self._call(calls.Acknowledge, "you", message=number)

    def look(self, name: str) -> None:
        self.hand.give(inputs.LookAt(streams=(StreamId(name),)))

    def stop(self, name: str) -> None:
        self.hand.stop(name)

    def retry(self, name: str) -> None:
        self.hand.retry(name)

    def recover(self, name: str, remedy: str) -> None:
        self.hand.give(inputs.RecoverStream(stream=StreamId(name), remedy=remedy))

    def send(self, name: str, text: str) -> None:
        self._requests += 1
        request = f"s{self._requests}"
        self.hand.give(inputs.SendInput(stream=StreamId(name), text=text, request=request))

    def clash(self, name: str, *others: str) -> None:
        """What a stream starts from, or at the end what it brings, does not merge."""
        self.hand.conflicted(name, *(others or ("a", "c")))

    def end(self) -> None:
        """Let everybody come to an end, and what a and c bring not merge."""
        for name in "acdeb":
            if self.hand.phase(name) == "preparing":
                self.run(name)
            if self.hand.phase(name) == "running":
                self.succeed(name)

    def merge(self, without: str = "") -> None:
        known = self.state.points[next(iter(self.state.points))]
        if not without:
            self.hand.merged()
            return
        left = (conflict_of("a", without),)
        merged = tuple(s for s in known.merging if s != without)
        self.hand.give(
            inputs.MergeFinished(
                point=known.id, commit="m", tree="t", branch="b", merged=merged, conflicts=left
            )
        )


ASKS = "anabranch answer a TEXT"
TABLE: list[tuple[str, str, str, bool, str]] = [
    # story, whom it is about, what they are, whether they need you, what the evidence says
    # -- nothing is asked of anybody
    ("", "a", "working", False, "preparing"),
    ("", "b", "waiting", False, "waits for a"),
    ("", "e", "waiting", False, "slot"),
    ("prepare a", "a", "working", False, "starting"),
    ("run a", "a", "working", False, "process 10 runs"),
    ("run a; beat a compiling", "a", "working", False, "process 10 runs"),
    ("run a; exit a", "a", "working", False, ""),
    ("run a; exit a 3", "a", "working", False, ""),
    ("run a; stop a", "a", "working", False, "stopped by you"),
    ("run a; delay a", "a", "working", False, "disk"),
    ("run a; hold a", "a", "waiting", False, "disk"),
    ("run a; judge a quiet", "a", "working", False, "process 10 runs"),
    ("run a; write-to a c", "a", "working", False, "process 10 runs"),
    ("run a; write-to a c", "c", "working", False, "preparing"),
    # -- questions
    ("run a; ask a", "a", "blocked", True, "asks: `go on?`"),
    ("run a; ask a", "c", "working", False, ""),
    ("run a; ask a", "b", "waiting", False, "waits for a"),
    ("run a; choose a keep/drop", "a", "blocked", True, "(keep, drop)"),
    ("run a; ask a one?; ask a two?", "a", "blocked", True, "`one?`; 1 more"),
    ("run a; ask a one?; ask a two?; answer a", "a", "blocked", True, "`two?`"),
    ("run a; ask a; answer a", "a", "working", False, "process 10 runs"),
    ("run a; ask a; take-back a", "a", "working", False, "process 10 runs"),
    ("run a; choose a keep/drop; answer a maybe", "a", "blocked", True, "which?"),
    ("run a; ask a; judge a stalled", "a", "blocked", True, "asks: `go on?`"),
    ("run a; ask a; hold a", "a", "blocked", True, "asks: `go on?`"),
    ("run a; ask a; stop a", "a", "blocked", True, "asks: `go on?`"),
    ("run a; ask a; fail a", "a", "done", True, "failed: exit 1"),
    ("run a; ask a; succeed a", "a", "done", False, "succeeded: exit 0"),
    ("run a; ask a; lose a", "a", "working", False, ""),
    ("run a; run c; lock a; ask c; lock c", "c", "blocked", True, "asks: `go on?`"),
    # -- messages to the operator
    ("run a; write a", "a", "blocked", True, "wrote to you: `help`"),
    ("run a; write a; ack", "a", "working", False, "process 10 runs"),
    ("run a; write a one; write a two", "a", "blocked", True, "`one`"),
    ("run a; write a; ask a", "a", "blocked", True, "asks: `go on?`"),
    ("run a; write a; ask a; answer a", "a", "blocked", True, "wrote to you"),
    ("run a; write a; succeed a", "a", "done", True, "wrote to you: `help`"),
    ("run a; write a; succeed a; look a", "a", "done", True, "wrote to you: `help`"),
    ("run a; write a; succeed a; ack", "a", "done", False, "succeeded"),
    ("run a; write a; succeed a; ack; look a", "a", "over", False, "succeeded"),
    ("run a; write a; fail a", "a", "done", True, "exit 1; wrote to you"),
    # -- a prompt that stands on a terminal
    ("run a; prompt a", "a", "blocked", True, "`Continue? [y/N]`"),
    ("run a; prompt a; no-prompt a", "a", "working", False, "process 10 runs"),
    ("run a; prompt a; judge a unclear", "a", "blocked", True, "at its terminal"),
    ("run a; prompt a; judge a stalled", "a", "blocked", True, "at its terminal"),
    ("run a; prompt a; ask a", "a", "blocked", True, "asks: `go on?`"),
    ("run a; prompt a; hold a", "a", "waiting", False, "disk"),
    ("run a; prompt a; exit a", "a", "working", False, ""),
    ("run a; prompt a; succeed a", "a", "done", False, "succeeded"),
    ("run a; prompt a; stop a", "a", "working", False, "stopped by you"),
    ("run a; prompt a; send a y", "a", "blocked", True, "at its terminal"),
    ("run a; prompt a Name:; prompt a Age:", "a", "blocked", True, "`Age:`"),
    # -- one that says so itself
    ("run a; say-prompt a turn", "a", "blocked", True, "waits for you at its terminal: `turn`"),
    ("run a; say-prompt a turn; say-prompt a", "a", "working", False, "process 10 runs"),
    ("run a; say-prompt a turn; no-prompt a", "a", "blocked", True, "`turn`"),
    ("run a; say-prompt a turn; prompt a Age:", "a", "blocked", True, "`turn`"),
    ("run a; prompt a Age:; say-prompt a turn", "a", "blocked", True, "`turn`"),
    ("run a; prompt a Age:; say-prompt a", "a", "working", False, "process 10 runs"),
    ("run a; say-prompt a turn; succeed a", "a", "done", False, "succeeded"),
    ("run c; say-prompt c turn", "c", "working", False, "process"),
    # -- standing still
    ("run a; judge a unclear", "a", "unknown", False, "may wait for a person"),
    ("run a; judge a unclear; judge a back", "a", "working", False, ""),
    ("run c; judge c stalled; judge c back", "c", "working", False, ""),
    ("run c; judge c stalled", "c", "stalled", False, "recovery"),
    ("run c; judge c never_heard", "c", "stalled", False, "recovery"),
    ("run c; recover c soft", "c", "stalled", False, "soft recovery"),
    ("run c; recover c hard", "c", "stalled", False, "hard recovery"),
    # -- waiting for others
    ("run a; run c; lock a; lock c", "c", "waiting", False, "the lock of src/x, which a holds"),
    ("run a; run c; lock a; lock c", "a", "working", False, ""),
    ("run c; arrive c", "c", "waiting", False, "at final"),
    ("run a; fail a", "e", "over", False, "skipped: a failed"),
    ("run a; succeed a; run b; succeed b; run e; fail e", "e", "waiting", False, "retry 1 of 2"),
    # -- over
    ("run a; succeed a", "a", "done", False, "succeeded: exit 0"),
    ("run a; succeed a; look a", "a", "over", False, "succeeded"),
    ("run a; look a", "a", "working", False, "process 10 runs"),
    ("run a; fail a", "a", "done", True, "failed: exit 1"),
    ("run a; fail a; look a", "a", "over", False, "failed: exit 1"),
    ("run a; fail a", "b", "over", False, "skipped"),
    ("run a; fail a; look a; retry a", "a", "working", False, ""),
    ("run a; fail a; look a; retry a; run a; fail a", "a", "done", True, "failed"),
    ("run d; fail d", "d", "done", False, "failed"),
    ("run a; stop a; exit a; keep a", "a", "done", False, "stopped by you"),
    ("stop b", "b", "over", False, "stopped by you"),
    ("stop e", "e", "over", False, "stopped by you"),
    # -- conflicts
    ("run a; succeed a; run c; succeed c; clash b", "b", "conflict", True, "f.txt"),
    ("run a; succeed a; clash b a c", "b", "conflict", True, "a and c conflict in f.txt"),
    ("run a; succeed a; clash b a c", "a", "waiting", False, "waits for a decision: a and c"),
    ("run a; succeed a; clash b a c; look a", "a", "waiting", False, "a and c conflict in f.txt"),
    ("run a; succeed a; run c; clash b a c; ask c", "c", "blocked", True, "asks: `go on?`"),
    ("run a; succeed a; run c; clash b a c; ask c", "b", "conflict", True, "a and c conflict"),
    ("run a; succeed a; run c; clash b a c", "c", "waiting", False, "a and c conflict"),
    ("run a; succeed a; clash b a c", "e", "working", False, ""),
    ("run a; succeed a; clash b a c; stop b", "b", "over", False, "stopped"),
    ("end; merge c", "c", "conflict", True, "a and c"),
    ("end; merge c", "a", "waiting", False, "waits for a decision: a and c conflict in f.txt"),
    ("end; merge c; look a", "a", "waiting", False, "a and c conflict in f.txt"),
    ("end; merge c", "d", "done", False, "succeeded"),
    ("end; merge", "c", "done", False, "succeeded"),
]


@pytest.mark.parametrize(("story", "who", "state", "needs_you", "why"), TABLE)
def test_what_a_person_would_say(
    story: str, who: str, state: str, needs_you: bool, why: str
) -> None:
    found = Story(story).seen(who)
    assert (found.state, found.needs_you) == (state, needs_you), found
    assert why in found.why
    assert bool(found.then) or not needs_you


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 60
    assert {state for _, _, state, _, _ in TABLE} == {
        *("blocked", "conflict", "stalled", "done", "working", "waiting", "unknown", "over")
    }


def test_nobody_knows_how_streams_get_on_while_nobody_hosts_them() -> None:
    story = Story("run a; run c; ask c")
    assert story.seen("a", is_hosted=False).state == "unknown"
    assert story.seen("c", is_hosted=False).state == "blocked"
    assert story.seen("b", is_hosted=False).state == "waiting"


def test_it_says_since_when() -> None:
    story = Story("run a")
    story.hand.clock.advance_to(7.0)
    story.ask("a")
    assert story.seen("a").since == 7.0
    assert attention_status(story.state, story.seen("a"))["since"].endswith("00:00:07.000Z")
    story.answer("a")
    story.prompt("a")
    assert story.seen("a").since == 1.0


def test_who_needs_a_person_comes_first_and_the_longest_first() -> None:
    story = Story("run a; run c; run d; succeed d; prompt a")
    story.hand.clock.advance_to(3.0)
    story.ask("c")
    found = dict(needy(story.state))
    assert in_turn(found) == ["a", "c", "d"]
    story.answer("c")
    assert in_turn(dict(needy(story.state))) == ["a", "d"]
    story.look("d")
    story.no_prompt("a")
    assert in_turn(dict(needy(story.state))) == []


def test_what_failed_comes_before_what_has_only_ended_earlier() -> None:
    story = Story("run a; run c; succeed a")
    story.hand.clock.advance_to(3.0)
    story.fail("c")
    assert in_turn(dict(needy(story.state)))[:2] == ["c", "a"]


def test_a_run_that_nobody_hosts_needs_a_person() -> None:
    story = Story("run a")
    [(name, attention)] = of_the_run(story.state, is_hosted=False)
    assert (name, attention.needs_you, attention.then) == ("r", True, "anabranch resume r")
    assert of_the_run(story.state) == []


def test_a_result_waits_for_approval_and_a_conflict_for_a_decision() -> None:
    story = Story("end; merge")
    [(name, attention)] = of_the_run(story.state)
    assert (name, attention.state, attention.needs_you) == ("r", "done", False)
    assert attention.then == "anabranch approve r"
    story = Story("end; merge c")
    assert of_the_run(story.state) == []
    assert [s for s, a in needy(story.state) if a.needs_you] == ["c"]


def test_the_same_conflict_before_two_streams_needs_a_person_once() -> None:
    """Both wait for the same decision; whoever does not ask for it names both sides too."""
    streams = [stream("a"), stream("b"), stream("c", "a", "b"), stream("d", "a", "b")]
    hand = ByHand(plan_of(*streams), STRATEGIES)
    hand.succeed("a", "b")
    for name in "cd":
        hand.conflicted(name, "a", "b")
    found = dict(needy(hand.state))
    assert {name: attention.state for name, attention in found.items()} == {
        "a": "waiting",
        "b": "waiting",
        "c": "conflict",
        "d": "waiting",
    }
    assert all("a and b conflict in f.txt" in attention.why for attention in found.values())
    assert of_the_run(hand.state) == []


_SIDES = st.tuples(st.sampled_from("abcd"), st.sampled_from("bcde"), st.sampled_from("xyz"))


@settings(max_examples=100, deadline=None)
@given(clashes=st.lists(_SIDES.filter(lambda s: s[0] < s[1]), min_size=1, max_size=6, unique=True))
def test_one_decision_needs_a_person_once_whoever_is_in_conflict(
    clashes: list[tuple[str, str, str]],
) -> None:
    """However many streams it is about; each of them names both sides, and where."""
    streams = [stream(name) for name in "abcde"]
    hand = ByHand(plan_of(*streams, point("final", on_conflict="ask")), STRATEGIES)
    hand.succeed(*"abcde")
    conflicts = tuple(conflict_of(a, b, path=path) for a, b, path in clashes)
    late = {conflict.late for conflict in conflicts}
    known = hand.state.points[FINAL_POINT]
    merged = tuple(name for name in known.merging if name not in late)
    hand.give(
        inputs.MergeFinished(
            point=known.id, commit="m", tree="t", branch="b", merged=merged, conflicts=conflicts
        )
    )
    decisions = {frozenset(map(key_of, conflict.paths)) for conflict in conflicts}
    signs, found = signs_of(hand.state), dict(needy(hand.state))
    assert sum(signs.asks.values()) == len(decisions)
    assert {s for s, a in found.items() if a.needs_you} == set(signs.asks)
    assert of_the_run(hand.state) == []
    for name in {side for a, b, _ in clashes for side in (a, b)}:
        attention = found[StreamId(name)]
        mine = [(a, b, path) for a, b, path in clashes if name in (a, b)]
        assert attention.state == ("conflict" if name in signs.asks else "waiting")
        assert any(f"{a} and {b} conflict in {path}" in attention.why for a, b, path in mine)


def test_status_tells_it_of_every_stream() -> None:
    story = Story("run a; ask a")
    told = {s["stream"]: s["attention"] for s in status(story.state, True, None)["streams"]}
    assert told["a"]["state"] == "blocked"
    assert told["a"]["then"] == "anabranch answer a TEXT"
    assert {"state", "why", "since"} <= set(told["b"])


def test_work_that_waits_for_a_review_needs_a_person_also_once_it_was_looked_at() -> None:
    hand = ByHand(plan_of(stream("a"), point("final", review=True)), STRATEGIES)
    hand.succeed("a")
    hand.give(inputs.LookAt(streams=(StreamId("a"),)))
    found = attention_of(hand.state, StreamId("a"))
    assert (found.state, found.needs_you) == ("done", True)
    assert found.then == "anabranch review a"


def test_in_an_open_run_one_that_failed_needs_a_person() -> None:
    plan = plan_of(stream("a", optional=True, max_retries=0))
    hand = ByHand(replace(plan, is_open=True), STRATEGIES)
    hand.run("a")
    hand.exited("a", 1)
    hand.kept("a")
    found = attention_of(hand.state, StreamId("a"))
    assert (found.state, found.needs_you) == ("done", True)


def test_in_a_race_a_failure_needs_a_person_once_all_have_failed() -> None:
    racing = point("race", type="race", adopts_one=True)
    names = ("race.1", "race.2")
    streams = [stream(n, converge="race", optional=True, max_retries=0) for n in names]
    hand = ByHand(plan_of(*streams, racing, point("final")), STRATEGIES)
    seen = []
    for name in names:
        hand.run(name)
        hand.exited(name, 1)
        hand.kept(name)
        seen.append([attention_of(hand.state, StreamId(n)).needs_you for n in names])
    assert seen == [[False, False], [True, True]]


def test_a_joined_stream_asks_like_any_other() -> None:
    story = Story()
    register = calls.Register(caller=OPERATOR, request="j", id=StreamId("out"))
    story.hand.give(register)
    caller = Caller(StreamId("out"), 1)
    assert story.seen("out").state == "working"
    story.hand.give(calls.Ask(caller=caller, request="k", question="go on?"))
    assert story.seen("out").state == "blocked"
    story.hand.give(inputs.AnswerQuestion(stream=StreamId("out"), answer="yes"))
    story.hand.give(calls.Leave(caller=caller, request="l"))
    assert story.seen("out").state == "over"


# --- situations put together ---------------------------------------------------------------------

_BEGINS: dict[str, str] = {
    "prepares": "",
    "runs": "run a",
    "stops": "run a; stop a",
    "is kept": "run a; exit a",
    "has succeeded": "run a; succeed a",
    "has failed": "run a; fail a",
}
_SIGNS = ("ask a", "write a", "prompt a", "judge a unclear", "hold a", "run c; lock c; lock a")


def _situations() -> list[tuple[str, ...]]:
    """Return every way to begin with every set of signs, each given before what comes after."""
    found: list[tuple[str, ...]] = []
    for begin, chosen_signs in product(_BEGINS, product((False, True), repeat=len(_SIGNS) + 1)):
        *signs, is_seen = chosen_signs
        chosen = [sign for sign, is_there in zip(_SIGNS, signs, strict=True) if is_there]
        found.append((begin, *chosen, *(["look a"] if is_seen else [])))
    return found


SITUATIONS = _situations()


def _story_of(situation: tuple[str, ...]) -> Story:
    begin, *signs = situation
    first, *then = _BEGINS[begin].split("; ")
    return Story(
        "; ".join(filter(None, [first, *(s for s in signs if s != "look a"), *then]))
        + ("; look a" if "look a" in signs else "")
    )


def test_of_hundreds_of_situations_nobody_is_blocked_without_evidence() -> None:
    assert len(SITUATIONS) >= 500
    for situation in SITUATIONS:
        story = _story_of(situation)
        state, found = story.state, story.seen("a")
        assert found.state == _by_a_person(state), (situation, found)
        if found.state == "blocked":
            runs = state.streams[StreamId("a")].phase in (Phase.RUNNING, Phase.STOPPING)
            assert runs or found.why.startswith("wrote"), situation
        assert found.needs_you >= (found.state in ("blocked", "conflict")), situation


def _by_a_person(state: State) -> str:
    """Say what a is, as somebody would who sees all that is known of it, the loudest first."""
    name = StreamId("a")
    a = state.streams[name]
    has_written = any(
        state.messages.messages[n].sender == name for n in state.messages.inbox(StreamId("")).open
    )
    asks = any(q.stream == name for q in all_open(state.questions))
    waits_for_lock = any(name == h for h, held in state.locks.holders.items() if len(held.asked))
    rules: list[tuple[Callable[[], bool], str]] = [
        (lambda: a.phase in ENDED and not has_written and a.looked_at == a.attempt, "over"),
        (lambda: a.phase in ENDED, "done"),
        (lambda: asks or has_written, "blocked"),
        (lambda: a.phase is not Phase.RUNNING, "working"),
        (lambda: a.terminal.prompt is not None and not a.held, "blocked"),
        (lambda: a.care.diagnosis == MAY_WAIT and bool(a.care.alert), "unknown"),
        (lambda: bool(a.held) or waits_for_lock, "waiting"),
    ]
    return next((word for holds, word in rules if holds()), "working")


@pytest.mark.parametrize(("verdict", "state"), [("delivered", "working"), ("stalled", "blocked")])
def test_only_what_was_read_answers_a_prompt(verdict: Verdict, state: str) -> None:
    story = Story("run a; prompt a; send a y")
    pending = story.hand.stream("a").terminal.pending
    assert pending is not None
    given = inputs.InputTyped(
        stream=StreamId("a"), number=pending.number, verdict=verdict, evidence="seen"
    )
    story.hand.give(replace(given, number=Seq(999)))
    assert story.hand.stream("a").terminal.pending is not None
    assert story.seen("a").state == "blocked"
    story.hand.give(given)
    assert story.hand.stream("a").terminal.pending is None
    assert story.seen("a").state == state
