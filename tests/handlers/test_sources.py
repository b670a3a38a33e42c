"""Where items come from, and what is said where none can be had."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.handlers.sources import (
    BadSource,
    Task,
    combinations,
    files_matching,
    items_of,
    lines_of,
    read_tasks,
    rest_seconds,
    tasks_of,
)


def test_files_are_found_however_deep_they_lie(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["d"] * 700)
    deepest.mkdir(parents=True)
    (deepest / "x.md").touch()
    assert list(files_matching("**/*.md", str(tmp_path))) == ["d/" * 700 + "x.md"]


def test_a_folder_that_is_taken_away_meanwhile_has_no_files(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()
    found = files_matching("*/x", str(tmp_path))
    assert next(found) == "a/x"
    (tmp_path / "b" / "x").unlink()
    (tmp_path / "b").rmdir()
    assert list(found) == ["c/x"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.md", "b.txt", "docs/c.md", "docs/deep/d.md", ".hidden/e.md", "docs/.f.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/g.md").touch()
    (tmp_path / "link").symlink_to(tmp_path / "docs")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.md", ["a.md"]),
        ("**/*.md", ["a.md", "docs/c.md", "docs/deep/d.md"]),
        ("docs/**/*.md", ["docs/c.md", "docs/deep/d.md"]),
        ("docs/**", ["docs/c.md", "docs/deep/d.md"]),
        ("docs/*", ["docs/c.md"]),
        ("*/*.md", ["docs/c.md"]),
        (".hidden/*", [".hidden/e.md"]),
        ("docs/.*", ["docs/.f.md"]),
        ("[ab].*", ["a.md", "b.txt"]),
        ("**/deep/*", ["docs/deep/d.md"]),
        ("nothing/*", None),
        ("*.rst", []),
    ],
)
def test_files_are_found_in_order(tree: Path, pattern: str, found: list[str] | None) -> None:
    if found is None:
        assert list(files_matching(pattern, str(tree))) == []
    else:
        assert list(files_matching(pattern, str(tree))) == found


@pytest.mark.parametrize("pattern", ["/etc/*", "../*", "docs/../../*"])
def test_no_pattern_leads_out(tree: Path, pattern: str) -> None:
    with pytest.raises(BadSource, match="leads out"):
        list(files_matching(pattern, str(tree)))


def test_lines_are_taken_as_they_are_printed(tmp_path: Path) -> None:
    endless = lines_of("yes ja", str(tmp_path))
    assert list(itertools.islice(endless, 3)) == ["ja"] * 3
    endless.close()  # type: ignore[attr-defined]
    assert list(lines_of("printf 'a b\\n\\nc'", str(tmp_path))) == ["a b", "c"]


def test_a_command_that_fails_says_so_after_its_lines(tmp_path: Path) -> None:
    found = lines_of("echo one; exit 3", str(tmp_path))
    assert next(found) == "one"
    with pytest.raises(BadSource, match="ended with 3"):
        next(found)


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1
    ),
    st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), min_size=1), max_size=2),
)
def test_a_matrix_is_every_combination_but_those_excluded(
    axes: dict[str, list[int]], exclude: list[dict[str, int]]
) -> None:
    found = list(combinations(axes, exclude))
    every = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    assert found == [c for c in every if not any(e.items() <= c.items() for e in exclude)]


def test_a_source_is_known_by_its_key(tmp_path: Path) -> None:
    assert list(items_of({"items": ["a", {"b": 1}]}, str(tmp_path))) == ["a", {"b": 1}]
    assert list(items_of({"matrix": {"a": [1, 2]}, "exclude": [{"a": 2}]}, "")) == [{"a": 1}]


# --- graphs --------------------------------------------------------------------------------------


def test_a_graph_is_read(tmp_path: Path) -> None:
    file = tmp_path / "g.json"
    file.write_text(
        '{"tasks": [{"id": "a", "cmd": ["x", "y"]},'
        ' {"id": "b", "command": "z", "after": ["a", "a"], "seconds": 2}]}'
    )
    tasks = read_tasks(str(file))
    assert tasks == [Task("a", ["x", "y"], (), 1.0, True), Task("b", "z", ("a",), 2.0)]
    assert rest_seconds(tasks) == {"a": 3.0, "b": 2.0}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "not a graph"),
        ("[]", "a graph is"),
        ('{"tasks": 3}', "a graph is"),
        ('{"tasks": [3]}', "task 0 has no id"),
        ('{"tasks": [{"id": "a"}]}', "task 'a': its command"),
        ('{"tasks": [{"id": "a", "command": []}]}', "task 'a': its command"),
        ('{"tasks": [{"id": "a", "command": "x", "after": "b"}]}', "after is not a list"),
        ('{"tasks": [{"id": "a", "command": "x", "seconds": -1}]}', "not a length of time"),
        ('{"tasks": [{"id": "a", "command": "x", "after": ["b"]}]}', "'b', which is not there"),
        ('{"tasks": [{"id": "a", "command": "x"}, {"id": "a", "command": "y"}]}', "two tasks 'a'"),
        ('{"tasks": [{"id": "a", "command": "x", "after": ["a"]}]}', "circle, among them a"),
    ],
)
def test_what_is_not_a_graph_is_said(text: str, reason: str) -> None:
    with pytest.raises(BadSource, match=reason):
        tasks_of(text)


def test_a_graph_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match="cannot be read"):
        read_tasks(str(tmp_path / "no.json"))


@given(st.data())
def test_the_longest_way_is_what_it_is(data: Any) -> None:
    """Against a plain recursion, for any graph without a circle."""
    count = data.draw(st.integers(1, 8))
    tasks = [
        Task(
            str(i),
            "x",
            tuple(str(j) for j in data.draw(st.sets(st.integers(0, i - 1)))) if i else (),
            float(data.draw(st.integers(0, 5))),
        )
        for i in range(count)
    ]

    def longest(name: str) -> float:
        own = next(t for t in tasks if t.id == name)
        return own.seconds + max((longest(t.id) for t in tasks if name in t.after), default=0.0)

    assert rest_seconds(tasks) == {t.id: longest(t.id) for t in tasks}
