"""Circuit breakers: open when clearly more fails than is usual, and never for good."""

from __future__ import annotations

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.guardian.breakers import should_open
from anabranch.core.deciding.waiting.reasons import waits_of
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import StreamId
from anabranch.core.model.breakers import Breaker, BreakerPhase, Outcome, breakers_of
from anabranch.core.strategies.breaking import surely_failing
from anabranch.core.views.projections import breaker_status, status, wall_time
from anabranch.testing import ByHand, stream
from tests.core.given import given

AGENT = "command agent"


def seven() -> ByHand:
    """Seven streams of one command, three of them at once."""
    members = [replace(stream(f"s{n}"), command_text="agent") for n in range(7)]
    return given(*members, max_parallel=3, keep_going=True)


def fail(run: ByHand, *names: str) -> list[str]:
    words: list[str] = []
    for name in names:
        run.exited(name, 1)
        words += run.kept(name)
    return words


def tripped() -> ByHand:
    """The third failure opens the breaker; those that had begun by then fail too."""
    run = seven()
    run.run("s0", "s1", "s2")
    assert "breaker_opened" in fail(run, "s0", "s1", "s2")
    run.run("s3", "s4")
    fail(run, "s3", "s4")
    return run


def test_a_command_is_known_by_all_of_it_where_it_runs_and_its_settings() -> None:
    """What shares no more than a program does not fail together."""
    asked = replace(stream("a"), command_text="npm  run\n lint")
    others = (
        replace(asked, command_text="npm test"),
        replace(asked, working_dir="web"),
        replace(asked, env={"CI": "1"}),
        replace(asked, env={"CI": "2"}),
        replace(asked, command_text="npm run lint; " + "x" * 200),
        replace(asked, command_text="npm run lint; " + "x" * 200 + "y"),
    )
    names = [breakers_of(plan)[0] for plan in (asked, *others)]
    assert names[0] == "command npm run lint"
    assert len(set(names)) == len(names)
    assert breakers_of(replace(others[2], id=StreamId("b")))[0] == names[3]
    assert all(len(name) < 120 and "\n" not in name for name in names)


def test_one_broken_script_holds_back_no_other_of_the_same_program() -> None:
    lint = [replace(stream(f"lint{n}"), command_text="npm run lint") for n in range(3)]
    run = given(
        *lint, replace(stream("test"), command_text="npm test"), max_parallel=3, keep_going=True
    )
    run.run("lint0", "lint1", "lint2")
    fail(run, "lint0", "lint1", "lint2")
    assert run.phase("test") == "preparing"


def test_a_stream_counts_for_its_command_and_for_each_capability() -> None:
    plan = replace(stream("a"), command_text="agent", capabilities=("code", "docs"))
    assert breakers_of(plan) == (AGENT, "capability code", "capability docs")


def test_what_fails_for_all_is_held_back_and_says_why() -> None:
    run = tripped()
    assert run.phases()["s5"] == "queued"
    held = [(w.kind, w.name, w.holder) for w in waits_of(run.state, StreamId("s5"))]
    assert held == [("breaker", AGENT, None)]
    assert "the breaker of command agent is open: 3 of the last 3" in reason_for(
        run.state, run.stream("s5")
    )
    assert not run.state.counts.active
    (wake,) = {e for e in run.all_effects if isinstance(e, fx.WakeAt) and "breaker" in e.subject}
    assert wake.at == run.state.breakers.breaker(AGENT).until == run.clock() + 2.0


def test_until_when_it_is_open_is_told_while_it_is() -> None:
    """Afterwards there is no such time, and in the end nobody who is held back."""
    run = tripped()
    assert [b["breaker"] for b in status(run.state, True, None)["breakers"]] == [AGENT]
    assert status(seven().state, True, None)["breakers"] == []
    until = wall_time(run.state, run.clock() + 2.0)
    found = ("state", "until", "probe", "holds_back")
    seen = []
    for moment in (lambda: run.at(run.clock() + 2.0), lambda: run.succeed("s5"), lambda: None):
        (line,) = breaker_status(run.state)
        seen.append(tuple(line[key] for key in found))
        moment()
    assert seen == [
        ("open", until, None, ["s5", "s6"]),
        ("half_open", None, "s5", ["s6"]),
        ("closed", None, None, []),
    ]


def test_one_tries_first_and_if_it_gets_through_the_others_follow() -> None:
    run = tripped()
    words = run.at(run.clock() + 2.0)
    assert words == ["breaker_half_opened", "stream_admitted s5"]
    assert run.phases()["s6"] == "queued"
    assert "s5 tries first" in reason_for(run.state, run.stream("s6"))
    held = [(w.kind, w.name, w.holder) for w in waits_of(run.state, StreamId("s6"))]
    assert held == [("breaker", AGENT, "s5")]
    run.run("s5")
    run.exited("s5")
    words = run.kept("s5")
    assert words.index("breaker_closed") < words.index("stream_admitted s6")


