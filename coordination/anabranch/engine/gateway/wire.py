"""Frames and verbs: what a stream may say, checked before anything else sees it.

A frame is one JSON object. Beside its verb's arguments it may carry ``i`` (given back in the
reply),
``token``, ``request`` (a name that makes the call idempotent) and ``v`` (the protocol, 1). Every
error is a sentence that names the argument.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from anabranch.core import calls
from anabranch.core.calls import Answer, Call, Caller
from anabranch.core.ids import LockMode, PointId, StreamId
from anabranch.core.json_values import Json

LARGEST_FRAME_BYTES = 1024 * 1024
DEEPEST_JSON = 32
LONGEST_WAIT_SECONDS = 45.0

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=2_000)]
Key = Annotated[str, Meta(min_length=1, max_length=1_000)]
Path = Annotated[str, Meta(min_length=1, max_length=4_096)]
Ticket = Annotated[str, Meta(min_length=1, max_length=100)]
Seconds = Annotated[float, Meta(ge=0)]
Number = Annotated[int, Meta(ge=0)]
Amounts = Annotated[dict[Name, Annotated[float, Meta(gt=0)]], Meta(min_length=1, max_length=64)]


class Args(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The arguments of one verb. Those of a verb that changes nothing are all there is to it."""

    def call(self, caller: Caller, request: str) -> Call | None:
        """Return what the engine is asked, or None if the verb only reads."""
        return None


class WaitingArgs(Args, frozen=True):
    """Arguments of a verb that may take a while: how long to wait, or the ticket of a wait."""

    wait_seconds: Seconds = 0.0
    ticket: Ticket | None = None

    @property
    def waits(self) -> bool:
        return self.wait_seconds > 0


class Heartbeat(Args, frozen=True):
    status: Text | None = None
    progress: Annotated[float, Meta(ge=0, le=1)] | None = None
    info: dict[str, Json] | None = None

    def call(self, caller: Caller, request: str) -> Call:
        return calls.Heartbeat(
            caller=caller,
            request=request,
            status=self.status,
            progress=self.progress,
            info=self.info,
        )


class Renew(Args, frozen=True):
    def call(self, caller: Caller, request: str) -> Call:
        return calls.Renew(caller=caller, request=request)


class Lock(WaitingArgs, frozen=True):
    path: Path | None = None
    mode: LockMode = "write"

    def call(self, caller: Caller, request: str) -> Call:
        path = needed(self.path, "path")
        return calls.Lock(
            caller=caller, request=request, path=path, mode=self.mode, wait=self.waits
        )


class Unlock(Args, frozen=True):
    path: Path | None = None
    fence: Number | None = None

    def call(self, caller: Caller, request: str) -> Call:
        if self.path is None and self.fence is None:
            raise BadFrame("bad_arguments", "say which lock, by 'path' or by 'fence'")
        return calls.Unlock(caller=caller, request=request, path=self.path, fence=self.fence)


class StateGet(Args, frozen=True):
    key: Key | None = None
    version: Number | None = None


class StateSet(Args, frozen=True):
    key: Key
    value: Json
    if_version: Number | None = None

    def call(self, caller: Caller, request: str) -> Call:
        return calls.StateSet(
            caller=caller,
            request=request,
            key=self.key,
            value=self.value,
            if_version=self.if_version,
        )


class StateUpdate(Args, frozen=True):
    key: Key
    value: dict[str, Json]
    if_version: Number | None = None

    def call(self, caller: Caller, request: str) -> Call:
        return calls.StateUpdate(
            caller=caller,
            request=request,
            key=self.key,
            value=self.value,
            if_version=self.if_version,
        )


class StateCommit(Args, frozen=True):
    base: Number
    changes: dict[str, Json] = {}
    removed: tuple[Key, ...] = ()
    exact: bool = False

    def call(self, caller: Caller, request: str) -> Call:
        return calls.StateCommit(
            caller=caller,
            request=request,
            base=self.base,
            changes=self.changes,
            removed=self.removed,
            exact=self.exact,
        )


class StateLog(Args, frozen=True):
    since: Number = 0
    key: Key | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 200


class Send(Args, frozen=True):
    to: Name
    body: Json
    deadline_seconds: Annotated[float, Meta(gt=0)] | None = None

    def call(self, caller: Caller, request: str) -> Call:
        return calls.Send(
            caller=caller,
            request=request,
            to=StreamId(self.to),
            body=self.body,
            deadline_seconds=self.deadline_seconds,
        )


class Broadcast(Args, frozen=True):
    body: Json
    deadline_seconds: Annotated[float, Meta(gt=0)] | None = None

    def call(self, caller: Caller, request: str) -> Call:
        return calls.Broadcast(
            caller=caller, request=request, body=self.body, deadline_seconds=self.deadline_seconds
        )


