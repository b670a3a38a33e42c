"""Workspaces are made by every method that this machine allows: one suite, run over all."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import gettempdir

import pytest

from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine.workspaces.layers.mounting import hide_all_below
from anabranch.engine.workspaces.methods import BY_SPEED
from tests.engine import repositories

OVER_ALL_METHODS = {
    "test_taking_over",
    "test_capturing",
    "test_delivering",
    "test_differing",
    "test_direct_captures",
    "test_handler_workspaces",
    "test_including",
    "test_kinds_of_clones",
    "test_merging",
    "test_reclaiming",
    "test_setup_made",
    "test_workspaces",
}
ONLY_FOLDERS = "only_folders"


def pytest_configure(config: pytest.Config) -> None:
    about = "the test moves or removes a workspace's folder, which nobody can do to a mount"
    config.addinivalue_line("markers", f"{ONLY_FOLDERS}: {about}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] not in OVER_ALL_METHODS:
        return
    if not {"project", "fan"} & set(metafunc.fixturenames):
        return
    only_folders = metafunc.definition.get_closest_marker(ONLY_FOLDERS) is not None
    methods = ("worktree",) if only_folders else methods_here()
    metafunc.parametrize("workspace_method", methods, indirect=True)


@cache
def methods_here() -> tuple[WorkspaceMethod, ...]:
    """The methods that work where tests have their folders."""
    place = Path(gettempdir())
    return ("worktree", *(method for method, why_not in BY_SPEED if not why_not(place)))


@pytest.fixture(autouse=True)
def workspace_method(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WorkspaceMethod]:
    """How projects of tests make their workspaces; what is mounted is taken away in the end."""
    method: WorkspaceMethod = getattr(request, "param", "worktree")
    monkeypatch.setattr(repositories, "METHOD", method)
    if method != "overlay":
        yield method
    else:
        folder: Path = request.getfixturevalue("tmp_path")
        yield method
        hide_all_below(folder)
