"""The options of points and of the load balancer, held against what their strategies take.

A strategy names the type of its options (a ``msgspec.Struct``). It comes from a plugin, so nothing
it does here may stop anybody from reading a plan: what is not a plain refusal of a value counts as
no objection. ``reduce`` is the engine's own option, and goes with every type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from anabranch.bounded_call import within
from anabranch.config.problems import KeyPath, Problem, printable, suggest
from anabranch.core.strategies.convergence import ENGINES_OWN_OPTION, options_for

LIMIT_SECONDS = 1.0
_BALANCERS = "balancer_options"

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<place>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")
_PARTS = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")

OptionsTypes = Mapping[str, Any]
"""The options type of each strategy of a kind that has one, by name."""


class OptionsPlace(msgspec.Struct, frozen=True):
    """Where a table names a strategy, and where its options."""

    strategy: str
    options: str
    prefix: str


OF_POINTS = OptionsPlace("type", "options", "options")
OF_BALANCERS = OptionsPlace("balancer", "balancer_options", "balancer_options")


def option_problems(document: dict[str, Any], types: OptionsTypes) -> Iterator[Problem]:
    """Yield what is wrong with the options of each point, with its place in the file."""
    default = _table(document.get("coordination")).get("convergence_type", "barrier")
    for point, entry in _table(document.get("convergence")).items():
        name, options = _table(entry).get("type", default), _table(entry).get("options", {})
        taken = types.get(name) if isinstance(name, str) else None
        if taken is not None and isinstance(options, dict):
            fault = _fault(options, taken)
            if fault is not None:
                yield _problem(("convergence", point, "options"), fault, name, taken)


def balancer_option_problems(document: dict[str, Any], types: OptionsTypes) -> Iterator[Problem]:
    """Yield what is wrong with the options of the load balancer, with its place in the file."""
    coordination = _table(document.get("coordination"))
    name, options = coordination.get("balancer", "longest-first"), coordination.get(_BALANCERS)
    if not isinstance(name, str) or not isinstance(options, dict) or not options:
        return
    path, taken = ("coordination", _BALANCERS), types.get(name)
    if taken is None:
        takers = ", ".join(sorted(printable(n) for n in types if ":" not in n))
        hint = f"these take some: {takers}" if takers else ""
        yield Problem(path, f"`{printable(name)}` takes no options", hint)
        return
    fault = _fault(options, taken)
    if fault is not None:
        yield _problem(path, fault, name, taken)


def filled_in(options: Mapping[str, Any], name: str, types: OptionsTypes) -> dict[str, Any]:
    """Return options with the defaults of their type, as people are shown them."""
    taken = types.get(name)
    try:
        defaults = (
            within(LIMIT_SECONDS, lambda: msgspec.json.decode(msgspec.json.encode(taken())))
            if taken
            else {}
        )
    except Exception:  # one that has no defaults, or that raises
        defaults = {}
    return {**(defaults if isinstance(defaults, dict) else {}), **options}


def option_schemas(
    types: OptionsTypes, place: OptionsPlace
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return what a table's schema says about the options of each type, and its definitions."""
    cases: list[dict[str, Any]] = []
    shared: dict[str, Any] = {}
    for name, taken in sorted(types.items()):
        try:
            found, defs = within(LIMIT_SECONDS, partial(_schema, f"{place.prefix}:{name}", taken))
        except Exception:  # a type that JSON cannot express: its options stay free
            continue
        finished = _with_reduce if place is OF_POINTS else _as_it_is
        shared |= {f"{place.prefix}:{name}:{key}": finished(v) for key, v in defs.items()}
        cases.append(
            {
                "if": {
                    "properties": {place.strategy: {"const": name}},
                    "required": [place.strategy],
                },
                "then": {"properties": {place.options: found}},
            }
        )
    return cases, shared


def _schema(name: str, taken: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    (found,), defs = msgspec.json.schema_components(
        [taken], ref_template=f"#/$defs/{name}:{{name}}"
    )
    return found, defs


def _as_it_is(schema: dict[str, Any]) -> dict[str, Any]:
    return schema


def _with_reduce(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") != "object":
        return schema
    own = {ENGINES_OWN_OPTION: {"type": "string"}, **schema.get("properties", {})}
    return {**schema, "properties": own}


def _fault(options: dict[str, Any], taken: Any) -> str | None:
    """Return msgspec's objection to options, None if there is none."""
    given = options_for(taken, options)
    try:
        within(LIMIT_SECONDS, lambda: msgspec.convert(given, taken))
    except msgspec.ValidationError as error:
        return str(error)
    except Exception:
        return None
    return None


def _problem(path: KeyPath, fault: str, name: str, taken: Any) -> Problem:
    found = _PLACE.match(fault)
    what, place = (found["what"], found["place"] or "") if found else (fault, "")
    inside = tuple(part or int(number) for part, number in _PARTS.findall(place))
    unknown = _UNKNOWN.search(what)
    if unknown is not None:
        fields = (
            [field.encode_name for field in msgspec.structs.fields(taken)] if not inside else []
        )
        key = unknown["name"]
        hint = suggest(key, fields, "options")
        return Problem((*path, *inside, key), f"`{printable(name)}` has no such option", hint)
    return Problem((*path, *inside), f"`{printable(name)}`: {printable(what, 200)}", "")


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
