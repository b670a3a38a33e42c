"""``ab-stream hook``: what a coding agent's own hooks tell the engine, and what comes back.

The agent starts it at certain moments, with the facts as JSON on stdin, and reads the answer from
stdout. Where it asks a person for permission the question is put to whoever steers the run, while
its own dialog stands on its terminal; whichever is answered first counts. Where its turn is over it
is said to wait at its terminal. What lies in the inbox becomes part of the conversation.

A hook never fails: outside of a run, or without an engine, the agent goes on as if there were none.
"""

import json
import os
import posix
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Tell = Callable[..., Facts | None]

DONE, WRONG_USAGE = 0, 2
ALLOW, DENY = "allow", "deny"
TURN_IS_OVER = "its turn is over"
LOOK_SECONDS = 1.0
"""How often somebody who waits for an answer looks whether it is still wanted."""
AWAY_SECONDS, AWAY_LOOKS = 1.0, 60
LONGEST_QUESTION = 400
LONGEST_WAIT_IN_SETTINGS_SECONDS = 2_000_000
TRANSCRIPTS = "agent/"
"""Under this and a stream's name the shared state keeps where its conversation is written down."""

_EVENTS = ("SessionStart", "UserPromptSubmit", "PermissionRequest", "PostToolUse", "Stop")
_TELLING = ("command", "file_path", "notebook_path", "url", "query", "pattern", "path", "plan")
"""Of what a tool is given, that by which a person knows what it is about."""


def settings() -> "Facts":
    """Return the agent's settings that have it start this program, and trust the run's tools."""
    hook = {
        "type": "command",
        "command": "ab-stream hook",
        "timeout": LONGEST_WAIT_IN_SETTINGS_SECONDS,
    }
    return {
        "hooks": {event: [{"hooks": [hook]}] for event in _EVENTS},
        "permissions": {"allow": ["mcp__anabranch"]},
    }


def main(arguments: list[str], tell: "Tell") -> int:
    """Do what a command line says and return the exit code.

    ``tell`` asks the engine: a verb and its arguments; it returns the reply, or None without one.
    """
    if arguments == ["--settings"]:
        print(json.dumps(settings()))
        return DONE
    if arguments:
        sys.stderr.write("ab-stream: hook takes --settings, or the facts on stdin\n")
        return WRONG_USAGE
    try:
        facts = json.load(sys.stdin)
    except (ValueError, RecursionError):
        return DONE
    if isinstance(facts, dict) and posix.environ.get(b"ANABRANCH_TOKEN"):
        answer = answer_to(facts, tell)
        if answer:
            print(json.dumps(answer), flush=True)
    return DONE


def answer_to(facts: "Facts", tell: "Tell") -> "Facts | None":
    """Tell the engine what has happened, and return what the agent is told."""
    event = facts.get("hook_event_name")
    if event == "PermissionRequest":
        return _permission(facts, tell)
    if event == "Stop":
        return _turn_over(tell)
    if event == "SessionStart":
        _remember(facts, tell)
    elif event == "UserPromptSubmit":
        tell("prompt", text="")
    elif event == "PostToolUse":
        _no_longer_asked(words_for(facts))
    else:
        return None
    said = _messages(tell)
    more = {"hookEventName": event, "additionalContext": said}
    return {"hookSpecificOutput": more} if said else None


# --- permission -----------------------------------------------------------------------------------


class _TakenBack(Exception):
    """The agent does not want the answer any more."""


def _permission(facts: "Facts", tell: "Tell") -> "Facts | None":
    """Ask whoever steers the run, until there is an answer or the agent has got another one."""
    question = {"question": words_for(facts), "choices": [ALLOW, DENY]}
    ear = _ear(words_for(facts))
    _on_signals(_take_back)
    try:
        while True:
            reply = tell("ask", **question, wait_seconds=LOOK_SECONDS)
            if reply is not None and not reply.get("ok"):
                return None
            if reply is not None and "answer" in reply:
                return _decision(str(reply["answer"]))
            if _hears(ear, 0.0 if reply else AWAY_SECONDS):
                raise _TakenBack
    except _TakenBack:
        _on_signals(signal.SIG_IGN)
        _withdraw(question, tell)
        return None


