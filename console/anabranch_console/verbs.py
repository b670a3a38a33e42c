"""Everything the console can do, once: the source of keys, commands, palette, help and key docs.

A verb whose keys are written with a space (``x s``) is reached through a menu: the first key opens
it, the second chooses. The screen carries a verb out in the method ``do_`` plus its id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """Where a verb's keys work."""

    ANYWHERE = "anywhere"
    LISTS = "in every pane"
    TABLES = "in every table"
    STREAMS = "streams"
    STREAM = "the chosen stream"
    LOG = "log"
    RUN = "the run"
    LOCKS = "locks"
    HISTORY = "history"
    MESSAGES = "messages"
    RESOURCES = "resources"
    CONFLICTS = "conflicts"
    GUARDIAN = "guardian"
    CONVERGENCE = "convergence"
    PLUGINS = "plugins"
    PLUGIN_PANE = "a plugin's pane"
    TRAVEL = "time travel"


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides whether a verb can be used now; ``viewing`` names the past that is shown."""

    has_stream: bool = True
    stream_has_ended: bool = False
    stream_can_be_retried: bool = False
    run_has_ended: bool = False
    can_be_approved: bool = False
    is_stopping: bool = False
    viewing: str = ""
    has_row: bool = True
    has_lock: bool = True
    has_violation: bool = True
    has_dead_letter: bool = True
    has_message_to_operator: bool = True
    has_version: bool = True
    has_conflict: bool = True
    has_foreseen: bool = True


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing to do.

    ``args`` shows the argument in help (``[STREAM]``); ``completes`` names what it is completed
    from. ``footer`` is its short name in the footer, "" to leave it out.
    """

    id: str
    title: str
    keys: tuple[str, ...]
    scope: Scope
    aliases: tuple[str, ...] = ()
    args: str = ""
    completes: str = ""
    footer: str = ""
    steers: bool = False
    is_dangerous: bool = False

    @property
    def direct_keys(self) -> tuple[str, ...]:
        """The keys that do it at once, without a menu."""
        return tuple(key for key in self.keys if " " not in key)

    def why_not(self, situation: Situation) -> str | None:
        """Return why the verb cannot be used now, None if it can."""
        if self.steers and situation.viewing:
            return f"viewing {situation.viewing}: esc goes back to live"
        if self.scope is Scope.STREAM and not situation.has_stream:
            return "no stream is chosen"
        return _NOT_NOW[self.id](situation) if self.id in _NOT_NOW else None


def _stop(situation: Situation) -> str | None:
    return "it has ended" if situation.stream_has_ended else None


def _retry(situation: Situation) -> str | None:
    if situation.stream_can_be_retried:
        return None
    return "it has succeeded" if situation.stream_has_ended else "it has not ended; stop it first"


def _recover(situation: Situation) -> str | None:
    is_over = situation.stream_has_ended and not situation.stream_can_be_retried
    return "it has succeeded" if is_over else None


def _stop_run(situation: Situation) -> str | None:
    if situation.run_has_ended:
        return "the run has ended"
    return "the run is stopping" if situation.is_stopping else None


def _approve(situation: Situation) -> str | None:
    return None if situation.can_be_approved else "only a converged run can be approved"


def _revoke(situation: Situation) -> str | None:
    return None if situation.has_lock else "nobody holds it; give a lock's path"


def _allow(situation: Situation) -> str | None:
    return None if situation.has_violation else "there is no violation left to allow"


def _requeue(situation: Situation) -> str | None:
    return None if situation.has_dead_letter else "no dead letter is chosen"


def _acknowledge(situation: Situation) -> str | None:
    is_there = situation.has_message_to_operator
    return None if is_there else "no message that waits for you is chosen"


def _travel(situation: Situation) -> str | None:
    return None if situation.has_version else "no version is chosen; give its number"


def _conflict(situation: Situation) -> str | None:
    return None if situation.has_conflict else "no path that waits for a decision is chosen"


def _foreseen(situation: Situation) -> str | None:
    return None if situation.has_foreseen else "no foreseen conflict is chosen"


def _live(situation: Situation) -> str | None:
    return None if situation.viewing else "this is live"


def _row(situation: Situation) -> str | None:
    return None if situation.has_row else "nothing is chosen"


