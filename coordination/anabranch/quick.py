"""The short names for coordinating from Python; they are reachable from ``import anabranch``.

They work inside a stream, and in the process of an engine within ``anabranch.hosting(host)`` (see
:mod:`anabranch.acting`). What is refused raises :class:`~anabranch.client.Refused`, which has a
``reason`` and a ``hint``; when no engine answers, :class:`~anabranch.client.Unreachable` is raised.
All verbs, and an asynchronous client, are in :mod:`anabranch.client`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from random import random
from types import TracebackType
from typing import Any, Literal

from anabranch.acting import client, hosting, joined, lock_path, own_stream, refusal, workspace
from anabranch.client.sync import Client
from anabranch.client.verbs import LONGEST_WAIT_SECONDS, Json, Refused, Reply, Unreachable
from anabranch.engine.atomic_files import AtomicFileOperations

__all__ = [
    "AtomicFileOperations",
    "FileLock",
    "NotGranted",
    "Refused",
    "Unreachable",
    "Version",
    "allocate_stream_directory",
    "coordinator",
    "hosting",
    "lock_manager",
    "register_stream",
    "request_resources",
    "send_heartbeat",
    "state_manager",
]

MOST_TRIES = 64
LONGEST_PAUSE_SECONDS = 0.1
"""How often, and after which random pause at most, a transformation is made again because somebody
else was quicker."""
LONGEST_LOG = 1000

Mode = Literal["read", "write"]
_MODES: dict[str, Mode] = {
    "read": "read",
    "shared": "read",
    "write": "write",
    "exclusive": "write",
}
Values = dict[str, Json]


class NotGranted(Refused, TimeoutError):
    """A lock was not free within the time that the caller was ready to wait."""


# --- locks ---------------------------------------------------------------------------------------


class FileLock:
    """A lock that is held: a context manager that gives it back at the end.

    It stays held for ``lease_seconds`` after the last call of its holder; any call, a heartbeat for
    example, renews it.
    """

    def __init__(self, path: str, mode: Mode, granted: Reply, stream_id: str | None) -> None:
        self.path = path
        self.mode = mode
        self.fence = int(granted["fence"])
        self.lease_seconds = float(granted.get("lease_seconds") or 0.0)
        self._stream_id = stream_id
        self._is_released = False

    def release(self) -> None:
        """Give the lock back; the second time nothing happens. Raises Refused if it was lost."""
        if not self._is_released:
            self._is_released = True
            with client(self._stream_id) as engine:
                engine.unlock(fence=self.fence).expect()

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.release()
        except (Refused, Unreachable):
            if error is None:  # what went wrong inside matters more
                raise


class _Locks:
    """The locks on files, folders and globs."""

    def acquire_file_lock(
        self,
        file: str | os.PathLike[str],
        mode: Mode | Literal["shared", "exclusive"] = "write",
        *,
        timeout_seconds: float = LONGEST_WAIT_SECONDS,
        stream_id: str | None = None,
    ) -> FileLock:
        """Take a lock, waiting for it in the queue if somebody else has it.

        Args:
            file: a file, a folder (ends in ``/``) or a glob, relative to the workspace's top.
            mode: ``read`` (or ``shared``) locks go together, a ``write`` (or ``exclusive``) lock
                goes with none.
            timeout_seconds: how long to wait; 0 does not wait.
            stream_id: whose lock it is; without it this process's own.

        Raises NotGranted if it is not free in time, Refused for a deadlock (the reply's ``cycle``).
        """
        path, wanted = lock_path(file), _mode(mode)
        deadline = time.monotonic() + timeout_seconds
        with client(stream_id) as engine:
            while True:
                left = max(0.0, min(LONGEST_WAIT_SECONDS, deadline - time.monotonic()))
                reply = engine.lock(path, wanted, wait_seconds=left)
                if reply.outcome == "granted":
                    return FileLock(path, wanted, reply, stream_id)
                if reply.is_waiting and time.monotonic() < deadline:
                    continue
                if reply.is_waiting or (not left and _is_taken(reply)):
                    raise NotGranted(_worded(reply, path))
                raise Refused(reply)

    def show_contentions(self) -> list[dict[str, Json]]:
        """Return who waits for which lock, and the waits of the last minute."""
        with client() as engine:
            return list(engine.locks().expect()["contentions"])


def _mode(mode: str) -> Mode:
    """Return a lock's mode by any of its names. Raises Refused."""
    if mode in _MODES:
        return _MODES[mode]
    raise refusal(f"a lock has no mode {mode!r}", "use read (shared) or write (exclusive)")


def _is_taken(reply: Reply) -> bool:
    """Say whether a refusal only says that the lock is not free, to somebody who does not wait."""
    return ("holder" in reply or "holders" in reply) and "cycle" not in reply


def _worded(reply: Reply, path: str) -> Reply:
    """Return a reply that is still waiting as one that says so in words."""
    reason = reply.get("reason") or f"{path} is held by {reply.get('holder')}"
    return Reply({**reply, "reason": reason, "hint": "try again, or wait longer"})


# --- shared state --------------------------------------------------------------------------------


class Version(dict[str, Json]):
    """A version of the shared state: its values by key, and beside them its number."""

    def __init__(self, number: int, values: Mapping[str, Json]) -> None:
        super().__init__(values)
        self.version = number


class _SharedState:
    """The state that all streams of a run share."""

    def update_state(
        self,
        key: str,
        value: Json,
        stream_id: str | None = None,
        *,
        if_version: int | None = None,
    ) -> int:
        """Set a key and return the new version; None removes it.

        With ``if_version`` only if the key still has that version (0: is not there). Raises
        Refused; its reply then has the current ``version`` and ``value``.
        """
        with client(stream_id) as engine:
            reply = engine.state_set(key, value, if_version=if_version).expect()
        return int(reply["version"])

    def create_new_version(
        self, transformer_func: Callable[[Values], Mapping[str, Json]], stream_id: str | None = None
    ) -> Version:
        """Make a new version of the whole state by a function of the newest, and return it.

        The function gets all values by key and returns all of them as they shall be. It must have
        no effect but its result, for it is called again when somebody else was quicker and the two
        changes cannot be merged. What is returned holds the values by key; its number is beside
        them, as ``version``. Raises Refused after the 64th time.
        """
        with client(stream_id) as engine:
            for tries in range(MOST_TRIES):
                if tries:
                    time.sleep(random() * min(LONGEST_PAUSE_SECONDS, 0.001 * 2**tries))
                seen = engine.state_get().expect()
                after = _checked_values(transformer_func(deepcopy(seen["values"])))
                changes, removed = _difference(seen["values"], after)
                if not changes and not removed:
                    return Version(int(seen["head"]), seen["values"])
                reply = engine.state_commit(int(seen["head"]), changes, removed, exact=True)
                if reply.ok:
                    return _as_made(engine, int(reply["version"]), after)
                if "head" not in reply:
                    break
        raise Refused(reply)

    def get_change_log(self, since: int = 0, key: str | None = None) -> list[dict[str, Json]]:
        """Return the changes after a version, oldest first, the newest thousand at most.

        Each has version, key, before, after, stream, time and hash.
        """
        with client() as engine:
            reply = engine.state_log(since=since, key=key, limit=LONGEST_LOG).expect()
        return list(reply["changes"])


def _checked_values(after: object) -> Mapping[str, Json]:
    """Return what a transformation answered. Raises Refused if that is not a whole state."""
    if isinstance(after, Mapping):
        return after
    raise refusal(
        f"the transformation returned {type(after).__name__}, not the values by key",
        "return all values, for example {**values, 'key': 1}",
    )


def _as_made(engine: Client, version: int, after: Mapping[str, Json]) -> Version:
    """Return a version that was made just now, with what others had changed in other keys."""
    seen = engine.state_get(version=version)
    if seen.ok:
        return Version(version, seen["values"])
    return Version(version, {key: value for key, value in after.items() if value is not None})


def _difference(before: Values, after: Mapping[str, Json]) -> tuple[Values, list[str]]:
    """Return the keys that a transformation has set, and those that it has removed."""
    wanted = {key: value for key, value in after.items() if value is not None}
    changes = {
        key: value
        for key, value in wanted.items()
        if key not in before or _text(before[key]) != _text(value)
    }
    return changes, [key for key in before if key not in wanted]


def _text(value: Json) -> str:
    """Return a value as text that differs whenever the JSON does: 1, 1.0 and true are equal."""
    return json.dumps(value, sort_keys=True)


# --- streams and messages ------------------------------------------------------------------------

_ACTIVE = frozenset(
    ["starting", "setting_up", "running", "ready", "unhealthy", "stalled", "recovering", "joined"]
)


class _Streams:
    """The streams of a run, what they tell each other, and where they meet."""

    def send_message(self, from_stream: str, to_stream: str, message: Json) -> int:
        """Send a message, any JSON value, to a stream or to ``operator``; return its id."""
        with client(from_stream) as engine:
            return int(engine.send(to_stream, message).expect()["id"])

    def broadcast_message(self, from_stream: str, message: Json) -> int:
        """Send a message to every other stream that is not over; return its id."""
        with client(from_stream) as engine:
            return int(engine.broadcast(message).expect()["id"])

    def list_active_streams(self) -> list[dict[str, Json]]:
        """Return the streams that work now: stream, state, attempt and reason of each."""
        return [stream for stream in _streams()["streams"] if stream["state"] in _ACTIVE]

    def convergence_status(self) -> list[dict[str, Json]]:
        """Return the convergence points as ``anabranch convergence --json`` tells them."""
        return list(_streams()["convergence"])


def _streams() -> Reply:
    with client() as engine:
        return engine.streams().expect()


def allocate_stream_directory(stream_id: str) -> Path:
    """Return the folder that a stream works in. Raises Refused if it has none yet."""
    return workspace(stream_id)


def register_stream(config: Mapping[str, Any]) -> Reply:
    """Let a stream that was started outside join the run; this process then may act as it.

    Streams of the plan are registered already: for its own one, a stream is just confirmed.

    Args:
        config: ``id`` (or ``stream_id``), and if it has any ``capabilities`` and ``depends_on``
            (or ``dependencies``).

    Needs the operator's token, or the engine's process. Raises Refused.
    """
    unknown = sorted(str(key) for key in set(config) - _REGISTERED_WITH)
    name = config.get("id") or config.get("stream_id")
    if unknown or not isinstance(name, str):
        reason = f"{unknown[0]!r} is unknown" if unknown else "'id' is missing"
        known = ", ".join(sorted(_REGISTERED_WITH))
        raise refusal(reason, f"a stream is registered with {known}")
    if name == own_stream():
        return Reply(ok=True, outcome="done", stream=name)
    able, *needs = (_names(config, key) for key in ("capabilities", "depends_on", "dependencies"))
    with client() as engine:
        reply = engine.register(name, able, [*needs[0], *needs[1]]).expect()
    if "token" in reply:
        joined(name, str(reply["token"]), str(reply.get("directory", "")))
    return reply


_REGISTERED_WITH = {"id", "stream_id", "capabilities", "depends_on", "dependencies"}


def _names(config: Mapping[str, Any], key: str) -> list[str]:
    """Return the names under a key; a single one may stand without its list."""
    found = config.get(key) or ()
    return [found] if isinstance(found, str) else list(found)


def send_heartbeat(stream_id: str, status_info: str | Mapping[str, Any] | None = None) -> Reply:
    """Say that a stream lives; the reply says how many ``messages_waiting`` there are.

    ``status_info`` is what it does, or an object with ``status`` and ``progress`` (0..1); what else
    is in the object is kept beside them, and shown by ``anabranch streams --json``.
    """
    status: Mapping[str, Any] = (
        status_info if isinstance(status_info, Mapping) else {"status": status_info}
    )
    more = {str(key): value for key, value in status.items() if key not in ("status", "progress")}
    with client(stream_id) as engine:
        return engine.heartbeat(status.get("status"), status.get("progress"), more or None).expect()


def request_resources(
    stream_id: str, resources: Mapping[str, float], *, wait_seconds: float = 0.0
) -> Reply:
    """Ask for amounts of resources; the reply's ``outcome`` is granted, offer or queued.

    Raises Refused for what can never be granted, or is not free for somebody who does not wait.
    """
    with client(stream_id) as engine:
        return engine.request(resources, wait_seconds=wait_seconds).expect()


lock_manager = _Locks()
state_manager = _SharedState()
coordinator = _Streams()
