"""Requests as bytes: what a stream may say, checked before anything else sees it.

A request is one JSON object on one line. Beside the arguments of its verb it may carry ``i`` (given
back in the reply), ``token``, ``request`` (a name that makes the call idempotent) and ``v`` (the
protocol, 1), and for a verb that may take a while ``wait_seconds`` and the ``ticket`` of a wait.
What the arguments are stands in :mod:`anabranch.core.calls`. Every error is a sentence that names
the argument.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from anabranch.core import calls
from anabranch.core.calls import Answer, Call, Caller, Key, Number, WaitingCall
from anabranch.core.events import wire_name
from anabranch.core.json_values import Json

LARGEST_FRAME_BYTES = 1024 * 1024
DEEPEST_JSON = 32
LONGEST_WAIT_SECONDS = 45.0


class Read(Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag=wire_name):
    """A verb that only reads: it is answered from the published state."""


class StateGet(Read, frozen=True):
    key: Key | None = None
    version: Number | None = None


class StateLog(Read, frozen=True):
    since: Number = 0
    key: Key | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 200


class Locks(Read, frozen=True):
    pass


class Streams(Read, frozen=True):
    pass


def verb_of(kind: type[Call | Read]) -> str:
    """Return the name that a call, or a read, goes by."""
    return str(kind.__struct_config__.tag)


VERBS: dict[str, type[Call | Read]] = {
    verb_of(kind): kind
    for kind in (
        calls.Heartbeat,
        calls.Lock,
        calls.Renew,
        calls.Unlock,
        Locks,
        StateGet,
        calls.StateSet,
        calls.StateUpdate,
        calls.StateCommit,
        StateLog,
        calls.Send,
        calls.Broadcast,
        calls.ReadInbox,
        calls.Acknowledge,
        calls.Requeue,
        calls.RequestResources,
        calls.ReleaseResources,
        calls.Withdraw,
        calls.Arrive,
        calls.Checkpoint,
        calls.Ask,
        calls.Prompt,
        calls.StateRestore,
        calls.Register,
        calls.Leave,
        Streams,
    )
}


class Waiting(Struct, frozen=True):
    """For how many seconds an answer is waited for, and by which ticket an earlier wait goes on."""

    wait_seconds: Annotated[float, Meta(ge=0)]
    ticket: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


NO_WAIT, LONGEST_WAIT = Waiting(0.0), Waiting(LONGEST_WAIT_SECONDS)


class Request(Struct, frozen=True):
    """A request that is well formed; its sender and its arguments are still to be looked at."""

    i: Json
    kind: type[Call | Read]
    token: str
    name: str
    waiting: Waiting
    arguments: dict[str, Json]

    @property
    def verb(self) -> str:
        return verb_of(self.kind)


class BadFrame(Exception):
    """A frame that cannot be obeyed: a code for programs, and words for people."""

    def __init__(self, code: str, reason: str, hint: str = "", i: Json = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.hint = hint
        self.i = i

    def answer(self) -> Answer:
        """Return the answer that says so."""
        return Answer("refused", {"error": self.code, "reason": self.reason, "hint": self.hint})


def decode(frame: bytes) -> Request:
    """Return the request in a frame. Raises BadFrame."""
    if len(frame) > LARGEST_FRAME_BYTES:
        raise BadFrame("too_large", f"a frame holds at most {LARGEST_FRAME_BYTES} bytes")
    try:
        raw = msgspec.json.decode(frame)
    except RecursionError:
        raise BadFrame("bad_json", f"JSON may be nested {DEEPEST_JSON} deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFrame("bad_json", f"this is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise BadFrame("bad_json", "a frame is a JSON object", 'for example {"verb":"heartbeat"}')
    i = raw.pop("i", None)
    if isinstance(i, dict | list):
        raise BadFrame("bad_arguments", "argument 'i' must be a string or a number")
    try:
        may_be_deep = frame.count(b"{") + frame.count(b"[") > DEEPEST_JSON
        if may_be_deep and is_deeper(raw, DEEPEST_JSON):
            raise BadFrame("bad_json", f"JSON may be nested {DEEPEST_JSON} deep")
        return _request(i, raw)
    except BadFrame as error:
        error.i = i
        raise


_ENGINES_OWN = frozenset((*WaitingCall.__struct_fields__, "is_abandoned"))
"""Fields of a call that its client has no say in."""


def asked(request: Request, caller: Caller, name: str) -> Call | Read | None:
    """Return what a caller asks by a request that goes under ``name``. Raises BadFrame.

    None for one that goes on with a wait and does not say again for what.
    """
    kind, given = request.kind, request.arguments
    try:
        if not issubclass(kind, Call):
            return msgspec.convert(given, kind)
        if not _ENGINES_OWN.isdisjoint(given):
            unknown = min(_ENGINES_OWN.intersection(given))
            raise BadFrame("bad_arguments", f"argument {unknown!r} is unknown", _takes(kind))
        given = {**given, "caller": caller, "request": name}
        if issubclass(kind, WaitingCall):
            given["wait"] = request.waiting.wait_seconds > 0
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        if request.waiting.ticket is not None and _MISSING.match(str(error)):
            return None
        raise BadFrame("bad_arguments", _worded(str(error)), _takes(kind)) from None


def arguments(kind: type[Call | Read]) -> dict[str, bool]:
    """Return the names of what a verb takes, each with whether it has to be there."""
    own = {f.encode_name: f.required for f in msgspec.structs.fields(kind)}
    of_client = {name: needed for name, needed in own.items() if name not in _ENGINES_OWN}
    return of_client | dict.fromkeys(_waiting_arguments(kind), False)


def _waiting_arguments(kind: type[Call | Read]) -> tuple[str, ...]:
    if issubclass(kind, WaitingCall):
        return Waiting.__struct_fields__
    return ("wait_seconds",) if kind is calls.ReadInbox else ()


def _takes(kind: type[Call | Read]) -> str:
    """Say what a verb takes; what it needs stands without brackets."""
    names = [name if needed else f"[{name}]" for name, needed in arguments(kind).items()]
    return f"{verb_of(kind)} takes {', '.join(names) or 'no arguments'}"


def _request(i: Json, raw: dict[str, Any]) -> Request:
    if raw.pop("v", 1) != 1:
        raise BadFrame("bad_version", "argument 'v' must be 1", "this engine speaks version 1")
    verb, token, name = (_text(raw, name) for name in ("verb", "token", "request"))
    kind = VERBS.get(verb)
    if kind is None:
        raise BadFrame("unknown_verb", f"there is no verb {verb!r}", f"verbs: {', '.join(VERBS)}")
    return Request(i, kind, token, name, _waiting(kind, raw), raw)


def _waiting(kind: type[Call | Read], raw: dict[str, Any]) -> Waiting:
    """Take what a request says of waiting out of it."""
    usual = LONGEST_WAIT if kind is calls.Checkpoint else NO_WAIT
    if "wait_seconds" not in raw and "ticket" not in raw:
        return usual
    given = {name: raw.pop(name) for name in _waiting_arguments(kind) if name in raw}
    try:
        return msgspec.convert({"wait_seconds": usual.wait_seconds, **given}, Waiting)
    except msgspec.ValidationError as error:
        raise BadFrame("bad_arguments", _worded(str(error)), _takes(kind)) from None


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw.pop(name, "")
    if not isinstance(value, str) or len(value) > 512:
        raise BadFrame("bad_arguments", f"argument {name!r} must be a string of at most 512")
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


_MISSING = re.compile(r"^Object missing required field")
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