class Inbox(Args, frozen=True):
    wait_seconds: Seconds = 0.0
    limit: Annotated[int, Meta(ge=1, le=100)] = 50

    @property
    def waits(self) -> bool:
        return self.wait_seconds > 0

    def call(self, caller: Caller, request: str) -> Call:
        return calls.ReadInbox(caller=caller, request=request, limit=self.limit)


class Acknowledge(Args, frozen=True):
    id: Number

    def call(self, caller: Caller, request: str) -> Call:
        return calls.Acknowledge(caller=caller, request=request, message=self.id)


class Requeue(Args, frozen=True):
    id: Number

    def call(self, caller: Caller, request: str) -> Call:
        return calls.Requeue(caller=caller, request=request, message=self.id)


class RequestResources(WaitingArgs, frozen=True):
    resources: Amounts | None = None

    def call(self, caller: Caller, request: str) -> Call:
        amounts = needed(self.resources, "resources")
        return calls.RequestResources(
            caller=caller, request=request, amounts=amounts, wait=self.waits
        )


class ReleaseResources(Args, frozen=True):
    resources: Amounts

    def call(self, caller: Caller, request: str) -> Call:
        return calls.ReleaseResources(caller=caller, request=request, amounts=self.resources)


class Withdraw(Args, frozen=True):
    ticket: Annotated[str, Meta(pattern=r"^[0-9]{1,18}$")]

    def call(self, caller: Caller, request: str) -> Call:
        return calls.Withdraw(caller=caller, request=request, ticket=int(self.ticket))


class Arrive(WaitingArgs, frozen=True):
    point: Name | None = None
    state: Json = None

    def call(self, caller: Caller, request: str) -> Call:
        point = PointId(needed(self.point, "point"))
        return calls.Arrive(
            caller=caller, request=request, point=point, value=self.state, wait=self.waits
        )


class Checkpoint(WaitingArgs, frozen=True):
    label: Annotated[str, Meta(max_length=200)] = ""
    wait_seconds: Seconds = LONGEST_WAIT_SECONDS

    def call(self, caller: Caller, request: str) -> Call:
        return calls.Checkpoint(caller=caller, request=request, label=self.label)


class Restore(Args, frozen=True):
    """``stream`` is for the operator, who restores everything without it."""

    version: Number | None = None
    checkpoint: Number | None = None
    stream: Name | None = None

    def call(self, caller: Caller, request: str) -> Call:
        if self.version is not None and self.checkpoint is not None:
            raise BadFrame("bad_arguments", "either a version or a checkpoint, not both")
        if self.stream is not None and not caller.is_operator:
            raise BadFrame("not_allowed", "a stream restores only what it has changed itself")
        return calls.StateRestore(
            caller=caller,
            request=request,
            version=self.version,
            checkpoint=self.checkpoint,
            stream=StreamId(self.stream or ""),
        )


class Register(WaitingArgs, frozen=True):
    """``dependencies`` is another name for ``depends_on``."""

    id: Name | None = None
    capabilities: tuple[Name, ...] = ()
    depends_on: tuple[Name, ...] = ()
    dependencies: tuple[Name, ...] = ()

    def call(self, caller: Caller, request: str) -> Call:
        return calls.Register(
            caller=caller,
            request=request,
            id=StreamId(needed(self.id, "id")),
            capabilities=self.capabilities,
            depends_on=tuple(StreamId(name) for name in (*self.depends_on, *self.dependencies)),
        )


class Leave(Args, frozen=True):
    has_succeeded: bool = True
    reason: Text = ""

    def call(self, caller: Caller, request: str) -> Call:
        return calls.Leave(
            caller=caller,
            request=request,
            has_succeeded=self.has_succeeded,
            reason=self.reason,
        )


class Locks(Args, frozen=True):
    pass


class Streams(Args, frozen=True):
    pass


VERBS: dict[str, type[Args]] = {
    "heartbeat": Heartbeat,
    "lock": Lock,
    "renew": Renew,
    "unlock": Unlock,
    "locks": Locks,
    "state_get": StateGet,
    "state_set": StateSet,
    "state_update": StateUpdate,
    "state_commit": StateCommit,
    "state_log": StateLog,
    "send": Send,
    "broadcast": Broadcast,
    "inbox": Inbox,
    "ack": Acknowledge,
    "requeue": Requeue,
    "request": RequestResources,
    "release": ReleaseResources,
    "withdraw": Withdraw,
    "arrive": Arrive,
    "checkpoint": Checkpoint,
    "restore": Restore,
    "register": Register,
    "leave": Leave,
    "streams": Streams,
}


