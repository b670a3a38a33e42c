"""Paths that programs or agents run or obey unasked: CI, hooks, editors, agents, shells.

A change of one of these acts on the user's machine, or on their CI, as soon as it is taken over. So
it is named before that, and taken over only if somebody has said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anabranch.core.globs import PatternRefused, covered_by_any, normalised

SENSITIVE = (
    *("AGENTS.md", "CLAUDE.md", "GEMINI.md", ".cursorrules", ".windsurfrules", ".mcp.json"),
    *(".claude/", ".cursor/", ".codex/", ".gemini/", ".aider.conf.yml", "anabranch.toml"),
    *(".github/", ".gitlab/", ".gitlab-ci.yml", ".circleci/", ".buildkite/", ".travis.yml"),
    *("Jenkinsfile", "azure-pipelines.yml", "bitbucket-pipelines.yml", ".drone.yml"),
    *(".gitattributes", ".gitmodules", ".githooks/", ".husky/", ".pre-commit-config.yaml"),
    *(
        "lefthook.yml",
        ".lefthook.yml",
        ".envrc",
        ".mise.toml",
        "mise.toml",
        ".npmrc",
        ".yarnrc.yml",
    ),
    *(".vscode/", ".idea/", ".zed/", ".devcontainer/", ".vimrc", ".exrc", "sitecustomize.py"),
    *(".forgejo/", ".gitea/", ".woodpecker/", ".woodpecker.yml", "CODEOWNERS", ".pnpmfile.cjs"),
    *(".roo/", ".kiro/", ".junie/", ".amazonq/", ".continue/", ".clinerules", "opencode.json"),
    *(".nvim.lua", ".dir-locals.el", ".cargo/"),
)
"""What others run or obey: files by name, folders by a slash at the end."""

BUILDING = ("Makefile", "package.json", "setup.py")
"""What is run when somebody builds: worth a word when it is merged, and no more."""


def is_sensitive(path: str, more: Iterable[str] = ()) -> bool:
    """Return whether a path is one that others run or obey, or one of a plan's own patterns."""
    return _is_one_of(path, SENSITIVE) or covered_by_any(path, patterns_of(more))


def is_worth_a_word(path: str) -> bool:
    """Return whether a change of a path is told when it is merged."""
    return _is_one_of(path, SENSITIVE) or _is_one_of(path, BUILDING)


def patterns_of(patterns: Iterable[str]) -> Sequence[str]:
    """Return patterns as they are compared; one that is not valid stands for a path."""
    return [_normalised(pattern) for pattern in patterns]


def _normalised(pattern: str) -> str:
    try:
        return normalised(pattern)
    except PatternRefused:
        return pattern


def _is_one_of(path: str, names: Iterable[str]) -> bool:
    """Say whether a path is one of some; large and small letters count alike, as on some disks."""
    whole = f"/{path}/".casefold()
    return any(
        f"/{name}" in whole if name.endswith("/") else whole.endswith(f"/{name}/")
        for name in (known.casefold() for known in names)
    )
