"""What the engine has to say to its maintainers: in a file, never on anybody's terminal.

Writing it can fail in many ways (no folder any more, no room, no descriptor, a pipe in its place),
and none of them may matter to what is going on meanwhile.
"""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from pathlib import Path

from anabranch.plain_files import open_to_append

_SPEAKERS = ("anabranch", "asyncio")


class EngineLog(logging.FileHandler):
    """A log of this process's engine, made at its first word; what cannot be written is dropped."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, delay=True, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))

    def _open(self) -> io.TextIOWrapper:
        file = open_to_append(Path(self.baseFilename))
        return io.TextIOWrapper(file, "utf-8", "backslashreplace", write_through=True)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            super().emit(record)


def open_engine_log(path: Path) -> EngineLog:
    """Begin to write down what is said, until :func:`close_engine_log`."""
    logging.raiseExceptions = False
    log = EngineLog(path)
    for name in _SPEAKERS:
        logger = logging.getLogger(name)
        logger.addHandler(log)
        logger.propagate = False
    return log


def close_engine_log(log: EngineLog) -> None:
    """Write nothing more."""
    for name in _SPEAKERS:
        logging.getLogger(name).removeHandler(log)
    with suppress(Exception):
        log.close()
