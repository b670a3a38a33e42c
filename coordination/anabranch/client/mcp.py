"""``anabranch mcp``: a server of the Model Context Protocol on stdin and stdout.

It carries tool calls to the engine, over the socket or else the spool, and waits for everything at
once in one loop, so that a call that waits keeps nobody from a ping or a cancellation. It speaks
the stateless revision, in which every request names its version, and the earlier ones that begin
with
``initialize``. Who calls is known by the token in the environment, never by the protocol.

Like ``ab-stream`` it imports next to nothing, because an agent starts it for every session.
"""

import contextlib
import json
import posix
import select
import sys
import time

if __package__:
    from anabranch.client import ab_spool, ab_stream, mcp_tools
else:  # started as a file, from the run's own folder of commands
    sys.path.insert(0, __file__.rpartition("/")[0])
    ab_spool = __import__("ab_spool")
    ab_stream = __import__("ab_stream")
    mcp_tools = __import__("mcp_tools")

try:
    import _socket as socket
except ImportError:
    import socket  # type: ignore[no-redef]

NAME, VERSION = "anabranch", "1"
MODERN = ("2026-07-28",)
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_META = "io.modelcontextprotocol/"

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
INTERNAL_ERROR = -32603
UNSUPPORTED_VERSION = -32022
LARGEST_MESSAGE = 4 * 1024 * 1024
DEEPEST_MESSAGE = 64
LONGEST_WAIT_SECONDS = 45.0
PROGRESS_SECONDS = 10.0
SPOOL_LOOK_SECONDS = 0.03
AGAIN_SECONDS = 1.0
"""How often the socket is tried again by a call that has no connection."""
CACHE_MILLISECONDS = 3_600_000

Message = dict[str, object]


