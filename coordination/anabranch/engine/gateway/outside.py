"""How a program that was started elsewhere finds its way into a run: the environment it needs.

The operator of a run needs its socket and a token. A stream that has joined needs its name as well,
and a folder to work in: it has one of its own in the run's folder. Nothing in there is merged.
"""

from __future__ import annotations

import os

from anabranch.core.ids import Attempt, StreamId
from anabranch.engine.gateway.addresses import socket_folder
from anabranch.engine.gateway.tokens import Tokens
from anabranch.errors import WorldError
from anabranch.paths import RunFolder


def operators_environment(folder: RunFolder) -> dict[str, str]:
    """Return what a program needs to speak to a run as its operator. Raises WorldError."""
    return {
        "ANABRANCH_RUN": folder.run,
        "ANABRANCH_SOCKET": str(socket_folder(folder) / "socket"),
        "ANABRANCH_TOKEN": Tokens.of_run(folder).operator(),
    }


def joined_environment(folder: RunFolder, stream: StreamId, attempt: Attempt) -> dict[str, str]:
    """Return what a stream that has joined needs; its folder is there then. Raises WorldError."""
    own = folder.joined / stream
    try:
        os.makedirs(own, mode=0o700, exist_ok=True)
    except OSError as error:
        raise WorldError(f"{error.strerror}: {error.filename}", "look at the disk") from error
    return {
        **operators_environment(folder),
        "ANABRANCH_TOKEN": Tokens.of_run(folder).of_attempt(stream, attempt),
        "ANABRANCH_STREAM": stream,
        "ANABRANCH_ATTEMPT": str(attempt),
        "ANABRANCH_WORKSPACE": str(own),
    }
