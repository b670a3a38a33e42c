"""Says in plain words what the model found wrong."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from datetime import date, time
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from anabranch.config.model import PlanFile
from anabranch.config.problems import KeyPath, Problem, key_text, nearest, printable, suggest

Model = TypeVar("Model", bound=BaseModel)

_TAGS = frozenset({"<boolean>", "<string>", "<integer>", "<array>", "<table>"})

_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}

_MISSING: dict[KeyPath, tuple[str, str]] = {
    ("version",): ("the version is missing", "add the line `version = 1` at the top"),
    ("streams",): (
        "the plan has no streams",
        'add `[streams]` with a line such as `test = "make"`',
    ),
}


def model_problems(
    document: dict[str, Any], root: type[Model]
) -> tuple[Model | None, list[Problem]]:
    """Read ``document`` through the model of its file, ``root``.

    Returns it typed, or everything that is wrong.
    """
    try:
        return root.model_validate(document), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, [_problem(document, detail, root) for detail in details]


def toml_type(value: object) -> str:
    """Return what a value is called in TOML, with its article."""
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "a boolean"),
        (str, "a string"),
        (int, "an integer"),
        (float, "a float"),
        (list, "an array"),
        (dict, "a table"),
        ((date, time), "a date or time"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "a value")


def allowed_keys(path: KeyPath, root: type[BaseModel] = PlanFile) -> list[str]:
    """Return the keys that the table at ``path`` may hold."""
    shape: object = root
    for part in path:
        shape = next(_tables_in(_child(shape, part)), None)
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return list(shape.model_fields)
    return []


def _where_to(name: str, known: list[str], root: type[BaseModel]) -> str:
    """Return a hint for a key that a table has not: what was meant, or where else it is right."""
    homes = [path for path in _tables_of(root, ()) if name in allowed_keys(path, root)]
    if not homes:
        return suggest(name, known, "keys here")
    places = [f"under `[{key_text(path)}]`" if path else "at the top" for path in homes[:3]]
    belongs = f"`{printable(name)}` belongs {' or '.join(places)}"
    return f"{suggest(name, known, '')} {belongs}" if nearest(name, known) else belongs


def _tables_of(shape: object, path: KeyPath) -> Iterator[KeyPath]:
    """Yield the tables of the file; one that the author names is called NAME."""
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        yield path
        for name, field in shape.model_fields.items():
            for inner in _tables_in(field.annotation):
                yield from _tables_of(inner, (*path, name))
    elif get_origin(shape) is dict:
        for inner in _tables_in(get_args(shape)[1]):
            yield from _tables_of(inner, (*path, "NAME"))


def _problem(document: dict[str, Any], detail: ErrorDetails, root: type[BaseModel]) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    path = _clean(detail["loc"])
    value = _value_at(document, path)
    if kind == "plan":
        return Problem(path, context["text"], context["hint"])
    if kind == "extra_forbidden":
        name = str(detail["loc"][-1])
        table = _clean(detail["loc"][:-1])
        return Problem(
            (*table, name),
            f"unknown key `{printable(name)}`",
            _where_to(name, allowed_keys(table, root), root),
        )
    if kind == "missing":
        return _missing(path, f"`{path[-1]}` is missing")
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", str(context["expected"]))
        word = value if isinstance(value, str) else ""
        got = f"`{printable(word)}`" if word else toml_type(value)
        return Problem(path, f"{got} is not one of {', '.join(names)}", suggest(word, names, "use"))
    return _bounds_or_type(path, kind, context, value, detail["msg"])


def _bounds_or_type(
    path: KeyPath, kind: str, context: dict[str, Any], value: object, fallback: str
) -> Problem:
    got = toml_type(value)
    if kind == "wrong_kind":
        return Problem(path, f"expected {fallback}, got {got}")
    if kind in _EXPECTED:
        return Problem(path, f"expected {_EXPECTED[kind]}, got {got}")
    if kind == "greater_than_equal":
        negative = "it cannot be negative: " if context["ge"] == 0 else ""
        return Problem(path, f"{negative}the least is {context['ge']:g}")
    if kind == "less_than_equal":
        return Problem(path, f"the most is {context['le']:g}")
    if kind == "too_short":
        return _missing(path, "must not be empty")
    if kind in {"finite_number", "int_parsing_size"}:
        return Problem(path, "must be a finite number")
    return Problem(path, fallback[:1].lower() + fallback[1:])


def _missing(path: KeyPath, message: str) -> Problem:
    words, hint = _MISSING.get(path, (message, ""))
    return Problem(path, words, hint)


def _clean(location: tuple[int | str, ...]) -> KeyPath:
    """Return the path in the file: without the names of a union's branches."""
    return tuple(part for part in location if part not in _TAGS)


def _value_at(document: object, path: KeyPath) -> object:
    value = document
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _child(shape: object, part: str | int) -> object:
    """Return the annotation of what lies under ``part`` in a table or a map of tables."""
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        field = shape.model_fields.get(str(part))
        return field.annotation if field else None
    arguments = get_args(shape)
    return arguments[1] if get_origin(shape) is dict else None


def _tables_in(annotation: object) -> Iterator[object]:
    """Yield the models and maps that an annotation allows."""
    unseen = [annotation]
    while unseen:
        shape = unseen.pop(0)
        origin = get_origin(shape)
        if origin is dict or (isinstance(shape, type) and issubclass(shape, BaseModel)):
            yield shape
        elif origin is Annotated:
            unseen.append(get_args(shape)[0])
        elif origin in (Union, types.UnionType):
            unseen.extend(get_args(shape))
