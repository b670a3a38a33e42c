"""The types of single values in a plan: what each accepts and how its errors read."""

from __future__ import annotations

import difflib
import math
import re
from datetime import date, time
from signal import Signals
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from anabranch.core.patterns import PatternRefused, compiled
from anabranch.core.plans.plan import variable_of

LONGEST_SECONDS = 1e9
"""The longest duration that is accepted, some thirty years."""

_DEEPEST_OPTION = 32
_PORT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}\Z", re.ASCII)
_PORT_HINT = 'use up to 40 letters, digits, `-` and `_`, a letter first, such as "web"'

_DURATION = re.compile(
    r"(?:(\d{1,12})h)?(?:(\d{1,12})m)?(?:(\d{1,12}(?:\.\d{1,9})?)s)?\Z", re.ASCII
)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?\Z", re.ASCII)
_TIME_HINT = 'write hours and minutes, as "02:30", or with seconds, as "02:30:15"'
_DURATION_HINT = 'write a number of seconds, or "90s", "10m", "2h", "1h30m"'


def fault(message: str, hint: str = "") -> PydanticCustomError:
    """Return an error whose words are ours; ``hint`` is the next step for the user."""
    return PydanticCustomError("plan", "{text}", {"text": message, "hint": hint})


def duration_seconds(value: object) -> float:
    """Turn a duration as written into seconds."""
    if isinstance(value, str):
        match = _DURATION.match(value)
        if not value or match is None:
            raise fault(f"{value[:40]!r} is not a duration", _DURATION_HINT)
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        value = hours * 3600 + minutes * 60 + seconds
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fault("expected a duration", _DURATION_HINT)
    if value < 0:
        raise fault("a duration cannot be negative", _DURATION_HINT)
    if not value <= LONGEST_SECONDS:  # refuses a NaN as well
        raise fault("a duration must be a number of at most 1e9 seconds", _DURATION_HINT)
    return float(value)


_DAYS = re.compile(r"(\d{1,5})([dw])\Z", re.ASCII)
_DAY_SECONDS = 86_400.0


def age_seconds(value: object) -> float:
    """Turn ``"30d"``, ``"2w"`` or a duration as written into seconds."""
    found = _DAYS.match(value) if isinstance(value, str) else None
    if found is None:
        return duration_seconds(value)
    return int(found[1]) * _DAY_SECONDS * (7 if found[2] == "w" else 1)


_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([KMGTP]i?)?B", re.ASCII)
_POWERS = " KMGTP"


def size_in_bytes(value: object) -> int:
    """Return how many bytes ``"20GB"``, ``"1.5 GiB"`` or a number of bytes is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise fault("must be a number of bytes, or a size", 'such as "500MB", "20GB" or "1.5GiB"')
    unit = found[2] or " "
    return int(float(found[1]) * (1024 if unit.endswith("i") else 1000) ** _POWERS.index(unit[0]))


def time_of_day(value: object) -> str:
    """Take a time of day as written, with seconds or without."""
    if isinstance(value, time):
        raise fault("expected a string", f'write "{value:%H:%M:%S}"')
    if not isinstance(value, str):
        raise fault("expected a time of day", _TIME_HINT)
    if not _TIME.match(value):
        raise fault(f"{value[:40]!r} is not a time of day", _TIME_HINT)
    return value


def known_zone(value: str) -> str:
    """Take the name of a time zone that this machine knows."""
    import zoneinfo  # here: few plans name a zone

    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
        names = sorted(zoneinfo.available_timezones())
        if not names:
            raise fault("this machine knows no time zones", "install tzdata") from None
        hint = zone_hint(value, names)
        raise fault(f"{value[:60]!r} is not a time zone", hint) from None
    return value


def zone_hint(word: str, names: list[str]) -> str:
    """Return what a zone was probably meant to be, by its whole name or by its last part."""
    folded = word.casefold()
    ends = [name for name in names if name.casefold().rpartition("/")[2] == folded]
    close = ends or difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else 'for example "Europe/Berlin", or "UTC"'


def _more_than_none(seconds: float) -> float:
    if seconds == 0:
        raise fault("must be longer than 0 seconds", _DURATION_HINT)
    return seconds


def _toml_kind(value: object) -> str | None:
    """Return the tag of a union's branch; brackets keep it apart from the keys of a file."""
    if isinstance(value, bool):
        return "<boolean>"
    if isinstance(value, BaseModel):
        return "<table>"
    kinds = {str: "<string>", int: "<integer>", list: "<array>", dict: "<table>"}
    return kinds.get(type(value))


