"""``ab-stream``: what a program inside a stream says to the engine, from a shell.

It starts in a few milliseconds because it imports next to nothing: the engine starts it with
``python -I -S``, and all that is not needed for a heartbeat is imported where it is. The socket is
tried first, then the spool folder. The answer is one JSON line on stdout.
"""

import sys

try:
    import _socket as socket
except ImportError:  # an interpreter that has it elsewhere
    import socket  # type: ignore[no-redef]
import posix

USAGE = """\
usage: ab-stream COMMAND ...

  heartbeat [--status TEXT] [--progress 0..1]
  lock PATH [--read|--write] [--wait SECONDS] [-- COMMAND ...]
  unlock PATH | unlock --fence N        locks                 streams
  state get KEY [--version N]           state set KEY JSON [--if-version N]
  state update KEY JSON [--if-version N]                state log [--since N] [--key KEY]
  send TO TEXT    broadcast TEXT        (--json: the text is JSON; --deadline SECONDS)
  inbox [--wait SECONDS]                ack ID
  request NAME=AMOUNT ... [--wait SECONDS]              release NAME=AMOUNT ...
  arrive POINT [--state JSON] [--wait SECONDS]          withdraw TICKET
  checkpoint [LABEL]
  register ID [--capability NAME ...] [--depends-on STREAM ...]

exit: 0 done or granted, 1 refused, 75 still waiting, 69 no engine reachable, 2 usage
With a COMMAND, lock waits 45 seconds unless told otherwise, and gives back the command's exit code.
"""
DONE, REFUSED, UNREACHABLE, WAITING, WRONG_USAGE = 0, 1, 69, 75, 2
LONGEST_WAIT_SECONDS = 45.0
ANSWER_SECONDS = 15.0
NO_ENGINE_SECONDS = 1.5
LARGEST_REPLY = 64 * 1024 * 1024

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Frame = dict[str, str]
"""The arguments of a verb, as JSON texts by name."""


class WrongUsage(Exception):
    """The command line makes no sense; the text says why."""


class Unreachable(Exception):
    """No engine answers; the text says how that shows."""


# --- the command line -----------------------------------------------------------------------------


class Line:
    """The words of a command line: options are taken out by name, the rest in order."""

    def __init__(self, words: list[str]) -> None:
        cut = words.index("--") if "--" in words else len(words)
        self.words = words[:cut]
        self.command = words[cut + 1 :]
        self.has_command = cut < len(words)

    def flag(self, name: str) -> bool:
        """Take an option that has no value."""
        found = name in self.words
        while name in self.words:
            self.words.remove(name)
        return found

    def options(self, name: str) -> list[str]:
        """Take the values of an option."""
        values = []
        while name in self.words:
            at = self.words.index(name)
            if at + 1 == len(self.words):
                raise WrongUsage(f"{name} needs a value")
            values.append(self.words[at + 1])
            del self.words[at : at + 2]
        return values

    def option(self, name: str) -> "str | None":
        """Take the last value of an option, if it is there."""
        values = self.options(name)
        return values[-1] if values else None

    def number(self, name: str) -> "str | None":
        """Take an option whose value is a number, as JSON."""
        value = self.option(name)
        return None if value is None else as_number(name, value)

    def word(self, what: str) -> str:
        """Take the next word."""
        if not self.words:
            raise WrongUsage(f"{what} is missing")
        return self.words.pop(0)

    def text(self, what: str) -> str:
        """Take the rest as one text."""
        words, self.words = self.words, []
        if not words:
            raise WrongUsage(f"{what} is missing")
        return " ".join(words)

    def end(self) -> None:
        """There must be nothing left."""
        if self.words:
            raise WrongUsage(f"{self.words[0]!r} is not understood here")
        if self.has_command:
            raise WrongUsage("only lock takes a command after --")


def as_number(name: str, value: str) -> str:
    """Return a word as a JSON number."""
    try:
        number = float(value)
    except ValueError:
        raise WrongUsage(f"{name} needs a number, not {value!r}") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise WrongUsage(f"{name} needs a finite number")
    return str(int(number)) if number == int(number) else repr(number)


