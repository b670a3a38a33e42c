"""The command of a test's stream: it counts in the shared state under locks, by one transport.

``counting_client.py TRANSPORT FOLDER ROUNDS``. Everything that it does is noted in a file of its
own in FOLDER, with the monotonic clock: before each call, after each answer, while it holds a lock.
It may be killed at any moment; the next attempt goes on where the notes end. It knows of the engine
only what the transport says, and imports nothing of it but for the transport ``python``.
"""

import json
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol

STREAM, ATTEMPT = os.environ["ANABRANCH_STREAM"], os.environ["ANABRANCH_ATTEMPT"]
KEYS = ("left", "right", "up", "down")
OPEN_KEY = "open"
MOST_SWAPS = 4
WAIT_SECONDS = 40

JsonObject = dict[str, Any]


class Door(Protocol):
    """A way to ask the engine."""

    def ask(self, verb: str, **given: Any) -> JsonObject:
        """Ask, and return what it tells."""


class Notes:
    """What this stream has noted so far, in all its attempts."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, STREAM + ".jsonl")
        self.place = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def read(self) -> list[JsonObject]:
        """Return all of it, oldest first."""
        with open(self.path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def note(self, what: str, **more: Any) -> None:
        """Add one line, whole, that a kill cannot take back."""
        entry = {"at": time.monotonic_ns(), "what": what, "attempt": int(ATTEMPT), **more}
        os.write(self.place, (json.dumps(entry) + "\n").encode())


WORDS: dict[str, Callable[[JsonObject], list[str]]] = {
    "lock": lambda given: ["lock", given["path"], "--wait", str(given["wait_seconds"])],
    "unlock": lambda given: ["unlock", "--fence", str(given["fence"])],
    "state_get": lambda given: ["state", "get", given["key"]],
    "state_set": lambda given: ["state", "set", given["key"], json.dumps(given["value"])],
}


def decoded(text: str | bytes) -> JsonObject:
    """Return the JSON object in a reply."""
    found: JsonObject = json.loads(text)
    return found


class Shell:
    """The command ``ab-stream``, one process a call."""

    def ask(self, verb: str, **given: Any) -> JsonObject:
        """Ask, and return what it tells."""
        words = WORDS[verb](given)
        if "if_version" in given:
            words += ["--if-version", str(given["if_version"])]
        call = ["sh", "-c", 'exec ab-stream "$@"', "sh", *words]
        done = subprocess.run(call, stdout=subprocess.PIPE, check=False)
        return decoded(done.stdout)


class Python:
    """The client library."""

    def __init__(self) -> None:
        from anabranch.client import Client

        self.client = Client()

    def ask(self, verb: str, **given: Any) -> JsonObject:
        """Ask, and return what it tells."""
        return dict(getattr(self.client, verb)(**given))


class Raw:
    """JSON lines on the socket."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token or os.environ["ANABRANCH_TOKEN"]
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["ANABRANCH_SOCKET"])
        self.replies = self.socket.makefile("rb")

    def ask(self, verb: str, **given: Any) -> JsonObject:
        """Ask, and return what it tells."""
        frame = {"verb": verb, "token": self.token, **given}
        self.socket.sendall(json.dumps(frame).encode() + b"\n")
        return decoded(self.replies.readline())


class Spool:
    """Files in the spool folder: written under another name, then renamed."""

    def ask(self, verb: str, **given: Any) -> JsonObject:
        """Ask, and return what it tells."""
        frame = {"verb": verb, "token": os.environ["ANABRANCH_TOKEN"], **given}
        name = os.path.join(os.environ["ANABRANCH_SPOOL"], uuid.uuid4().hex)
        with open(name + ".new", "w", encoding="utf-8") as file:
            json.dump(frame, file)
        os.rename(name + ".new", name + ".request")
        while not os.path.exists(name + ".answer"):
            time.sleep(0.01)
        with open(name + ".answer", encoding="utf-8") as file:
            reply = decoded(file.read())
        os.unlink(name + ".answer")
        return reply