_NOT_NOW = {
    "open": _row,
    "stop": _stop,
    "retry": _retry,
    "stop-run": _stop_run,
    "approve": _approve,
    "revoke": _revoke,
    "allow": _allow,
    "requeue": _requeue,
    "acknowledge": _acknowledge,
    "travel": _travel,
    "live": _live,
    "take-ours": _conflict,
    "take-theirs": _conflict,
    "take-both": _conflict,
    "edit": _conflict,
    "settle": _conflict,
    "hand-back": _conflict,
    "tell-both": _foreseen,
    "recover": _recover,
}

_V, _S = Verb, Scope

VERBS: tuple[Verb, ...] = (
    _V("help", "Help: keys and commands", ("question_mark", "f1"), _S.ANYWHERE, footer="Help"),
    _V("command", "Command by name", ("colon",), _S.ANYWHERE, footer="Command"),
    _V("palette", "Find a command", ("ctrl+p",), _S.ANYWHERE, footer="Palette"),
    _V("theme", "Choose a theme", ("ctrl+t",), _S.ANYWHERE, args="[NAME]", completes="themes"),
    _V("full", "Full pane on and off", ("f",), _S.ANYWHERE, footer="Full"),
    _V("details", "Show or hide the details", ("i",), _S.ANYWHERE),
    _V("next-pane", "Next pane", ("tab",), _S.ANYWHERE),
    _V("previous-pane", "Previous pane", ("shift+tab",), _S.ANYWHERE),
    _V("back", "Back: close, clear, return", ("escape",), _S.ANYWHERE),
    _V("copy-selection", "Copy the selected text", ("ctrl+c",), _S.ANYWHERE),
    _V("repaint", "Paint the screen again", ("ctrl+l",), _S.ANYWHERE),
    _V("suspend", "Suspend the console", ("ctrl+z",), _S.ANYWHERE),
    _V("quit", "Quit", ("q", "ctrl+q"), _S.ANYWHERE, aliases=("q", "exit"), footer="Quit"),
    _V("streams", "Go to the streams", ("1",), _S.ANYWHERE, aliases=("home",)),
    _V("locks", "Locks", ("2",), _S.ANYWHERE),
    _V("history", "History of the shared state", ("3",), _S.ANYWHERE),
    _V("messages", "Messages", ("4",), _S.ANYWHERE),
    _V("resources", "Resources", ("5",), _S.ANYWHERE),
    _V("conflicts", "Conflicts", ("6",), _S.ANYWHERE),
    _V("guardian", "Guardian", ("7",), _S.ANYWHERE),
    _V("convergence", "Convergence points", ("8",), _S.ANYWHERE, aliases=("points",)),
    _V("plugins", "Plugins and strategies", ("9",), _S.ANYWHERE),
    _V("pane", "Pane of a plugin…", ("0",), _S.ANYWHERE, args="[NAME]", completes="panes"),
    _V(
        "do",
        "Action of a plugin…",
        ("X",),
        _S.ANYWHERE,
        args="[NAME [STREAM]]",
        completes="actions",
    ),
    _V("down", "Down", ("down", "j"), _S.LISTS),
    _V("up", "Up", ("up", "k"), _S.LISTS),
    _V("page-down", "Page down", ("pagedown", "ctrl+f"), _S.LISTS),
    _V("page-up", "Page up", ("pageup",), _S.LISTS),
    _V("first", "First line", ("home", "g"), _S.LISTS),
    _V("last", "Last line; a log follows again", ("end", "G"), _S.LISTS),
    _V("filter", "Filter the rows", ("slash",), _S.TABLES, args="[FILTER]", footer="Filter"),
    _V("open", "Open the details", ("enter",), _S.TABLES, footer="Open"),
    _V("menu", "Actions…", ("x",), _S.TABLES, footer="Actions"),
    _V("sort", "Sort by…", ("o",), _S.STREAMS, args="[COLUMN]", completes="columns", footer="Sort"),
    _V("sort-left", "Sort by the column to the left", ("less_than_sign",), _S.STREAMS),
    _V("sort-right", "Sort by the column to the right", ("greater_than_sign",), _S.STREAMS),
    _V("reverse", "Reverse the order", ("O",), _S.STREAMS),
    _V("mark", "Mark for the next action", ("space",), _S.STREAMS, footer="Mark"),
    _V("unmark", "Take all marks away", ("V",), _S.STREAMS),
    _V("log", "Its log", ("l",), _S.STREAM, args="[STREAM]", completes="streams", footer="Log"),
    _V(
        "story",
        "Its story: why is it so?",
        ("e",),
        _S.STREAM,
        aliases=("why",),
        args="[STREAM]",
        completes="streams",
        footer="Why",
    ),
    _V(
        "plan",
        "What the plan says about it",
        ("p",),
        _S.STREAM,
        args="[STREAM]",
        completes="streams",
    ),
    _V("next-tab", "Next tab of the details", ("right_square_bracket",), _S.STREAM),
    _V("previous-tab", "Previous tab of the details", ("left_square_bracket",), _S.STREAM),
    _V(
        "stop",
        "Stop the stream…",
        ("x s",),
        _S.STREAM,
        args="[STREAM]",
        completes="streams",
        steers=True,
        is_dangerous=True,
    ),
    _V(
        "retry",
        "Try the stream again…",
        ("x r",),
        _S.STREAM,
        args="[STREAM]",
        completes="streams",
        steers=True,
        is_dangerous=True,
    ),
    _V(
        "recover",
        "Recover the stream…",
        ("x g",),
        _S.STREAM,
        args="[STREAM [REMEDY]]",
        completes="streams",
        steers=True,
        is_dangerous=True,
    ),
    _V("copy", "Copy id or paths…", ("y",), _S.STREAM, footer="Copy"),
    _V("find", "Find in the log", ("slash",), _S.LOG, args="[TEXT]", footer="Find"),
    _V("find-next", "Next hit", ("n",), _S.LOG),
    _V("find-previous", "Previous hit", ("N",), _S.LOG),
    _V("wrap", "Wrap long lines", ("w",), _S.LOG, footer="Wrap"),
    _V("follow", "Follow the log", ("F",), _S.LOG, footer="Follow"),
    _V(
        "revoke",
        "Take the lock away…",
        ("x v",),
        _S.LOCKS,
        args="[PATH]",
        completes="locks",
        steers=True,
        is_dangerous=True,
    ),
    _V(
        "allow",
        "Let violations be merged…",
        ("x a",),
        _S.LOCKS,
        args="[STREAM]",
        completes="violators",
        steers=True,
        is_dangerous=True,
    ),
    _V("older", "One version back", ("left_square_bracket",), _S.HISTORY, footer="Older"),
    _V("newer", "One version on", ("right_square_bracket",), _S.HISTORY, footer="Newer"),
    _V("version", "Go to a version", ("v",), _S.HISTORY, args="NUMBER", footer="Version"),
    _V(
        "travel",
        "Travel to a version or an event",
        ("t",),
        _S.TRAVEL,
        args="[VERSION | event N]",
        footer="Travel",
    ),
    _V("live", "Back to live", ("L",), _S.TRAVEL, footer="Live"),
    _V(
        "send",
        "Send a message",
        ("m",),
        _S.MESSAGES,
        args="STREAM TEXT",
        completes="streams",
        footer="Send",
        steers=True,
    ),
    _V(
        "broadcast",
        "Send a message to all",
        ("b",),
        _S.MESSAGES,
        args="TEXT",
        footer="Broadcast",
        steers=True,
    ),
    _V(
        "requeue",
        "Send a dead letter again",
        ("r",),
        _S.MESSAGES,
        args="[NUMBER]",
        footer="Requeue",
        steers=True,
    ),
    _V(
        "acknowledge",
        "Acknowledge a message to you",
        ("a",),
        _S.MESSAGES,
        args="[NUMBER]",
        footer="Acknowledge",
        steers=True,
    ),
    _V(
        "take-ours",
        "Take ours: what merged before",
        ("o",),
        _S.CONFLICTS,
        footer="Ours",
        steers=True,
    ),
    _V(
        "take-theirs",
        "Take theirs: the late one's",
        ("T",),
        _S.CONFLICTS,
        footer="Theirs",
        steers=True,
    ),
    _V("take-both", "Take the lines of both", ("b",), _S.CONFLICTS, footer="Both", steers=True),
    _V("edit", "Edit it in $EDITOR", ("e",), _S.CONFLICTS, footer="Edit", steers=True),
    _V(
        "hand-back",
        "Hand it back to a stream…",
        ("h",),
        _S.CONFLICTS,
        args="[STREAM [NOTE]]",
        completes="streams",
        footer="Hand back",
        steers=True,
    ),
    _V(
        "settle",
        "Let a command settle it…",
        ("r",),
        _S.CONFLICTS,
        args="COMMAND",
        footer="Command",
        steers=True,
    ),
    _V(
        "tell-both",
        "Tell both streams of it",
        ("m",),
        _S.CONFLICTS,
        footer="Tell both",
        steers=True,
    ),
    _V(
        "remedy",
        "Recover the chosen stream…",
        ("r",),
        _S.GUARDIAN,
        footer="Recover",
        steers=True,
    ),
    _V(
        "requeue-stream",
        "Try the dead letter again",
        ("R",),
        _S.GUARDIAN,
        args="[STREAM]",
        completes="streams",
        footer="Requeue",
        steers=True,
    ),
    _V(
        "reset-breaker",
        "Close a circuit breaker…",
        ("b",),
        _S.GUARDIAN,
        args="[NAME]",
        completes="breakers",
        steers=True,
    ),
    _V(
        "choose-strategy",
        "Take it for what has not begun…",
        ("c",),
        _S.PLUGINS,
        args="[POINT]",
        completes="points",
        footer="Choose",
        steers=True,
    ),
    _V("install", "Install a plugin…", ("I",), _S.PLUGINS, args="SOURCE", footer="Install"),
    _V("enable-plugin", "Let it be loaded again", ("E",), _S.PLUGINS, args="[NAME]"),
    _V(
        "disable-plugin",
        "Keep it from being loaded",
        ("D",),
        _S.PLUGINS,
        args="[NAME]",
        footer="Disable",
    ),
    _V("remove-plugin", "Take it out…", ("x d",), _S.PLUGINS, args="[NAME]"),
    _V("rollback-plugins", "Go back to what was installed…", ("B",), _S.PLUGINS, footer="Rollback"),
    _V("approve", "Approve the result…", ("A",), _S.RUN, steers=True, is_dangerous=True),
    _V("stop-run", "Stop the whole run…", ("x S",), _S.RUN, steers=True, is_dangerous=True),
)

