"""Recorded workflows of WfCommons, in the shapes that its versions have, as graphs of tasks."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from anabranch.extending import Imported, NotThisFormat
from anabranch_plugins.importers.wfcommons import plan_of

Entry = dict[str, Any]


def newer(tasks: list[Entry], runs: list[Entry], **more: Any) -> Entry:
    """Return a document as versions 1.4 and 1.5 have it."""
    return {
        "name": "flow",
        "schemaVersion": "1.5",
        "workflow": {"specification": {"tasks": tasks}, "execution": {"tasks": runs}},
        **more,
    }


def imported(document: Any) -> Imported:
    return plan_of(json.dumps(document))


def tasks(document: Any) -> list[Entry]:
    found: list[Entry] = json.loads(imported(document).files["tasks.json"])["tasks"]
    return found


TWO = newer(
    [
        {"name": "same", "id": "one", "parents": [], "children": ["two"], "inputFiles": ["x"]},
        {"name": "same", "id": "two", "parents": ["one"], "children": []},
    ],
    [
        {
            "id": "one",
            "runtimeInSeconds": 1.5,
            "command": {"program": "sort", "arguments": ["-r", "x"]},
            "coreCount": 2,
        },
        {"id": "two", "runtimeInSeconds": 0, "command": {"program": "true"}},
    ],
)


def test_tasks_and_how_they_went_become_a_graph() -> None:
    """Names may repeat, ids do not; what has no place in a plan is counted."""
    found = imported(TWO)
    assert found.plan == {
        "name": "flow",
        "streams": {"flow": {"each": {"graph": "tasks.json"}, "retries": 0}},
    }
    assert tasks(TWO) == [
        {"id": "one", "command": ["sort", "-r", "x"], "seconds": 1.5},
        {"id": "two", "command": ["true"], "after": ["one"], "seconds": 0.0},
    ]
    left = "\n".join(found.left_out)
    assert "1 of 2 tasks: files that they read and write" in left
    assert "coreCount (1)" in left


@pytest.mark.parametrize("key", ["tasks", "jobs"])
def test_the_earlier_shape_has_all_in_one_place_and_goes_by_names(key: str) -> None:
    entries = [
        {"name": "a", "id": "ID1", "runtime": 2, "command": {"program": "true"}, "cores": 1},
        {"name": "b", "id": "ID2", "runtime": 3, "parents": ["a"], "type": "compute"},
        {"name": "c", "runtime": 1, "parents": ["ID2"], "files": [{"name": "f"}]},
    ]
    document = {
        "name": "old.json",
        "schemaVersion": "1.2",
        "workflow": {key: entries, "machines": [{"nodeName": "m"}]},
    }
    found = tasks(document)
    assert [task.get("after") for task in found] == [None, ["ID1"], ["ID2"]]
    assert [task["seconds"] for task in found] == [2.0, 3.0, 1.0]
    assert found[1]["command"] == ["sleep", "3"]
    left = "\n".join(imported(document).left_out)
    assert "2 of 3 tasks: they have no command; `sleep`" in left
    assert "machines: " in left
    assert list(imported(document).plan["streams"]) == ["old"]


@pytest.mark.parametrize("parents", [["a"], []])
def test_edges_are_those_of_parents_and_of_children(parents: list[str]) -> None:
    found = newer([{"id": "a", "children": ["b", "b"]}, {"id": "b", "parents": parents}], [])
    assert [task.get("after") for task in tasks(found)] == [None, ["a"]]


@pytest.mark.parametrize(
    ("command", "system", "wanted"),
    [
        ({"program": "sort", "arguments": ["-k 2", "a b"]}, "Pegasus", ["sort", "-k 2", "a b"]),
        ({"program": "sort", "arguments": ["x", ">", "y"]}, "Pegasus", "sort x > y"),
        ({"program": "bwa", "arguments": ["./bwa", "a", "2>", "e"]}, "Makeflow", "./bwa a 2> e"),
        ({"program": "cat", "arguments": ["cat", "a.*"]}, "Makeflow", "cat a.*"),
        ({"program": "cat", "arguments": ["cat", "a"]}, "Makeflow", ["cat", "a"]),
        ({"program": "a \\\n  b > c\nd", "arguments": []}, "Nextflow", "a \\\n  b > c\nd"),
        ("echo a", "", "echo a"),
    ],
)
def test_a_command_is_words_or_text_for_a_shell_as_it_was_recorded(
    command: Any, system: str, wanted: Any
) -> None:
    run = {"id": "a", "command": command, "runtimeInSeconds": 1}
    (task,) = tasks(newer([{"id": "a"}], [run], runtimeSystem={"name": system}))
    assert task["command"] == wanted


def test_what_went_and_is_not_specified_is_named() -> None:
    document = newer([{"id": "a"}], [{"id": "z", "runtimeInSeconds": 1}])
    assert "z is not among the tasks" in "\n".join(imported(document).left_out)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"a": 1}, "it has no `workflow`"),
        ([], "it has no `workflow`"),
        ({"workflow": 1}, "`workflow` is not a table"),
        ({"workflow": {"tasks": {}}}, "`workflow.tasks` is not a list"),
        ({"workflow": {"tasks": [1]}}, "`workflow.tasks[0]` is not a table"),
        ({"workflow": {"tasks": []}}, "no tasks"),
        ({"workflow": {"specification": {}}}, "`workflow.specification.jobs` is not a list"),
        (newer([{}], []), "`workflow.specification.tasks[0]` has no id"),
        (newer([{"id": "a"}, {"id": "a"}], []), "there are two tasks 'a'"),
        (newer([{"id": "a", "parents": ["b"]}], []), "comes after 'b', which is not there"),
        (newer([{"id": "a", "children": ["b"]}], []), "its child 'b' is not there"),
        (newer([{"id": "a", "parents": "b"}], []), "its parents are not a list"),
        (
            newer([{"id": "a", "parents": ["b"]}, {"id": "b", "parents": ["a"]}], []),
            "wait for each other in a circle",
        ),
        (
            newer(
                [{"id": f"i{n}", "name": "x"} for n in "ab"] + [{"id": "c", "parents": ["x"]}], []
            ),
            "'x' among its parents is a name of several",
        ),
        (newer([{"id": "a"}], [{"id": "a", "runtimeInSeconds": "1"}]), "not a number of seconds"),
        (newer([{"id": "a"}], [{"id": "a", "runtimeInSeconds": -1}]), "not a number of seconds"),
        (newer([{"id": "a"}], [{"id": "a", "command": {"program": 5}}]), "its command is not"),
        (newer([{"id": "a"}], [{"id": "a", "command": {"arguments": "x"}}]), "its command is not"),
    ],
)
def test_what_is_no_workflow_is_refused_with_its_place(document: Any, why: str) -> None:
    with pytest.raises(NotThisFormat) as refused:
        imported(document)
    assert why in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ud800", '{"workflow": NaN}'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(NotThisFormat):
        plan_of(text)


def test_a_large_workflow_is_imported() -> None:
    """A hundred thousand tasks, in a chain: nothing goes through them one inside the other."""
    names = [f"t{number}" for number in range(100_000)]
    entries = [{"id": b, "parents": [a]} for a, b in itertools.pairwise(names)]
    found = imported(newer([{"id": "t0"}, *entries], []))
    assert found.files["tasks.json"].count('"after"') == 99_999