def _withdraw(question: "Facts", tell: "Tell") -> None:
    """Take a question back; an engine that is away is waited for, as nobody else will do it."""
    import time

    for _ in range(AWAY_LOOKS):
        asked = tell("ask", **question)
        if asked is not None:
            if asked.get("outcome") == "waiting":
                tell("withdraw", ticket=asked["ticket"])
            return
        time.sleep(AWAY_SECONDS)


def _on_signals(what: "Any") -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, what)


def _decision(answer: str) -> "Facts":
    decision: Facts = {"behavior": ALLOW if answer == ALLOW else DENY}
    if answer != ALLOW:
        decision["message"] = "The operator of this run refused it."
    return {
        "hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": decision},
    }


def words_for(facts: "Facts") -> str:
    """Return what a tool is to be used for, in a line."""
    tool, given = str(facts.get("tool_name", "a tool")), facts.get("tool_input")
    given = given if isinstance(given, dict) else {}
    found = next((str(given[name]) for name in _TELLING if given.get(name)), "")
    here = str(facts.get("cwd") or "").rstrip("/") + "/"
    found = found[len(here) :] if len(here) > 1 and found.startswith(here) else found
    text = f"{tool}: {found or json.dumps(given)}"
    return text if len(text) <= LONGEST_QUESTION else f"{text[: LONGEST_QUESTION - 1]}…"


def _take_back(number: int, frame: object) -> None:
    raise _TakenBack


# --- one hook tells another -----------------------------------------------------------------------


def _address(words: str) -> bytes:
    """Return a name in no folder, which only this attempt of the stream can know."""
    import hashlib

    secret = posix.environ.get(b"ANABRANCH_TOKEN", b"")
    return b"\0anabranch-hook-" + hashlib.sha256(secret + words.encode()).hexdigest().encode()


def _ear(words: str) -> "Any":
    """Return a socket that hears when its question was answered elsewhere; None without one."""
    import socket

    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        ear.bind(_address(words))
    except OSError:  # a sandbox, or the same question twice
        ear.close()
        return None
    return ear


def _hears(ear: "Any", patience_seconds: float) -> bool:
    import select

    if ear is None:
        return bool(select.select([], [], [], patience_seconds)[0])
    return bool(select.select([ear], [], [], patience_seconds)[0])


def _no_longer_asked(words: str) -> None:
    """Tell who still asks for it that a tool was used: somebody allowed it at the terminal."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
        try:
            mouth.sendto(b"used", _address(words))
        except OSError:
            return


# --- the conversation -----------------------------------------------------------------------------


def _turn_over(tell: "Tell") -> "Facts | None":
    """Have the agent go on with what lies in its inbox, or say that it waits for a person."""
    said = _messages(tell)
    if said:
        return {"decision": "block", "reason": said}
    tell("prompt", text=TURN_IS_OVER)
    return None


def _messages(tell: "Tell") -> str:
    """Return what lies in the inbox, in words, and acknowledge it."""
    reply = tell("inbox") or {}
    messages = reply.get("messages") or []
    for message in messages:
        tell("ack", id=message["id"])
    return "\n\n".join(_in_words(message) for message in messages)


def _in_words(message: "Facts") -> str:
    sender, body = str(message.get("from") or "operator"), message.get("body")
    text = body.get("text") if isinstance(body, dict) else body
    said = text if isinstance(text, str) else json.dumps(body)
    who = "the operator" if sender == "operator" else f"stream {sender}"
    return f"A message from {who} of this run:\n{said}"


def _remember(facts: "Facts", tell: "Tell") -> None:
    """Keep where the conversation is written down, so that the next attempt can go on with it."""
    path = facts.get("transcript_path")
    if isinstance(path, str) and path:
        tell("state_set", key=TRANSCRIPTS + os.environ.get("ANABRANCH_STREAM", ""), value=path)
