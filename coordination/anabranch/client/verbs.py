"""What both Python clients share: the verbs as methods, and what comes back.

A verb is written once, as a method that returns what the client's own ``_ask`` returns: a reply for
:class:`~anabranch.client.sync.Client`, an awaitable of one for the asynchronous client.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

LONGEST_WAIT_SECONDS = 45.0
ANSWER_SECONDS = 15.0
LARGEST_FRAME_BYTES = 1024 * 1024

T = TypeVar("T")
Json = Any

NULL = object()
"""Stands for a null that is meant, where None is "not given"."""


class Unreachable(ConnectionError):
    """No engine answers."""


class Refused(Exception):
    """The engine refused; the reply says why and what to do now."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.get('reason', 'refused')}; {reply.get('hint', '')}".rstrip("; "))
        self.reply = reply

    @property
    def reason(self) -> str:
        """Why."""
        return str(self.reply.get("reason", "refused"))

    @property
    def hint(self) -> str:
        """What to do now."""
        return str(self.reply.get("hint", ""))


class Reply(dict[str, Json]):
    """An answer of the engine: a dictionary that knows what it means."""

    @property
    def ok(self) -> bool:
        """Whether it was not refused; it may still be waiting."""
        return bool(self.get("ok"))

    @property
    def outcome(self) -> str:
        """done, granted, waiting, offer, queued or refused."""
        return str(self.get("outcome", ""))

    @property
    def is_waiting(self) -> bool:
        return self.outcome in ("waiting", "queued")

    @property
    def ticket(self) -> str | None:
        found = self.get("ticket")
        return None if found is None else str(found)

    @property
    def messages_waiting(self) -> int:
        return int(self.get("messages_waiting", 0))

    def expect(self) -> Reply:
        """Return itself. Raises Refused if it is a refusal."""
        if not self.ok:
            raise Refused(self)
        return self


class Address:
    """Where the engine is and who asks; what is not given comes from the environment."""

    def __init__(self, socket: str | None, token: str | None) -> None:
        self.socket = socket or os.environ.get("ANABRANCH_SOCKET", "")
        self.token = token or os.environ.get("ANABRANCH_TOKEN", "")
        if not self.socket:
            raise Unreachable("ANABRANCH_SOCKET is not set: is this process part of a stream?")


def _framed(whole: dict[str, Any]) -> bytes:
    """Return a question as one line; raises Refused for what no engine would take."""
    try:
        line = json.dumps(whole, allow_nan=False).encode() + b"\n"
    except RecursionError:
        raise Refused(
            Reply(reason="the value is nested too deeply", hint="make it flatter")
        ) from None
    if len(line) > LARGEST_FRAME_BYTES:
        reason = f"a frame holds at most {LARGEST_FRAME_BYTES} bytes"
        raise Refused(Reply(reason=reason, hint="keep large values in a file, and share its path"))
    return line


class Question:
    """One call: its frame, and the request id under which it can be asked again."""

    def __init__(self, number: int, token: str, verb: str, arguments: Mapping[str, Json]) -> None:
        given = {
            name: None if value is NULL else value
            for name, value in arguments.items()
            if value is not None
        }
        self.number = number
        self.wait_seconds = min(float(given.get("wait_seconds") or 0.0), LONGEST_WAIT_SECONDS)
        if verb == "checkpoint" and "wait_seconds" not in given:
            self.wait_seconds = LONGEST_WAIT_SECONDS
        whole = {
            "i": number,
            "verb": verb,
            "token": token,
            "request": secrets.token_hex(12),
            **given,
        }
        self._whole = whole
        self.line = _framed(whole)

    @property
    def patience_seconds(self) -> float:
        return self.wait_seconds + ANSWER_SECONDS

    def wait_at_most(self, seconds: float) -> None:
        """Ask for no longer a wait than that: part of it has passed while no engine was there."""
        if 0.0 <= seconds < self.wait_seconds and "wait_seconds" in self._whole:
            self.wait_seconds = seconds
            self.line = _framed({**self._whole, "wait_seconds": seconds})


