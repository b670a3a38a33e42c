"""A journal stays where it is: somebody can remove it while its run goes on, or replace it."""

from __future__ import annotations

import logging
from contextlib import suppress

from anabranch.engine.journal import Journal
from anabranch.errors import AnabranchError

_log = logging.getLogger(__name__)


class JournalPlace:
    """Puts a journal back whenever it is not where it was. Lives in the engine's event loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.trouble: str | None = None
        """What is wrong with it, until it is put back."""

    def look(self) -> None:
        """Look once: what is found is reported first, and mended by the next look."""
        if self._journal.is_in_place():
            self.trouble = None
        elif self.trouble is None:
            self.trouble = "somebody has moved the journal away, and it has to be put back"
            _log.warning("the journal is not where it was")
        else:
            with suppress(AnabranchError):  # it is tried again
                self._journal.put_back()

    def look_at_last(self) -> None:
        """Look before the journal is closed."""
        with suppress(OSError, AnabranchError):
            if not self._journal.is_in_place():
                self._journal.put_back()
