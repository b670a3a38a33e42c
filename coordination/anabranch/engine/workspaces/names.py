"""Names of the refs the engine keeps. All lie under ``refs/anabranch/`` but the result's branch."""

from __future__ import annotations

from anabranch.core.ids import Attempt, PointId, RunId, StreamId
from anabranch.core.written_names import in_ref, name_of


def base_ref(run: RunId) -> str:
    """Return the ref that keeps the commit a run starts from."""
    return f"refs/anabranch/base/{run}"


def tips_ref(run: RunId) -> str:
    """Return the ref that keeps what the project's branches and tags led to when the run began."""
    return f"refs/anabranch/tips/{run}"


def start_ref(run: RunId, stream: StreamId, attempt: Attempt) -> str:
    """Return the ref that keeps the commit an attempt's workspace starts from."""
    return f"refs/anabranch/start/{run}/{component(stream)}.{attempt}"


def handler_name(stream: StreamId, place: int) -> StreamId:
    """Return what a handler's workspace and work are called; no stream has such a name."""
    return StreamId(f"{stream}@{place}")


def handler_of(name: StreamId) -> tuple[StreamId, int] | None:
    """Return the stream and the place that a handler's name was made from, None if it is none."""
    stream, _, place = name.rpartition("@")
    return (StreamId(stream), int(place)) if stream and place.isdecimal() else None


def handlers_ref(run: RunId, stream: StreamId, attempt: Attempt) -> str:
    """Return the ref that keeps what an attempt's handlers have done, merged so far."""
    return f"refs/anabranch/handlers/{run}/{component(stream)}.{attempt}"


def result_ref(run: RunId, stream: StreamId) -> str:
    """Return the ref that keeps a stream's result."""
    return f"refs/anabranch/{run}/{component(stream)}"


def partial_ref(run: RunId, stream: StreamId, attempt: Attempt) -> str:
    """Return the ref that keeps what an unfinished attempt had done."""
    return f"refs/anabranch/partial/{run}/{component(stream)}.{attempt}"


def checkpoint_ref(run: RunId, stream: StreamId, number: int) -> str:
    """Return the ref that keeps a version of a stream's workspace that was taken while it ran."""
    return f"refs/anabranch/checkpoint/{run}/{component(stream)}.{number}"


def point_checkpoint_ref(run: RunId, point: PointId, number: int) -> str:
    """Return the ref that keeps a point's checkpoint: its streams' snapshots, merged."""
    return f"refs/anabranch/checkpoint/{run}/@{component(StreamId(point))}.{number}"


def given_ref(run: RunId, stream: StreamId, attempt: Attempt) -> str:
    """Return the ref that keeps the trees of what was brought into a workspace."""
    return f"refs/anabranch/given/{run}/{component(stream)}.{attempt}"


def rescue_ref(run: RunId, stream: StreamId, attempt: Attempt) -> str:
    """Return the ref that keeps what only a reclaimed workspace held."""
    return f"refs/anabranch/rescue/{run}/{component(stream)}.{attempt}"


def made_prefix(run: RunId, stream: StreamId, attempt: Attempt) -> str:
    """Return what the refs begin with that keep an attempt's own branches, tags and stashes."""
    return f"refs/anabranch/made/{run}/{component(stream)}.{attempt}/"


def decision_ref(run: RunId, blob: str) -> str:
    """Return the ref that keeps a text that a conflict was settled with."""
    return f"refs/anabranch/decision/{run}/{blob}"


def candidate_ref(run: RunId, point: str) -> str:
    """Return the ref that keeps what a point has merged while it is being verified."""
    return f"refs/anabranch/candidate/{run}/{in_ref(point)}"


def result_branch(run: RunId) -> str:
    """Return the branch on which the run's result stands until it is approved."""
    return f"refs/heads/anabranch/{run}"


def component(stream: StreamId) -> str:
    """Return a stream's name as one component of a ref; `stream_of` turns it back."""
    return in_ref(stream)


def stream_of(name: str) -> StreamId:
    """Return the stream a ref component was made from."""
    return StreamId(name_of(name))
