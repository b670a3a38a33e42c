"""Tables of handlers: each row's handler says that it takes what its row is for.

The tables are by type, so a type checker sees no difference between a right row and a wrong one;
the wrong one would read the fields of another event, at run time, in a journal that stays.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from anabranch.core import deciding, folds

Row = tuple[str, type, Callable[..., Any]]


def tables() -> Iterator[tuple[str, Mapping[type, Any]]]:
    """Yield every table by type that a module of the core defines, with its name."""
    for package in (deciding, folds):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for name, table in vars(module).items():
                is_table = isinstance(table, Mapping) and bool(table)
                if is_table and all(isinstance(key, type) for key in table):
                    yield f"{found.name.removeprefix('anabranch.core.')}.{name}", table


def rows() -> list[Row]:
    """Return every row that holds a handler."""
    return [
        (f"{name}[{key.__name__}]", key, handler)
        for name, table in tables()
        for key, handler in table.items()
        if callable(handler)
    ]


def taken_by(handler: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the types that a handler's subject may have: its last annotation that is no number."""
    hints = typing.get_type_hints(handler)
    names = [name for name in inspect.signature(handler).parameters if hints.get(name) is not float]
    subject = hints.get(names[-1], Any)
    is_union = isinstance(subject, types.UnionType) or typing.get_origin(subject) is typing.Union
    return typing.get_args(subject) if is_union else (subject,)


@pytest.mark.parametrize(("row", "key", "handler"), rows(), ids=[row[0] for row in rows()])
def test_a_handler_takes_what_its_row_is_for(
    row: str, key: type, handler: Callable[..., Any]
) -> None:
    taken = taken_by(handler)
    assert Any not in taken, f"{row} takes anything"
    assert any(issubclass(key, one) for one in taken), f"{row} takes {taken}"


def test_there_are_tables_to_look_at() -> None:
    assert len(rows()) > 400
