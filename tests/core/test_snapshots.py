"""A state as bytes and back: the same state, or a refusal."""

from __future__ import annotations

import msgspec
import pytest

from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.testing import ByHand, plan_of, stream
from tests.core.given import STRATEGIES, given


def every_kind_of_state() -> list[ByHand]:
    """Runs at rest, on their way, in trouble, and barely begun."""
    early = ByHand(plan_of(stream("a")), STRATEGIES, has_base=False)
    failed = given(stream("a", max_retries=1, env={"A": "b"}), stream("b", "a"))
    failed.fail("a")
    blocked = given(stream("a"), stream("b"), stream("c", "a", "b"))
    blocked.succeed("a", "b")
    blocked.conflicted("c", "a", "b")
    stopping = given(stream("a"), stream("b", "a"))
    stopping.run("a")
    stopping.stop("a")
    done = given(stream("a"), stream("b", "a"), approve=True)
    done.succeed("a", "b")
    done.merged()
    return [early, failed, blocked, stopping, done]


@pytest.mark.parametrize("run", every_kind_of_state())
def test_a_state_comes_back_as_it_was(run: ByHand) -> None:
    """Equal, with an equal plan, and the same bytes again."""
    data = encode_state(run.state)
    back = decode_state(data)
    assert back == run.state
    assert back.plan == run.state.plan
    assert encode_state(back) == data


@pytest.mark.parametrize("data", [b"\x80", b"\x01", msgspec.msgpack.encode({"run": "r"})])
def test_bytes_of_another_shape_are_refused(data: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_state(data)


def test_states_of_different_plans_differ() -> None:
    assert given(stream("a")).state != given(stream("a", priority=1)).state


def test_states_of_equal_plans_can_be_told_apart_by_what_happened() -> None:
    one, other = given(stream("a")), given(stream("a"))
    assert one.state == other.state
    assert hash(one.state.topology) == hash(other.state.topology)
    other.ready("a")
    assert one.state != other.state


def test_states_of_different_plans_are_different_states() -> None:
    """What follows from a plan is compared by the plan."""
    one, same, other = (given(stream("a", priority=n)).state for n in (1, 1, 2))
    assert (one == same, one == other) == (True, False)
    assert (one.topology == one.plan, hash(one.topology) == hash(same.topology)) == (False, True)
