"""Reading YAML as other tools do: plain values only, each key once, and text as it was written."""

from __future__ import annotations

from typing import Any

from anabranch.extending import NotThisFormat
from anabranch_plugins.importers.yaml_loading import load


def read_mapping(text: str, *, as_text: bool = False) -> dict[str, Any]:
    """Return the mapping that a YAML text holds; with ``as_text`` every value in it is text.

    Raises NotThisFormat if it holds anything else.
    """
    found = load(text, as_text=as_text)
    if not isinstance(found, dict):
        raise NotThisFormat("it holds no mapping")
    return {str(key): value for key, value in found.items()}


def as_table(value: object, what: str) -> dict[str, Any]:
    """Return a mapping with text for keys. Raises NotThisFormat."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotThisFormat(f"{what} is not a mapping")
    return {str(key): entry for key, entry in value.items()}


def is_true(value: object) -> bool:
    """Return whether a value that was read as text says yes."""
    return value is True or (isinstance(value, str) and value.lower() in ("true", "yes", "on"))
