"""The tools of the MCP server: every verb, what it takes, and its answer in words for a model.

Plain data and functions without imports, because every agent's start waits for them.
"""

Tool = dict[str, object]

WAIT = {
    "type": "number",
    "minimum": 0,
    "maximum": 45,
    "description": "Seconds to wait if it cannot be done at once; call again to go on waiting.",
}
TICKET = {"type": "string", "description": "The ticket of a wait, to go on with it."}
VERSION = {"type": "integer", "minimum": 0}
AMOUNTS = {
    "type": "object",
    "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
    "description": 'Amounts by name, for example {"cpu_cores": 2, "db": 1}.',
}
ANY = {"description": "Any JSON value."}
WINDOW = {"type": "number", "minimum": 0.01, "maximum": 86400, "description": "Its seconds."}
STAMP = {
    "type": "number",
    "minimum": 0,
    "maximum": 1e11,
    "description": "When it was, in seconds since 1970.",
}
DEADLINE = {"type": "number", "exclusiveMinimum": 0, "description": "Seconds until it is void."}


def _text(description: str, **more: object) -> dict[str, object]:
    return {"type": "string", "description": description, **more}


def _tool(
    name: str,
    title: str,
    description: str,
    properties: dict[str, object],
    required: tuple[str, ...] = (),
    reads: bool = False,
) -> Tool:
    schema: dict[str, object] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if required:
        schema["required"] = list(required)
    return {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": schema,
        "annotations": {"readOnlyHint": reads, "destructiveHint": False, "openWorldHint": False},
    }


