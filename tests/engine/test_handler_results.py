"""What handlers found, as a value of the shared state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.core.json_values import MOST_BYTES
from anabranch.engine.handler_results import results_path, shared_results
from anabranch.paths import RunFolder

FAN = StreamId("fan")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def write_results(run: RunFolder, *results: object) -> list[dict[str, object]]:
    path = results_path(run, FAN)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"index": index, "result": result} for index, result in enumerate(results)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return lines


def test_a_few_are_a_list_in_the_order_of_the_items(run: RunFolder) -> None:
    assert shared_results(run, FAN) is None
    write_results(run)
    assert shared_results(run, FAN) is None, "nobody wrote one"
    assert shared_results(run, FAN) is None
    lines = write_results(run, 3, {"a": [1]}, None)
    assert shared_results(run, FAN) == lines


@pytest.mark.parametrize(
    "results",
    [
        ["x" * 30_000] * 3,  # too many bytes
        [2**70],  # what no value of the shared state may be
        [json.loads("[" * 40 + "]" * 40)],
        ["\ud800"],
    ],
)
def test_what_is_too_large_or_odd_is_where_it_is_and_how_many(
    run: RunFolder, results: list[object]
) -> None:
    write_results(run, *results)
    expected = {"count": len(results), "path": str(results_path(run, FAN))}
    assert shared_results(run, FAN) == expected
    assert len(json.dumps(expected)) < MOST_BYTES