def as_text(value: str) -> str:
    """Return a word as a JSON string."""
    kept = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    out = []
    for letter in kept:
        if letter in '"\\':
            out.append("\\" + letter)
        elif letter < " ":
            out.append(f"\\u{ord(letter):04x}")
        else:
            out.append(letter)
    return '"' + "".join(out) + '"'


def as_json(what: str, value: str) -> str:
    """Return a word that is JSON already."""
    import json

    try:
        return json.dumps(json.loads(value, parse_constant=_no_constant))
    except (ValueError, RecursionError) as error:
        raise WrongUsage(f"{what} is no JSON ({error}); a text needs quotes of its own") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def as_amounts(words: list[str]) -> str:
    """Return ``cpu=2 memory_mb=512`` as a JSON object."""
    if not words:
        raise WrongUsage("say what, for example cpu=2")
    pairs = []
    for word in words:
        name, equals, amount = word.partition("=")
        if not equals or not name:
            raise WrongUsage(f"{word!r} should be NAME=AMOUNT")
        pairs.append(as_text(name) + ":" + as_number(name, amount))
    return "{" + ",".join(pairs) + "}"


def as_list(words: list[str]) -> str:
    """Return words as a JSON list of strings."""
    return "[" + ",".join(map(as_text, words)) + "]"


# --- the verbs ------------------------------------------------------------------------------------


def frame_for(verb: str, line: Line) -> "tuple[str, Frame]":
    """Return the verb and arguments that a command line means. Raises WrongUsage."""
    if verb == "state":
        verb += " " + line.word("get, set, update or log")
    maker = MAKERS.get(verb)
    if maker is None:
        raise WrongUsage(f"there is no command {verb!r}")
    frame = {name: value for name, value in maker(line).items() if value is not None}
    if verb != "lock":
        line.end()
    return verb.replace(" ", "_"), frame


def _heartbeat(line: Line) -> "dict[str, str | None]":
    status = line.option("--status")
    return {
        "status": None if status is None else as_text(status),
        "progress": line.number("--progress"),
    }


def _lock(line: Line) -> "dict[str, str | None]":
    is_read = line.flag("--read")
    if line.flag("--write") and is_read:
        raise WrongUsage("a lock is either --read or --write")
    wait = line.number("--wait")
    frame = {"mode": '"read"' if is_read else '"write"', "wait_seconds": wait}
    frame["path"] = as_text(line.word("the path"))
    if line.words:
        raise WrongUsage(f"{line.words[0]!r} is not understood here")
    if line.has_command and not line.command:
        raise WrongUsage("there is no command after --")
    return frame


def _unlock(line: Line) -> "dict[str, str | None]":
    fence = line.number("--fence")
    return {"fence": fence} if fence else {"path": as_text(line.word("the path"))}


def _state_get(line: Line) -> "dict[str, str | None]":
    return {"version": line.number("--version"), "key": as_text(line.word("the key"))}


def _state_set(line: Line) -> "dict[str, str | None]":
    version = line.number("--if-version")
    key = as_text(line.word("the key"))
    return {"if_version": version, "key": key, "value": as_json("the value", line.text("a value"))}


def _state_log(line: Line) -> "dict[str, str | None]":
    key = line.option("--key")
    since, limit = line.number("--since"), line.number("--limit")
    return {"since": since, "limit": limit, "key": None if key is None else as_text(key)}


def _body(line: Line) -> "dict[str, str | None]":
    is_json = line.flag("--json")
    deadline = line.number("--deadline")
    return {"deadline_seconds": deadline, "is_json": "1" if is_json else None}


def _send(line: Line) -> "dict[str, str | None]":
    frame = _body(line)
    return _with_body({"to": as_text(line.word("the receiver")), **frame}, line)


def _broadcast(line: Line) -> "dict[str, str | None]":
    return _with_body(_body(line), line)


def _with_body(frame: "dict[str, str | None]", line: Line) -> "dict[str, str | None]":
    text = line.text("the text")
    is_json = frame.pop("is_json")
    return {**frame, "body": as_json("the body", text) if is_json else as_text(text)}