class Mcp:
    """Tools of the MCP server, as an agent's client calls them."""

    def __init__(self) -> None:
        self.server = subprocess.Popen(
            ["anabranch-mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.number = 0
        self.request("initialize", protocolVersion="2025-06-18", capabilities={})

    def request(self, method: str, **params: Any) -> JsonObject:
        """Send a request and return its result."""
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(message).encode() + b"\n")
        self.server.stdin.flush()
        while True:
            reply = decoded(self.server.stdout.readline())
            if reply.get("id") == self.number:
                return dict(reply["result"])

    def ask(self, verb: str, **given: Any) -> JsonObject:
        """Ask, and return what it tells."""
        return dict(self.request("tools/call", name=verb, arguments=given)["structuredContent"])


TRANSPORTS: dict[str, Callable[[], Door]] = {
    "shell": Shell,
    "python": Python,
    "spool": Spool,
    "mcp": Mcp,
    "raw": Raw,
}


class Counter:
    """Counts, and notes all of it."""

    def __init__(self, notes: Notes, door: Door) -> None:
        self.notes = notes
        self.door = door
        self.calls = 0

    def get(self, key: str) -> JsonObject:
        """Read a key."""
        name = self.begin("read", key=key)
        reply = self.door.ask("state_get", key=key)
        self.notes.note("answer", name=name, ok=reply["ok"], value=reply.get("value"))
        return reply

    def set(self, key: str, value: JsonObject, **condition: Any) -> JsonObject:
        """Write a key; with ``if_version`` and ``expected`` it is a swap."""
        kind = "swap" if condition else "write"
        name = self.begin(kind, key=key, value=value, expected=condition.pop("expected", None))
        reply = self.door.ask("state_set", key=key, value=value, **condition)
        self.notes.note("answer", name=name, ok=reply["ok"], told=reply)
        return reply

    def begin(self, kind: str, **more: Any) -> str:
        """Note that a call begins; return its name."""
        self.calls += 1
        name = f"{STREAM}.{ATTEMPT}.{self.calls}"
        self.notes.note("call", name=name, kind=kind, **more)
        return name

    def next_value(self, before: JsonObject | None) -> JsonObject:
        """Return one more than there was; no two values of a run are the same."""
        self.calls += 1
        return {"n": (before or {"n": 0})["n"] + 1, "by": f"{STREAM}.{ATTEMPT}.{self.calls}"}

    def lock(self, path: str) -> int:
        """Wait for a lock, however long it takes, and return its fence."""
        self.notes.note("ask", path=path)
        while True:
            answer = self.door.ask("lock", path=path, wait_seconds=WAIT_SECONDS)
            if answer["outcome"] == "granted":
                return int(answer["fence"])
            if answer["outcome"] != "waiting":
                self.notes.note("refused", told=answer)
                raise SystemExit(3)

    def count_locked(self, key: str) -> None:
        """Add one under a lock, then try to give the same lock back twice."""
        path = f"counters/{key}"
        fence = self.lock(path)
        self.notes.note("enter", path=path, fence=fence)
        before = self.get(key)
        self.set(key, self.next_value(before.get("value")))
        self.notes.note("leave", path=path, fence=fence)
        self.notes.note("unlocked", ok=self.door.ask("unlock", fence=fence)["ok"], fence=fence)
        again = self.door.ask("unlock", fence=fence)
        self.notes.note("stale", how="unlocked twice", ok=again["ok"], told=again)

    def count_openly(self) -> None:
        """Add one without a lock, by compare and set."""
        for _ in range(MOST_SWAPS):
            found = self.get(OPEN_KEY)
            before = found.get("value")
            version = found["version"] if before is not None else 0
            value = self.next_value(before)
            if self.set(OPEN_KEY, value, if_version=version, expected=before)["ok"]:
                return

    def speak_as_the_dead(self, token: str, fences: list[int]) -> None:
        """Try to act with what an attempt that was killed has left: its token and its fences."""
        dead = Raw(token=token)
        tried: list[tuple[str, JsonObject]] = [
            ("state_set", {"key": "poison", "value": STREAM}),
            ("lock", {"path": "counters/left", "wait_seconds": 0}),
            *(("unlock", {"fence": fence}) for fence in fences),
        ]
        for verb, given in tried:
            answer = dead.ask(verb, **given)
            self.notes.note("stale", how=f"{verb} by a dead attempt", ok=answer["ok"], told=answer)
        for fence in fences:
            answer = self.door.ask("unlock", fence=fence)
            self.notes.note("stale", how="a dead attempt's fence", ok=answer["ok"], told=answer)


def main(transport: str, folder: str, rounds: int) -> None:
    """Count ROUNDS times, less what was done by earlier attempts."""
    notes = Notes(folder)
    before = notes.read()
    notes.note("begin", pid=os.getpid(), token=os.environ["ANABRANCH_TOKEN"])
    counter = Counter(notes, TRANSPORTS[transport]())
    begun = [entry for entry in before if entry["what"] == "begin"]
    if begun:
        fences = [e["fence"] for e in before if e["what"] == "enter"][-1:]
        counter.speak_as_the_dead(begun[-1]["token"], fences)
    done = sum(entry["what"] == "leave" for entry in before)
    dice = random.Random(f"{STREAM}.{done}")
    for _ in range(done, rounds):
        counter.count_locked(dice.choice(KEYS))
        counter.get(dice.choice(KEYS))
    counter.count_openly()
    notes.note("done")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
