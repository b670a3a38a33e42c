"""What runs teach is kept between them: by machine, the newest few, and nothing spoils it."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.core.plans.estimates import Sample
from anabranch.core.plans.plan import Work
from anabranch.engine.durations import (
    LONGEST_COMMAND,
    MOST_SAMPLES,
    MOST_WORKS,
    learn,
    read_learned,
    this_machine,
)
from anabranch.paths import ProjectFolder

BUILD = Work("p", "build", "make")


@pytest.fixture
def project(tmp_path: Path) -> ProjectFolder:
    return ProjectFolder(tmp_path)


def test_the_newest_few_samples_stay_one_a_run(project: ProjectFolder) -> None:
    for number in range(MOST_SAMPLES + 3):
        learn(project, {BUILD: Sample(f"r{number}", float(number))})
    learn(project, {BUILD: Sample("r5", 500.0)})  # a run that went on, and ended once more
    kept = read_learned(project).samples[BUILD]
    others = [f"r{number}" for number in range(3, MOST_SAMPLES + 3) if number != 5]
    assert [sample.run for sample in kept] == [*others, "r5"]
    assert kept[-1].work_seconds == 500.0


def test_another_machine_another_command_and_another_plan_teach_nothing(
    project: ProjectFolder,
) -> None:
    learn(project, {BUILD: Sample("r", 9.0)}, "elsewhere")
    assert read_learned(project).samples == {}
    learn(project, {BUILD: Sample("r", 3.0)})
    assert set(read_learned(project).samples) == {BUILD}
    assert read_learned(project, "elsewhere").samples[BUILD] == (Sample("r", 9.0),)
    assert read_learned(project, this_machine()) == read_learned(project)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"machines":{"m":[[1,2]]}}', b"\xff" * 99, b"[" * 100_000]
)
def test_a_spoilt_file_teaches_nothing_and_is_written_anew(
    project: ProjectFolder, content: bytes
) -> None:
    project.durations.write_bytes(content)
    assert read_learned(project).samples == {}
    learn(project, {BUILD: Sample("r", 3.0)})
    assert read_learned(project).samples == {BUILD: (Sample("r", 3.0),)}


def test_what_is_kept_is_bounded(project: ProjectFolder) -> None:
    """Works that were done longest ago go first; a command that a program made is not kept."""
    many = {Work("p", f"s{n}", "make"): Sample("r", 1.0) for n in range(MOST_WORKS)}
    learn(project, many)
    learn(
        project,
        {BUILD: Sample("r", 2.0), Work("p", "x", "y" * (LONGEST_COMMAND + 1)): Sample("r", 1.0)},
    )
    kept = read_learned(project).samples
    assert len(kept) == MOST_WORKS
    assert BUILD in kept
    assert Work("p", "s0", "make") not in kept
    assert Work("p", "x", "y" * (LONGEST_COMMAND + 1)) not in kept
