"""docs/strategies.md: what strategies are shown, what they may answer, what they are held to."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, get_args, get_origin

import msgspec

from anabranch.core.strategies.kinds import KINDS, Kind, Question
from anabranch.testing import laws
from anabranch.testing.conformance import BUDGET_SECONDS
from anabranch.testing.purity import OVERDUE_SECONDS

HEAD = f"""# Strategies

What a strategy of each kind is shown, what it may answer, and the laws it is held to. `make docs`
writes this from the code. How to write, check and install one is told in
[plugins/README.md](../plugins/README.md).

Every strategy is a plain value with a `name` (letters, digits, `-` and `_`) and one method; a load
balancer may have several. What a method returns depends on its arguments alone. `anabranch plugins
check` holds it to these:

- **total**: it answers every view that an engine could show; it never raises.
- **deterministic**: the same view, the same answer, whenever and in whatever order it is asked,
  and however Python hashes strings. It keeps no state.
- **pure**: no clock, no randomness but a generator seeded from the view, no files, no environment,
  no output; it changes nothing that it was given.
- **quick**: at most {BUDGET_SECONDS * 1000:.0f} ms of processor time, also for a view of thousands
  of streams; after {OVERDUE_SECONDS:g} s it is taken for endless.
- and it is true to the laws of its kind, below.

A strategy with options declares them: `options_type = Options`, a `msgspec.Struct` that is frozen
and forbids unknown fields. The suite shows it defaults and other valid values.
"""


def strategies() -> str:
    """Return docs/strategies.md."""
    return "\n".join([HEAD, *map(_kind, KINDS)])


def _kind(kind: Kind) -> str:
    protocol, keys = kind.interface, [f"`{'.'.join(key)}`" for key in kind.plan_keys]
    use = f"in a plan: {' or '.join(keys)}" if keys else "all are asked, those of plugins first"
    hook = f"`{kind.hook}`; {use}"
    lines = [f"## {kind.title}", "", _text(protocol), "", f"Hook: {hook}.", ""]
    for question in kind.questions:
        lines += _question(question)
    return "\n".join(lines)


def _question(question: Question) -> list[str]:
    """Return a method, what it is shown and may answer, and the laws of its answers."""
    method = getattr(question.interface, question.method)
    signature = str(inspect.signature(method)).replace("'", "")
    lines = ["```python", f"def {question.method}{signature}:", f'    """{_text(method)}"""', "```"]
    lines += ["", *_struct(question.view)]
    for part in (*_parts(question.view), *question.decisions):
        lines += _struct(part)
    laws_of = [f"- {_text(law)}" for law in laws.LAWS[question.view]]
    return [*lines, "**Laws**", "", *laws_of, ""]


def _parts(view: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """Return the structs that a view is made of and that are told of nowhere else."""
    told = {question.view for kind in KINDS for question in kind.questions}
    found = [
        get_args(field.type)[0]
        for field in msgspec.structs.fields(view)
        if get_origin(field.type) is Sequence
    ]
    structs = [part for part in found if isinstance(part, type(msgspec.Struct))]
    return [part for part in structs if part not in told]


def _struct(kind: type[msgspec.Struct]) -> list[str]:
    lines = [f"**`{kind.__name__}`**: {_text(kind)}", ""]
    lines += ["| field | type | if not given |", "| --- | --- | --- |"]
    annotations = inspect.get_annotations(kind)
    for field in msgspec.structs.fields(kind):
        default = "" if field.required else f"`{_default(field)!r}`"
        lines.append(f"| `{field.encode_name}` | `{_plain(annotations[field.name])}` | {default} |")
    for name, member in vars(kind).items():
        if isinstance(member, property):
            assert member.fget is not None
            found = inspect.get_annotations(member.fget)["return"]
            lines.append(f"| `{name}` | `{_plain(found)}` | {_text(member)} |")
    return [*lines, ""]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def _plain(annotation: Any) -> str:
    return str(annotation).replace("|", "\\|")


def _text(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").replace("``", "`").split())
