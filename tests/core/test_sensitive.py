"""What others run or obey is known by its path, wherever it lies and however it is spelt."""

from __future__ import annotations

import pytest

from anabranch.core.sensitive import is_sensitive, is_worth_a_word

ONES = (
    *(
        "AGENTS.md",
        "x/AGENTS.md",
        "agents.MD",
        ".github/workflows/ci.yml",
        ".github",
        "a/.claude/x",
    ),
    *(
        "mise.toml",
        ".forgejo/workflows/x.yml",
        ".woodpecker.yml",
        "docs/CODEOWNERS",
        ".roo/mcp.json",
    ),
    *(".mcp.json", ".envrc", "anabranch.toml", ".gitlab-ci.yml", ".husky/pre-commit", ".npmrc"),
)
OTHERS = ("agents.md.txt", "github/x", "src/package.json.py", "a.md", "x.github/y", "Makefile")


@pytest.mark.parametrize("path", ONES)
def test_sensitive_paths_are_known(path: str) -> None:
    """Also a link or a file put in a folder's place, and letters of another case."""
    assert is_sensitive(path)
    assert is_worth_a_word(path)


@pytest.mark.parametrize("path", OTHERS)
def test_others_are_not_sensitive(path: str) -> None:
    assert not is_sensitive(path)


def test_a_plan_names_more() -> None:
    """Patterns as everywhere in a plan; one that is none stands for itself."""
    more = ("deploy/**", "ops/*.sh", "/odd")
    assert is_sensitive("deploy/a/b", more)
    assert is_sensitive("ops/x.sh", more)
    assert not is_sensitive("ops/deep/x.sh", more)


def test_what_is_run_when_somebody_builds_is_told_and_no_more() -> None:
    assert is_worth_a_word("web/package.json")
    assert not is_sensitive("web/package.json")