_LOCKING = [
    _tool(
        "lock",
        "Lock a path",
        "Take a lock before you change files that others may change too. The path is relative to "
        "your workspace: a file, a folder (ends in /) or a glob. Refused or waiting means that you "
        "must not write there yet. Heartbeats keep the lock; unlock when you are done.",
        {
            "path": _text("What to lock, for example src/auth/ or src/a.py."),
            "mode": {"enum": ["read", "write"], "default": "write"},
            "wait_seconds": WAIT,
            "ticket": TICKET,
        },
    ),
    _tool(
        "unlock",
        "Give a lock back",
        "Give back a lock that you hold, by its path or by its fence.",
        {"path": _text("The path as it was locked."), "fence": {"type": "integer", "minimum": 0}},
    ),
    _tool(
        "renew",
        "Keep your locks",
        "Keep the locks that you hold, without saying anything about how you get on.",
        {},
    ),
    _tool(
        "locks",
        "Show locks",
        "Show who holds which paths and who waits for them.",
        {},
        reads=True,
    ),
]
_SHARED_STATE = [
    _tool(
        "state_get",
        "Read shared state",
        "Read a key of the state that all streams share, with its version; without a key "
        "all of it.",
        {"key": _text("The key."), "version": {**VERSION, "description": "An older version."}},
        reads=True,
    ),
    _tool(
        "state_set",
        "Write shared state",
        "Set a key of the shared state. With if_version it is refused if somebody was quicker.",
        {"key": _text("The key."), "value": ANY, "if_version": VERSION},
        ("key", "value"),
    ),
    _tool(
        "state_update",
        "Merge into shared state",
        "Merge an object into the object under a key, field by field.",
        {"key": _text("The key."), "value": {"type": "object"}, "if_version": VERSION},
        ("key", "value"),
    ),
    _tool(
        "state_commit",
        "Commit a version of the shared state",
        "Change several keys at once, from a version that you have read; merged with what others "
        "did meanwhile, or refused if both changed the same key differently.",
        {
            "base": VERSION,
            "changes": {"type": "object"},
            "removed": {"type": "array", "items": {"type": "string"}},
            "exact": {
                "type": "boolean",
                "description": "Do not merge: refuse if a key of it was changed meanwhile.",
            },
        },
        ("base",),
    ),
    _tool(
        "state_log",
        "History of the shared state",
        "List changes of the shared state: version, key, before, after, who and when.",
        {
            "since": {**VERSION, "description": "Only versions after this one."},
            "key": _text("Only this key."),
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
        },
        reads=True,
    ),
]
_MESSAGES = [
    _tool(
        "send",
        "Send a message",
        "Send a message to another stream, or to the operator.",
        {"to": _text("A stream, or operator."), "body": ANY, "deadline_seconds": DEADLINE},
        ("to", "body"),
    ),
    _tool(
        "broadcast",
        "Send to everybody",
        "Send a message to every other stream. With a window it is a timed event: those of a "
        "window come together, in the order of their stamps.",
        {"body": ANY, "deadline_seconds": DEADLINE, "window_seconds": WINDOW, "stamp": STAMP},
        ("body",),
    ),
    _tool(
        "inbox",
        "Read messages",
        "Read the messages that wait for you; acknowledge each with ack once you dealt with it. "
        "Every answer's messages_waiting says how many there are.",
        {"wait_seconds": WAIT, "limit": {"type": "integer", "minimum": 1, "maximum": 100}},
    ),
    _tool(
        "ack",
        "Acknowledge a message",
        "Say that you have dealt with a message.",
        {"id": {"type": "integer", "minimum": 0, "description": "The message's id."}},
        ("id",),
    ),
    _tool(
        "requeue",
        "Deliver a dead letter again",
        "For the operator: send a dead letter on its way once more.",
        {"id": {"type": "integer", "minimum": 0, "description": "The message's id."}},
        ("id",),
    ),
]
_COORDINATION = [
    _tool(
        "heartbeat",
        "Say how it goes",
        "Say that you are alive and what you are doing. Call it every minute or so during long "
        "work; it also keeps your locks.",
        {
            "status": _text("What you are doing, in a few words."),
            "progress": {"type": "number", "minimum": 0, "maximum": 1},
            "info": {"type": "object", "description": "Anything else that is to be seen."},
        },
    ),
    _tool(
        "request",
        "Ask for resources",
        "Ask for amounts of named resources before you use them: granted, an offer of less, or "
        "queued.",
        {"resources": AMOUNTS, "wait_seconds": WAIT, "ticket": TICKET},
    ),
    _tool(
        "release",
        "Give resources back",
        "Give amounts of resources back.",
        {"resources": AMOUNTS},
        ("resources",),
    ),
    _tool(
        "withdraw",
        "Give a wait up",
        "Give a wait up by its ticket: leave the queue of a lock or of resources, or a "
        "convergence point that you have arrived at.",
        {"ticket": _text("The ticket of the wait.", pattern="^[0-9]{1,18}$")},
        ("ticket",),
    ),
    _tool(
        "restore",
        "Bring shared state back",
        "Bring the keys of the shared state that you have changed back to how they were in a "
        "version, or at one of your checkpoints (without either: the last). What others have "
        "changed since is left alone. It makes one more version, so it can be undone.",
        {
            "version": {"type": "integer", "minimum": 0},
            "checkpoint": {"type": "integer", "minimum": 1},
            "stream": _text("For the operator: whose changes."),
        },
    ),
    _tool(
        "arrive",
        "Arrive at a convergence point",
        "Tell the others that you are at a convergence point, with a value for them, and get "
        "everybody's values once all are there.",
        {
            "point": _text("The convergence point."),
            "state": ANY,
            "wait_seconds": WAIT,
            "ticket": TICKET,
        },
    ),
    _tool(
        "checkpoint",
        "Keep a version of the workspace",
        "Keep your workspace as it is now, as a version that can be restored.",
        {
            "label": _text("What this version is.", maxLength=200),
            "wait_seconds": WAIT,
            "ticket": TICKET,
        },
    ),
    _tool(
        "ask",
        "Ask the operator",
        "Ask the person who steers this run, when only a person can know or decide. Offer choices "
        "where you can. You are shown as blocked until the answer is there; work on something else "
        "meanwhile, and call again with the ticket.",
        {
            "question": _text("What you have to know, in a sentence or two.", maxLength=2000),
            "choices": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The answers to choose from; without them any text.",
            },
            "wait_seconds": WAIT,
            "ticket": TICKET,
        },
    ),
    _tool(
        "prompt",
        "Wait at your terminal",
        "Say that you wait at your terminal for a line that a person types; without a text that "
        "you do not any more. To ask something, call ask.",
        {"text": _text("What you wait for, in a few words.", maxLength=200)},
    ),
    _tool(
        "register",
        "Join the run",
        "For the operator: let a stream that was started outside join the run.",
        {
            "id": _text("The stream's name."),
            "capabilities": {"type": "array", "items": {"type": "string"}},
            "depends_on": {"type": "array", "items": {"type": "string"}},
            "dependencies": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Another name for depends_on.",
            },
            "wait_seconds": WAIT,
            "ticket": TICKET,
        },
    ),
    _tool(
        "leave",
        "Leave the run",
        "For a stream that joined by itself: say that it is done, and whether it went well.",
        {"has_succeeded": {"type": "boolean"}, "reason": _text("Why, in a few words.")},
    ),
    _tool(
        "streams",
        "Show streams",
        "List the run's streams and where each stands.",
        {},
        reads=True,
    ),
]
TOOLS: list[Tool] = _LOCKING + _SHARED_STATE + _MESSAGES + _COORDINATION

