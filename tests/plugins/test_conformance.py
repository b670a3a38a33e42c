"""The conformance suite: what is built in passes, and each way to be wrong is found and shown."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from anabranch.core.ids import StreamId
from anabranch.core.strategies import (
    Abandon,
    Ask,
    AskForOne,
    Checkpoint,
    Converge,
    Drop,
    EndedAttempt,
    FailedAttempt,
    FailureClass,
    FreeSlot,
    GiveUp,
    Placement,
    Placing,
    PointDecision,
    PointView,
    QueuedStream,
    Retry,
    Trouble,
    WaitForMore,
    paired,
    that_fit,
)
from anabranch.plugins import load_plugins
from anabranch.testing import assert_conforms, find_faults
from anabranch.testing.conformance import decisions_digest
from anabranch.testing.views import (
    SeededSource,
    draw_options,
    draw_placing,
    draw_point_view,
)

INSTALLED = load_plugins().strategies
BUILT_IN = {
    **INSTALLED.convergence,
    **INSTALLED.balancers,
    **INSTALLED.recovery,
    **INSTALLED.remedies,
    **INSTALLED.classifiers,
}
BUILT_IN = {name: strategy for name, strategy in BUILT_IN.items() if ":" not in name}


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_strategy_conforms(name: str) -> None:
    """The same suite as for a stranger's, searched by hypothesis and by seed."""
    assert_conforms(BUILT_IN[name], examples=100)
    assert not find_faults(BUILT_IN[name], examples=100, seed=7, with_hypothesis=False)


class Point:
    """A convergence type made of one function."""

    name = "made"

    def __init__(self, decide: Callable[[PointView, float], Any]) -> None:
        self._decide = decide

    def next_step(self, view: PointView, now: float) -> Any:
        return self._decide(view, now)


class Balancer:
    """A load balancer made of one function."""

    name = "made"

    def __init__(self, rank: Callable[[QueuedStream], Any]) -> None:
        self._rank = rank

    def rank(self, view: QueuedStream) -> Any:
        return self._rank(view)


class Recovery:
    """A recovery strategy made of one function."""

    name = "made"

    def __init__(self, decide: Callable[[FailedAttempt], Any]) -> None:
        self._decide = decide

    def after_failure(self, view: FailedAttempt) -> Any:
        return self._decide(view)


def barrier(view: PointView) -> Any:
    if view.outstanding:
        return WaitForMore("more to come")
    return Converge(tuple(view.arrived), "all") if view.arrived else Abandon("nobody")


def exactly_two(view: PointView) -> Any:
    if len(view.arrived) == 2 or not view.outstanding:
        return Converge(tuple(view.arrived), "two") if view.arrived else Abandon("nobody")
    return WaitForMore("exactly two are wanted")


def part(streams: Callable[[PointView], tuple[StreamId, ...]]) -> Point:
    def decide(view: PointView, now: float) -> Any:
        if view.outstanding and view.arrived:
            chosen = streams(view)
            return Converge(chosen, "a part", is_final=False) if chosen else WaitForMore("more")
        return barrier(view)

    return Point(decide)


def early_bird(view: PointView, now: float) -> Any:
    return Converge(tuple(view.arrived), "early") if now < 50.0 and view.arrived else barrier(view)


def changes_its_options(view: PointView, now: float) -> Any:
    view.options["seen"] = True  # type: ignore[index]
    return barrier(view)


def impatient(view: PointView, now: float) -> Any:
    return WaitForMore("now!", look_again_at=now) if view.outstanding else barrier(view)


def polls(view: PointView, now: float) -> Any:
    return WaitForMore("soon", look_again_at=now + 0.0005) if view.outstanding else barrier(view)


def looks_again_never(view: PointView, now: float) -> Any:
    return WaitForMore("later", look_again_at=math.nan) if view.outstanding else barrier(view)


def gives_up_in_the_end(view: PointView, now: float) -> Any:
    return barrier(view) if view.outstanding else Abandon("enough")


def gives_up_early(view: PointView, now: float) -> Any:
    return barrier(view) if view.arrived else Abandon("too late")


def checkpoints_everybody(view: PointView, now: float) -> Any:
    gone = tuple(view.departed)
    return Checkpoint(gone, "look") if view.outstanding and gone else barrier(view)


def waits_for_ever(view: PointView, now: float) -> Any:
    return WaitForMore("for ever")


def says_nothing(view: PointView, now: float) -> Any:
    return WaitForMore("") if view.outstanding else barrier(view)


