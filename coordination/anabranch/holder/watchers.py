"""Whoever is attached to a stream's terminal: they see what it shows, and may type into it.

They come by ``attach``, a socket in the attempt's folder that keeps messages whole. The first byte
of a message is what it is. To a watcher go:

- ``h``: how the terminal stands, as JSON: at first, when its size changes, and after a gap;
- ``o``: output.

And from a watcher come:

- ``s``: the size of its own terminal, ``ROWS COLUMNS``; the stream's is the smallest of them;
- ``k``: what a person typed; ``e``: what the mouse and the window did;
- ``r``: what its terminal answered to the program: one answers for all, who came first.

Nobody here can hold the stream up. Output that a watcher has no room for is left out for that
watcher alone, who is told how much it was; and whoever goes, goes by closing.
"""

import _socket
import os
import select

from . import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "attach"
MOST_WATCHERS = 32
QUEUED_BYTES = 1_048_576
MESSAGE_BYTES = 65_536
ENOUGH_ROOM = 2 * MESSAGE_BYTES


class Watcher:
    """One that is attached; ``is_behind`` while it takes no more of what it is told."""

    def __init__(self, door: _socket.socket) -> None:
        self.door = door
        self.size: tuple[int, int] | None = None
        self.is_behind = False
        self.left_out = 0


class Watchers:
    """All that are attached to one terminal.

    Args:
        folder: the attempt's.
        poll: says who has something to say.
        place: the terminal.
        log_bytes: returns how long the log is: what was before is read there.
    """

    def __init__(
        self,
        folder: int,
        poll: select.poll,
        place: terminal.Terminal,
        log_bytes: "Callable[[], int]",
    ) -> None:
        self._poll, self._terminal, self._log_bytes = poll, place, log_bytes
        self._watchers: dict[int, Watcher] = {}
        self._is_deaf = False
        self._door = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._door.setblocking(False)
        try:
            if os.access(NAME, os.F_OK, dir_fd=folder):  # of a holder that died before it began
                os.unlink(NAME, dir_fd=folder)
            self._door.bind(f"/proc/self/fd/{folder}/{NAME}")
            self._door.listen(MOST_WATCHERS)
            poll.register(self._door, select.POLLIN)
        except OSError:
            pass  # then nobody can attach, and the stream runs all the same

    # --- coming, going, and what they say --------------------------------------------------------

    def serve(self, descriptor: int) -> None:
        """Hear one that has something to say, let one in, or let one go."""
        watcher = self._watchers.get(descriptor)
        if watcher is None:
            self._let_in()
            return
        if watcher.is_behind:
            self._tell(watcher)
        try:
            self._hear(watcher)
        except BlockingIOError:
            pass
        except Exception:  # it has gone, or makes no sense
            self._let_go(watcher)

    def _let_in(self) -> None:
        try:
            descriptor, _ = self._door._accept()  # type: ignore[attr-defined]  # what C has of it
        except OSError:
            return
        watcher = Watcher(_socket.socket(fileno=descriptor))
        if len(self._watchers) == MOST_WATCHERS:
            watcher.door.close()
            return
        watcher.door.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, QUEUED_BYTES)
        self._watchers[descriptor] = watcher
        self._poll.register(descriptor, self._awaited(watcher))
        self._terminal.watchers = len(self._watchers)
        self._tell(watcher)

    def _let_go(self, watcher: Watcher) -> None:
        descriptor = watcher.door.fileno()
        if self._watchers.pop(descriptor, None) is None:
            return
        self._poll.unregister(descriptor)
        watcher.door.close()
        self._terminal.watchers = len(self._watchers)
        self._fit()

    def _hear(self, watcher: Watcher) -> None:
        """Take one message; raises OSError if there is none, others if it makes no sense."""
        message = watcher.door.recv(MESSAGE_BYTES, _socket.MSG_DONTWAIT)
        kind, said = message[:1], message[1:]
        if kind == b"s":
            rows, columns = [int(number) for number in said.split()]
            watcher.size = rows, columns
            self._fit()
        elif kind in (b"k", b"e") or (kind == b"r" and watcher is self._first()):
            if kind == b"k":
                self._terminal.line.typed(said)
            self._terminal.enter(said)
        elif kind != b"r":
            raise EOFError

    def _first(self) -> Watcher:
        return next(iter(self._watchers.values()))

    def _fit(self) -> None:
        """Give the terminal the smallest size that anybody has; with nobody it stays as it is."""
        sizes = [watcher.size for watcher in self._watchers.values() if watcher.size]
        if not sizes:
            return
        rows = max(1, min(size[0] for size in sizes))
        columns = max(1, min(size[1] for size in sizes))
        if (rows, columns) != (self._terminal.rows, self._terminal.columns):
            self._terminal.resize(rows, columns)
            for watcher in list(self._watchers.values()):
                self._tell(watcher)

    def listen_while_there_is_room(self) -> None:
        """Let what people type wait with them while the program does not read."""
        is_deaf = self._terminal.room < ENOUGH_ROOM
        if is_deaf != self._is_deaf:
            self._is_deaf = is_deaf
            for watcher in self._watchers.values():
                self._poll.modify(watcher.door, self._awaited(watcher))

    def _awaited(self, watcher: Watcher) -> int:
        waits_for = 0 if self._is_deaf else select.POLLIN
        return waits_for | (select.POLLOUT if watcher.is_behind else 0)

    # --- what they are told ----------------------------------------------------------------------

    def show(self, output: bytes) -> None:
        """Show output to everybody who has room for it."""
        for watcher in list(self._watchers.values()):
            if watcher.is_behind:
                watcher.left_out += len(output)
            elif not self._send(watcher, b"o" + output):
                watcher.left_out = len(output)

    def _tell(self, watcher: Watcher) -> None:
        """Tell one how the terminal stands now, and that it has missed something, if so."""
        place = self._terminal
        stands = (
            f'h{{"rows": {place.rows}, "columns": {place.columns}, "left_out": {watcher.left_out}, '
            f'"log_bytes": {self._log_bytes()}, "modes": "{place.modes.as_text()}"}}'
        )
        if self._send(watcher, stands.encode()):
            watcher.left_out = 0

    def _send(self, watcher: Watcher, message: bytes) -> bool:
        """Send a message unless there is no room for it; whoever has gone is let go."""
        was_behind = watcher.is_behind
        try:
            watcher.door.send(message, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
            watcher.is_behind = False
        except BlockingIOError:
            watcher.is_behind = True
        except OSError:
            self._let_go(watcher)
            return False
        if watcher.is_behind != was_behind:
            self._poll.modify(watcher.door, self._awaited(watcher))
        return not watcher.is_behind