def test_a_probe_that_fails_opens_it_for_twice_as_long() -> None:
    run = tripped()
    run.at(run.clock() + 2.0)
    run.run("s5")
    assert "breaker_opened" in fail(run, "s5")
    breaker = run.state.breakers.breaker(AGENT)
    assert (breaker.openings, breaker.until - run.clock()) == (2, 4.0)


def test_a_probe_that_a_person_stopped_tells_nothing() -> None:
    run = tripped()
    run.at(run.clock() + 2.0)
    run.run("s5")
    run.give(inputs.StopStream(stream=StreamId("s5"), reason="enough"))
    run.exited("s5", signal=15)
    words = run.kept("s5")
    assert "breaker_opened" not in words
    assert "stream_admitted s6" in words


def test_a_person_closes_it() -> None:
    run = tripped()
    words = run.give(inputs.ResetBreaker(breaker=AGENT))
    assert words[:2] == ["breaker_closed", "stream_admitted s5"]
    assert run.state.breakers.tripped == ()


def test_what_is_not_open_cannot_be_reset() -> None:
    run = tripped()
    run.give(inputs.ResetBreaker(breaker="command agnet"))
    assert run.refusal is not None
    assert AGENT in run.refusal.hint


def test_nothing_opens_when_nobody_is_left_to_protect() -> None:
    """The failure that would open it is the last one's; another stream's breaker is its own."""
    members = [replace(stream(f"s{n}"), command_text="agent") for n in range(3)]
    run = given(*members, stream("other"), max_parallel=4, keep_going=True)
    run.run("s0", "s1", "s2", "other")
    assert "breaker_opened" not in fail(run, "s0", "s1", "s2")


# --- when it opens -------------------------------------------------------------------------------


def seen(outcomes: str, usual: float = 0.0) -> Breaker:
    """A breaker after outcomes: a letter is a stream; a capital one failed."""
    recent = tuple(Outcome(StreamId(c.lower()), c.isupper()) for c in outcomes)
    return Breaker("command x", recent=recent, usual_rate=usual)


@pytest.mark.parametrize(
    ("outcomes", "usual", "opens"),
    [
        ("ABC", 0.3, True),
        ("AB", 0.2, False),
        ("AAAA", 0.3, False),  # one stream alone
        ("abABCD", 0.3, False),
        ("aABCDE", 0.4, True),
        ("ABCDEf", 0.4, False),  # the newest went well
        ("ABCDEFGH", 0.95, False),  # it always fails
        ("abcdefghIJ", 0.2, False),
    ],
)
def test_it_opens_when_clearly_more_fails_than_is_usual(
    outcomes: str, usual: float, opens: bool
) -> None:
    assert should_open(seen(outcomes, usual)) is opens


@drawn(st.integers(0, 50), st.integers(0, 50))
def test_sureness_is_a_share_and_grows_with_the_failures(failures: int, well: int) -> None:
    outcomes = failures + well
    sure = surely_failing(failures, outcomes)
    assert 0.0 <= sure <= (failures / outcomes if outcomes else 0.0)
    assert surely_failing(failures + 1, outcomes + 1) >= sure


@drawn(st.lists(st.booleans(), min_size=1, max_size=12))
def test_what_is_usual_is_a_share_that_moves_with_each_end(ends: list[bool]) -> None:
    """Up with a failure, down with a success, a tenth of the way each time."""
    members = [replace(stream(f"s{n}"), command_text=f"agent {n}") for n in range(len(ends))]
    members = [replace(member, capabilities=("code",)) for member in members]
    run = given(*members, max_parallel=len(ends), keep_going=True)
    run.run(*(member.id for member in members))
    usual = 0.0
    for number, has_failed in enumerate(ends):
        run.exited(f"s{number}", int(has_failed))
        run.kept(f"s{number}")
        usual += 0.1 * (has_failed - usual)
        found = run.state.breakers.breaker("capability code").usual_rate
        assert found == pytest.approx(usual)
        assert 0.0 <= found <= 1.0


def test_a_flaky_command_raises_what_is_usual() -> None:
    """After many failures of the same rate the breaker has learned it."""
    run = tripped()
    breaker = run.state.breakers.breaker(AGENT)
    assert breaker.phase is BreakerPhase.OPEN
    assert breaker.usual_rate > 0.3
    run.give(inputs.ResetBreaker(breaker=AGENT))
    assert run.state.breakers.breaker(AGENT).usual_rate == breaker.usual_rate


def test_a_command_that_fails_for_reasons_of_its_own_is_not_held_back_for_ever() -> None:
    members = [replace(stream(f"s{n}"), command_text="agent") for n in range(9)]
    run = given(*members, max_parallel=3, keep_going=True)
    run.run("s0", "s1", "s2")
    fail(run, "s0", "s1", "s2")
    run.run("s3", "s4")
    fail(run, "s3", "s4")
    for name in ("s5", "s6"):
        run.at(run.state.breakers.breaker(AGENT).until)
        run.run(name)
        assert "breaker_opened" in fail(run, name)
    run.at(run.state.breakers.breaker(AGENT).until)
    run.run("s7")
    words = fail(run, "s7")
    assert words.index("breaker_closed") < words.index("stream_admitted s8")
    assert run.state.breakers.breaker(AGENT).usual_rate == 1.0