class BadFrame(Exception):
    """A frame that cannot be obeyed: a code for programs, and words for people."""

    def __init__(self, code: str, reason: str, hint: str = "", i: Json = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.hint = hint
        self.i = i

    def answer(self) -> Answer:
        """Return what the asker is told."""
        return Answer("refused", {"error": self.code, "reason": self.reason, "hint": self.hint})


class Asked(Struct, frozen=True):
    """A frame that is well formed: who says to be asking, and what."""

    i: Json
    verb: str
    token: str
    request: str
    args: Args


def decode(frame: bytes) -> Asked:
    """Return what a frame asks. Raises BadFrame."""
    if len(frame) > LARGEST_FRAME_BYTES:
        raise BadFrame("too_large", f"a frame holds at most {LARGEST_FRAME_BYTES} bytes")
    try:
        raw = msgspec.json.decode(frame)
    except RecursionError:
        raise BadFrame("bad_json", f"JSON may be nested {DEEPEST_JSON} deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFrame("bad_json", f"this is no JSON: {error}") from None
    if not isinstance(raw, dict):
        raise BadFrame("bad_json", "a frame is a JSON object", 'for example {"verb":"heartbeat"}')
    i = raw.pop("i", None)
    if isinstance(i, dict | list):
        raise BadFrame("bad_arguments", "argument 'i' must be a string or a number")
    try:
        may_be_deep = frame.count(b"{") + frame.count(b"[") > DEEPEST_JSON
        if may_be_deep and is_deeper(raw, DEEPEST_JSON):
            raise BadFrame("bad_json", f"JSON may be nested {DEEPEST_JSON} deep")
        return _asked(i, raw)
    except BadFrame as error:
        error.i = i
        raise


def _asked(i: Json, raw: dict[str, Any]) -> Asked:
    if raw.pop("v", 1) != 1:
        raise BadFrame("bad_version", "argument 'v' must be 1", "this engine speaks version 1")
    verb, token, request = (_text(raw, name) for name in ("verb", "token", "request"))
    kind = VERBS.get(verb)
    if kind is None:
        raise BadFrame("unknown_verb", f"there is no verb {verb!r}", f"verbs: {', '.join(VERBS)}")
    try:
        args = msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise BadFrame("bad_arguments", _worded(str(error)), _takes(verb, kind)) from None
    return Asked(i, verb, token, request, args)


def _takes(verb: str, kind: type[Args]) -> str:
    """Tell what a verb takes; what it needs stands without brackets."""
    fields = msgspec.structs.fields(kind)
    told = [field.name if field.required else f"[{field.name}]" for field in fields]
    return f"{verb} takes {', '.join(told) or 'no arguments'}"


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw.pop(name, "")
    if not isinstance(value, str) or len(value) > 512:
        raise BadFrame("bad_arguments", f"argument {name!r} must be a string of at most 512")
    return value


def needed(value: Any, name: str) -> Any:
    """Return an argument that a call without a ticket has to have. Raises BadFrame."""
    if value is None:
        raise BadFrame("bad_arguments", f"argument {name!r} is missing")
    return value


def encode(i: Json, answer: Answer, **more: Json) -> bytes:
    """Return a reply as one line."""
    is_done = answer.outcome != "refused"
    reply = {"i": i, "ok": is_done, "outcome": answer.outcome}
    return msgspec.json.encode({**answer.facts, **more, **reply}) + b"\n"


def is_deeper(value: Json, levels: int) -> bool:
    """Say whether a JSON value is nested more than ``levels`` deep."""
    layer = [value]
    for _ in range(levels):
        below: list[Json] = []
        for item in layer:
            if isinstance(item, dict):
                below.extend(v for v in item.values() if isinstance(v, dict | list))
            elif isinstance(item, list):
                below.extend(v for v in item if isinstance(v, dict | list))
        if not below:
            return False
        layer = below
    return True


_WHERE = re.compile(r"^(.*) - at `(?:key in )?\$\.?([^`]*)`$")
_FIELD = re.compile(r"^Object (contains unknown|missing required) field `([^`]*)`$")


def _worded(error: str) -> str:
    """Say what msgspec found wrong in the words of whoever calls."""
    field = _FIELD.match(error)
    if field:
        kind = "is missing" if field[1].startswith("missing") else "is unknown"
        return f"argument {field[2]!r} {kind}"
    where = _WHERE.match(error)
    if not where:
        return error.replace("`", "")
    what = where[1].replace("`", "")
    return f"argument {where[2]!r}: {what[:1].lower()}{what[1:]}"