_FOOTER = (
    *("open", "find", "filter", "sort", "mark", "log", "story", "menu", "copy", "wrap"),
    *("older", "newer", "version", "travel", "live", "send", "broadcast", "requeue", "acknowledge"),
    *("remedy", "requeue-stream", "choose-strategy", "install", "disable-plugin"),
    "rollback-plugins",
    *("take-ours", "take-theirs", "take-both", "edit", "hand-back", "settle", "tell-both"),
    *("follow", "full", "command", "palette", "help", "quit"),
)

BY_ID = {verb.id: verb for verb in VERBS}

_SHOWN_KEYS = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "escape": "esc",
    "f1": "F1",
}


def shown_key(key: str) -> str:
    """Return a key as people know it: ``^p``, ``?``, ``x s``."""
    return _SHOWN_KEYS.get(key, key.replace("ctrl+", "^"))


def shown_keys(verb: Verb) -> str:
    """Return all keys of a verb, as shown in help."""
    return "  ".join(shown_key(key) for key in verb.keys)


def footer_verbs(scopes: Iterable[Scope]) -> list[Verb]:
    """Return the verbs the footer names while a pane with these scopes has the focus."""
    wanted = set(scopes)
    return [BY_ID[name] for name in _FOOTER if BY_ID[name].scope in wanted]


def keys_markdown() -> str:
    """Return all verbs as a Markdown table, for the documentation."""
    lines = ["| where | keys | command | does |", "| --- | --- | --- | --- |"]
    for verb in VERBS:
        keys = " ".join(f"`{shown_key(key)}`" for key in verb.keys).replace("|", "\\|")
        command = f"`:{verb.id} {verb.args}`".replace(" `", "`")
        lines.append(f"| {verb.scope} | {keys} | {command} | {verb.title} |")
    return "\n".join(lines) + "\n"