def _inbox(line: Line) -> "dict[str, str | None]":
    return {"wait_seconds": line.number("--wait"), "limit": line.number("--limit")}


def _ack(line: Line) -> "dict[str, str | None]":
    return {"id": as_number("the id", line.word("the message's id"))}


def _request(line: Line) -> "dict[str, str | None]":
    wait = line.number("--wait")
    words, line.words = line.words, []
    return {"wait_seconds": wait, "resources": as_amounts(words)}


def _release(line: Line) -> "dict[str, str | None]":
    words, line.words = line.words, []
    return {"resources": as_amounts(words)}


def _arrive(line: Line) -> "dict[str, str | None]":
    state, wait = line.option("--state"), line.number("--wait")
    value = None if state is None else as_json("--state", state)
    return {"state": value, "wait_seconds": wait, "point": as_text(line.word("the point"))}


def _withdraw(line: Line) -> "dict[str, str | None]":
    return {"ticket": as_text(line.word("the ticket"))}


def _checkpoint(line: Line) -> "dict[str, str | None]":
    return {"label": as_text(line.text("")) if line.words else None}


def _register(line: Line) -> "dict[str, str | None]":
    able, after = line.options("--capability"), line.options("--depends-on")
    name = as_text(line.word("the stream's name"))
    return {"capabilities": as_list(able), "depends_on": as_list(after), "id": name}


def _nothing(line: Line) -> "dict[str, str | None]":
    return {}


MAKERS = {
    "heartbeat": _heartbeat,
    "lock": _lock,
    "unlock": _unlock,
    "locks": _nothing,
    "streams": _nothing,
    "state get": _state_get,
    "state set": _state_set,
    "state update": _state_set,
    "state log": _state_log,
    "send": _send,
    "broadcast": _broadcast,
    "inbox": _inbox,
    "ack": _ack,
    "request": _request,
    "release": _release,
    "arrive": _arrive,
    "withdraw": _withdraw,
    "checkpoint": _checkpoint,
    "register": _register,
}


# --- asking ---------------------------------------------------------------------------------------


def variable(name: str) -> bytes:
    """Return a variable of the environment, empty if it is not set."""
    value: bytes = posix.environ.get(b"ANABRANCH_" + name.encode(), b"")
    return value


def encoded(verb: str, frame: Frame, request: str) -> bytes:
    """Return a frame as a line of JSON."""
    token = variable("TOKEN").decode("ascii", "replace")
    whole = {"verb": as_text(verb), "token": as_text(token), "request": as_text(request), **frame}
    text = ",".join(f'"{name}":{value}' for name, value in whole.items())
    return ("{" + text + "}\n").encode()


def ask(verb: str, frame: Frame, request: str) -> bytes:
    """Return the reply of the engine: by the socket, else by the spool. Raises Unreachable."""
    data = encoded(verb, frame, request)
    wait = float(frame.get("wait_seconds", "0")) if verb != "checkpoint" else LONGEST_WAIT_SECONDS
    try:
        return by_socket(data, wait + ANSWER_SECONDS)
    except OSError as error:
        is_forbidden = error.errno in (1, 13, 97)  # EPERM, EACCES, EAFNOSUPPORT: a sandbox
        patience = wait + ANSWER_SECONDS if is_forbidden else NO_ENGINE_SECONDS
        answer: bytes | None = part("ab_spool").ask(variable("SPOOL"), data, request, patience)
        if answer is not None:
            return answer
        where = "a sandbox forbids sockets" if is_forbidden else "nobody listens on the socket"
        raise Unreachable(f"{where} ({error}), and nobody reads the spool") from None


def by_socket(data: bytes, patience_seconds: float) -> bytes:
    """Ask over the socket. Raises OSError."""
    path = variable("SOCKET")
    if not path:
        raise OSError(2, "ANABRANCH_SOCKET is not set")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(patience_seconds)
    connection.connect(path)
    view = memoryview(data)
    while view:
        view = view[connection.send(view) :]
    reply = connection.recv(65536)
    while reply[-1:] != b"\n":
        more = connection.recv(1048576)
        if not more or len(reply) > LARGEST_REPLY:
            raise OSError(104, "the engine closed the connection")
        reply += more
    return reply


