"""Shared state: sets and compare-and-sets, commits, history, the chain, propagation, snapshots."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from anabranch.core import events as ev
from anabranch.core.calls import Caller, StateCommit, StateSet
from anabranch.core.deciding.decide import decide
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.owed import owed
from anabranch.core.deciding.sharing import Contribution, synchronise
from anabranch.core.ids import PointId, StreamId
from anabranch.core.json_values import MOST_BYTES, raw_of
from anabranch.core.model import sharing as state_versions
from anabranch.core.model.outcome import Decision, Refusal
from anabranch.core.model.sharing import VERSION_BYTES
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.plans.plan import SharedStatePlan
from anabranch.core.views.sharing import (
    Reading,
    differences,
    state_log,
    state_log_of,
    value_at,
    value_in,
    values_at,
    verify_history,
)
from anabranch.testing.promises import broken_chain
from tests.core.talking import OPERATOR, STRATEGIES, Talk

CENTRALIZED = SharedStatePlan(type="centralized")
A, B = StreamId("a"), StreamId("b")


def read(talk: Talk, key: str, version: int | None = None) -> Reading:
    found = value_at(talk.state, key, version)
    assert isinstance(found, Reading), found
    return found


# --- setting -------------------------------------------------------------------------------------


def test_a_set_makes_a_version_and_is_read_again() -> None:
    """A value comes back as it was, with the version that set it."""
    talk = Talk("a", "b")
    assert talk.sets("a", "k", {"x": [1, 1.5, None, True]}).facts == {"version": 1}
    assert talk.sets("b", "other", 1).facts == {"version": 2}
    assert read(talk, "k") == Reading("k", {"x": [1, 1.5, None, True]}, 1, 2)
    assert read(talk, "missing") == Reading("missing", None, 0, 2)


def test_a_stale_compare_and_set_is_refused_with_what_is_there() -> None:
    """The refusal carries the current version and value, so the caller can go on from them."""
    talk = Talk("a", "b", shared_state=CENTRALIZED)
    talk.sets("a", "k", "first")
    talk.sets("b", "k", "second", if_version=1)
    answer = talk.sets("a", "k", "mine", if_version=1)
    assert answer.outcome == "refused"
    assert (answer.facts["version"], answer.facts["value"]) == (2, "second")
    assert "2" in answer.facts["reason"]
    assert talk.sets("a", "k", "mine", if_version=answer.facts["version"]).facts == {"version": 3}


def test_version_zero_means_not_there() -> None:
    """Only one of two callers creates a key, and a key that was removed can be created again."""
    talk = Talk("a", "b")
    assert talk.sets("a", "lead", "a", if_version=0).outcome == "done"
    assert talk.sets("b", "lead", "b", if_version=0).outcome == "refused"
    talk.sets("a", "lead", None, if_version=1)
    assert read(talk, "lead") == Reading("lead", None, 0, 2)
    assert talk.sets("a", "lead", "stale", if_version=1).facts["version"] == 0
    assert talk.sets("b", "lead", "b", if_version=0).facts == {"version": 3}


def test_equal_values_set_from_one_version_succeed_once() -> None:
    """A set of what is there already makes a version, or two callers could both win."""
    talk = Talk("a", "b")
    talk.sets("a", "k", "taken")
    assert talk.sets("a", "k", "taken", if_version=1).facts == {"version": 2}
    assert talk.sets("b", "k", "taken", if_version=1).outcome == "refused"


def test_removing_what_is_not_there_changes_nothing() -> None:
    """It is done, and no version is made of it."""
    talk = Talk("a")
    assert talk.sets("a", "k", None).facts == {"version": 0}
    assert not [r for r in talk.records if isinstance(r.event, ev.StateChanged)]


def test_an_update_merges_objects_field_by_field() -> None:
    """Nested objects merge too, null removes a field, and anything else replaces the whole."""
    talk = Talk("a")
    talk.updates("a", "k", {"a": 1, "deep": {"x": 1, "y": 2}})
    talk.updates("a", "k", {"b": 2, "deep": {"y": None, "z": 3}})
    assert read(talk, "k").value == {"a": 1, "b": 2, "deep": {"x": 1, "z": 3}}
    talk.updates("a", "k", "plain")
    assert read(talk, "k").value == "plain"
    assert talk.updates("a", "k", {"a": 1}, if_version=1).outcome == "refused"


def test_the_same_request_sets_once() -> None:
    """A client that asks again gets the same answer, and one version only."""
    talk = Talk("a")
    facts: dict[str, Any] = {"key": "k", "value": 1}
    first = talk.call(StateSet, "a", request="same", **facts)
    talk.sets("a", "k", 2)
    assert talk.call(StateSet, "a", request="same", **facts) == first
    assert read(talk, "k").value == 2


def test_what_a_reader_does_to_a_value_changes_nothing() -> None:
    """Values are the core's own: neither the setter nor a reader holds one of them."""
    talk = Talk("a")
    mine = {"list": [1]}
    talk.sets("a", "k", mine)
    mine["list"].append(2)
    read(talk, "k").value["list"].append(3)
    assert read(talk, "k").value == {"list": [1]}
    assert not broken_chain(talk.state)


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("x" * MOST_BYTES, "65536"),
        (nested(33), "nested"),
        (nested(100_000), "nested"),
        (float("nan"), "nan"),
        ([float("inf")], "inf"),
        ({"a": [10**40]}, "64 bits"),
        (2**64, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        ("\ud800", "Unicode"),
        ({1: 2}, "JSON"),
        (b"bytes", "bytes"),
        ({"s": {1, 2}}, "set"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 10 else "",
)
def test_what_is_no_json_of_proper_size_is_refused_in_words(value: Any, word: str) -> None:
    """Nothing is journalled, and the refusal says why and what to do."""
    talk = Talk("a")
    before = len(talk.records)
    for answer in (talk.sets("a", "k", value), talk.commits("a", 0, {"k": value})):
        assert answer.outcome == "refused"
        assert word in answer.facts["reason"]
        assert answer.facts["hint"]
    assert len(talk.records) == before


def test_the_largest_value_and_key_are_kept() -> None:
    """64 KiB encoded, 32 levels and 256 characters are allowed; one more is not."""
    talk = Talk("a")
    assert talk.sets("a", "k" * 256, "x" * (MOST_BYTES - 2)).outcome == "done"
    assert talk.sets("a", "deep", nested(32)).outcome == "done"
    assert talk.sets("a", "numbers", [2**64 - 1, -(2**63)]).outcome == "done"
    for key in ("", "k" * 257, "a\nb"):
        assert talk.sets("a", key, 1).outcome == "refused"


def test_an_update_that_grows_too_large_is_refused() -> None:
    """The limit holds for what an update makes, not only for what it brings."""
    talk = Talk("a")
    talk.updates("a", "k", {"x": "x" * 40_000})
    assert talk.updates("a", "k", {"y": "y" * 40_000}).outcome == "refused"
    base = talk.state.shared.head
    talk.updates("a", "k", {"z": "z" * 20_000})
    assert talk.commits("a", base, {"k": {"x": "x" * 40_000, "y": "y" * 20_000}}).outcome == (
        "refused"
    )


# --- commits -------------------------------------------------------------------------------------


def test_a_commit_of_many_keys_is_one_version() -> None:
    """Nobody can read half of a commit."""
    talk = Talk("a")
    talk.sets("a", "old", 1)
    assert talk.commits("a", 1, {"x": 1, "y": 2}, ("old",)).facts == {"version": 2}
    assert values_at(talk.state, 1) == {"old": 1}
    assert values_at(talk.state, 2) == {"x": 1, "y": 2}
    assert [c["version"] for c in state_log(talk.state, since=1)["changes"]] == [2, 2, 2]


def test_an_exact_commit_is_refused_where_a_merge_would_find_nothing_to_say() -> None:
    """Two that count up at once come to the same value; one of them has to count again."""
    talk = Talk("a", "b")
    talk.sets("a", "n", 1)
    assert talk.commits("a", 1, {"n": 2}).outcome == "done"
    assert talk.commits("b", 1, {"n": 2}).outcome == "done"
    exact = talk.call(StateCommit, "b", base=1, changes={"n": 2}, exact=True)
    assert (exact.outcome, exact.facts["keys"]) == ("refused", ["n"])
    other = talk.call(StateCommit, "b", base=1, changes={"m": 2}, exact=True)
    assert other.outcome == "done"


def test_concurrent_versions_merge_by_key_and_by_field() -> None:
    """Two commits from one base are both in the newest version."""
    talk = Talk("a", "b")
    talk.sets("a", "doc", {"title": "t", "tags": {"x": 1}})
    talk.commits("a", 1, {"doc": {"title": "new", "tags": {"x": 1}}, "only a": 1})
    answer = talk.commits("b", 1, {"doc": {"title": "t", "tags": {"x": 1, "y": 2}}})
    assert answer.outcome == "done"
    assert read(talk, "doc").value == {"title": "new", "tags": {"x": 1, "y": 2}}
    assert read(talk, "only a").value == 1


def test_a_clash_is_refused_with_both_sides() -> None:
    """Nothing of a commit with a clash is written; the refusal names keys, sides and the head."""
    talk = Talk("a", "b")
    talk.sets("a", "doc", {"title": "t", "n": 1})
    talk.commits("a", 1, {"doc": {"title": "a's", "n": 1}})
    answer = talk.commits("b", 1, {"doc": {"title": "b's", "n": 1}, "fine": 1})
    assert answer.outcome == "refused"
    assert (answer.facts["head"], answer.facts["keys"]) == (2, ["doc"])
    assert answer.facts["conflicts"] == [
        {"key": "doc", "path": ["title"], "base": "t", "current": "a's", "yours": "b's"}
    ]
    assert talk.state.shared.head == 2


@pytest.mark.parametrize(
    ("clashing", "words"), [(4, "k0, k1, k2, k3"), (6, "k0, k1, k2, k3 and 2 more")]
)
def test_of_many_keys_that_clash_the_first_are_named(clashing: int, words: str) -> None:
    """In the sentence; the facts name them all."""
    talk = Talk("a", "b")
    keys = [f"k{n}" for n in range(clashing)]
    talk.commits("a", 0, dict.fromkeys(keys, 1))
    answer = talk.commits("b", 0, dict.fromkeys(keys, 2))
    assert answer.facts["reason"] == f"changed differently since version 0: {words}"
    assert answer.facts["keys"] == keys


def test_a_commit_that_changes_nothing_makes_no_version() -> None:
    """It answers the version that has all of it already."""
    talk = Talk("a", "b")
    talk.commits("a", 0, {"k": 1})
    assert talk.commits("b", 0, {"k": 1}).facts == {"version": 1}


@pytest.mark.parametrize("base", [-1, 5])
def test_a_commit_from_no_version_is_refused(base: int) -> None:
    """The refusal says which version is the newest."""
    talk = Talk("a")
    talk.sets("a", "k", 1)
    assert talk.commits("a", base, {"k": 2}).facts["head"] == 1


def test_centralized_state_merges_nothing() -> None:
    """There a commit goes through only if none of its keys was changed since its base."""
    talk = Talk("a", "b", shared_state=CENTRALIZED)
    talk.sets("a", "doc", {"x": 1})
    talk.sets("a", "doc", {"x": 2})
    answer = talk.commits("b", 1, {"doc": {"x": 1, "y": 1}})
    assert (answer.outcome, answer.facts["keys"]) == ("refused", ["doc"])
    assert talk.commits("b", 2, {"doc": {"x": 2, "y": 1}}).outcome == "done"
    assert talk.commits("b", 1, {"other": 1}).outcome == "done"


# --- history -------------------------------------------------------------------------------------


def test_the_log_says_who_when_before_and_after() -> None:
    """Each change is told; the journal and the state tell the same."""
    talk = Talk("a")
    talk.now = 1.5
    talk.sets("a", "k", 1)
    talk.sets(OPERATOR, "k", {"b": 2})
    log = state_log(talk.state)
    assert [
        (c["version"], c["key"], c["before"], c["after"], c["stream"]) for c in log["changes"]
    ] == [
        (1, "k", None, 1, "a"),
        (2, "k", 1, {"b": 2}, "operator"),
    ]
    assert log["changes"][0]["time"] == "1970-01-01T00:00:01.500Z"
    assert log["head"] == 2
    assert state_log_of(talk.records, talk.state) == log
    assert [c["version"] for c in state_log(talk.state, since=1)["changes"]] == [2]
    assert state_log(talk.state, key="none")["changes"] == []
    assert [c["version"] for c in state_log(talk.state, limit=1)["changes"]] == [2]


def test_versions_that_are_not_there_are_refused_in_words() -> None:
    """A reading of the future, or of what is not kept, is a refusal that says what can be read."""
    talk = Talk("a", shared_state=SharedStatePlan(versions_kept=3))
    for n in range(6):
        talk.sets("a", f"k{n % 2}", n)
    assert values_at(talk.state, 4) == {"k0": 2, "k1": 3}
    for version in (3, 7, -1):
        found = value_at(talk.state, "k0", version)
        assert isinstance(found, Refusal)
        assert "4 to 6" in found.hint
    assert state_log(talk.state)["oldest"] == 4
    assert [c["version"] for c in state_log(talk.state)["changes"]] == [5, 6]
    assert len(state_log_of(talk.records, talk.state)["changes"]) == 6
    assert not broken_chain(talk.state)
    talk.remembers()
    assert talk.commits("a", 1, {"k0": 1}).outcome == "refused"


def test_what_the_state_let_go_is_read_from_the_journal() -> None:
    """And of what it still keeps, the journal says the same."""
    talk = Talk("a", shared_state=SharedStatePlan(versions_kept=3))
    for n in range(5):
        talk.sets("a", f"k{n % 2}", n)
    talk.sets("a", "k0", None)
    found = [value_in(talk.records, talk.state, "k0", version) for version in range(7)]
    listed = [(None, 0), (0, 1), (0, 1), (2, 3), (2, 3), (4, 5), (None, 0)]
    assert found == [Reading("k0", value, version, 6) for value, version in listed]
    assert found[4:] == [value_at(talk.state, "k0", version) for version in (4, 5, 6)]
    assert value_in(talk.records, talk.state, "k1") == Reading("k1", 3, 4, 6)
    for version in (-1, 7):
        refusal = value_in(talk.records, talk.state, "k0", version)
        assert isinstance(refusal, Refusal)
        assert refusal.hint == "versions 0 to 6 can be read"


def test_two_versions_are_compared() -> None:
    """The difference names what changed in the end, not what went back and forth."""
    talk = Talk("a")
    talk.sets("a", "x", 1)
    talk.sets("a", "y", 1)
    talk.sets("a", "y", 2)
    talk.sets("a", "y", 1)
    talk.sets("a", "x", None)
    assert differences(talk.state, 2, 5) == {"x": (1, None)}
    assert differences(talk.state, 5, 2) == {"x": (None, 1)}


# --- propagation ---------------------------------------------------------------------------------


def synced(talk: Talk) -> list[ev.StateSynced]:
    return [r.event for r in talk.records if isinstance(r.event, ev.StateSynced)]


def test_changes_are_propagated_once_an_interval() -> None:
    """The first change starts the interval; while nothing changes, nothing is owed."""
    talk = Talk("a", shared_state=SharedStatePlan(sync_interval_seconds=10))
    assert not [e for e in owed(talk.state) if getattr(e, "subject", "") == "shared state"]
    talk.now = 5.0
    talk.sets("a", "k", 1)
    talk.passes(4.0)
    talk.sets("a", "k", 2)
    (wake,) = [e for e in owed(talk.state) if getattr(e, "subject", "") == "shared state"]
    assert getattr(wake, "at", None) == 15.0
    assert not synced(talk)
    talk.passes(6.0)
    assert synced(talk) == [ev.StateSynced(version=2, reason="interval")]
    talk.passes(100.0)
    assert len(synced(talk)) == 1
    assert talk.state.shared.synced == 2


def test_a_sync_point_makes_one_version_of_all_snapshots() -> None:
    """Everybody's changes are in it, each under its own name; clashes are told and lose nothing."""
    talk = Talk("a", "b")
    talk.sets("a", "doc", {"x": 0})
    draft = Draft(talk.state, 1.0, STRATEGIES, None)
    result = synchronise(
        draft,
        PointId("meet"),
        [
            Contribution(A, 1, {"doc": {"x": 0, "a": 1}, "n": 1}),
            Contribution(B, 1, {"doc": {"x": 0, "b": 1}, "n": 2, "bad": float("nan")}),
            Contribution(B, 1, {"doc": {"x": 0, "b": 1}, "n": 2}),
        ],
    )
    assert result.version == 2
    assert values_at(draft.state, 2) == {"doc": {"x": 0, "a": 1, "b": 1}, "n": 1}
    assert [(s, c.key, c.current, c.yours) for s, c in result.clashes] == [(B, "n", 1, 2)]
    assert [s for s, _ in result.refused] == [B]
    assert not broken_chain(draft.state)
    assert draft.state.shared.synced == 2


# --- the chain -----------------------------------------------------------------------------------


def test_the_chain_finds_every_change_of_the_record() -> None:
    """Altering any field of any change, leaving one out, or swapping two is found."""
    talk = Talk("a", "b")
    for n in range(4):
        talk.sets("ab"[n % 2], "k", n)
    head = talk.state.shared.hash
    assert not verify_history(talk.records, head)
    changed = [i for i, r in enumerate(talk.records) if isinstance(r.event, ev.StateChanged)]
    for i in changed:
        record = talk.records[i]
        for field, value in (
            ("version", 9),
            ("key", "other"),
            ("before", raw_of('"forged"')),
            ("after", raw_of('"forged"')),
            ("stream", "c"),
            ("hash", "0" * 32),
        ):
            event = msgspec.structs.replace(record.event, **{field: value})
            forged = msgspec.structs.replace(record, event=event)
            assert verify_history([*talk.records[:i], forged, *talk.records[i + 1 :]], head)
        later = msgspec.structs.replace(record, at=record.at + 1)
        assert verify_history([*talk.records[:i], later, *talk.records[i + 1 :]], head)
        assert verify_history([*talk.records[:i], *talk.records[i + 1 :]], head)
        assert verify_history([*talk.records[: i + 1], *talk.records[i:]], head)


def test_a_forged_snapshot_is_no_snapshot() -> None:
    """Its chain does not end as it should, so the journal is replayed instead."""
    talk = Talk("a")
    talk.sets("a", "k", "honest")
    forged = encode_state(talk.state).replace(b"honest", b"forged")
    with pytest.raises(msgspec.ValidationError):
        decode_state(forged)


# --- a model -------------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "c"])
LEAVES = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.text("xy", max_size=2)
)
OBJECTS = st.dictionaries(st.sampled_from(["f", "g"]), LEAVES, max_size=2)
JSON = LEAVES | OBJECTS | st.lists(LEAVES, max_size=2)


