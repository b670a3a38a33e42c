"""By what a handler is known again when its program is started again: its function and its item."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from typing import Any


class NotKnowable(TypeError):
    """A function or an item has nothing by which it could be known again."""


def name_of(function: Callable[..., Any]) -> list[Any]:
    """Return what a function is known by; of a partial one, its arguments too.

    Raises NotKnowable.
    """
    if isinstance(function, functools.partial):
        given = [list(function.args), function.keywords]
        return [*name_of(function.func), plain(given, "an argument of the function")]
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    if "<lambda>" in named.__qualname__:
        raise NotKnowable("a lambda has no name to be known by in another start: use def")
    return [named.__module__, named.__qualname__]


def plain(value: Any, what: str) -> Any:
    """Return a value as JSON has it, a path as its text. Raises NotKnowable."""
    if isinstance(value, str | int | None):
        return value
    try:
        return json.loads(json.dumps(value, default=_path_text, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotKnowable(
            f"{what} cannot be known again, as it is not JSON ({error}): give key=, a function"
            " that makes of an item what it is known by"
        ) from None


def _path_text(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
