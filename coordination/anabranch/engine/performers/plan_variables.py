"""The variables that a plan gives a stream."""

from __future__ import annotations

from pathlib import Path

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.engine.masking import note_variables
from anabranch.env_files import read_env_files
from anabranch.paths import RunFolder


def own_variables(
    state: State, stream: StreamId, prefix: str, run: RunFolder | None
) -> dict[str, str]:
    """Return the variables that a plan gives a stream; a ``run`` repeats nothing of their files.

    Raises OSError, BadEnvFile.
    """
    plan, place = state.stream_plan(stream), Path(state.project, prefix)
    given = read_env_files(place, plan.env_files)
    if run is not None:
        note_variables(run, place, plan.env_files)
    return given | plan.env