class Verbs(Generic[T]):
    """One method a verb. Times are in seconds; no call waits longer than 45."""

    def _ask(self, verb: str, **arguments: Json) -> T:
        """Ask the engine; each client has its own way."""
        raise TypeError(f"{type(self).__name__} cannot ask")

    def heartbeat(
        self,
        status: str | None = None,
        progress: float | None = None,
        info: Mapping[str, Json] | None = None,
    ) -> T:
        """Say that this stream lives, what it does, how far it is (0..1), and anything else."""
        more = None if info is None else dict(info)
        return self._ask("heartbeat", status=status, progress=progress, info=more)

    def lock(
        self,
        path: str | None = None,
        mode: Literal["read", "write"] = "write",
        *,
        wait_seconds: float = 0.0,
        ticket: str | None = None,
    ) -> T:
        """Ask for a lock on a path, a folder/ or a glob, or go on with a wait by its ticket."""
        return self._ask("lock", path=path, mode=mode, wait_seconds=wait_seconds, ticket=ticket)

    def unlock(self, path: str | None = None, *, fence: int | None = None) -> T:
        """Give a lock back, by its path or its fence."""
        return self._ask("unlock", path=path, fence=fence)

    def renew(self) -> T:
        """Keep what is locked. It is not a heartbeat: it does not say how the stream gets on."""
        return self._ask("renew")

    def locks(self) -> T:
        """Tell who holds and who waits for what."""
        return self._ask("locks")

    def streams(self) -> T:
        """Tell the run's streams and convergence points, and where each stands."""
        return self._ask("streams")

    def state_get(self, key: str | None = None, *, version: int | None = None) -> T:
        """Read a key of the shared state (None: all of it), as it is or was in a version."""
        return self._ask("state_get", key=key, version=version)

    def state_set(self, key: str, value: Json, *, if_version: int | None = None) -> T:
        """Set a key of the shared state, if it still has a version."""
        return self._ask_with_value("state_set", value, key=key, if_version=if_version)

    def state_update(
        self, key: str, value: Mapping[str, Json], *, if_version: int | None = None
    ) -> T:
        """Merge an object into the object under a key, field by field."""
        return self._ask("state_update", key=key, value=dict(value), if_version=if_version)

    def state_commit(
        self,
        base: int,
        changes: Mapping[str, Json],
        removed: Sequence[str] = (),
        *,
        exact: bool = False,
    ) -> T:
        """Propose a version made from version ``base``; concurrent ones are merged.

        An ``exact`` one is refused instead if somebody else has changed one of its keys.
        """
        gone = list(removed)
        return self._ask(
            "state_commit", base=base, changes=dict(changes), removed=gone, exact=exact
        )

    def state_log(self, *, since: int = 0, key: str | None = None, limit: int = 200) -> T:
        """List the changes after a version."""
        return self._ask("state_log", since=since, key=key, limit=limit)

    def send(self, to: str, body: Json, *, deadline_seconds: float | None = None) -> T:
        """Send a message to a stream, or to the operator."""
        return self._ask_with_value(
            "send", body, name="body", to=to, deadline_seconds=deadline_seconds
        )

    def broadcast(
        self,
        body: Json,
        *,
        deadline_seconds: float | None = None,
        window_seconds: float | None = None,
        stamp: float | None = None,
    ) -> T:
        """Send a message to every other stream; with a window as a timed event.

        Those of a window, of so many seconds, come together in the order of their stamps (seconds
        since 1970; without one it is now).
        """
        return self._ask_with_value(
            "broadcast",
            body,
            name="body",
            deadline_seconds=deadline_seconds,
            window_seconds=window_seconds,
            stamp=stamp,
        )

    def inbox(self, *, wait_seconds: float = 0.0, limit: int = 50) -> T:
        """Read the messages that wait; with a wait, until there is a new one."""
        return self._ask("inbox", wait_seconds=wait_seconds, limit=limit)

    def ack(self, id: int) -> T:
        """Say that a message was dealt with."""
        return self._ask("ack", id=id)

    def requeue(self, id: int) -> T:
        """Deliver a dead letter once more; only the operator may."""
        return self._ask("requeue", id=id)

    def request(
        self,
        resources: Mapping[str, float] | None = None,
        *,
        wait_seconds: float = 0.0,
        ticket: str | None = None,
    ) -> T:
        """Ask for amounts of resources, or go on with a wait by its ticket."""
        amounts = None if resources is None else dict(resources)
        return self._ask("request", resources=amounts, wait_seconds=wait_seconds, ticket=ticket)

    def release(self, resources: Mapping[str, float]) -> T:
        """Give amounts of resources back."""
        return self._ask("release", resources=dict(resources))

    def withdraw(self, ticket: str) -> T:
        """Give a wait up: leave the queue of a lock or of resources, or a convergence point."""
        return self._ask("withdraw", ticket=ticket)

    def arrive(
        self,
        point: str | None = None,
        state: Json = None,
        *,
        wait_seconds: float = 0.0,
        ticket: str | None = None,
    ) -> T:
        """Arrive at a convergence point with a value for the others."""
        return self._ask(
            "arrive", point=point, state=state, wait_seconds=wait_seconds, ticket=ticket
        )

    def checkpoint(
        self, label: str = "", *, wait_seconds: float | None = None, ticket: str | None = None
    ) -> T:
        """Keep the workspace as it is now."""
        return self._ask("checkpoint", label=label, wait_seconds=wait_seconds, ticket=ticket)

    def ask(
        self,
        question: str | None = None,
        choices: Sequence[str] = (),
        *,
        wait_seconds: float = 0.0,
        ticket: str | None = None,
    ) -> T:
        """Ask the operator something; the answer is ``answer`` of the reply, one of the choices."""
        given = list(choices) or None
        return self._ask(
            "ask", question=question, choices=given, wait_seconds=wait_seconds, ticket=ticket
        )

    def prompt(self, text: str | None = None) -> T:
        """Say that you wait at your terminal for a person's line; without a text: no more."""
        return self._ask("prompt", text=text)

    def restore(
        self,
        version: int | None = None,
        *,
        checkpoint: int | None = None,
        stream: str | None = None,
    ) -> T:
        """Bring the keys that you changed back to a version, or to a checkpoint (the last one).

        What others have changed since is left alone; ``stream`` is for the operator.
        """
        return self._ask("restore", version=version, checkpoint=checkpoint, stream=stream)

    def register(
        self,
        id: str | None = None,
        capabilities: Sequence[str] = (),
        depends_on: Sequence[str] = (),
        *,
        dependencies: Sequence[str] = (),
        wait_seconds: float = 0.0,
        ticket: str | None = None,
    ) -> T:
        """Let a stream that was started outside join the run; only the operator may.

        ``dependencies`` is another name for ``depends_on``.
        """
        return self._ask(
            "register",
            id=id,
            capabilities=list(capabilities),
            depends_on=list(depends_on),
            dependencies=list(dependencies),
            wait_seconds=wait_seconds,
            ticket=ticket,
        )

    def leave(self, has_succeeded: bool = True, reason: str = "") -> T:
        """Say that a stream that joined by itself is done."""
        return self._ask("leave", has_succeeded=has_succeeded, reason=reason)

    def _ask_with_value(
        self, verb: str, value: Json, *, name: str = "value", **arguments: Json
    ) -> T:
        """Ask with an argument that may well be null, which elsewhere means "not given"."""
        return self._ask(verb, **arguments, **{name: NULL if value is None else value})
