"""Who may ask: tokens that are worked out, never stored, from one secret of the run.

An attempt's token is a keyed hash of its stream and number, so a console that takes a run over
knows the tokens of the streams it adopts, and an attempt's token is worth nothing once the attempt
is over. Tokens keep streams from acting for each other by mistake; a program of the same user that
reads other processes' memory is not kept out by them.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import blake2b
from pathlib import Path

from anabranch.core.calls import OPERATOR, Caller
from anabranch.core.ids import Attempt, StreamId
from anabranch.errors import WorldError
from anabranch.files import replace_whole
from anabranch.paths import RunFolder
from anabranch.plain_files import read_if_there

SECRET_BYTES = 32
LONGEST_TOKEN = 512
_OPERATOR = "operator"


class Tokens:
    """The tokens of one run."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: dict[str, Caller] = {}

    @classmethod
    def of_run(cls, folder: RunFolder) -> Tokens:
        """Return a run's tokens; a new run gets its secret and a file with the operator's token.

        Both files are readable by their owner alone. Raises WorldError.
        """
        try:
            tokens = cls(_kept(folder.secret, secrets.token_bytes(SECRET_BYTES)))
            _kept(folder.operator_token, tokens.operator().encode())
        except OSError as error:
            raise WorldError(f"{error.strerror}: {error.filename}", "look at the disk") from error
        return tokens

    def of_attempt(self, stream: StreamId, attempt: Attempt) -> str:
        """Return the token of one attempt of a stream."""
        return f"{stream}.{attempt}.{self._hash(f'{stream}/{attempt}')}"

    def operator(self) -> str:
        """Return the token of whoever operates the run."""
        return f"{_OPERATOR}.{self._hash(_OPERATOR)}"

    def bearer(self, token: str) -> Caller | None:
        """Return whom a token belongs to, living or not; None if it is not genuine.

        One that is genuine is worked out once: every call carries it.
        """
        caller = self._known.get(token) or self._worked_out(token)
        if caller is not None:
            self._known[token] = caller
        return caller

    def _worked_out(self, token: str) -> Caller | None:
        if len(token) > LONGEST_TOKEN or not token.isascii():
            return None
        name, _, _ = token.rpartition(".")
        if name == _OPERATOR:
            is_genuine = hmac.compare_digest(token, self.operator())
            return OPERATOR if is_genuine else None
        stream, _, number = name.rpartition(".")
        if not stream or not number.isdecimal() or len(number) > 9:
            return None
        expected = self.of_attempt(StreamId(stream), int(number))
        is_genuine = hmac.compare_digest(token, expected)
        return Caller(StreamId(stream), int(number)) if is_genuine else None

    def _hash(self, subject: str) -> str:
        return blake2b(subject.encode(), key=self._secret, digest_size=32).hexdigest()


def _kept(path: Path, content: bytes) -> bytes:
    """Return what a private file holds; it is made with ``content`` if there is none."""
    kept = read_if_there(path, LONGEST_TOKEN)
    if kept is None:
        replace_whole(path, content, synced=True)
    return content if kept is None else kept