def one_of(expected: str) -> Discriminator:
    """Choose a union's branch by the TOML type of the value, so one error stays one error."""
    return Discriminator(
        _toml_kind,
        custom_error_type="wrong_kind",
        custom_error_message=expected,
    )


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float | bool):
        raise fault("expected a string, a number or true or false")
    return _sound_text(value) if isinstance(value, str) else value


def _scalar_or_table(value: object) -> object:
    """Take an item: a scalar, or a table of scalars."""
    if not isinstance(value, dict):
        return _scalar(value)
    for key, inner in value.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
            raise fault(f"the key {key!r} cannot stand in a placeholder", "use letters and digits")
        _scalar(inner)
    return value


def number_or_share(value: object) -> int | str:
    """Take a number of handlers, or a share of them such as ``5%``."""
    if isinstance(value, float) and 0 <= value <= 1:
        raise fault("expected a number of handlers, or a share", f'write "{value * 100:g}%"')
    if (
        not isinstance(value, int | str)
        or isinstance(value, bool)
        or (isinstance(value, int) and value < 0)
    ):
        raise fault("expected a number of handlers, or a share such as `5%`")
    assert isinstance(value, int | str)
    if isinstance(value, str):
        share = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", value)
        if share is None or float(share[1]) > 100:
            raise fault(f"{value[:40]!r} is not a share", 'write a number, or a share such as "5%"')
    return value


def _sound_text(value: str) -> str:
    if "\0" in value:
        raise fault("must not contain a NUL character")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise fault("is not valid Unicode", "use UTF-8")
    return value


def _sound_command(value: str | list[str]) -> str | list[str]:
    first = value if isinstance(value, str) else next(iter(value), "")
    if not first.strip():
        raise fault("the command is empty", 'give the command to run, such as "make test"')
    return value


def sound_folder(value: str) -> str:
    return _below(value, "workspace", 'write "." for the workspace itself')


def _inside_the_project(value: str) -> str:
    return _below(value, "project", 'name a file of the project, such as ".env"')


def _below(value: str, place: str, hint: str) -> str:
    if not value:
        raise fault("must not be empty", hint)
    if value.startswith("/"):
        raise fault(f"must be relative to the {place}", "leave the leading slash out")
    if ".." in value.split("/"):
        raise fault(f"must not lead out of the {place}", "leave `..` out")
    return value


def _not_empty(value: str) -> str:
    if not value.strip():
        raise fault("must not be empty")
    return value


