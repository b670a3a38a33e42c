"""What took long before goes first, as far as it is in sight."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.handlers.job import Job
from anabranch.handlers.longest_first import IN_SIGHT, PULLED, read_known
from anabranch.handlers.queues import Work, queue_of


class Everything:
    """Leaves nothing out."""

    def may_be_done(self, work: Work) -> bool:
        return True

    def leaves(self, work: Work) -> bool:
        return False


def order(folder: Path, source: dict[str, Any], known: object, **more: Any) -> list[str]:
    """Return what is done, in its order, with what is known of earlier runs."""
    file = folder / "known.json"
    file.write_text(known if isinstance(known, str) else json.dumps(known))
    job = Job(source, ["true", "{item}"], str(folder), 1, 2, known_seconds=str(file), **more)
    done: Counter[str] = Counter()
    queue = queue_of(job, done, lambda work: None, Everything(), lambda: None)
    found = []
    while work := queue.next():
        found.append(work.text)
        queue.ended(work, True)
    assert not queue.may_have_more
    return found


def test_the_longest_goes_first_and_what_is_new_counts_as_the_middle_one(tmp_path: Path) -> None:
    known = {"a": [1.0], "b": [9.0, 7.0, 8.0], "c": [3.0]}
    assert order(tmp_path, {"items": ["a", "new", "c", "b"]}, known) == ["b", "new", "c", "a"]


@pytest.mark.parametrize("spoilt", ["", "{", "[]", '{"a": []}', '{"a": "x"}', '{"a": ["x"]}'])
def test_a_file_without_sense_changes_nothing(tmp_path: Path, spoilt: str) -> None:
    assert order(tmp_path, {"items": ["a", "b", "c"]}, spoilt) == ["a", "b", "c"]
    assert not read_known(str(tmp_path / "nothing here"))
    assert not read_known(None)


@given(
    st.lists(st.integers(0, 30), max_size=200),
    st.dictionaries(st.integers(0, 30), st.floats(0, 99)),
)
def test_each_item_is_handed_out_once(
    tmp_path_factory: pytest.TempPathFactory, items: list[int], known: dict[int, float]
) -> None:
    texts = [str(item) for item in items]
    told = {str(item): [seconds] for item, seconds in known.items()}
    found = order(tmp_path_factory.mktemp("known"), {"items": texts}, told)
    assert Counter(found) == Counter(texts)


def test_of_many_only_so_many_are_in_sight(tmp_path: Path) -> None:
    """The first starts after a few, and a million items fill no memory."""
    items = [f"i{n}" for n in range(3 * IN_SIGHT)]
    known = {text: [float(n)] for n, text in enumerate(items)}
    found = order(tmp_path, {"items": items}, known)
    assert found[0] == f"i{PULLED - 1}"
    assert Counter(found) == Counter(items)
    places = [int(text[1:]) for text in found]
    assert max(place - n for n, place in enumerate(places)) <= IN_SIGHT


def test_tasks_that_say_nothing_of_their_time_are_known_by_earlier_runs(tmp_path: Path) -> None:
    tasks = [
        {"id": "short", "command": "true"},
        {"id": "long", "command": "true"},
        {"id": "told", "command": "true", "seconds": 5.0},
        {"id": "after", "command": "true", "after": ["short"]},
    ]
    (tmp_path / "g.json").write_text(json.dumps({"tasks": tasks}))
    known = {"short": [1.0], "long": [7.0], "told": [99.0], "after": [3.0]}
    assert order(tmp_path, {"graph": "g.json"}, known) == ["long", "told", "short", "after"]
