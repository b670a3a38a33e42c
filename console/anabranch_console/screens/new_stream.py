"""The form for a new stream: its lines, what they say, and what would come of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from anabranch.config import PlanContext, Wanted, added_stream
from anabranch.config.templates import PROMPT, LacksValues, Template
from anabranch.core.ids import FINAL_POINT
from anabranch.core.plans.consent import PlanCommand
from anabranch.core.plans.extending import why_not_extended
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.errors import UsageError
from anabranch_console.lines import Line, Span
from anabranch_console.presenters.wording import safe
from anabranch_console.screens.form import Field, Form, Preview, Values

WORKSPACES = ("isolated", "clone", "shared")
_YES_OR_NO = {
    **dict.fromkeys(("yes", "y", "true", "1"), True),
    **dict.fromkeys(("no", "n", "false", "0", ""), False),
}
_BLANK = "blank "
"""What the ids of lines begin with that are for a blank of the template."""


def new_stream_fields(
    plan: Plan, templates: Mapping[str, Template], like: StreamPlan | None = None, text: str = ""
) -> Callable[[Values], list[Field]]:
    """Return what returns the lines of the form for a new stream, maybe one like another.

    With a template its blanks stand behind it, and no command: that is the template's.
    """
    command = Field(
        "command",
        "Command",
        like.command_text if like else text,
        "any shell command, as make test",
        has_lines=True,
        file="command.sh",
    )
    others = _other_fields(plan, templates, like)

    def fields(values: Values) -> list[Field]:
        template = templates.get(values.get("template", ""))
        if template is None:
            return [command, *others]
        return [*others, *_blank_fields(template, values.get("command", command.value))]

    return fields


def _blank_fields(template: Template, command: str) -> list[Field]:
    """Return a line for each blank; what was typed as a command is what the stream is to do."""
    return [
        Field(
            f"{_BLANK}{name}",
            name,
            command if name == PROMPT else "",
            template.defaults.get(name, "it is asked for"),
            has_lines=True,
        )
        for name in template.blanks
    ]


def _other_fields(
    plan: Plan, templates: Mapping[str, Template], like: StreamPlan | None
) -> list[Field]:
    names = [str(s.id) for s in plan.streams] + [str(p.id) for p in plan.points if p.adopts_one]
    points = [p.id for p in plan.points if not p.adopts_one]  # a race has its attempts already
    needs = [d for d in like.depends_on if not d.capability] if like else []
    after = " ".join(d.stream or d.point for d in needs)
    is_elsewhere = like is not None and like.converge in points and like.converge != FINAL_POINT
    point = like.converge if like and is_elsewhere else ""
    fields = [
        Field("name", "Name", "", "one is proposed"),
        Field("after", "After", after, none_or(names[:4], "nobody"), names) if names else None,
        Field("point", "Point", point, "the end", points) if len(points) > 1 else None,
        Field("workspace", "Workspace", "", "isolated; or clone, shared", WORKSPACES),
        Field(
            "terminal",
            "Terminal",
            "yes" if like and like.tty else "",
            "no; yes if it talks to you",
            tuple(_YES_OR_NO),
        ),
        Field(
            "review",
            "Review",
            "yes" if like and like.review else "",
            "no; yes: merged when you take it",
            tuple(_YES_OR_NO),
        ),
        Field("template", "Template", "", none_or(templates), list(templates)),
    ]
    return [field for field in fields if field is not None]


def none_or(names: Iterable[str], none: str = "none") -> str:
    """Return what an empty line means, and what else there is."""
    others = ", ".join(names)
    return f"{none}; or {others}" if others else none


def wanted_of(values: Values) -> Wanted:
    """Return what a form says of a stream."""
    blanks = {
        name.removeprefix(_BLANK): text
        for name, text in values.items()
        if name.startswith(_BLANK) and text
    }
    return Wanted(
        command=values.get("command", ""),
        template=values.get("template", ""),
        values=blanks,
        name=values.get("name", ""),
        after=tuple(values.get("after", "").replace(",", " ").split()),
        point=values.get("point", ""),
        workspace=values.get("workspace") or None,  # type: ignore[arg-type]  # looked at below
        tty=_is_yes(values, "terminal"),
        review=_is_yes(values, "review"),
    )


def _is_yes(values: Values, name: str) -> bool:
    return _YES_OR_NO.get(values.get(name, "").casefold(), False)


def fault_of_form(values: Values) -> str:
    """Return what is wrong with a form before a stream is made of it, "" if nothing is."""
    if not values.get("command") and not values.get("template"):
        return "type the command that it runs"
    workspace = values.get("workspace", "")
    if workspace and workspace not in WORKSPACES:
        return f"a workspace is {', '.join(WORKSPACES[:-1])} or {WORKSPACES[-1]}"
    for name in ("terminal", "review"):
        if values.get(name, "").casefold() not in _YES_OR_NO:
            return f"{name.capitalize()} is yes or no, not {values[name]!r}"
    return ""


NOTHING_ADDED = "nothing was added; n has what you typed"

_WHERE = {
    "isolated": "in a workspace of its own",
    "clone": "in a clone of its own",
    "shared": "in your own folder",
}


def described(stream: StreamPlan) -> list[Line]:
    """Return what a new stream would be, in lines."""
    after = ", ".join(d.stream or d.words for d in stream.depends_on)
    waits = f"after {after}" if after else "as soon as there is room"
    shown = safe(stream.command_text)
    more = [
        *(["on a terminal"] if stream.tty else []),
        *(["merged when you take it"] if stream.review else []),
    ]
    return [
        (Span(f"{stream.id} ", "strong"), Span(f"runs {shown}")),
        (Span(f"{waits}, {_WHERE[stream.workspace]}", "muted"),),
        *([(Span(", ".join(more), "muted"),)] if more else []),
    ]


class StreamForm:
    """Makes forms for new streams of a plan, and streams of what is typed into them.

    Args:
        plan: returns the plan as it is by now.
        context: what a plan depends on besides what is written.
        templates: what streams can be made of.
    """

    def __init__(
        self,
        plan: Callable[[], Plan],
        context: PlanContext,
        templates: Mapping[str, Template],
    ) -> None:
        self._plan, self._context, self._templates = plan, context, templates

    def form(
        self,
        title: str,
        like: StreamPlan | None = None,
        text: str = "",
        begun: Values | None = None,
    ) -> Form:
        """Return a form for a stream: like another, with a command, or as it was typed before."""
        fields = new_stream_fields(self._plan(), self._templates, like, text)
        return Form(title, fields, self.preview, "start it", begun)

    def made(self, values: Values) -> StreamPlan | str:
        """Return the stream that a form stands for, or what is wrong with it."""
        fault = fault_of_form(values)
        if fault:
            return fault
        try:
            return added_stream(self._plan(), wanted_of(values), self._context, self._templates)
        except LacksValues as error:
            return error.message  # there is a line for each
        except UsageError as error:
            return f"{error.message}; {error.hint}" if error.hint else error.message

    def asked_about(self, values: Values) -> tuple[PlanCommand, ...]:
        """Return what has to be agreed to before the stream that a form stands for is run."""
        template = self._templates.get(values.get("template", ""))
        return template.asked_about if template else ()

    def preview(self, values: Values) -> Preview:
        """Return what would come of a form as it is."""
        made = self.made(values)
        if isinstance(made, str):
            return Preview(fault=made)
        fault = why_not_extended(self._plan(), made)
        if fault:
            return Preview(fault="; ".join(fault))
        return Preview(described(made), proposed={"name": made.id})