def sound_environment(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not name or "=" in name or "\0" in name:
            raise fault(f"{name[:40]!r} is not a name for an environment variable")
    return value


def _port_name(value: str) -> str:
    if not _PORT_NAME.match(value):
        raise fault(f"{value[:40]!r} is not a name for a port", _PORT_HINT)
    return value


def distinct_ports(value: list[str]) -> list[str]:
    """Take names of ports, each of which has an environment variable of its own."""
    first: dict[str, str] = {}
    for name in value:
        variable = variable_of(name)
        if variable in first:
            raise fault(f"{first[variable]!r} and {name!r} are both {variable}", "rename one")
        first[variable] = name
    return value


def _of_this_project(value: str) -> str:
    """Refuse what names nothing in a project; all else is a line of a ``.gitignore``."""
    if not value.strip() or "\n" in value or "\0" in value:
        raise fault("expected a line as in a .gitignore", 'write a path or a pattern, as ".env"')
    if ".." in value.strip().lstrip("!").split("/"):
        raise fault(f"{value[:60]!r} leads out of the project", "only what lies in it is included")
    return value


def _known_signal(value: str) -> str:
    """Return a signal by its name, with or without SIG."""
    if signal_number(value) is None:
        raise fault("is not a signal that can be sent to ask", 'for example "USR1" or "HUP"')
    return value


def signal_number(name: str) -> int | None:
    """Return a signal's number, or None if there is none that a process could answer to."""
    found = Signals.__members__.get(f"SIG{name.removeprefix('SIG')}")
    return None if found in (None, Signals.SIGKILL, Signals.SIGSTOP) else int(found)


def _sound_url_path(value: str) -> str:
    """Take the path of a request to one's own machine: nothing in it ends the line it stands in."""
    if not re.fullmatch(r"/[!-~]{0,500}", value):
        raise fault("is not a path of a URL", 'such as "/health": printable ASCII without spaces')
    return value


def _sound_pattern(value: str) -> str:
    """Return a pattern whose matching takes no longer than its text is long."""
    if not value:
        raise fault("must not be empty: that fits every line", "name words of the log")
    try:
        compiled(value)
    except PatternRefused as refused:
        raise fault(f"is not a regular expression: {refused}") from None
    return value


def sound_options(value: dict[str, Any]) -> dict[str, Any]:
    """Return options that JSON can carry, as they go into the journal."""
    unseen: list[tuple[object, int]] = [(value, 0)]
    while unseen:
        item, depth = unseen.pop()
        if depth > _DEEPEST_OPTION:
            raise fault(f"must not be nested more than {_DEEPEST_OPTION} levels deep")
        if isinstance(item, dict | list):
            inner = item.values() if isinstance(item, dict) else item
            unseen.extend((each, depth + 1) for each in inner)
        elif isinstance(item, float) and not math.isfinite(item):
            raise fault("must not hold an infinite number or NaN")
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise fault("must not hold a number of more than 64 bits")
        elif isinstance(item, date | time):
            raise fault("must not hold a date or time", "write it as a string")
    return value


_duration_text = {
    "type": "string",
    "pattern": r"^(?=.)([0-9]{1,12}h)?([0-9]{1,12}m)?([0-9]{1,12}([.][0-9]{1,9})?s)?$",
}
_any_length = {"type": "number", "minimum": 0, "maximum": LONGEST_SECONDS}
_some_length = {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_SECONDS}
_Written = BeforeValidator(duration_seconds)
Duration = Annotated[float, _Written, WithJsonSchema({"anyOf": [_any_length, _duration_text]})]
PositiveDuration = Annotated[
    float,
    _Written,
    AfterValidator(_more_than_none),
    WithJsonSchema({"anyOf": [_some_length, _duration_text]}),
]
_age_text = {"type": "string", "pattern": r"^[0-9]{1,5}[dw]$"}
PositiveAge = Annotated[
    float,
    BeforeValidator(age_seconds),
    AfterValidator(_more_than_none),
    WithJsonSchema({"anyOf": [_some_length, _age_text, _duration_text]}),
]
SizeOnDisk = Annotated[
    int,
    BeforeValidator(size_in_bytes),
    Field(ge=1, le=2**60),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 2**60},
                {"type": "string", "pattern": r"^[0-9]+([.][0-9]+)?\s*([KMGTP]i?)?B$"},
            ]
        }
    ),
]
TimeOfDay = Annotated[
    str,
    BeforeValidator(time_of_day),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}),
]
ZoneName = Annotated[str, AfterValidator(known_zone)]
Text = Annotated[str, AfterValidator(_sound_text)]
ShellCommand = Annotated[Text, AfterValidator(_sound_command)]
Command = Annotated[
    Annotated[Text, Tag("<string>")] | Annotated[list[Text], Field(min_length=1), Tag("<array>")],
    one_of("a string or an array of strings"),
    AfterValidator(_sound_command),
]
Name = Annotated[Text, AfterValidator(_not_empty)]
ProjectPath = Annotated[Text, AfterValidator(_inside_the_project)]
SignalName = Annotated[Text, AfterValidator(_known_signal)]
IncludePattern = Annotated[Text, AfterValidator(_of_this_project)]
PortName = Annotated[Text, AfterValidator(_port_name)]
UrlPath = Annotated[Text, AfterValidator(_sound_url_path)]
Pattern = Annotated[Text, AfterValidator(_sound_pattern)]
Item = Annotated[
    Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
EachItem = Annotated[
    Any,
    AfterValidator(_scalar_or_table),
    WithJsonSchema({"type": ["string", "number", "boolean", "object"]}),
]
Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
LEAST_MEMORY_MB, LEAST_CORES = 16.0, 0.01
"""With less of memory no program begins, and the kernel divides a processor no further."""
MemoryCeiling = Annotated[float, Field(ge=LEAST_MEMORY_MB, le=1e15, allow_inf_nan=False)]
CpuCeiling = Annotated[float, Field(ge=LEAST_CORES, le=1e15, allow_inf_nan=False)]
Width = Annotated[int, Field(ge=1, le=10_000)]
Retries = Annotated[int, Field(ge=0, le=1_000)]
Condition = Literal["succeeded", "completed", "started", "converged", "ready"]
Protocol = Literal["registration", "heartbeat", "negotiation"]


def known_version(value: int) -> int:
    if value != 1:
        raise fault(f"version {value} is not supported", "this program reads `version = 1`")
    return value


def plain_name(value: str) -> str:
    if not value.strip() or len(value) > 100 or not value.isprintable():
        raise fault("must be 1 to 100 printable characters")
    return value
