"""Merging concurrent versions: its laws, and what counts as a clash."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.deciding.merging import Lookup, Merge, merge, patched
from anabranch.core.json_values import text_of, value_of

LEAVES = st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from([0.0, 1.0, "", "x"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("fgh"), inner, max_size=3)
    ),
    max_leaves=6,
)
TEXTS = VALUES.filter(lambda value: value is not None).map(text_of)
STATES = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), TEXTS, max_size=4)
State = dict[str, str]


def lookup(state: State) -> Lookup:
    return state.get


def change(base: State, to: State) -> dict[str, str | None]:
    """Return what leads from one state to another."""
    return {k: to.get(k) for k in {*base, *to} if base.get(k) != to.get(k)}


def applied(state: State, changes: dict[str, str | None]) -> State:
    after: dict[str, str | None] = {**state, **changes}
    return {key: text for key, text in after.items() if text is not None}


def merged(base: State, current: State, yours: State) -> tuple[State, Merge]:
    result = merge(lookup(base), lookup(current), change(base, yours))
    return applied(current, result.changes), result


@given(STATES, STATES)
def test_merging_into_the_base_gives_what_was_proposed(base: State, yours: State) -> None:
    """Identity: without anybody else's change, the proposal is the result."""
    result, found = merged(base, base, yours)
    assert result == yours
    assert not found.clashes


@given(STATES, STATES)
def test_merging_no_change_changes_nothing(base: State, current: State) -> None:
    """Identity, the other way round."""
    result, found = merged(base, current, base)
    assert result == current
    assert found == Merge({}, ())


@given(STATES, STATES, STATES)
def test_merging_twice_changes_nothing_more(base: State, current: State, yours: State) -> None:
    """Idempotence: a commit that is in already brings nothing."""
    once, found = merged(base, current, yours)
    twice = merge(lookup(base), lookup(once), change(base, yours))
    if not found.clashes:
        assert applied(once, twice.changes) == once
        assert not twice.clashes


@given(STATES, STATES, STATES)
def test_both_orders_come_to_the_same(base: State, one: State, other: State) -> None:
    """Without a clash it does not matter who came first; a clash is one in either order."""
    first, found = merged(base, one, other)
    second, told_too = merged(base, other, one)
    assert bool(found.clashes) == bool(told_too.clashes)
    assert {(c.key, c.path) for c in found.clashes} == {(c.key, c.path) for c in told_too.clashes}
    if not found.clashes:
        assert first == second


@given(STATES, STATES, st.sets(st.sampled_from(["a", "b", "c", "d"])))
def test_disjoint_changes_never_clash(base: State, wanted: State, mine: set[str]) -> None:
    """What is changed by one side only is taken, whatever it is."""
    one = applied(base, {k: v for k, v in change(base, wanted).items() if k in mine})
    other = applied(base, {k: v for k, v in change(base, wanted).items() if k not in mine})
    result, found = merged(base, one, other)
    assert result == wanted
    assert not found.clashes


def three_way(base: Any, current: Any, yours: Any) -> Any:
    """Return the merged value of one key, or the paths that clash."""

    def state(value: Any) -> State:
        return {} if value is None else {"k": text_of(value)}

    result, found = merged(state(base), state(current), state(yours))
    if found.clashes:
        return [clash.path for clash in found.clashes]
    return value_of(result["k"]) if "k" in result else None


def test_fields_merge_inside_objects_at_any_depth() -> None:
    """Fields are set, changed and removed by either side."""
    base = {"keep": 1, "gone": 1, "deep": {"x": 1, "y": 1}}
    current = {"keep": 1, "gone": 1, "deep": {"x": 2, "y": 1}, "mine": 1}
    yours = {"keep": 1, "deep": {"x": 1}, "yours": None}
    found = three_way(base, current, yours)
    assert found == {"keep": 1, "deep": {"x": 2}, "mine": 1, "yours": None}


def test_two_new_objects_merge_like_two_changes_of_an_empty_one() -> None:
    """Two streams may fill one new key together."""
    assert three_way(None, {"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
    assert three_way(None, {"a": 1}, {"a": 2}) == [("a",)]


def test_lists_and_plain_values_are_whole() -> None:
    """There is no merging inside a list, and none between kinds of values."""
    assert three_way([1], [1, 2], [1, 3]) == [()]
    assert three_way({"l": [1]}, {"l": [1, 2]}, {"l": [3]}) == [("l",)]
    assert three_way(1, {"a": 1}, 2) == [()]


def test_removing_what_the_other_changed_is_a_clash() -> None:
    """So is removing a field; removing on both sides is none."""
    assert three_way(1, None, 2) == [()]
    assert three_way(1, 2, None) == [()]
    assert three_way({"f": 1}, {}, {"f": 2}) == [("f",)]
    assert three_way({"f": 1, "g": 1}, {"g": 1}, {"g": 1}) == {"g": 1}
    assert three_way(1, None, None) is None


def test_one_and_one_point_zero_and_true_are_three_values() -> None:
    """Python takes them for equal, JSON does not."""
    assert three_way(1, 1.0, True) == [()]
    assert three_way({"f": 1}, {"f": True}, {"f": 1}) == {"f": True}
    assert three_way({"f": True}, {"f": True}, {"f": 1}) == {"f": 1}


def test_a_patch_sets_and_removes_fields() -> None:
    """As RFC 7396 has it, with examples from its appendix."""
    cases: list[tuple[Any, Any, Any]] = [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        (None, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ]
    for target, patch, expected in cases:
        assert patched(None if target is None else text_of(target), patch) == expected
