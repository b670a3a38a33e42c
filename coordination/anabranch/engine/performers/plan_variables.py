"""The variables that a plan gives a stream."""

from __future__ import annotations

from pathlib import Path

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.env_files import read_env_files


def own_variables(state: State, stream: StreamId, prefix: str) -> dict[str, str]:
    """Return the variables that a plan gives a stream. Raises OSError, BadEnvFile."""
    plan = state.stream_plan(stream)
    return read_env_files(Path(state.project, prefix), plan.env_files) | plan.env
