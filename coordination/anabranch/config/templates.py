"""Templates: outlines of streams with blanks, and the streams that are made of them.

A template stands in the plan (``[templates.NAME]``), in the user's own ``templates.toml``, or comes
with Anabranch; the nearer one goes before. None is ever run by itself: a stream names it, in the
plan or because a person asked for one.

This works on tables as they are written; what is right in them the model of the plan says
(:mod:`anabranch.config.model`), before or after.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from anabranch.config.problems import printable, suggest
from anabranch.core.plans.consent import TEMPLATE, PlanCommand
from anabranch.core.plans.plan import WorkspaceKind
from anabranch.errors import UsageError
from anabranch.handlers.placeholders import (
    BadCommand,
    Command,
    blanks_in,
    is_of_an_item,
    text_of,
    with_braces_kept,
)

Origin = Literal["plan", "user", "built-in"]
PROMPT = "prompt"
_OF_THE_TEMPLATE = frozenset({"description", "values"})
_KEY_BY_KEY = frozenset({"env", "resources", "limits", "heartbeat"})
"""Tables of which a stream changes single keys, and keeps the others of its template."""


class Template(msgspec.Struct, frozen=True):
    """An outline of a stream: its table as written, and where that stands.

    ``file`` and ``line`` are empty and 0 for those that come with Anabranch. It ``hides`` others of
    its name, which stand further away.
    """

    name: str
    table: Mapping[str, Any]
    origin: Origin
    file: str = ""
    line: int = 0
    hides: tuple[Origin, ...] = ()

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"{self.file}:{self.line}" if self.file else self.origin

    @property
    def command(self) -> Command:
        """Its command, placeholders and all."""
        found: Command = self.table["command"]
        return found

    @property
    def asked_about(self) -> tuple[PlanCommand, ...]:
        """What a person has to have agreed to before it is run: nothing, unless a project has it.

        All that it says counts, not its command alone.
        """
        if self.origin != "plan":
            return ()
        command = self.command if isinstance(self.command, str) else shlex.join(self.command)
        whole = msgspec.json.encode(self.table, order="sorted", enc_hook=str).decode()
        return (PlanCommand(TEMPLATE, f"templates.{self.name}", command, whole),)

    @property
    def description(self) -> str:
        """What it is for; may be empty."""
        return str(self.table.get("description", ""))

    @property
    def hand_back(self) -> str:
        """How notes of a review reach a stream that is made of it."""
        return str(self.table.get("hand_back", "message"))

    @property
    def workspace(self) -> WorkspaceKind | None:
        """Where a stream that is made of it works, if it says so."""
        found: WorkspaceKind | None = self.table.get("workspace")
        return found

    @property
    def defaults(self) -> dict[str, str]:
        """What stands in its blanks when nobody says anything."""
        return {name: text_of(value) for name, value in self.table.get("values", {}).items()}

    @property
    def blanks(self) -> tuple[str, ...]:
        """The names of its placeholders, in the order in which they stand. Raises BadCommand."""
        commands = (blanks_in(self.command), blanks_in(list(_env(self).values())))
        words = (word for command in commands for word in command.words)
        return tuple(dict.fromkeys(part.field for word in words for part in word if part.field))

    @property
    def asks_for(self) -> tuple[str, ...]:
        """The blanks that somebody has to fill. Raises BadCommand."""
        return tuple(name for name in self.blanks if name not in self.defaults)


def over(*layers: Mapping[str, Template]) -> dict[str, Template]:
    """Return all templates of several places, the later of which hide those before them."""
    found: dict[str, Template] = {}
    for layer in layers:
        for name, one in layer.items():
            below = found.get(name)
            hides = (below.origin, *below.hides) if below else ()
            found[name] = replace(one, hides=hides) if hides else one
    return found


BUILT_IN = {
    "shell": Template(
        "shell",
        {"description": "What you type, run by sh.", "command": ["/bin/sh", "-c", "{prompt}"]},
        "built-in",
    ),
    "claude": Template(
        "claude",
        {
            "description": "Claude Code on a terminal; what it asks is asked of you.",
            "command": ["ab-stream", "agent", "claude", "{prompt}"],
            "tty": True,
            "hand_back": "restart",
        },
        "built-in",
    ),
}


class BadValues(ValueError):
    """Values that do not go with a template: it names ``blanks`` that lack one, or a ``stranger``.

    The message and the hint are for people.
    """

    def __init__(
        self, message: str, hint: str, blanks: tuple[str, ...] = (), stranger: str = ""
    ) -> None:
        super().__init__(message)
        self.hint, self.blanks, self.stranger = hint, blanks, stranger


class LacksValues(UsageError):
    """A template is not given what its blanks ask for."""

    code = "blanks"


def named(wanted: str, templates: Mapping[str, Template]) -> Template:
    """Return the template of a name. Raises UsageError."""
    if wanted not in templates:
        message = f"there is no template {printable(wanted)!r}"
        raise UsageError(message, suggest(wanted, templates, "templates"))
    return templates[wanted]


def table_for_a_person(
    template: Template, values: Mapping[str, str], own: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the table of a stream that a person wants made of a template, with their ``values``.

    Raises LacksValues.
    """
    try:
        return {**stream_table(template, values, own), "values": dict(values)}
    except (BadValues, BadCommand) as bad:
        raise LacksValues(str(bad), "--prompt TEXT and --value NAME=TEXT fill blanks") from None


