"""Setting up: a command that makes the workspace ready before the attempt's own command runs.

Its process is forked beside that of the command, and waits like it until ``start`` is on disk. It
is a child of the holder, so it outlives the engine; its output goes to a log of its own. When it
has ended well the command is let go. When it fails, or takes longer than it may, the command never
runs. What it leaves running is in the holder's tree like anything else, and lives as long.
"""

import _socket
import os
import select
import time

from . import command, log, records

READ_BYTES = 65_536
READS_PER_TURN = 64
READS_AT_END = 65_536
ENDED_EARLY = "it was ended before it was done"


class SetUp:
    """A setup that runs, or has run; ``why_not`` says why the workspace is not ready."""

    def __init__(
        self, spec: command.Spec, name: str, run: int, folder: int, poll: select.poll
    ) -> None:
        """Fork its process, which waits; raises OSError."""
        assert spec.setup is not None
        records.reserve("setup", folder)
        self._folder, self._poll = folder, poll
        self._log = log.Log(f"{name}.setup", run)
        self.output, end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.output, False)
        self._seconds = float(spec.setup["timeout_seconds"])
        self._until = float("inf")
        self._began = time.monotonic()
        self.is_over = False
        self.why_not = ""
        self.cpu_seconds = 0.0
        own = command.Spec(spec.setup["argv"], spec.setup["cwd"], spec.env, False, 0, 0)
        own.ceilings, own.fifo, own.jobserver = spec.ceilings, spec.fifo, spec.jobserver
        self.pid, self._channel = command.fork(own, 0, end)
        os.close(end)
        poll.register(self.output, select.POLLIN)

    def let_go(self) -> None:
        """Let it run."""
        self._began = time.monotonic()
        self._until = self._began + self._seconds
        self._channel.send(b"!", _socket.MSG_NOSIGNAL)

    def drop(self) -> None:
        """Have its process end without having run."""
        self._channel.close()
        os.waitpid(self.pid, 0)

    def seconds_left(self) -> float:
        """Return after how many seconds it has run for too long."""
        return max(0.0, self._until - time.monotonic())

    def is_too_late(self) -> bool:
        """Say, once, whether it has run for longer than it may."""
        if self.is_over or time.monotonic() < self._until:
            return False
        self._until = float("inf")
        self.why_not = f"it took longer than {self._seconds:g} s"
        return True

    def copy_output(self, most_reads: int = READS_PER_TURN) -> None:
        """Copy what it has written to its log."""
        for _ in range(most_reads):
            try:
                output = os.read(self.output, READ_BYTES)
            except OSError:  # nothing more for now
                return
            if not output:  # nobody is left who could write
                self._poll.unregister(self.output)
                os.close(self.output)
                self.output = -1
                return
            self._log.write(output)

    def ended(self, is_stopping: bool) -> bool:
        """Reap it, write how it ended, and return whether the command may run."""
        before = os.times()
        _, status = os.waitpid(self.pid, 0)
        after = os.times()
        self.cpu_seconds = sum(after[2:4]) - sum(before[2:4])
        code = os.waitstatus_to_exitcode(status)
        if not self.why_not:
            self.why_not = self._said() or _in_words(code, is_stopping)
        self._write(code if code >= 0 else None, -code if code < 0 else None)
        return not self.why_not and not is_stopping

    def finish(self) -> None:
        """Write the last output; and that it came to no end, where the command ended before it."""
        if self.output >= 0:
            self.copy_output(READS_AT_END)
        if not self.is_over:
            self.why_not = self.why_not or ENDED_EARLY
            self._write(None, None)

    def _write(self, code: int | None, signal: int | None) -> None:
        self.is_over = True
        if self.output >= 0:
            self.copy_output(READS_AT_END)
        record: dict[str, records.Value] = {
            "code": code,
            "signal": signal,
            "failure": self.why_not,
            "seconds": round(time.monotonic() - self._began, 3),
        }
        records.write_reserved("setup", self._folder, record)

    def _said(self) -> str:
        """Return what the child said if it could not become the command."""
        try:
            said = self._channel.recv(4096, _socket.MSG_DONTWAIT)
        except OSError:
            return ""
        return said.decode(errors="replace")


def _in_words(code: int, is_stopping: bool) -> str:
    if code == 0:
        return ""
    if is_stopping:
        return ENDED_EARLY
    return f"exit {code}" if code > 0 else f"ended by signal {-code}"
