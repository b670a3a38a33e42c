"""Keys that mean nothing here: that is said once, and where they do mean something."""

from __future__ import annotations

from anabranch_console.presenters.wording import safe
from anabranch_console.registry import Registry
from anabranch_console.steering import Steering


class Unbound:
    """Says it once for each key in each pane.

    Args:
        registry: knows what keys mean elsewhere.
        steering: says it.
    """

    def __init__(self, registry: Registry, steering: Steering) -> None:
        self._registry, self._steering = registry, steering
        self._said: set[tuple[str, str]] = set()

    def pressed(self, key: str, sign: str, pane: str) -> None:
        """Say what a key, which types a sign, does not do here."""
        if (key, pane) in self._said:
            return
        self._said.add((key, pane))
        places = [
            f"{one.verb.name} ({one.where})"
            for one in self._registry.known.values()
            if key in one.verb.direct_keys
        ]
        elsewhere = f"; elsewhere: {', '.join(places)}" if places else ""
        self._steering.tell("info", f"{safe(sign)} means nothing here{elsewhere}; ? lists keys")
