"""What a command line of ``ab-stream`` means: a verb, and its arguments as JSON texts.

Every verb of the engine and every argument of it can be written here; a test holds that.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

USAGE = """\
usage: ab-stream COMMAND ...

  heartbeat [--status TEXT] [--progress 0..1] [--info JSON]
  lock PATH [--read|--write] [--wait SECONDS] [-- COMMAND ...]
  unlock PATH | unlock --fence N        renew                 locks                 streams
  state get [KEY] [--version N]         state set KEY JSON [--if-version N]
  state update KEY JSON [--if-version N]    state log [--since N] [--key KEY] [--limit N]
  state commit BASE JSON [--remove KEY ...] [--exact]
  send TO TEXT    broadcast TEXT        (--json: the text is JSON; --deadline SECONDS)
  broadcast TEXT --window SECONDS [--stamp SECONDS]       a timed event, in order by window
  inbox [--wait SECONDS] [--limit N]    ack ID                requeue ID
  request NAME=AMOUNT ... [--wait SECONDS]              release NAME=AMOUNT ...
  arrive POINT [--state JSON] [--wait SECONDS]          withdraw TICKET
  checkpoint [LABEL] [--wait SECONDS]
  ask QUESTION [--choice TEXT ...] [--wait SECONDS]     the operator answers
  prompt TEXT | prompt --gone                           it waits at its terminal for a line
  restore [VERSION] [--checkpoint N] [--stream STREAM]
  register ID [--capability NAME ...] [--depends-on STREAM ...] [--wait SECONDS]
  leave [--failed] [REASON]
  hook [--settings]         what a coding agent's hooks tell the run, as JSON on stdin
  agent PROGRAM [OPTION ...] PROMPT                     become a coding agent tied to the run
  lock, request, arrive, checkpoint, ask and register go on with a wait by --ticket TICKET

