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

DONE, REFUSED, UNREACHABLE, WAITING, WRONG_USAGE = 0, 1, 69, 75, 2
LONGEST_WAIT_SECONDS = 45.0
ANSWER_SECONDS = 15.0
NO_ENGINE_SECONDS = 1.5
AWAY_PAUSE_SECONDS = 0.2
EMPTY_INBOX = b'"messages":[]'
LARGEST_REPLY = 64 * 1024 * 1024

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Frame = dict[str, str]
"""The arguments of a verb, as JSON texts by name."""


class Unreachable(Exception):
    """No engine answers; the text says how that shows."""


# --- asking ---------------------------------------------------------------------------------------


def variable(name: str) -> bytes:
    """Return a variable of the environment, empty if it is not set."""
    value: bytes = posix.environ.get(b"ANABRANCH_" + name.encode(), b"")
    return value


def encoded(verb: str, frame: Frame, request: str) -> bytes:
    """Return a frame as a line of JSON."""
    token = variable("TOKEN").decode("ascii", "replace")
    as_text = part("ab_words").as_text
    whole = {"verb": as_text(verb), "token": as_text(token), "request": as_text(request), **frame}
    text = ",".join(f'"{name}":{value}' for name, value in whole.items())
    return ("{" + text + "}\n").encode()


def ask(verb: str, frame: Frame, request: str) -> bytes:
    """Return the reply of the engine: by the socket, else by the spool. Raises Unreachable."""
    data = encoded(verb, frame, request)
    usual = LONGEST_WAIT_SECONDS if verb == "checkpoint" else 0.0
    wait = float(frame.get("wait_seconds", usual))
    try:
        return by_socket(data, wait + ANSWER_SECONDS)
    except OSError as error:
        is_forbidden = error.errno in (1, 13, 97)  # EPERM, EACCES, EAFNOSUPPORT: a sandbox
        patience = ANSWER_SECONDS if is_forbidden else NO_ENGINE_SECONDS
        if is_forbidden and "wait_seconds" not in frame:
            patience += usual
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
    """Ask, and go on asking the same until it is settled or the time is up. Raises Unreachable.

    An engine that is away is waited for as long as the call itself may wait: a console may die and
    come back meanwhile, and the next one finds every wait where it was.
    """
    import time

    request = posix.urandom(12).hex()
    deadline = time.monotonic() + float(frame.get("wait_seconds", "0"))
    while True:
        left = deadline - time.monotonic()
        step = frame
        if "wait_seconds" in frame:
            step = {**frame, "wait_seconds": repr(max(0.0, min(LONGEST_WAIT_SECONDS, left)))}
        try:
            reply = ask(verb, step, request)
        except Unreachable:
            if left <= 0:
                raise
            time.sleep(min(left, AWAY_PAUSE_SECONDS))
            continue
        is_empty = verb == "inbox" and EMPTY_INBOX in reply
        if left <= LONGEST_WAIT_SECONDS or not (is_empty or exit_code(reply) == WAITING):
            return reply
        if is_empty:  # it has been answered: the same name would be answered from memory
            request = posix.urandom(12).hex()


def reply_to(verb: str, **values: object) -> "dict[str, Any] | None":
    """Ask once, and return the reply as an object; None if no engine answers."""
    import json

    frame = {name: json.dumps(value) for name, value in values.items()}
    try:
        reply = json.loads(ask(verb, frame, posix.urandom(12).hex()))
    except (Unreachable, OSError, ValueError):
        return None
    return reply if isinstance(reply, dict) else None


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
        ended: int = part("ab_locked").run(command, lease_seconds, _keep)
        return ended
    finally:
        try:
            if not granted.get("was_held"):  # else a command around this one gives it back
                ask("unlock", fence, posix.urandom(12).hex())
        except Unreachable as error:
            complain(f"the lock is left to its lease: {error}")


def _keep() -> None:
    """Keep the lock. It is not a heartbeat: that this program lives says nothing of the command."""
    try:
        ask("renew", {}, posix.urandom(12).hex())
    except Unreachable:
        return


# --- telling --------------------------------------------------------------------------------------


def say(reply: bytes) -> None:
    """Write to stdout. What was done is done, and its exit code stands, whoever listens."""
    lost = _write(1, _harmless(reply))
    if lost is not None and not isinstance(lost, BrokenPipeError):
        complain(f"the answer could not be written: {lost.strerror}")


def _harmless(reply: bytes) -> bytes:
    """Escape what others could command a terminal with; in JSON it stands in strings only."""
    if reply.isascii() and b"\x7f" not in reply:
        return reply
    turning = (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
    escapes = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *turning)}
    return (
        reply.decode("utf-8", "surrogateescape")
        .translate(escapes)
        .encode("utf-8", "surrogateescape")
    )


def complain(text: str) -> None:
    """Write to stderr, if that is possible."""
    _write(2, ("ab-stream: " + text + "\n").encode("utf-8", "replace"))


def _write(place: int, data: bytes) -> OSError | None:
    """Write all of it; return why it cannot be done."""
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(place, view) :]
        except BlockingIOError:
            import select

            select.select([], [place], [])
        except OSError as error:
            return error
    return None


def fill_gaps() -> None:
    """Let no standard stream's number be free: a socket would get it, and be written to."""
    for number in (0, 1, 2):
        try:
            posix.fstat(number)
        except OSError:
            posix.open("/dev/null", posix.O_RDWR)


def _of_an_agent(verb: str, *arguments: str) -> int:
    hook = part("ab_hook")
    if verb == "hook":
        code: int = hook.main(list(arguments), reply_to)
    else:
        code = part("ab_agent").main(list(arguments), hook.settings(), hook.TRANSCRIPTS, reply_to)
    return code


def main(arguments: list[str]) -> int:
    """Do what a command line says and return the exit code."""
    words = part("ab_words")
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        say(words.USAGE.encode())
        return DONE if arguments else WRONG_USAGE
    if arguments[0] in ("hook", "agent"):
        return _of_an_agent(*arguments)
    if arguments[-1] in ("-h", "--help") and len(arguments) == words.length_of(arguments[0]) + 1:
        say(words.USAGE.encode())
        return DONE
    line = words.Line(arguments[1:])
    try:
        verb, frame = words.frame_for(arguments[0], line)
        if verb == "lock" and line.has_command:
            return run_locked(frame, line.command)
        reply = ask_until(verb, frame)
    except words.WrongUsage as error:
        complain(f"{error}; see ab-stream --help")
        return WRONG_USAGE
    except Unreachable as error:
        reason = words.as_text(str(error))
        say(f'{{"error":"unreachable","reason":{reason},"ok":false}}\n'.encode())
        return UNREACHABLE
    say(reply)
    return exit_code(reply)


if __name__ == "__main__":
    fill_gaps()
    posix._exit(main(sys.argv[1:]))
