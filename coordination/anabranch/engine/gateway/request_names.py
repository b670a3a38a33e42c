"""What the requests of one caller were for: a name stands for one question, however often asked.

The core answers a request that it has answered before from memory, which is right only for the same
question. Under another verb or with other arguments the answer would be a wrong one.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from anabranch.core.calls import Call, WaitingCall
from anabranch.core.folds.answers import KEPT
from anabranch.engine.gateway.wire import BadFrame, Read

_MAY_DIFFER = frozenset(WaitingCall.__struct_fields__)
"""Who asks, and under which name, is known; how long to wait may change between two times."""


class RequestNames:
    """The newest names of one caller, as many as the core remembers answers of."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def use(self, name: str, asked: Call | Read) -> None:
        """Note what a name stands for. Raises BadFrame if it stands for something else."""
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


def _digest(asked: Call | Read) -> bytes:
    fields = msgspec.to_builtins(asked)
    same = {key: value for key, value in fields.items() if key not in _MAY_DIFFER}
    data = msgspec.json.encode(same, order="sorted")
    return blake2b(data, digest_size=16).digest()
