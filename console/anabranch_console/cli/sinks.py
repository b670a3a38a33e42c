"""Standard streams that cannot fail whoever writes to them.

A run is not over because nobody listens: the reader of a pipe leaves or falls asleep, a disk is
full, a terminal hangs up, a locale knows no arrow. So every command writes through a
:class:`Sink`. What cannot be written is dropped, and why is noted once. For a command whose only
product is what it prints, losing it is an error: such a command makes its sinks *essential*, waits
for a slow reader as long as it takes, and ends as soon as nobody can be reached.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import sys
from typing import NamedTuple, TextIO

from anabranch.plugin_call import keep_print

PATIENCE_SECONDS = 5.0
"""How long a reader that takes nothing is waited for before what it is owed is dropped."""
PIECE_BYTES = 4096
"""What a pipe that can be written to takes without blocking (PIPE_BUF)."""
SIGNS = "anabranch.signs"
_IN_PLAIN = str.maketrans(
    {
        "→": "->",
        "←": "<-",
        "·": "-",
        "…": "...",
        "×": "x",
        "✓": "+",
        "✗": "x",
        "≠": "#",
        "−": "-",
        "●": "*",
        "○": "o",
        "—": "-",
        "–": "-",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
    }
)


class Unheard(Exception):
    """What an essential sink cannot deliver; ``error`` says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.error = error

    @property
    def reader_has_left(self) -> bool:
        """Whether somebody has heard enough, which is nobody's mistake."""
        return self.error.errno == errno.EPIPE


class Sink(io.RawIOBase):
    """A descriptor to write UTF-8 to, come what may.

    Args:
        descriptor: where bytes go; None for a stream that was closed before we began.
        spoken: the encoding of whoever reads it.
    """

    def __init__(self, descriptor: int | None, spoken: str = "utf-8") -> None:
        self._descriptor = descriptor
        self.spoken = spoken
        self._rest = b""
        self._is_stuck = False
        self._is_terminal: bool | None = None
        self.is_essential = False
        self.fault: OSError | None = None
        self.dropped = 0

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        if self._is_terminal is None:  # asked at every line, and always the same
            self._is_terminal = self._descriptor is not None and os.isatty(self._descriptor)
        return self._is_terminal

    def fileno(self) -> int:
        if self._descriptor is None:
            raise io.UnsupportedOperation("it was closed from the beginning")
        return self._descriptor

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Write all of ``data``, or drop it; what is left of a piece goes first the next time.

        Raises Unheard only if the sink is essential.
        """
        taken, whole = len(data), self._as_spoken(bytes(data))
        if keep_print(whole) or self._descriptor is None:
            return taken
        try:
            if self.fault is not None:
                raise self.fault
            self._rest = self._put(self._descriptor, self._rest)
            if self._rest:
                self.dropped += 1
            else:
                left = self._put(self._descriptor, whole)
                self._rest = left if len(left) < len(whole) else b""
                self.dropped += len(left) == len(whole) > 0
        except OSError as error:
            self._lose(error)
        return taken

    def _as_spoken(self, data: bytes) -> bytes:
        if self.spoken == "utf-8":
            return data
        return data.decode("utf-8", "surrogateescape").encode(self.spoken, SIGNS)

    def _lose(self, error: OSError) -> None:
        if self.fault is None:
            _note("output is dropped from here on: %s", error.strerror)
        self.fault = error
        self.dropped += 1
        if self.is_essential:
            raise Unheard(error)

    def _put(self, descriptor: int, data: bytes) -> bytes:
        """Write as much as is taken and return what is left."""
        left = memoryview(data)  # a report has many megabytes, which are not copied for each piece
        while left and self._is_ready(descriptor):
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(descriptor, left[:PIECE_BYTES]) :]
                self._is_stuck = False
        return bytes(left)

    def _is_ready(self, descriptor: int) -> bool:
        """Wait until bytes are taken; False once patience is over."""
        waiter = select.poll()  # one for each call: a poll object serves one thread at a time
        waiter.register(descriptor, select.POLLOUT)
        if waiter.poll(0):
            return True
        if self.is_essential:
            return bool(waiter.poll())
        if self._is_stuck:
            return False
        self._is_stuck = not waiter.poll(PATIENCE_SECONDS * 1000)
        if self._is_stuck:
            _note("the reader takes nothing; what it does not take is dropped")
        return not self._is_stuck


def _note(message: str, *arguments: object) -> None:
    """Tell the engine log, which is not there while no run is hosted."""
    import logging  # here, because next to every command is heard

    log = logging.getLogger("anabranch.talk")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    log.warning(message, *arguments)


class Streams(NamedTuple):
    """The two standard streams that a process writes to."""

    out: Sink
    err: Sink


def take_over() -> Streams:
    """Replace the standard streams of this process, and let none of their numbers be free.

    A number that is free would be given to the next file that is opened, a journal perhaps, and
    whoever prints would write into it.
    """
    closed = _fill_gaps()
    out, err = (
        Sink(None if number in closed else number, spoken_by(stream))
        for number, stream in ((1, sys.stdout), (2, sys.stderr))
    )
    sys.stdout, sys.stderr = _text(out), _text(err)
    return Streams(out, err)


def _fill_gaps() -> set[int]:
    closed = set()
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            closed.add(number)
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    return closed


def _text(sink: Sink) -> io.TextIOWrapper:
    """Return a stream of text over a sink; a byte of a path that is not UTF-8 is shown as one."""
    return io.TextIOWrapper(sink, "utf-8", SIGNS, write_through=True)  # type: ignore[arg-type]


def spoken_by(stream: TextIO | None) -> str:
    """Return the encoding of what the person reads, whatever that of file names is."""
    named = sys._xoptions.get(ENCODING_OPTION)
    encoding = named if isinstance(named, str) else (stream.encoding if stream else "utf-8")
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return "utf-8"


ENCODING_OPTION = "anabranch_stdio"


def use_utf8_names() -> None:
    """Begin this process again so that file names are UTF-8, if the locale says otherwise.

    Plans, git and journals are UTF-8; a name would be another file in another encoding. What is
    printed stays in the locale's.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name == "utf-8" or not sys.executable:
        return
    spoken = f"{ENCODING_OPTION}={spoken_by(sys.stdout or sys.stderr)}"
    rest = sys.orig_argv[1:]
    os.execv(sys.executable, [sys.executable, "-X", "utf8", "-X", spoken, *rest])


def _in_signs(error: UnicodeError) -> tuple[str, int]:
    """Write what an encoding does not have in plain signs, or as a visible escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    said = [_plain(char) for char in error.object[error.start : error.end]]
    return "".join(said), error.end


def _plain(char: str) -> str:
    plain = char.translate(_IN_PLAIN)
    if plain != char:
        return plain
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a path that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("ascii", "backslashreplace").decode("ascii")


codecs.register_error(SIGNS, _in_signs)
