"""What the state keeps of a stream's handlers: how many, never which."""

from __future__ import annotations

import msgspec

from anabranch.core.ids import Attempt, Seq, StreamId


class Requested(msgspec.Struct, frozen=True, gc=False):
    """A handler that a person wants tried again; ``cause`` is the event that says so.

    ``is_passed_on``: who runs the handlers will read it, if there is still time.
    """

    handler: int
    cause: Seq
    is_passed_on: bool = False


class Handled(msgspec.Struct, frozen=True, gc=False):
    """How the handlers of a stream's newest attempt have ended, and how far its book was read.

    What the attempt left out, as it was done before, has succeeded. The book is over all attempts.
    ``stopped`` says why the attempt has not run all of them, empty if it has or may yet.
    ``requested`` are those that somebody wants tried again and that nobody has taken up. Of those
    that have failed the attempt has not tried ``left`` again: it runs only those that were
    ``chosen``, one by one, after the stream had ended. Where none was, it runs all that are not
    done.
    """

    attempt: Attempt = 0
    succeeded: int = 0
    failed: int = 0
    book_offset: int = 0
    requested: tuple[Requested, ...] = ()
    stopped: str = ""
    left: int = 0
    chosen: tuple[Requested, ...] = ()

    def of_attempt(self, attempt: Attempt) -> Handled:
        """Return what is known by the time of an attempt: one that is new begins to count anew."""
        if attempt <= self.attempt:
            return self
        return Handled(attempt, book_offset=self.book_offset, chosen=self.chosen)


def results_key(stream: StreamId) -> str:
    """Return the key of the shared state under which a stream's results are."""
    return f"results/{stream}"