exit: 0 done or granted, 1 refused, 75 still waiting, 69 no engine reachable, 2 usage
With a COMMAND, lock waits 45 seconds unless told otherwise, and gives back the command's exit code.
"""

Frame = dict[str, str]
"""The arguments of a verb, as JSON texts by name."""
Made = dict[str, "str | None"]
"""The same, while what was not given is still among them."""


class WrongUsage(Exception):
    """The command line makes no sense; the text says why."""


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
        """Refuse words that are left over."""
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
        raise WrongUsage(f"{what} is not JSON ({error}); a text needs quotes of its own") from None


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
        verb += " " + line.word("get, set, update, commit or log")
    maker = MAKERS.get(verb)
    if maker is None:
        raise WrongUsage(f"there is no command {verb!r}")
    frame = {name: value for name, value in maker(line).items() if value is not None}
    if verb != "lock":
        line.end()
    return verb.replace(" ", "_"), frame


def length_of(verb: str) -> int:
    """Return of how many words the name of a command consists."""
    return 2 if verb == "state" else 1


def _heartbeat(line: Line) -> Made:
    status, info = line.option("--status"), line.option("--info")
    return {
        "status": None if status is None else as_text(status),
        "progress": line.number("--progress"),
        "info": None if info is None else as_json("--info", info),
    }


def _lock(line: Line) -> Made:
    is_read = line.flag("--read")
    if line.flag("--write") and is_read:
        raise WrongUsage("a lock is either --read or --write")
    frame = {"mode": '"read"' if is_read else '"write"', **_waiting(line)}
    if frame["ticket"] is None:
        frame["path"] = as_text(line.word("the path"))
    if line.words:
        raise WrongUsage(f"{line.words[0]!r} is not understood here")
    if line.has_command and not line.command:
        raise WrongUsage("there is no command after --")
    return frame


def _unlock(line: Line) -> Made:
    fence = line.number("--fence")
    return {"fence": fence} if fence else {"path": as_text(line.word("the path"))}


def _state_get(line: Line) -> Made:
    version = line.number("--version")
    return {"version": version, "key": as_text(line.word("the key")) if line.words else None}


def _state_set(line: Line) -> Made:
    version = line.number("--if-version")
    key = as_text(line.word("the key"))
    return {"if_version": version, "key": key, "value": as_json("the value", line.text("a value"))}


def _state_commit(line: Line) -> Made:
    removed, is_exact = line.options("--remove"), line.flag("--exact")
    base = as_number("the version it is made from", line.word("the version it is made from"))
    changes = as_json("the values by key", line.text("the values by key, as JSON"))
    exact = "true" if is_exact else None
    return {"base": base, "changes": changes, "removed": as_list(removed), "exact": exact}


def _state_log(line: Line) -> Made:
    key = line.option("--key")
    since, limit = line.number("--since"), line.number("--limit")
    return {"since": since, "limit": limit, "key": None if key is None else as_text(key)}


def _body(line: Line) -> Made:
    is_json = line.flag("--json")
    deadline = line.number("--deadline")
    return {"deadline_seconds": deadline, "is_json": "1" if is_json else None}


def _send(line: Line) -> Made:
    frame = _body(line)
    return _with_body({"to": as_text(line.word("the receiver")), **frame}, line)


def _broadcast(line: Line) -> Made:
    timed = {"window_seconds": line.number("--window"), "stamp": line.number("--stamp")}
    return {**_with_body(_body(line), line), **timed}


def _with_body(frame: Made, line: Line) -> Made:
    text = line.text("the text")
    is_json = frame.pop("is_json")
    return {**frame, "body": as_json("the body", text) if is_json else as_text(text)}


def _inbox(line: Line) -> Made:
    return {"wait_seconds": line.number("--wait"), "limit": line.number("--limit")}


def _message(line: Line) -> Made:
    return {"id": as_number("the id", line.word("the message's id"))}


def _request(line: Line) -> Made:
    frame = _waiting(line)
    words, line.words = line.words, []
    is_resumed = frame["ticket"] is not None and not words
    return {**frame, "resources": None if is_resumed else as_amounts(words)}


def _release(line: Line) -> Made:
    words, line.words = line.words, []
    return {"resources": as_amounts(words)}


def _arrive(line: Line) -> Made:
    state, frame = line.option("--state"), _waiting(line)
    is_resumed = frame["ticket"] is not None and not line.words
    point = None if is_resumed else as_text(line.word("the point"))
    value = None if state is None else as_json("--state", state)
    return {**frame, "state": value, "point": point}


def _withdraw(line: Line) -> Made:
    return {"ticket": as_text(line.word("the ticket"))}


def _checkpoint(line: Line) -> Made:
    frame = _waiting(line)
    return {**frame, "label": as_text(line.text("")) if line.words else None}


def _ask(line: Line) -> Made:
    choices, frame = line.options("--choice"), _waiting(line)
    is_resumed = frame["ticket"] is not None and not line.words
    question = None if is_resumed else as_text(line.text("the question"))
    return {**frame, "question": question, "choices": as_list(choices) if choices else None}


def _prompt(line: Line) -> Made:
    return {"text": as_text("") if line.flag("--gone") else as_text(line.text("the text"))}


def _restore(line: Line) -> Made:
    number, stream = line.number("--checkpoint"), line.option("--stream")
    return {
        "version": as_number("VERSION", line.word("VERSION")) if line.words else None,
        "checkpoint": number,
        "stream": None if stream is None else as_text(stream),
    }


def _register(line: Line) -> Made:
    able, after = line.options("--capability"), line.options("--depends-on")
    also, frame = line.options("--dependencies"), _waiting(line)
    is_resumed = frame["ticket"] is not None and not line.words
    name = None if is_resumed else as_text(line.word("the stream's name"))
    return {
        **frame,
        "capabilities": as_list(able),
        "depends_on": as_list(after),
        "dependencies": as_list(also),
        "id": name,
    }


def _leave(line: Line) -> Made:
    has_failed = line.flag("--failed")
    reason = as_text(line.text("")) if line.words else None
    return {"has_succeeded": "false" if has_failed else None, "reason": reason}


def _waiting(line: Line) -> Made:
    """Take what every verb has that may wait: how long, or the ticket of a wait to go on with."""
    ticket = line.option("--ticket")
    wait = line.number("--wait")
    return {"wait_seconds": wait, "ticket": None if ticket is None else as_text(ticket)}


def _nothing(line: Line) -> Made:
    return {}


MAKERS: "dict[str, Callable[[Line], Made]]" = {
    "heartbeat": _heartbeat,
    "lock": _lock,
    "unlock": _unlock,
    "renew": _nothing,
    "locks": _nothing,
    "streams": _nothing,
    "state get": _state_get,
    "state set": _state_set,
    "state update": _state_set,
    "state commit": _state_commit,
    "state log": _state_log,
    "send": _send,
    "broadcast": _broadcast,
    "inbox": _inbox,
    "ack": _message,
    "requeue": _message,
    "request": _request,
    "release": _release,
    "arrive": _arrive,
    "withdraw": _withdraw,
    "checkpoint": _checkpoint,
    "ask": _ask,
    "prompt": _prompt,
    "restore": _restore,
    "register": _register,
    "leave": _leave,
}
