"""Whatever handlers do, each is run as often as it should be: none lost, doubled or starved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from anabranch.handlers.again import MEMORY_TRIES
from tests.handlers.test_crowd import Fan

OK, FAILS, KILLED = "true", "exit 3", "kill -KILL $$"
deeds = st.tuples(*[st.sampled_from((OK, OK, OK, FAILS, KILLED))] * 3)
EXAMPLES = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
)


def expected(tries: Sequence[str]) -> tuple[int, bool]:
    """Return how often a handler is run within one attempt, and whether it succeeds."""
    for number in range(1 + MEMORY_TRIES):
        deed = tries[min(number, 2)]
        if deed != KILLED:
            return number + 1, deed == OK
    return 1 + MEMORY_TRIES, False


def command_of(deed: Sequence[str], place: int) -> str:
    """Return the command of one that does as it should, for the shell."""
    first, second, rest = deed
    count = f"$(grep -cx {place} begun)"
    cases = f"case {count} in 1) {first};; 2) {second};; *) {rest};; esac"
    return f"echo {place} >> begun; {cases}; echo {place} >> done"


@EXAMPLES
@given(st.lists(deeds, min_size=1, max_size=12), st.integers(1, 5))
@example([(KILLED, KILLED, KILLED), (KILLED, KILLED, OK), (KILLED, FAILS, OK), (OK, OK, OK)], 2)
def test_each_item_is_tried_as_often_as_it_should_be(
    behaviours: list[tuple[str, str, str]], width: int
) -> None:
    with TemporaryDirectory() as folder:
        fan = Fan(Path(folder))
        tasks = [
            {"id": str(place), "command": command_of(deed, place)}
            for place, deed in enumerate(behaviours)
        ]
        check(fan, tasks, behaviours, {}, width)


@EXAMPLES
@given(st.data(), st.lists(deeds, min_size=1, max_size=10), st.integers(1, 4))
def test_tasks_begin_when_all_before_them_have_succeeded_and_only_then(
    data: st.DataObject, behaviours: list[tuple[str, str, str]], width: int
) -> None:
    after = {
        place: data.draw(st.lists(st.integers(0, place - 1), max_size=3, unique=True))
        for place in range(1, len(behaviours))
    }
    with TemporaryDirectory() as folder:
        fan = Fan(Path(folder))
        tasks = [
            {
                "id": str(place),
                "command": command_of(deed, place),
                "after": [str(n) for n in after.get(place, ())],
            }
            for place, deed in enumerate(behaviours)
        ]
        check(fan, tasks, behaviours, after, width)


def check(
    fan: Fan,
    tasks: Sequence[Mapping[str, object]],
    behaviours: Sequence[tuple[str, str, str]],
    after: Mapping[int, Sequence[int]],
    width: int,
) -> None:
    """Run the tasks to the end of an attempt, and compare with what should have become of each."""
    (fan.work / "begun").touch()
    (fan.work / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    code, out = fan.run(None, {"graph": "tasks.json"}, width=width)
    tries: Counter[str] = Counter()
    done: set[int] = set()
    for place, deed in enumerate(behaviours):
        if set(after.get(place, ())) <= done:
            tries[str(place)], has_succeeded = expected(deed)
            done |= {place} if has_succeeded else set()
    assert fan.done("begun") == tries, out
    assert fan.done() == {str(place): 1 for place in done}
    assert code == (0 if len(done) == len(behaviours) else 1)
    ends = Counter(str(ended.place) for ended in fan.ended())
    assert ends == tries, "each try has its end in the book"
    assert f"{len(done)} of {len(behaviours)} handlers succeeded" in out
    order = (fan.work / "begun").read_text().split()
    finished = (fan.work / "done").read_text().split() if done else []
    for place, before in after.items():
        if str(place) in tries:
            assert all(str(n) in finished for n in before)
            assert all(order.index(str(n)) < order.index(str(place)) for n in before)
