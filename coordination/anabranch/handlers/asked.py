"""What a person asks of handlers while they run: a file of lines that the engine appends to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator

from .plain import plain

LONGEST_READ_BYTES = 64 * 1024
NAME = "asked"


def line(attempt: int, place: int, cause: int) -> str:
    """Return the line that asks for a handler to be ended, if it runs, and tried again.

    ``cause`` tells this asking from every other: a line that stands there twice counts once.
    """
    return json.dumps([attempt, place, cause]) + "\n"


class Asked:
    """The file as it grows, for one attempt."""

    def __init__(self, folder: str, attempt: int, heard: Iterable[int] = ()) -> None:
        """Prepare; the causes that are ``heard`` already count no more."""
        self._path = os.path.join(folder, NAME)
        self._attempt = attempt
        self._offset = 0
        self._heard = set(heard)

    def news(self) -> Iterator[tuple[int, int]]:
        """Yield the places of the handlers that are to be tried again, each with its cause."""
        for found in self._lines():
            try:
                attempt, place, cause = json.loads(found)
            except (ValueError, TypeError, RecursionError):
                continue
            if type(place) is not int or type(cause) is not int:
                continue
            if attempt == self._attempt and cause not in self._heard:
                self._heard.add(cause)
                yield place, cause

    def _lines(self) -> list[bytes]:
        try:
            with open(self._path, "rb", opener=plain) as file:
                file.seek(self._offset)
                data = file.read(LONGEST_READ_BYTES)
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.splitlines()