def merges_strangers(view: PointView, now: float) -> Any:
    if view.outstanding or not view.departed:
        return barrier(view)
    return Converge((*view.arrived, *view.departed), "all")


def merges_nobody(view: PointView, now: float) -> Any:
    return Converge((), "nobody") if not view.outstanding else barrier(view)


def merges_twice(view: PointView, now: float) -> Any:
    decision = barrier(view)
    is_merge = isinstance(decision, Converge)
    return Converge(decision.streams * 2, "twice") if is_merge else decision


counted = iter(range(10**9))
WRONG_POINTS = {
    "it returned None": Point(lambda view, now: None),
    "it raised ZeroDivisionError": Point(lambda view, now: 1 // 0),
    "it goes on waiting": Point(waits_for_ever),
    "the reason is empty": Point(says_nothing),
    "which has not arrived": Point(merges_strangers),
    "it converges on nothing": Point(merges_nobody),
    "it merges a stream twice": Point(merges_twice),
    "no more once": Point(lambda view, now: exactly_two(view)),
    "it converges now, but no more": Point(early_bird),
    "adds nobody": part(lambda view: tuple(view.merged)),
    "leaves out": part(lambda view: view.unmerged),
    "which is not after now": Point(impatient),
    "less than 0.1 s later": Point(polls),
    "it abandons the point though s": Point(gives_up_in_the_end),
    "though somebody may still come": Point(gives_up_early),
    "no time": Point(looks_again_never),
    "which does not run": Point(checkpoints_everybody),
    "it changed what it was given": Point(changes_its_options),
    "it answers differently": Point(lambda view, now: WaitForMore(f"number {next(counted)}")),
}


def opens_a_file(view: QueuedStream) -> Any:
    return (float(len(Path(os.devnull).read_bytes())),)


def sleeps(view: QueuedStream) -> Any:
    time.sleep(0.0)
    return (1.0,)


def prints(view: QueuedStream) -> Any:
    print(end="")
    return (1.0,)


WRONG_BALANCERS = {
    "not a tuple of numbers": Balancer(lambda view: [1.0]),
    "the rank holds nan": Balancer(lambda view: (float("nan"),)),
    "the rank holds inf": Balancer(lambda view: (view.estimate_seconds / 1e-320,)),
    "the rank holds 's0'": Balancer(lambda view: ("s0",)),
    "ranks have": Balancer(lambda view: (1.0,) * (1 + view.priority % 2)),
    "it reads the clock (time.monotonic)": Balancer(lambda view: (time.monotonic(),)),
    "it reads the clock (datetime.now)": Balancer(lambda view: (datetime.now().timestamp(),)),
    "it draws random numbers": Balancer(lambda view: (random.random(),)),
    "(os.urandom)": Balancer(lambda view: (float(os.urandom(1)[0]),)),
    "it touches the world outside (open": Balancer(opens_a_file),
    "it reads the environment": Balancer(lambda view: (float(len(os.environ["PATH"])),)),
    "it sleeps": Balancer(sleeps),
    "it prints": Balancer(prints),
    "it answers differently": Balancer(lambda view: (Random().random(),)),
    "ms of processor time": Balancer(lambda view: (float(sum(range(view.position * 400))),)),
}


class Placer:
    """A load balancer that places, made of one function."""

    name = "made"

    def __init__(self, place: Callable[[Placing], Any]) -> None:
        self._place = place

    def place(self, view: Placing, now: float) -> Any:
        return self._place(view)


def fitting(view: Placing) -> tuple[Placement, ...]:
    return paired(that_fit(view.queue, view), view.slots, "it fits")


def all_that_may(view: Placing) -> tuple[Placement, ...]:
    return paired(view.queue, view.slots, "it may start")


def slowly(view: Placing) -> tuple[Placement, ...]:
    ranks = [sum(a.priority < b.priority for b in view.queue) for a in view.queue]
    return fitting(view) if ranks else ()


WRONG_PLACERS = {
    "not a sequence of placements": Placer(lambda view: "all of them"),
    "tuple is not a placement": Placer(lambda view: [(s.stream, 1) for s in view.queue[:1]]),
    "streams in": Placer(lambda view: [Placement(s.stream, 1, "x") for s in view.queue]),
    "it places a stream that may not start now": Placer(
        lambda view: [Placement(StreamId("x"), s.number, "x") for s in view.slots[:1]]
    ),
    "it places a stream in a slot that is not free": Placer(
        lambda view: [Placement(s.stream, 0, "x") for s in view.queue[:1] if view.slots]
    ),
    "more together than there is": Placer(all_that_may),
    "the reason is empty": Placer(lambda view: paired(that_fit(view.queue, view), view.slots, " ")),
    "and it places nobody": Placer(lambda view: ()),
    "it answers differently": Placer(
        lambda view: fitting(msgspec.structs.replace(view, slots=shuffled(view.slots)))
    ),
    "ms of processor time": Placer(slowly),
}


def shuffled(slots: Sequence[FreeSlot]) -> tuple[FreeSlot, ...]:
    found = list(slots)
    Random().shuffle(found)
    return tuple(found)


WRONG_RECOVERIES = {
    "not a decision about a failure": Recovery(lambda view: True),
    "retries are used up": Recovery(lambda view: Retry(1.0, "again")),
    "the delay is -1.0 s": Recovery(
        lambda view: Retry(-1.0, "again") if view.retries < view.max_retries else GiveUp("enough")
    ),
    "not a finite number of seconds": Recovery(
        lambda view: (
            Retry(float("inf"), "again") if view.retries < view.max_retries else GiveUp("enough")
        )
    ),
    "it raised OverflowError": Recovery(lambda view: GiveUp(str(2.0 ** (500 * view.retries)))),
}


class RemedyOf:
    """A remedy made of one function."""

    name = "made"

    def __init__(self, decide: Callable[[Trouble], Any]) -> None:
        self._decide = decide

    def remedy(self, view: Trouble, now: float) -> Any:
        return self._decide(view)


class Classifier:
    """A failure classifier made of one function."""

    name = "made"

    def __init__(self, decide: Callable[[EndedAttempt], Any]) -> None:
        self._decide = decide

    def classify(self, view: EndedAttempt) -> Any:
        return self._decide(view)


WRONG_REMEDIES = {
    "which is not a remedy": RemedyOf(lambda view: "restart it"),
    "it asks nothing": RemedyOf(lambda view: Ask(" ", 3.0)),
    "it waits for 0.0 s": RemedyOf(lambda view: Ask("are you there?", 0.0)),
    "the reason is empty": RemedyOf(lambda view: Drop("")),
}
WRONG_CLASSIFIERS = {
    "which is not a class of failures": Classifier(lambda view: "network"),
    "its class has no name": Classifier(lambda view: FailureClass("")),
    "the name is 500 characters long": Classifier(lambda view: FailureClass("n" * 500)),
    "is in nothing that it was shown": Classifier(
        lambda view: FailureClass("n", evidence="made up")
    ),
}
WRONG = [
    *WRONG_POINTS.items(),
    *WRONG_BALANCERS.items(),
    *WRONG_PLACERS.items(),
    *WRONG_RECOVERIES.items(),
    *WRONG_REMEDIES.items(),
    *WRONG_CLASSIFIERS.items(),
]


@pytest.mark.parametrize("with_hypothesis", [False, True], ids=["by seed", "by hypothesis"])
@pytest.mark.parametrize(("words", "strategy"), WRONG, ids=[words for words, _ in WRONG])
def test_each_way_to_be_wrong_is_found(words: str, strategy: Any, with_hypothesis: bool) -> None:
    """What hypothesis draws depends on the modules that are loaded, so it is given time."""
    faults = find_faults(strategy, examples=400, with_hypothesis=with_hypothesis)
    assert len(faults) == 1, faults
    assert words in faults[0].message
    assert faults[0].strategy == "made"


@pytest.mark.parametrize("with_hypothesis", [False, True], ids=["by seed", "by hypothesis"])
def test_the_example_is_small(with_hypothesis: bool) -> None:
    """Out of views of a dozen streams, it shows one with no more than it takes."""
    faults = find_faults(
        Point(lambda view, now: exactly_two(view)), with_hypothesis=with_hypothesis
    )
    assert "expected=4" in faults[0].example
    with pytest.raises(AssertionError, match="asked: PointView"):
        assert_conforms(Point(waits_for_ever), examples=20)


def test_who_remembers_is_found() -> None:
    """Also if it answers the same when asked twice in a row."""

    class Remembers:
        name = "remembers"

        def __init__(self) -> None:
            self.most = 0.0

        def rank(self, view: QueuedStream) -> tuple[float, ...]:
            self.most = max(self.most, view.estimate_seconds)
            return (self.most,)

    faults = find_faults(Remembers(), examples=50, with_hypothesis=False)
    assert len(faults) == 1
    assert "it remembers" in faults[0].message


def test_who_never_answers_is_found() -> None:
    """And quickly: nothing waits for it again and again."""

    def spins(view: QueuedStream) -> Any:
        while True:
            pass

    faults = find_faults(Balancer(spins), with_hypothesis=False)
    assert "did not come back" in faults[0].message


def test_the_form_is_looked_at_first() -> None:
    class Nameless:
        name = ""

        def rank(self, view: QueuedStream) -> tuple[float, ...]:
            return (1.0,)

    class Loose(msgspec.Struct):
        k: int = 1

    class LooseOptions(Nameless):
        name = "loose"
        options_type = Loose

    class NoKind:
        name = "none"

    assert "no name" in find_faults(Nameless())[0].message
    assert "none of the methods" in find_faults(NoKind())[0].message
    assert [f.message.split(",")[0] for f in find_faults(LooseOptions())] == [
        "its options_type is not frozen",
        "its options_type lets unknown keys pass (forbid_unknown_fields=True)",
    ]
    assert "letters" in find_faults(type("Odd", (Nameless,), {"name": "a b:c"})())[0].message


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options with bounds, for the test below."""

    at_least: int = 1
    share: float = 0.5
    mode: str = "all"


class Both:
    """A load balancer that has both methods; one of them is wrong."""

    name = "both"

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        return (1.0,)

    def place(self, view: Placing, now: float) -> Any:
        return ()


def test_one_that_ranks_and_places_is_held_to_the_laws_of_both() -> None:
    (fault,) = find_faults(Both())
    assert "it places nobody" in fault.message
    assert not find_faults(Placer(fitting))


def test_the_views_of_placing_are_such_as_an_engine_shows() -> None:
    """Each may start by itself; some ask for resources; slots are free, and not all are."""
    drawn = [draw_placing(SeededSource(n, 20))[0] for n in range(100)]
    for view in drawn:
        taken = {one.slot for one in view.running}
        assert not taken & {slot.number for slot in view.slots}
        assert len(taken) + len(view.slots) == view.max_parallel
        for one in view.queue:
            assert all(amount <= view.free[name] for name, amount in one.resources.items())
    assert any(one.resources for view in drawn for one in view.queue)
    assert any(view.running for view in drawn)
    assert any(slot.last for view in drawn for slot in view.slots)


def test_options_are_drawn_as_their_type_says() -> None:
    """Defaults and other valid values come up; a strategy is shown them in its view."""
    drawn = [draw_options(SeededSource(n, 5), Options) for n in range(60)]
    assert len({option.at_least for option in drawn if isinstance(option, Options)}) > 5
    views = [draw_point_view(SeededSource(n, 8), options)[0] for n, options in enumerate(drawn)]
    assert all(view.outstanding >= 0 for view in views)
    assert {len(view.arrived) for view in views} > {0, 1, 2}
    assert any(view.merged for view in views)
    assert any(view.running for view in views)


def test_a_seed_always_shows_the_same_views() -> None:
    """So what one process decides can be held against what another does."""
    strategy = Point(lambda view, now: barrier(view))
    assert decisions_digest(strategy) == decisions_digest(strategy)
    assert decisions_digest(strategy) != decisions_digest(strategy, seed=1)


class Shortest:
    """A type of a plugin's that adopts whoever changed the fewest files, and asks where none is."""

    name = "shortest"
    adopts_one = True

    def next_step(self, view: PointView, now: float) -> PointDecision:
        if view.outstanding:
            return WaitForMore("not all are there")
        if not view.adoptable:
            return Abandon("nobody can be adopted")
        if view.adopted is not None:
            return Converge((view.adopted,), "a person has chosen")
        order = sorted(view.adoptable, key=lambda s: (view.files_changed.get(s, 0), s))
        if len(order) > 1 and len({view.files_changed.get(s, 0) for s in order[:2]}) == 1:
            return AskForOne(tuple(order), "two are as short")
        return Converge((order[0],), "the shortest")


class Greedy(Shortest):
    """One that breaks the law of its kind: it takes all that are there."""

    name = "greedy"

    def next_step(self, view: PointView, now: float) -> PointDecision:
        found = super().next_step(view, now)
        taken = Converge(tuple(view.adoptable), "all of them")
        return taken if isinstance(found, Converge | AskForOne) else found


def test_a_type_of_a_plugin_may_adopt_and_is_held_to_the_laws_of_that() -> None:
    assert_conforms(Shortest())
    (fault,) = find_faults(Greedy())
    assert "it adopts one, and merges others too" in fault.message
