"""What the requests of one caller were for: a name stands for one question, however often asked.

The core answers a request that it has answered before from memory, which is right only for the same
question. Under another verb or with other arguments the answer would be a wrong one.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from anabranch.core.folds.answers import KEPT
from anabranch.engine.gateway.wire import Asked, BadFrame

_MAY_DIFFER = ("wait_seconds", "ticket")
"""How long to wait, and for which wait, may change from one time to the next."""


class RequestNames:
    """The newest names of one caller, as many as the core remembers answers of."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def use(self, name: str, asked: Asked) -> None:
        """Note what a name stands for. Raises BadFrame if it stands for something else."""
        if getattr(asked.args, "ticket", None) is not None and asked.verb != "withdraw":
            return  # it goes on with a wait, whatever else it says
        question = _digest(asked)
        known = self._known.pop(name, question)
        self._known[name] = known
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        if known != question:
            raise BadFrame(
                "request_reused",
                f"request {name!r} was for something else",
                "give every question a name of its own; the same name asks the same again",
            )


def _digest(asked: Asked) -> bytes:
    told = msgspec.to_builtins(asked.args)
    same = {key: value for key, value in told.items() if key not in _MAY_DIFFER}
    data = msgspec.json.encode([asked.verb, same], order="sorted")
    return blake2b(data, digest_size=16).digest()