class Modelled(RuleBasedStateMachine):
    """The shared state against a plain list of dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk("p", "q")
        self.versions: list[dict[str, Any]] = [{}]
        self.set_by: dict[str, int] = {}

    def _next(self, changes: dict[str, Any]) -> None:
        values = {**self.versions[-1], **changes}
        self.versions.append({k: v for k, v in values.items() if v is not None})
        for key in changes:
            self.set_by[key] = len(self.versions) - 1 if changes[key] is not None else 0

    @rule(by=st.sampled_from(["p", "q"]), key=KEYS, value=JSON)
    def sets(self, by: str, key: str, value: Any) -> None:
        if value is not None or key in self.versions[-1]:
            self._next({key: value})
        assert self.talk.sets(by, key, value).facts == {"version": len(self.versions) - 1}

    @rule(key=KEYS, value=JSON.filter(lambda v: v is not None), off=st.integers(-1, 1))
    def compares_and_sets(self, key: str, value: Any, off: int) -> None:
        guess = self.set_by.get(key, 0) + off
        answer = self.talk.sets("p", key, value, if_version=guess)
        assert (answer.outcome == "done") == (off == 0)
        if off == 0:
            self._next({key: value})

    @rule(key=KEYS, value=JSON, data=st.data())
    def commits(self, key: str, value: Any, data: st.DataObject) -> None:
        base = data.draw(st.integers(0, len(self.versions) - 1))
        answer = self.talk.commits("q", base, {key: value})
        if answer.outcome == "done" and answer.facts["version"] == len(self.versions):
            self._next({key: read(self.talk, key).value})
        elif answer.outcome == "refused":
            assert answer.facts["keys"] == [key]

    @precondition(lambda self: len(self.versions) > 2)
    @rule()
    def remembers(self) -> None:
        self.talk.remembers()

    @invariant()
    def old_versions_never_change(self) -> None:
        for number, values in enumerate(self.versions):
            assert msgspec.json.encode(values_at(self.talk.state, number), order="sorted") == (
                msgspec.json.encode(values, order="sorted")
            )

    @invariant()
    def history_is_whole(self) -> None:
        assert not broken_chain(self.talk.state)
        assert not verify_history(self.talk.records, self.talk.state.shared.hash)
        assert state_log_of(self.talk.records, self.talk.state) == state_log(self.talk.state)


TestModelled = Modelled.TestCase
TestModelled.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# --- speed ---------------------------------------------------------------------------------------


def test_old_versions_go_when_all_of_them_take_too_much_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The newest stay, within a budget; the chain goes on, and a snapshot knows the same."""
    monkeypatch.setattr(state_versions, "MOST_KEPT_BYTES", 200_000)
    state = Talk("a").state
    for n in range(100):
        value = f"{n:03d}" * 3_000
        call = StateSet(caller=Caller(A, 1), request=f"r{n}", key=f"key {n % 3}", value=value)
        decision = decide(state, call, float(n), STRATEGIES)
        assert isinstance(decision, Decision)
        state = decision.state
        assert state.shared.bytes <= 200_000
    shared = state.shared
    assert (shared.head, 100 - shared.floor) == (100, 200_000 // (9_002 + 5 + VERSION_BYTES))
    assert isinstance(value_at(state, "key 0", shared.floor), Reading)
    assert isinstance(value_at(state, "key 0", shared.floor - 1), Refusal)
    assert broken_chain(state) == []
    changes = list(shared.changes())
    assert all(c.before is b.after for b, c in zip(changes, changes[3:], strict=False))
    again = decode_state(encode_state(state)).shared
    assert (again.bytes, again.floor, again.hash) == (shared.bytes, shared.floor, shared.hash)


def test_ten_thousand_versions_stay_quick() -> None:
    """The last thousand cost about what the first did, and old versions are read at once."""
    talk = Talk("a")
    state = talk.state
    caller = Caller(A, 1)
    took = []
    for n in range(10_000):
        call = StateSet(caller=caller, request=f"r{n}", key=f"key {n % 500}", value={"n": n})
        began = time.thread_time()
        decision = decide(state, call, float(n), STRATEGIES)
        took.append(time.thread_time() - began)
        assert isinstance(decision, Decision)
        state = decision.state
    assert median(took[-1_000:]) < 5 * median(took[:1_000])
    began = time.thread_time()
    for version in range(0, 10_000, 10):
        value_at(state, "key 7", version)
    assert time.thread_time() - began < 5 * sum(took[:1_000])
    again = decode_state(encode_state(state))
    assert state_log(again) == state_log(state)
    assert values_at(again, 7_777) == values_at(state, 7_777)