def stream_table(
    template: Template, values: Mapping[str, Any], own: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the table of a stream that is made of a template, as it would be written in a plan.

    The command is filled in, and the template and its prompt are named in it.

    Args:
        template: the outline.
        values: what stands in its blanks, texts or numbers; ``prompt`` is one of them.
        own: further keys of the stream; they go before those of the template.

    Raises:
        BadValues: a blank has no value, or a value no blank.
        BadCommand: a placeholder stands where no value can be quoted.
    """
    own = own or {}
    given = {**template.defaults, **{name: text_of(value) for name, value in values.items()}}
    _refuse_strangers(template, values)
    _refuse_blanks(template, given, own)
    outline = {k: v for k, v in template.table.items() if k not in _OF_THE_TEMPLATE}
    if env := _env(template):
        texts = blanks_in(list(env.values())).filled(given.__getitem__)
        outline["env"] = dict(zip(env, texts, strict=True))
    if "command" not in own:
        outline["command"] = _filled_command(template, given, for_items="each" in own)
    table = outline | {key: _over(outline.get(key), value, key) for key, value in own.items()}
    prompt = {PROMPT: given[PROMPT]} if PROMPT in given else {}
    return {**table, "template": template.name, **prompt}


def outline_of(
    template: Template, values: Mapping[str, Any], own: Mapping[str, Any] | None = None
) -> Command:
    """Return the command with the blank for the prompt left open, "" if it is never filled anew.

    It is after a review, where notes reach the stream by a new start.
    """
    own = own or {}
    is_restarted = own.get("hand_back", template.hand_back) == "restart"
    if not is_restarted or "command" in own or "each" in own or PROMPT not in template.blanks:
        return ""
    given = {**template.defaults, **{name: text_of(value) for name, value in values.items()}}
    return _filled_command(template, _without_prompt(given), for_items=True)


def _without_prompt(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name != PROMPT}


def _env(template: Template) -> dict[str, str]:
    found: dict[str, str] = template.table.get("env", {})
    return found


def _over(outline: Any, own: Any, key: str) -> Any:
    """Return what a key holds when both have it."""
    are_tables = isinstance(outline, dict) and isinstance(own, dict)
    return {**outline, **own} if key in _KEY_BY_KEY and are_tables else own


def _filled_command(template: Template, given: Mapping[str, str], for_items: bool) -> Command:
    """Return the command; what stands for an item stays, where the stream has items."""
    found = blanks_in(template.command)

    def value_of(name: str) -> str:
        return with_braces_kept(given[name]) if name in given else f"{{{name}}}"

    words = (
        found.filled(value_of, with_braces_kept) if for_items else found.filled(given.__getitem__)
    )
    return words[0] if found.is_shell else words


def _refuse_strangers(template: Template, values: Mapping[str, Any]) -> None:
    blanks = template.blanks
    for name in values:
        if name not in blanks:
            message = f"the template `{template.name}` has no {{{printable(name)}}}"
            raise BadValues(message, suggest(name, blanks, "its placeholders"), stranger=name)


def _refuse_blanks(template: Template, given: Mapping[str, str], own: Mapping[str, Any]) -> None:
    has_items = "each" in own
    found = [
        name
        for name in template.blanks
        if name not in given and not (has_items and is_of_an_item(name))
    ]
    if not found:
        return
    names = " and ".join(f"{{{name}}}" for name in found)
    ways = [f'`{PROMPT} = "..."`' if name == PROMPT else f"`{name}`" for name in found]
    others = [way for name, way in zip(found, ways, strict=True) if name != PROMPT]
    hints = [f"write {ways[found.index(PROMPT)]}"] if PROMPT in found else []
    hints += [f"give {' and '.join(others)} in `values`"] if others else []
    raise BadValues(
        f"the template `{template.name}` asks for {names}",
        f"{', and '.join(hints)}; {{{{ is a brace",
        tuple(found),
    )
