"""The rules of the Trace Event Format, as Chrome's and Perfetto's viewers read it."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

Drawn = list[dict[str, Any]]

_NEEDED = {
    "X": {"ts", "dur", "cat", "args"},
    "i": {"ts", "s", "cat", "args"},
    "C": {"ts", "args"},
    "M": {"args"},
    "s": {"ts", "id", "cat"},
    "f": {"ts", "id", "cat", "bp"},
}
"""What an event of each kind has beside its name, its kind, its process and its thread."""
_METADATA = {"process_name": "name", "thread_name": "name", "thread_sort_index": "sort_index"}


def checked(text: str) -> Drawn:
    """Return the events of a trace, once all of them keep the rules."""
    trace = json.loads(text)
    assert set(trace) == {"traceEvents", "displayTimeUnit", "otherData"}
    assert trace["displayTimeUnit"] in ("ms", "ns")
    found: Drawn = trace["traceEvents"]
    for event in found:
        _check_one(event)
    _check_names(found)
    _check_rows(found)
    _check_flows(found)
    return found


def _check_one(event: dict[str, Any]) -> None:
    kind = event["ph"]
    assert kind in _NEEDED, f"no such kind of event: {kind}"
    assert set(event) == {"name", "ph", "pid", "tid", *_NEEDED[kind]}, event
    assert isinstance(event["name"], str)
    assert all(type(event[key]) is int for key in ("pid", "tid"))
    assert kind == "M" or (type(event["ts"]) is int and event["ts"] >= 0)
    match kind:
        case "X":
            assert type(event["dur"]) is int
            assert event["dur"] >= 0
        case "i":
            assert event["s"] in ("g", "p", "t")
        case "C":
            assert event["args"]
            assert all(type(value) is int for value in event["args"].values())
        case "M":
            assert set(event["args"]) == {_METADATA[event["name"]]}
        case "s" | "f":
            assert type(event["id"]) is int
            assert event["cat"]


def _check_names(found: Drawn) -> None:
    """Each row that anything stands in has one name, and so has each group of rows."""
    rows, groups = ([e for e in found if e["name"] == f"{of}_name"] for of in ("thread", "process"))
    named = [(e["pid"], e["tid"]) for e in rows]
    assert len(named) == len(set(named))
    assert {(e["pid"], e["tid"]) for e in found if e["ph"] in "Xi"} <= set(named)
    assert {e["pid"] for e in found} <= {e["pid"] for e in groups}


def _check_rows(found: Drawn) -> None:
    """Slices of one row are apart, or one within the other."""
    rows: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for event in found:
        if event["ph"] == "X":
            begin = event["ts"]
            rows[event["pid"], event["tid"]].append((begin, begin + event["dur"]))
    for slices in rows.values():
        around: list[int] = []
        for begin, end in sorted(slices, key=lambda s: (s[0], -s[1])):
            while around and around[-1] <= begin:
                around.pop()
            assert not around or end <= around[-1], slices
            around.append(end)


def _check_flows(found: Drawn) -> None:
    """Each arrow has both ends, leads forward, and is tied to a slice at either end.

    Viewers pair the ends by category, name and id; ``bp: e`` ties the far end to the slice around
    it, and not to the next one that begins.
    """
    ends: dict[tuple[str, str, int], dict[str, dict[str, Any]]] = defaultdict(dict)
    for event in found:
        if event["ph"] in ("s", "f"):
            of_it = ends[event["cat"], event["name"], event["id"]]
            assert event["ph"] not in of_it
            of_it[event["ph"]] = event
    assert len({number for _, _, number in ends}) == len(ends)
    for both in ends.values():
        assert set(both) == {"s", "f"}
        assert both["s"]["ts"] <= both["f"]["ts"]
        assert both["f"]["bp"] == "e"
        for end in both.values():
            assert any(
                slice_["ts"] <= end["ts"] < slice_["ts"] + slice_["dur"]
                for slice_ in found
                if slice_["ph"] == "X"
                and (slice_["pid"], slice_["tid"]) == (end["pid"], end["tid"])
            )