def part(name: str) -> "Any":
    """Return a part that is not always needed; it lies beside this file."""
    if __package__:
        import importlib

        return importlib.import_module(f"{__package__}.{name}")
    folder = __file__.rpartition("/")[0]
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return __import__(name)


def exit_code(reply: bytes) -> int:
    """Return what a reply means to a shell; ``ok`` and ``outcome`` always stand at its end."""
    end = reply[reply.rfind(b'"ok":') :]
    if end.startswith(b'"ok":false'):
        return WRONG_USAGE if b'"error":"bad_' in reply and b"bad_token" not in reply else REFUSED
    if b'"outcome":"offer"' in end:
        return REFUSED  # nothing was granted: what was offered has yet to be asked for
    is_waiting = b'"outcome":"waiting"' in end or b'"outcome":"queued"' in end
    return WAITING if is_waiting else DONE


def ask_until(verb: str, frame: Frame) -> bytes:
    """Ask, and go on asking the same until it is settled or the time is up."""
    request = posix.urandom(12).hex()
    left = float(frame.get("wait_seconds", "0"))
    if left <= LONGEST_WAIT_SECONDS:
        return ask(verb, frame, request)
    import time

    deadline = time.monotonic() + left
    while True:
        left = max(0.1, min(LONGEST_WAIT_SECONDS, deadline - time.monotonic()))
        reply = ask(verb, {**frame, "wait_seconds": repr(left)}, request)
        if exit_code(reply) != WAITING or time.monotonic() >= deadline:
            return reply


# --- a command under a lock -----------------------------------------------------------------------


def run_locked(frame: Frame, command: list[str]) -> int:
    """Run a command while a lock is held, and return its exit code."""
    frame.setdefault("wait_seconds", str(int(LONGEST_WAIT_SECONDS)))
    reply = ask_until("lock", frame)
    code = exit_code(reply)
    if code != DONE:
        say(reply)
        return code
    import json
    import os

    granted = json.loads(reply)
    fence = {"fence": str(granted["fence"])}
    os.environ["ANABRANCH_FENCE"] = fence["fence"]
    try:
        lease_seconds = float(granted.get("lease_seconds") or 60.0)
        ended: int = part("ab_locked").run(command, lease_seconds, _beat)
        return ended
    finally:
        try:
            if not granted.get("was_held"):  # else a command around this one gives it back
                ask("unlock", fence, posix.urandom(12).hex())
        except Unreachable as error:
            complain(f"the lock is left to its lease: {error}")


def _beat() -> None:
    try:
        ask("heartbeat", {}, posix.urandom(12).hex())
    except Unreachable:
        return


# --- telling --------------------------------------------------------------------------------------


def say(reply: bytes) -> None:
    """Write to stdout, all of it."""
    view = memoryview(reply)
    while view:
        view = view[posix.write(1, view) :]


def complain(text: str) -> None:
    """Write to stderr."""
    posix.write(2, ("ab-stream: " + text + "\n").encode("utf-8", "replace"))


def main(words: list[str]) -> int:
    """Do what a command line says and return the exit code."""
    if not words or words[0] in ("-h", "--help", "help"):
        say(USAGE.encode())
        return DONE if words else WRONG_USAGE
    line = Line(words[1:])
    try:
        verb, frame = frame_for(words[0], line)
        if verb == "lock" and line.has_command:
            return run_locked(frame, line.command)
        reply = ask_until(verb, frame)
    except WrongUsage as error:
        complain(f"{error}; see ab-stream --help")
        return WRONG_USAGE
    except Unreachable as error:
        reason = as_text(str(error))
        say(f'{{"error":"unreachable","reason":{reason},"ok":false}}\n'.encode())
        return UNREACHABLE
    say(reply)
    return exit_code(reply)


if __name__ == "__main__":
    try:
        posix._exit(main(sys.argv[1:]))
    except BrokenPipeError:
        posix._exit(DONE)
