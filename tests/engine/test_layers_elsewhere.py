"""Two mount namespaces, as two containers have them: no upper layer is ever shown in both."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.engine.workspaces import (
    Kept,
    PreparedWorkspace,
    Reclaimed,
    WorkspaceReplaced,
    prepare_workspace,
    reclaim_workspace,
    require_standing,
    show_layers,
)
from anabranch.engine.workspaces.layers.mounting import (
    Layers,
    ShownElsewhere,
    hide,
    hide_all_below,
    is_shown,
    show,
    why_not_layers,
)
from tests.engine.repositories import RUN, Project, make_repository, open_project, write

SHOWS = """
import sys
from pathlib import Path
from anabranch.engine.workspaces.layers.mounting import Layers, show
lower, upper, scratch, folder = map(Path, sys.argv[1:])
show(Layers((lower,), upper, scratch), folder)
(folder / "there").write_text("written there")
print("shown", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    if (
        why_not_layers(tmp_path)
        or subprocess.run(["unshare", "-m", "true"], check=False).returncode
    ):
        pytest.skip("no layers, or no namespaces for mounts, here")
    yield open_project(make_repository(tmp_path / "user", {"a": "a\n"}), tmp_path / "out")
    hide_all_below(tmp_path)


@pytest.fixture
def work(project: Project) -> PreparedWorkspace:
    made = prepare_workspace(
        project.repo, RUN, StreamId("one"), 1, "isolated", project.outside / "one", project.base,
        method="overlay",
    )  # fmt: skip
    assert isinstance(made, PreparedWorkspace)
    write(made.path, {"mine": "m\n"})
    hide(made.path)
    return made


@contextmanager
def shown_elsewhere(layers: Layers, folder: Path) -> Iterator[None]:
    """Another process shows layers where nobody here sees it, until it ends."""
    places = (*layers.lower, layers.upper, layers.scratch, folder)
    command = ["unshare", "-m", sys.executable, "-c", SHOWS, *map(str, places)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as there:
        assert there.stdout is not None
        assert there.stdout.readline() == b"shown\n"
        yield


def layers_of(work: PreparedWorkspace) -> Layers:
    assert work.layers is not None
    return work.layers


def test_what_is_shown_elsewhere_is_refused_with_the_reason(
    project: Project, work: PreparedWorkspace
) -> None:
    """Nothing is shown, taken for work or removed; when it has ended there, it is as it was."""
    layers = layers_of(work)
    with shown_elsewhere(layers, work.path):
        with pytest.raises(ShownElsewhere):
            show(layers, work.path)
        with pytest.raises(WorkspaceReplaced) as caught:
            require_standing(work)
        assert "shown in another container or mount namespace" in caught.value.reason
        assert "go on there" in caught.value.hint
        with pytest.raises(WorkspaceReplaced):
            show_layers(project.repo, RUN)
        with pytest.raises(WorkspaceReplaced):
            project.capture(work)
        assert isinstance(reclaim_workspace(project.repo, RUN, work), Kept)
        assert not is_shown(layers, work.path)
    show_layers(project.repo, RUN)
    assert (work.path / "there").read_text() == "written there"
    assert set(project.files_of(project.capture(work).commit)) == {"a", "mine", "there"}
    assert isinstance(reclaim_workspace(project.repo, RUN, work), Reclaimed)


def test_a_second_place_here_is_refused_too(project: Project, work: PreparedWorkspace) -> None:
    layers, other = layers_of(work), project.outside / "other"
    show(layers, work.path)
    other.mkdir()
    with pytest.raises(ShownElsewhere):
        show(layers, other)
    assert (work.path / "mine").read_text() == "m\n"


def test_layers_that_were_copied_to_another_place_are_shown(
    project: Project, work: PreparedWorkspace
) -> None:
    """A state folder that is restored from a backup: what the kernel noted is of other files."""
    layers, place = layers_of(work), project.outside / "copied"
    place.mkdir()
    for name, source in (("lower", layers.lower[0]), ("own", layers.upper.parent)):
        subprocess.run(["cp", "-a", str(source), str(place / name)], check=True)
    copied = Layers((place / "lower",), place / "own" / "upper", place / "own" / "scratch")
    folder = place / "shown"
    folder.mkdir()
    show(copied, folder)
    assert sorted(path.name for path in folder.iterdir()) == [".git", "a", "mine"]
