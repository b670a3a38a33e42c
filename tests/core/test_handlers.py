"""The ends of a stream's handlers in the core: each written down once, counts that are true."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.decide import decide
from anabranch.core.deciding.owed import owed
from anabranch.core.folds.evolve import evolve
from anabranch.core.ids import Attempt, Seq, StreamId
from anabranch.core.model.handlers import Handled
from anabranch.core.model.outcome import Decision
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.model.state import State
from anabranch.core.plans.plan import FanPlan
from anabranch.core.views.handlers import handler_counts
from anabranch.testing import ByHand, stream
from tests.core.given import STRATEGIES, given

FAN = StreamId("fan")


def running() -> State:
    run = given(stream("fan"), stream("other"))
    run.run("fan")
    return run.state


def finished(
    place: int, offset: int, outcome: str = "succeeded", tries: int = 1, attempt: int = 1
) -> ev.HandlerFinished:
    return ev.HandlerFinished(
        stream=FAN,
        attempt=Attempt(attempt),
        handler=place,
        item=f"item {place}",
        outcome="succeeded" if outcome == "succeeded" else "failed",
        exit_code=0 if outcome == "succeeded" else 1,
        signal=None,
        reason="",
        seconds=0.5,
        began_at=0.0,
        slot=0,
        tries=tries,
        book_offset=offset,
    )


def look(since: int, *ended: ev.HandlerFinished, skipped: int = 0, to: int = 0) -> inputs.Input:
    return inputs.HandlersSeen(
        stream=FAN,
        attempt=ended[-1].attempt if ended else Attempt(2),
        since=since,
        book_offset=to or ended[-1].book_offset,
        ended=ended,
        skipped=skipped,
    )


def after(state: State, seen: inputs.Input) -> tuple[State, list[ev.Event]]:
    outcome = decide(state, seen, state.at + 1, STRATEGIES)
    assert isinstance(outcome, Decision)
    assert outcome.effects == ()
    return outcome.state, [record.event for record in outcome.events]


def test_a_look_is_one_decision_and_each_end_an_event_in_its_order() -> None:
    ends = [finished(3, 10), finished(1, 20, "failed"), finished(2, 30)]
    state, events = after(running(), look(0, *ends))
    assert events == ends
    assert state.handlers[FAN] == Handled(Attempt(1), 2, 1, 30)


def test_a_look_that_comes_twice_or_too_late_tells_nothing() -> None:
    first, second = look(0, finished(0, 10)), look(10, finished(1, 20))
    state, _ = after(running(), first)
    assert after(state, first) == (state, [])
    state, events = after(state, second)
    assert len(events) == 1
    assert after(state, first) == (state, [])
    assert after(state, second) == (state, [])


def test_a_look_that_does_not_begin_where_the_last_one_ended_tells_nothing() -> None:
    state = running()
    assert after(state, look(5, finished(0, 10))) == (state, [])
    nobody = inputs.HandlersSeen(
        stream=StreamId("nobody"), attempt=Attempt(1), since=0, book_offset=1, ended=()
    )
    assert after(state, nobody) == (state, [])


def test_what_is_tried_again_within_an_attempt_counts_once() -> None:
    ends = [finished(0, 10, "failed"), finished(0, 20, "failed", tries=2)]
    state, _ = after(running(), look(0, *ends))
    assert state.handlers[FAN] == Handled(Attempt(1), 0, 1, 20)
    state, _ = after(state, look(20, finished(0, 30, tries=3)))
    assert state.handlers[FAN] == Handled(Attempt(1), 1, 0, 30)


def test_counts_are_of_the_newest_attempt_with_what_it_left_out() -> None:
    ends = [finished(0, 10), finished(1, 20, "failed")]
    state, _ = after(running(), look(0, *ends))
    late = finished(2, 25, "failed")  # in doubt, as the next attempt writes down when it begins
    again = finished(1, 40, attempt=2)
    state, events = after(state, look(20, late, again, skipped=1, to=50))
    skips = ev.HandlersSkipped(stream=FAN, attempt=Attempt(2), count=1, book_offset=50)
    assert events == [late, again, skips]
    assert state.handlers[FAN] == Handled(Attempt(2), 2, 0, 50)
    state, _ = after(state, look(50, finished(9, 60, "failed", attempt=1)))
    assert state.handlers[FAN] == Handled(Attempt(2), 2, 0, 60)


def test_why_not_all_were_run_is_why_the_stream_has_failed() -> None:
    """And is forgotten when the next attempt begins."""
    seen = replace(look(0, finished(0, 10, "failed"), to=15), stopped="too many")
    state, events = after(running(), seen)
    assert events[1:] == [
        ev.HandlersStopped(stream=FAN, attempt=Attempt(1), reason="too many", book_offset=15)
    ]
    assert state.handlers[FAN] == Handled(Attempt(1), 0, 1, 15, stopped="too many")
    again, _ = after(state, look(15, finished(0, 30, attempt=2)))
    assert again.handlers[FAN] == Handled(Attempt(2), 1, 0, 30)


def test_what_is_shown_is_never_less_than_what_is_known() -> None:
    state, _ = after(running(), look(0, finished(0, 10), finished(1, 20, "failed")))
    known = {"succeeded": 1, "failed": 1, "not_tried_again": 0}
    assert handler_counts(state, FAN) == {"total": 2, **known, "running": 0}
    assert handler_counts(state, FAN, 9, 2) == {"total": 9, **known, "running": 2}
    assert handler_counts(state, FAN, 2, 2) == {"total": 4, **known, "running": 2}
    run = given(stream("fan"))
    run.succeed("fan")
    assert handler_counts(run.state, FAN, 9, 2)["running"] == 0, "nothing runs after the end"


def test_what_they_found_is_shared_once_with_the_success_of_the_stream() -> None:
    run = given(stream("fan"), stream("other"))
    run.run("fan")
    run.exited("fan")
    ready = inputs.ResultReady(
        stream=FAN,
        attempt=Attempt(1),
        commit="k",
        tree="k",
        files_changed=1,
        ref="r",
        handler_results=[{"index": 0, "result": 7}],
    )
    first = decide(run.state, ready, run.clock(), STRATEGIES)
    assert isinstance(first, Decision)
    assert first.state.shared.text("results/fan") == '[{"index":0,"result":7}]'
    assert first.state.streams[FAN].phase == "succeeded"
    again = decide(first.state, ready, run.clock(), STRATEGIES)
    assert isinstance(again, Decision)
    assert again.events == ()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_comes_twice_late_or_never_each_end_is_told_once(seed: int) -> None:
    """Looks are lost, come again, and engines die between; the book is told from end to end."""
    rng, state, heard = Random(seed), running(), list[ev.Event]()
    book, tries, attempt = list[ev.HandlerFinished](), dict[int, int](), 1
    for number in range(1, rng.randint(5, 60)):
        if rng.random() < 0.05:
            attempt += 1
            tries.clear()
        failed = [place for place, count in tries.items() if count > 0]
        place = rng.choice(failed) if failed and rng.random() < 0.3 else number + 1000 * attempt
        outcome = rng.choice(("succeeded", "succeeded", "failed"))
        tries[place] = tries.get(place, 0) + 1
        book.append(finished(place, number, outcome, tries[place], attempt))
        if outcome == "succeeded":
            tries[place] = 0
    looks: list[inputs.Input] = []
    while (offset := _offset(state)) < len(book):
        looks.append(look(offset, *book[offset : offset + rng.randint(1, 7)]))
        for given_ in rng.sample(looks, min(len(looks), 3)):
            before = state
            state, events = after(state, given_)
            heard += events
            for seq, event in enumerate(events, before.seq + 1):
                before = evolve(before, ev.Recorded(seq, state.at, None, event))
            assert before == state
        if rng.random() < 0.3:
            state = decode_state(encode_state(state))
    assert heard == book
    last = {e.handler: e.outcome for e in book if e.attempt == book[-1].attempt}
    known = state.handlers[FAN]
    assert known.succeeded == sum(outcome == "succeeded" for outcome in last.values())
    assert known.failed == len(last) - known.succeeded


def _offset(state: State) -> int:
    return state.handlers.get(FAN, Handled()).book_offset


# --- one that a person wants tried again ---------------------------------------------------------

WISH = inputs.RecoverHandler(stream=FAN, handler=3, reason="it hangs")


def fanning() -> ByHand:
    run = given(stream("fan", fan=FanPlan({"items": ["a"]}, "x {item}"), max_retries=1))
    run.run("fan")
    return run


def wished(run: ByHand) -> fx.RecoverHandler:
    run.give(WISH)
    (effect,) = run.effects
    assert isinstance(effect, fx.RecoverHandler)
    return effect


def test_a_wish_is_owed_to_who_runs_the_handlers_until_it_is_passed_on() -> None:
    """Also by an engine that takes the run over in between."""
    run = fanning()
    effect = wished(run)
    assert (effect.handler, effect.cause) == (3, run.records[-1].seq)
    assert effect in owed(run.state)
    assert effect in owed(decode_state(encode_state(run.state)))
    told = inputs.HandlerRequestPassedOn(FAN, Attempt(1), effect.cause)
    run.give(told)
    assert effect not in owed(run.state)
    before = len(run.records)
    run.give(told)
    assert len(run.records) == before


def test_a_wish_for_an_attempt_that_is_over_is_no_longer_owed() -> None:
    run = fanning()
    effect = wished(run)
    run.fail("fan")
    assert effect not in owed(run.state)
    run.at(100.0)
    run.run("fan")
    assert run.stream("fan").attempt == 2
    assert not [e for e in owed(run.state) if isinstance(e, fx.RecoverHandler)]


def heard(run: ByHand, since: int, *causes: int) -> inputs.HandlersSeen:
    return inputs.HandlersSeen(
        stream=FAN,
        attempt=run.stream("fan").attempt,
        since=since,
        book_offset=since + 5,
        ended=(),
        heard=tuple(map(Seq, causes)),
    )


@pytest.mark.parametrize("when", ["running", "capturing"])
def test_a_wish_that_comes_as_the_attempt_ends_is_for_the_next_one(when: str) -> None:
    """Which is about the late ones only; one that was taken up is not done twice."""
    run = failed(max_retries=0)
    run.give(WISH)
    run.run("fan")
    attempt = run.stream("fan").attempt
    run.give(heard(run, 30, run.state.handlers[FAN].chosen[0].cause))
    if when == "capturing":
        run.exited("fan", 1)
    run.give(replace(WISH, handler=1))
    assert run.refusal is None
    if when == "running":
        (effect,) = run.effects
        run.give(inputs.HandlerRequestPassedOn(FAN, attempt, effect.cause))
        run.exited("fan", 1)
    run.kept("fan")
    assert (run.stream("fan").phase, chosen(run)) == ("retrying", [1])
    run.at(run.clock() + 1.0)
    assert run.stream("fan").attempt == attempt + 1
    run.run("fan")
    assert not [e for e in owed(run.state) if isinstance(e, fx.RecoverHandler)]
    run.fail("fan")
    assert run.stream("fan").phase == "failed"


def test_a_wish_that_was_taken_up_is_done_once() -> None:
    run = fanning()
    effect = wished(run)
    run.give(inputs.HandlerRequestPassedOn(FAN, Attempt(1), effect.cause))
    run.give(heard(run, 0, effect.cause))
    assert run.state.handlers[FAN].requested == ()
    run.give(heard(run, 5, effect.cause))
    assert run.state.handlers[FAN].book_offset == 10


def test_counts_go_on_where_a_wish_came_first() -> None:
    run = fanning()
    wished(run)
    run.give(look(0, finished(0, 10)))
    known = run.state.handlers[FAN]
    assert (known.attempt, known.succeeded, known.book_offset) == (1, 1, 10)
    assert len(known.requested) == 1


@pytest.mark.parametrize(
    ("name", "phase", "reason"),
    [
        ("nobody", "", "nobody"),
        ("plain", "", "has no handlers"),
        ("fan", "queued", "no handler of it runs"),
        ("fan", "succeeded", "has succeeded"),
        ("fan", "stopped", "was stopped, and no single handler of it can be tried again"),
        ("fan", "skipped", "was skipped, and no single handler of it can be tried again"),
        ("fan", "stopping", "the run is stopping"),
    ],
)
def test_why_no_single_handler_can_be_tried_again(name: str, phase: str, reason: str) -> None:
    fan = stream("fan", "first", fan=FanPlan({"items": ["a"]}, "x {item}"), max_retries=0)
    run = given(stream("first", max_retries=0), fan, stream("plain"), keep_going=True)
    if phase == "skipped":
        run.run("first")
        run.fail("first")
    else:
        run.succeed("first")
    if phase == "succeeded":
        run.succeed("fan")
    elif phase == "stopped":
        run.run("fan")
        run.stop("fan")
        run.exited("fan")
        run.kept("fan")
    elif phase == "stopping":
        run.run("fan")
        run.run("plain")
        run.fail("fan")
        run.give(inputs.StopRun(reason="enough"))
    run.give(inputs.RecoverHandler(stream=StreamId(name), handler=0))
    assert run.refusal is not None
    assert reason in run.refusal.reason
    assert run.refusal.hint


# --- single ones of a stream that has failed -----------------------------------------------------


def failed(*, max_retries: int = 2) -> ByHand:
    """Return a run in which handlers 1 and 3 of a stream have failed for good, and it with them."""
    fan = stream("fan", fan=FanPlan({"items": ["a"]}, "x {item}"), max_retries=max_retries)
    run = given(fan, stream("behind", "fan"))
    run.run("fan")
    run.give(look(0, finished(0, 10), finished(1, 20, "failed"), finished(3, 30, "failed")))
    for _ in range(max_retries):
        run.fail("fan")
        run.at(run.clock() + 1000.0)
        run.run("fan")
    run.fail("fan")
    assert run.state.has_ended
    return run


def requests(run: ByHand) -> list[ev.HandlerRecoveryRequested]:
    events = (record.event for record in run.records)
    return [event for event in events if isinstance(event, ev.HandlerRecoveryRequested)]


def chosen(run: ByHand) -> list[int]:
    return [one.handler for one in run.state.handlers[FAN].chosen]


def test_one_of_a_stream_that_has_failed_begins_an_attempt_of_its_own() -> None:
    """And what was skipped behind the stream comes back with it."""
    run = failed()
    before = run.stream("fan").attempt
    run.give(WISH)
    assert run.refusal is None
    requested = requests(run)[-1]
    assert (requested.attempt, requested.is_chosen) == (before + 1, True)
    assert (chosen(run), run.stream("fan").attempt) == ([3], before + 1)
    assert run.stream("fan").phase == "preparing"
    assert run.stream("behind").phase == "waiting"
    assert chosen_after_a_snapshot(run) == [3]
    assert run.state.handlers[FAN].failed == 2, "until the attempt says something else"


def chosen_after_a_snapshot(run: ByHand) -> list[int]:
    known = decode_state(encode_state(run.state)).handlers[FAN]
    return [one.handler for one in known.chosen]


@pytest.mark.parametrize("phase", ["preparing", "starting", "running"])
def test_more_of_them_may_be_asked_for_one_after_another(phase: str) -> None:
    """What the job may not say any more goes by the file, and all of it counts for a later try."""
    run = failed()
    run.give(WISH)
    if phase != "preparing":
        run.ready("fan")
    if phase == "running":
        run.started("fan")
    run.give(replace(WISH, handler=1))
    assert run.refusal is None
    assert chosen(run) == [3, 1]
    told = [e.handler for e in owed(run.state) if isinstance(e, fx.RecoverHandler)]
    assert told == ([1] if phase == "running" else [])
    if phase == "starting":
        run.started("fan")
        assert [e.handler for e in run.effects if isinstance(e, fx.RecoverHandler)] == [1]


def test_an_attempt_of_single_ones_is_made_once_however_many_retries_there_are() -> None:
    run = failed()
    attempts = run.stream("fan").attempt
    run.give(WISH)
    run.run("fan")
    run.fail("fan")
    assert (run.stream("fan").phase, run.stream("fan").attempt) == ("failed", attempts + 1)


def test_one_that_is_lost_is_made_again_with_the_same_ones() -> None:
    """Nothing of what a person wants is lost with the program that was to do it."""
    run = failed()
    run.give(WISH)
    run.run("fan")
    run.lost("fan")
    run.kept("fan")
    assert run.stream("fan").phase == "retrying"
    run.give(replace(WISH, handler=1))
    assert (run.refusal, chosen(run)) == (None, [3, 1])


def test_a_retry_of_the_whole_is_about_all_of_them_again() -> None:
    run = failed(max_retries=0)
    run.give(WISH)
    run.run("fan")
    run.fail("fan")
    run.give(inputs.RetryStream(stream=FAN, reason="all of it"))
    assert chosen(run) == []
    run.run("fan")
    run.give(WISH)
    assert chosen(run) == []
    assert requests(run)[-1].is_chosen is False


def test_what_is_left_counts_as_failed_until_it_is_tried_all_the_same() -> None:
    run = failed(max_retries=0)
    run.give(WISH)
    run.run("fan")
    left = replace(look(30, finished(3, 50, attempt=2), skipped=1, to=60), left=1)
    run.give(left)
    known = run.state.handlers[FAN]
    assert (known.succeeded, known.failed, known.left) == (2, 1, 1)
    assert handler_counts(run.state, FAN)["not_tried_again"] == 1
    run.give(look(60, replace(finished(1, 70, attempt=2), was_left=True)))
    known = run.state.handlers[FAN]
    assert (known.succeeded, known.failed, known.left) == (3, 0, 0)
    again = replace(finished(9, 80, "failed", attempt=2), was_left=True)
    run.give(replace(look(70, again, to=85), left=1))
    known = run.state.handlers[FAN]
    assert (known.failed, known.left) == (1, 0), "it had failed, and has failed again"
    assert known.book_offset == 85, "whatever the order of the lines was"


def test_a_conflict_that_is_settled_does_not_make_more_of_it() -> None:
    """What was blocked before it began goes on with those that were asked for."""
    run = failed()
    run.give(WISH)
    blocked = ev.StreamBlocked(FAN, reason="conflict")
    state = evolve(run.state, ev.Recorded(run.state.seq + 1, 0.0, None, blocked))
    for goes_on in (True, False):
        event = ev.StreamRequeued(FAN, reason="settled", goes_on=goes_on)
        after_it = evolve(state, ev.Recorded(state.seq + 1, 0.0, None, event))
        assert bool(after_it.handlers[FAN].chosen) is goes_on
