"""The YAML loader, as importers use it; importing it takes longer than most commands do."""

from __future__ import annotations

from typing import Any

import yaml

from anabranch.extending import NotThisFormat

_KEPT_TAGS = frozenset({"tag:yaml.org,2002:merge", "tag:yaml.org,2002:null"})


class _OnceOnly(yaml.SafeLoader):
    """Loads plain values, and refuses a mapping that has a key twice: one of the two is lost."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True) if key.tag not in _KEPT_TAGS else None
            if isinstance(name, str) and name in seen:
                line = key.start_mark.line + 1
                raise NotThisFormat(f"line {line}: `{name}` is there twice")
            if isinstance(name, str):
                seen.add(name)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


class _AsWritten(_OnceOnly):
    """The same, with every scalar as it was written: no ``12:30`` becomes a number, no ``no``
    a False. Only what is not there at all is None."""


_AsWritten.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text: str, *, as_text: bool) -> Any:
    """Return what a YAML text holds; with ``as_text`` every scalar in it is text.

    Raises NotThisFormat.
    """
    try:
        return yaml.load(text, _AsWritten if as_text else _OnceOnly)
    except yaml.YAMLError as error:
        raise NotThisFormat(f"this is not YAML: {' '.join(str(error).split())}") from None
    except (RecursionError, ValueError) as error:  # a date that is not one, a number without end
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise NotThisFormat(reason) from None