class Wrong(Exception):
    """A request that cannot be served: a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error: Message = {"code": code, "message": message}
        if data is not None:
            self.error["data"] = data


class Call:
    """A tool call under way, by socket or by spool."""

    def __init__(self, key: object, name: str, arguments: Message, is_modern: bool) -> None:
        self.key = key
        self.name = name
        self.arguments = arguments
        self.is_modern = is_modern
        self.token: object = None
        self.request: str = posix.urandom(12).hex()
        self.began = time.monotonic()
        self.progress_at = self.began + PROGRESS_SECONDS
        self.wait = _bounded_wait(arguments.get("wait_seconds", LONGEST_WAIT_SECONDS))
        self.deadline = self.began + self.wait + ab_stream.ANSWER_SECONDS
        self.connection: socket.socket | None = None
        self.again_at = self.began
        self.reply = b""

    @property
    def is_patient(self) -> bool:
        """Whether the caller would still wait: so long an engine that is away may come back."""
        return self._left_of_wait() > 0

    def send(self) -> None:
        """Ask the engine, once more if need be. Raises OSError if it is away and nobody waits."""
        self.again_at = time.monotonic() + AGAIN_SECONDS
        arguments = dict(self.arguments)
        if _bounded_wait(arguments.get("wait_seconds")):
            arguments["wait_seconds"] = max(0.0, self._left_of_wait())
        frame = {name: json.dumps(value) for name, value in arguments.items()}
        data = ab_stream.encoded(self.name, frame, self.request)
        spool = ab_stream.variable("SPOOL")
        try:
            self.connection = _connected(data)
        except OSError:
            if not ab_spool.leave(spool, data, self.request) and not self.is_patient:
                raise
        else:
            ab_spool.withdraw(spool, self.request)

    def lose(self) -> None:
        """Note that the connection is gone; it is asked again soon, under the same name."""
        self.close()
        self.connection, self.reply = None, b""

    def _left_of_wait(self) -> float:
        asked = _bounded_wait(self.arguments.get("wait_seconds"))
        return self.began + asked - time.monotonic() if asked else 0.0

    def receive(self) -> bool:
        """Take what has come; True once the reply is whole. Raises OSError."""
        if self.connection is None:
            answer = ab_spool.take(ab_stream.variable("SPOOL"), self.request)
            self.reply = answer or b""
            return answer is not None
        data = self.connection.recv(1048576)
        if not data:
            raise OSError(104, "the engine closed the connection")
        self.reply += data
        return self.reply.endswith(b"\n")

    def close(self) -> None:
        """Leave; the engine notices, and gives a wait up."""
        if self.connection is not None:
            self.connection.close()
        else:
            ab_spool.withdraw(ab_stream.variable("SPOOL"), self.request)


class Server:
    """Serves one client on two descriptors until the first of them ends."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._buffer = b""
        self._calls: dict[object, Call] = {}
        self._has_ended = False

    def serve(self) -> None:
        """Serve until the client closes its end and everything asked for is answered."""
        while not self._has_ended:
            ready = select.select(self._readable(), (), (), self._patience())[0]
            for call in list(self._calls.values()):
                self._look_at(call, ready)
            if self._source in ready:
                self._read()
        for call in self._calls.values():
            call.close()

    def _readable(self) -> list[int]:
        sockets = (c.connection for c in self._calls.values() if c.connection is not None)
        return [self._source, *(connection.fileno() for connection in sockets)]

    def _patience(self) -> "float | None":
        if not self._calls:
            return None
        if any(call.connection is None for call in self._calls.values()):
            return SPOOL_LOOK_SECONDS
        soonest = min(min(c.progress_at, c.deadline) for c in self._calls.values())
        return max(0.0, soonest - time.monotonic())

    # --- the client --------------------------------------------------------------------------

    def _read(self) -> None:
        data = posix.read(self._source, 1048576)
        self._has_ended = not data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > LARGEST_MESSAGE:
            self._buffer = b""
            self._fail(None, Wrong(PARSE_ERROR, "the message is too large"))
        for line in lines:
            if line.strip():
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            self._fail(None, Wrong(PARSE_ERROR, f"this is not JSON: {error}"))
            return
        if _is_deeper(message, DEEPEST_MESSAGE):
            reason = f"a message may be nested {DEEPEST_MESSAGE} deep"
            self._fail(None, Wrong(INVALID_REQUEST, reason))
            return
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            self._fail(None, Wrong(INVALID_REQUEST, "this is not a JSON-RPC 2.0 message"))
            return
        method, key, params = message.get("method"), message.get("id"), message.get("params")
        if not isinstance(method, str):
            if "result" not in message and "error" not in message:
                self._fail(key, Wrong(INVALID_REQUEST, "a request names its method"))
            return
        params = {} if params is None else params
        try:
            if "id" in message:
                self._serve(method, key, params)
            else:
                self._notified(method, params)
        except Wrong as error:
            self._fail(key, error)
        except OSError:
            raise  # the client is gone
        except Exception as error:  # one message that nobody thought of ends no session
            self._fail(key, Wrong(INTERNAL_ERROR, f"this went wrong: {type(error).__name__}"))

    def _notified(self, method: str, params: object) -> None:
        if method == "notifications/cancelled" and isinstance(params, dict):
            call = self._calls.pop(_key(params.get("requestId")), None)
            if call is not None:
                call.close()

    def _serve(self, method: str, key: object, params: object) -> None:
        if not isinstance(params, dict):
            raise Wrong(INVALID_PARAMS, "params must be an object")
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise Wrong(INVALID_REQUEST, "the id must be a string or a number")
        is_modern = method != "initialize" and _checked_version(params)
        if method == "tools/call":
            self._call(key, params, is_modern)
        elif method == "server/discover":
            self._answer(key, _discovered(), True)
        elif method == "initialize":
            self._answer(key, _initialized(params), False)
        elif method == "tools/list":
            self._answer(key, _cached({"tools": mcp_tools.TOOLS}, is_modern), is_modern)
        elif method == "ping":
            self._answer(key, {}, is_modern)
        else:
            raise Wrong(METHOD_NOT_FOUND, f"there is no method {method!r}")

    # --- calls -------------------------------------------------------------------------------

    def _call(self, key: object, params: Message, is_modern: bool) -> None:
        name, arguments = params.get("name"), params.get("arguments")
        if name not in [tool["name"] for tool in mcp_tools.TOOLS]:
            raise Wrong(INVALID_PARAMS, f"there is no tool {name!r}")
        arguments = {} if arguments is None else arguments
        if not isinstance(arguments, dict):
            raise Wrong(INVALID_PARAMS, "arguments must be an object")
        if _key(key) in self._calls:
            raise Wrong(INVALID_REQUEST, "this id is in use")
        reserved = {"token", "verb", "i", "request", "v"} & set(arguments)
        if reserved:
            refusal = _refusal(f"argument {min(reserved)!r} is unknown", "bad_arguments")
            self._tell(Call(key, str(name), arguments, is_modern), refusal)
            return
        call = Call(key, str(name), arguments, is_modern)
        meta = params.get("_meta")
        call.token = meta.get("progressToken") if isinstance(meta, dict) else None
        try:
            call.send()
        except OSError as error:
            self._tell(call, _unreachable(error))
        else:
            self._calls[_key(key)] = call

    def _look_at(self, call: Call, ready: list[int]) -> None:
        """Take a call a step on: its reply, its end, or a word on how long it waits already."""
        now = time.monotonic()
        try:
            if (call.connection is None or call.connection.fileno() in ready) and call.receive():
                self._finish(call, _reply(call.reply))
                return
            if now > call.deadline:
                raise OSError(110, "no answer came")
            if call.connection is None and now >= call.again_at:
                call.send()
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and call.is_patient:
                call.lose()
                return
            self._finish(call, _unreachable(error))
            return
        if now >= call.progress_at:
            call.progress_at = now + PROGRESS_SECONDS
            self._tell_progress(call, now - call.began)

    def _finish(self, call: Call, reply: Message) -> None:
        self._calls.pop(_key(call.key), None)
        call.close()
        self._tell(call, reply)

    def _tell(self, call: Call, reply: Message) -> None:
        is_error = not reply.get("ok")
        words = mcp_tools.in_words(call.name, call.arguments, reply)
        shown = {name: value for name, value in reply.items() if name != "i"}
        result: Message = {
            "content": [{"type": "text", "text": f"{words}\n{json.dumps(shown)}"}],
            "structuredContent": shown,
            "isError": is_error,
        }
        self._answer(call.key, result, call.is_modern)

    def _tell_progress(self, call: Call, seconds: float) -> None:
        if call.token is None:
            return
        params = {
            "progressToken": call.token,
            "progress": round(seconds, 1),
            "total": call.wait,
            "message": f"{call.name} waits",
        }
        self._write({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

    # --- writing -----------------------------------------------------------------------------

    def _answer(self, key: object, result: Message, is_modern: bool) -> None:
        if is_modern:
            meta = {_META + "serverInfo": {"name": NAME, "version": VERSION}}
            result = {**result, "resultType": "complete", "_meta": meta}
        self._write({"jsonrpc": "2.0", "id": key, "result": result})

    def _fail(self, key: object, error: Wrong) -> None:
        known = key if isinstance(key, str | int) else None
        self._write({"jsonrpc": "2.0", "id": known, "error": error.error})

    def _write(self, message: Message) -> None:
        view = memoryview(json.dumps(message).encode() + b"\n")
        while view:
            view = view[posix.write(self._sink, view) :]


def _key(key: object) -> object:
    """Return an id that tells the string from the number."""
    return (type(key).__name__, key) if isinstance(key, str | int | float) else None


def _bounded_wait(wait: object) -> float:
    """Return how long a call may wait, whatever it says; not at all for what is not a time."""
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not wait > 0:
        return 0.0
    return float(min(wait, LONGEST_WAIT_SECONDS))


def _is_deeper(value: object, levels: int) -> bool:
    """Say whether a value is nested more than ``levels`` deep, layer by layer."""
    layer = [value]
    for _ in range(levels):
        below: list[object] = []
        for item in layer:
            inner = list(item.values()) if isinstance(item, dict) else item
            if isinstance(inner, list):
                below.extend(each for each in inner if isinstance(each, dict | list))
        if not below:
            return False
        layer = below
    return True


def _reply(data: bytes) -> Message:
    """Return the engine's reply. Raises ValueError for what is not one."""
    reply = json.loads(data)
    if not isinstance(reply, dict):
        raise ValueError("the reply is not an object")
    return reply


def _checked_version(params: Message) -> bool:
    """Say whether a request is of the stateless revision. Raises Wrong for one we do not speak."""
    meta = params.get("_meta")
    version = meta.get(_META + "protocolVersion") if isinstance(meta, dict) else None
    if version is None:
        return False
    if version not in MODERN:
        data = {"supported": list(MODERN), "requested": version}
        raise Wrong(UNSUPPORTED_VERSION, f"protocol version {version!r} is not supported", data)
    return True


def _discovered() -> Message:
    return _cached(
        {
            "supportedVersions": [*MODERN, *HANDSHAKE],
            "capabilities": {"tools": {}},
            "instructions": mcp_tools.INSTRUCTIONS,
        },
        True,
    )


def _initialized(params: Message) -> Message:
    wanted = params.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in HANDSHAKE else HANDSHAKE[0],
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": NAME, "title": "Anabranch", "version": VERSION},
        "instructions": mcp_tools.INSTRUCTIONS,
    }


def _cached(result: Message, is_modern: bool) -> Message:
    """Add how long a result holds, which only the stateless revision tells."""
    if not is_modern:
        return result
    return {**result, "ttlMs": CACHE_MILLISECONDS, "cacheScope": "public"}


def _refusal(reason: str, error: str, hint: str = "") -> Message:
    return {"ok": False, "outcome": "refused", "error": error, "reason": reason, "hint": hint}


def _unreachable(error: Exception) -> Message:
    hint = "nothing was confirmed; go on without coordination, carefully, and try again later"
    return _refusal(f"the engine does not answer ({error})", "unreachable", hint)


def _connected(data: bytes) -> "socket.socket":
    """Return a connection over which a frame was sent. Raises OSError."""
    path = ab_stream.variable("SOCKET")
    if not path:
        raise OSError(2, "ANABRANCH_SOCKET is not set")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ab_stream.ANSWER_SECONDS)
    connection.connect(path)
    view = memoryview(data)
    while view:
        view = view[connection.send(view) :]
    return connection


def main() -> None:
    """Serve whoever started this process."""
    try:
        Server(0, 1).serve()
    except (BrokenPipeError, KeyboardInterrupt):
        return
    except OSError as error:
        words = f"anabranch mcp: there is no client on stdin and stdout: {error.strerror}\n"
        with contextlib.suppress(OSError):
            posix.write(2, words.encode())
        raise SystemExit(3) from None


if __name__ == "__main__":
    main()
