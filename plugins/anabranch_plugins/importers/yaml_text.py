"""Reading YAML, which takes the extra ``yaml``: only plain values, never objects."""

from __future__ import annotations

from typing import Any

from anabranch.errors import UsageError
from anabranch.extending import NotThisFormat


def read_mapping(text: str) -> dict[str, Any]:
    """Return the mapping that a YAML text holds.

    Raises NotThisFormat if it holds anything else, UsageError without the extra.
    """
    try:
        import yaml
    except ImportError:
        hint = "install it: pip install 'anabranch[yaml]'"
        raise UsageError("reading YAML takes the extra `yaml`", hint) from None
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise NotThisFormat(f"this is no YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise NotThisFormat("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise NotThisFormat("it holds no mapping")
    return {str(key): value for key, value in found.items()}


def as_table(value: object, what: str) -> dict[str, Any]:
    """Return a mapping with text for keys. Raises NotThisFormat."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotThisFormat(f"{what} is no mapping")
    return {str(key): entry for key, entry in value.items()}