INSTRUCTIONS = (
    "You are one of several streams that work side by side on one project. Before you change a "
    "file that others may change, lock it; if the lock is refused or waiting, work on something "
    "else and ask again. Answers carry messages_waiting: when it is not 0, read your inbox."
)


def in_words(tool: str, arguments: "dict[str, object]", reply: "dict[str, object]") -> str:
    """Say what a reply means and what to do now."""
    outcome = str(reply.get("outcome", ""))
    words = _outcome_in_words(tool, arguments, reply, outcome)
    waiting = reply.get("messages_waiting")
    if waiting and tool != "inbox":
        words += f" {waiting} message(s) wait for you: call inbox."
    return words


def _outcome_in_words(
    tool: str, arguments: "dict[str, object]", reply: "dict[str, object]", outcome: str
) -> str:
    path = arguments.get("path", "the path")
    if tool == "lock" and outcome == "granted":
        seconds = reply.get("lease_seconds")
        return (
            f"{path} is yours (fence {reply.get('fence')}). Call heartbeat at least every "
            f"{seconds} s to keep it, and unlock when you are done."
        )
    if tool == "lock" and outcome in ("refused", "waiting") and "error" not in reply:
        return _not_locked(path, reply, outcome)
    if outcome == "refused":
        return f"Refused: {reply.get('reason')}. {_sentence(reply.get('hint'))}"
    if tool == "ask" and outcome == "waiting":
        return (
            "The operator has not answered yet. Work on something that does not depend on it, then "
            f'call ask again with {{"ticket": "{reply.get("ticket")}", "wait_seconds": 45}}.'
        )
    if tool == "ask" and "answer" in reply:
        return f"The operator answers: {reply['answer']}"
    if outcome in ("waiting", "queued"):
        return (
            f"Not yet ({_position(reply)}). Work on something else, then call {tool} again, with "
            f'the same words or {{"ticket": "{reply.get("ticket")}", "wait_seconds": 45}}.'
        )
    if outcome == "offer":
        return f"There is not that much; you can have {reply.get('offer')}. Ask for that, or wait."
    return "Done."


def _not_locked(path: object, reply: "dict[str, object]", outcome: str) -> str:
    holders = reply.get("holders")
    held = [h for h in holders if isinstance(h, dict)] if isinstance(holders, list) else []
    if held:
        by = ", ".join(
            f"{'writing' if h.get('mode') == 'write' else 'reading'} by stream {h.get('stream')} "
            f"({h.get('seconds')} s{_elsewhere(path, h)})"
            for h in held
        )
        why = f"{path} is locked for {by}"
    else:
        why = str(reply.get("reason") or f"{path} is held by {reply.get('holder')}")
    if "cycle" in reply or (outcome == "refused" and not held):
        return f"Refused: {why}. {_sentence(reply.get('hint'))}"
    if outcome == "waiting":
        again = (
            f"you are in the queue ({_position(reply)}); call lock again with "
            f'{{"ticket": "{reply.get("ticket")}", "wait_seconds": 45}} to go on waiting'
        )
    else:
        again = "call lock again with wait_seconds (up to 45) to queue for it"
    return f"{why}. Do not write there yet: work on something else, or {again}."


def _elsewhere(path: object, holder: "dict[str, object]") -> str:
    return f", as {holder.get('path')}" if holder.get("path") not in (None, path) else ""


def _position(reply: "dict[str, object]") -> str:
    position = reply.get("position")
    return f"position {position}" if position is not None else "it waits"


def _sentence(hint: object) -> str:
    text = str(hint or "")
    return text[:1].upper() + text[1:] + "." if text else ""
