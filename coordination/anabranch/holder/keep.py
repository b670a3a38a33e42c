"""The holder: it keeps one attempt of one stream, from the fork of its command to its exit record.

Theory of operation. The holder needs nobody. It holds the attempt's lock, is the parent of the
command and the reaper of everything the command leaves behind, and waits in one ``poll`` for:

- the wake pipe: a child ended, or the holder itself was asked to end (SIGTERM);
- ``ctl``, a datagram socket in the attempt's folder: stop, signal, resize, input, line, enter,
  pause, go on;
- ``attach``, a socket by which people come to see the terminal and type (see ``watchers``);
- the pseudo-terminal or the pipe that the command writes to: output to copy to the log.

The order of its acts is what others rely on. ``start`` is written before the command runs, and
before the setup does, if there is one: then ``setup`` tells how that ended (``setting_up``). The
command stays unreaped until its exit record is written, so its number names it until then. At the
end all output is in the log before ``exit`` appears, and survivors have been ended before that.

Everything is relative to descriptors of the folders as they were at the start: if a folder is
removed and made anew under a living holder, the holder does not write into the new one.
"""

import _signal  # type: ignore[import-not-found]  # what signal wraps, without its enumerations
import _socket
import binascii
import os
import select
import sys
import time

from . import (
    ceilings,
    command,
    jobs,
    kernel,
    log,
    plain_json,
    records,
    sent_line,
    setting_up,
    terminal,
    tree,
    watchers,
)

SURVIVOR_GRACE_SECONDS = 1.0
SHUTDOWN_GRACE_SECONDS = 5.0
KILL_AGAIN_SECONDS = 0.1
KILL_PATIENCE_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 10.0
LONGEST_GRACE_SECONDS = 7 * 86_400.0  # in milliseconds it has to fit what poll() takes
NOTIFY_PATIENCE = (0).to_bytes(8, sys.byteorder) + (200_000).to_bytes(8, sys.byteorder)
DATAGRAM_BYTES = 262_144
READ_BYTES = 65_536
SHOWN_AT_ONCE_BYTES = 32_768
READS_PER_TURN = 64
READS_AT_END = 65_536


class Attempt:
    """Which attempt to hold: its name, the run's folder, its own folder, and this boot."""

    def __init__(self, name: str, run: int, folder: int, boot_id: str) -> None:
        self.name = name
        self.run = run
        self.folder = folder
        self.boot_id = boot_id


def hold(attempt: Attempt, spec: command.Spec) -> None:
    """Start the attempt's command and keep it until its exit record is written."""
    kernel.set_name("ab-holder")
    kernel.become_subreaper()
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    control.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, NOTIFY_PATIENCE)
    try:
        _bind_control(control, attempt.folder)
        holder = Holder(attempt, spec, control)
    except OSError as error:
        jobs.remove(attempt.folder)
        ceilings.remove(spec.ceilings)
        records.write_exit(attempt.folder, {"not_started": str(error)})
        _notify(control, attempt)
        return
    holder.serve()
    holder.finish()


def _bind_control(control: _socket.socket, folder: int) -> None:
    """Bind the control socket in the attempt's folder.

    The name goes through the descriptor because socket addresses hold no long paths.
    """
    if os.access("ctl", os.F_OK, dir_fd=folder):  # of a holder that died before it began
        os.unlink("ctl", dir_fd=folder)
    control.bind(f"/proc/self/fd/{folder}/ctl")


def _notify(control: _socket.socket, attempt: Attempt) -> None:
    """Tell the engine, if there is one, to look at this attempt's folder."""
    try:
        control.sendto(attempt.name.encode(), f"/proc/self/fd/{attempt.run}/notify.sock")
    except OSError:
        pass  # nobody listens, or not now: the engine looks by itself


def _catch_signals() -> int:
    """Turn signals into bytes on a pipe and return its reading end.

    They are caught rather than ignored, which the command would inherit.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (_signal.SIGCHLD, _signal.SIGTERM, _signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, lambda *_: None)
    return reading


class Holder:
    """A running command and what is needed to keep it."""

    def __init__(self, attempt: Attempt, spec: command.Spec, control: _socket.socket) -> None:
        """Start the command; raises OSError, with nothing run, if that fails."""
        self.attempt = attempt
        self.control = control
        self.log = log.Log(attempt.name, attempt.run)
        self.reported_left_out = 0
        self.terminal: terminal.Terminal | None = None
        self.watchers: watchers.Watchers | None = None
        self.sent: sent_line.SentLine | None = None
        self.survivors = 0
        self.is_stopping = False
        self.paused: list[tree.Process] = []
        self.go_on_at: float | None = None
        self.kill_at: float | None = None
        self.give_up_at: float | None = None
        self.ended: os.waitid_result | None = None
        self.poll = select.poll()
        self.starttime = kernel.start_ticks(os.getpid())
        spec.env[command.MARK] = f"{os.getpid()}.{self.starttime}"
        spec.fifo = jobs.opened(attempt.folder) if spec.jobserver else None
        self.ceilings = spec.ceilings
        ceilings.prepare(self.ceilings)
        source, sink = self._open_terminal(spec) if spec.tty else self._open_pipe()
        self.pid, self.channel = command.fork(spec, source, sink)
        self.setup = self._prepare_setup(spec)
        self.wake = _catch_signals()  # only now: the child must not catch what it waits to obey
        self._begin()
        for descriptor in (self.wake, control.fileno()):
            self.poll.register(descriptor, select.POLLIN)

    def _prepare_setup(self, spec: command.Spec) -> "setting_up.SetUp | None":
        """Fork what sets the workspace up, if anything does; raises OSError, and nothing ran."""
        if spec.setup is None:
            return None
        at = self.attempt
        try:
            return setting_up.SetUp(spec, at.name, at.run, at.folder, self.poll)
        except OSError:
            self.channel.close()
            os.waitpid(self.pid, 0)
            raise

    def _open_terminal(self, spec: command.Spec) -> tuple[int, int]:
        """Open a pseudo-terminal and return the command's end twice, for input and for output."""
        folder = self.attempt.folder
        self.terminal = terminal.Terminal(folder, self.poll, spec.rows, spec.columns)
        self.watchers = watchers.Watchers(folder, self.poll, self.terminal, self.log.size)
        self.sent = sent_line.SentLine(folder, self.terminal)
        self.output = self.terminal.descriptor
        return self.terminal.end, self.terminal.end

    def _open_pipe(self) -> tuple[int, int]:
        """Open a pipe for the command's output; its input is that of the holder, which is empty.

        Both ends stay open here, so that a command that closes its output does not end it.
        """
        self.output, end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.output, False)
        self.poll.register(self.output, select.POLLIN)
        return 0, end

    def _begin(self) -> None:
        """Write ``start``, then let the command run; raises OSError, and it never ran.

        Whoever knows that it has started finds out at once what can be typed into its terminal.
        """
        if self.terminal is not None:
            self.terminal.record()
        try:
            records.write_start(
                self.attempt.folder,
                {
                    "pid": self.pid,
                    "starttime": kernel.start_ticks(self.pid),
                    "boot_id": self.attempt.boot_id,
                    "holder_pid": os.getpid(),
                    "holder_starttime": self.starttime,
                    "setup_pid": self.setup.pid if self.setup else None,
                },
            )
        except OSError:
            self.channel.close()
            os.waitpid(self.pid, 0)
            if self.setup is not None:
                self.setup.drop()
            raise
        if self.setup is None:
            self.channel.send(b"!", _socket.MSG_NOSIGNAL)
        else:
            self.setup.let_go()
        _notify(self.control, self.attempt)

    def _setup_ended(self, setup: setting_up.SetUp) -> None:
        """Let the command go; without a ready workspace it ends without having run."""
        if setup.ended(self.is_stopping):
            self.channel.send(b"!", _socket.MSG_NOSIGNAL)
        else:
            self.channel.close()
        _notify(self.control, self.attempt)

    def serve(self) -> None:
        """Keep the command until it has ended, then end what it left behind."""
        self._reap()  # it may have been killed before signals were caught
        while self.ended is None:
            self._turn()
        left = tree.descendants() if tree.children() != [self.pid] else []
        self.survivors = len(left)
        if left and not self.is_stopping:
            self._stop(SURVIVOR_GRACE_SECONDS)
        while left and (self.give_up_at is None or time.monotonic() < self.give_up_at):
            self._turn()
            left = tree.descendants()

    def finish(self) -> None:
        """Write the last output and the exit record, then let the command's number go."""
        self._copy_output(READS_AT_END)
        if self.sent is not None:
            self.sent.ended()
        assert self.ended is not None
        has_exited = self.ended.si_code == os.CLD_EXITED
        cpu_seconds, peak_memory_mb = kernel.used(self.pid)
        if self.setup is not None:
            cpu_seconds = max(0.0, cpu_seconds - self.setup.cpu_seconds)
            self.setup.finish()
        of_group = round(ceilings.peak_memory_mb(self.ceilings), 1)
        kills = ceilings.memory_kills(self.ceilings) if self._was_killed() else 0
        jobs.remove(self.attempt.folder)
        ceilings.remove(self.ceilings)
        records.write_exit(
            self.attempt.folder,
            {
                "code": self.ended.si_status if has_exited else None,
                "signal": None if has_exited else self.ended.si_status,
                "exec_error": self._why_not_run(),
                "setup_failure": self.setup.why_not or None if self.setup else None,
                "lost_bytes": self.log.lost,
                "left_out_bytes": self.log.left_out,
                "tree_survivors": self.survivors,
                "cpu_seconds": round(cpu_seconds, 3),
                "peak_memory_mb": max(of_group, peak_memory_mb or 0.0) or None,
                "memory_kills": kills,
            },
        )
        os.waitpid(self.pid, 0)
        _notify(self.control, self.attempt)

    def _was_killed(self) -> bool:
        """Return whether the command was killed, or is a shell that says so of its own."""
        assert self.ended is not None
        return self.ended.si_status in (_signal.SIGKILL, 128 + _signal.SIGKILL)

    def _why_not_run(self) -> str | None:
        """Return what the child said if it could not become the command."""
        try:
            said = self.channel.recv(4096, _socket.MSG_DONTWAIT)
        except OSError:  # nothing, or it was never let go
            return None
        return said.decode(errors="replace") or None

    def _turn(self) -> None:
        """Wait for something to do, do it, and kill if a grace is over."""
        for descriptor, _ in self.poll.poll(self._patience_milliseconds()):
            if descriptor == self.wake:
                self._take_signals()
            elif descriptor == self.output:
                self._copy_output(READS_PER_TURN)
                if self.terminal is not None:
                    self.terminal.write_input()
            elif descriptor == self.control.fileno():
                self._take_orders()
            elif self.setup is not None and descriptor == self.setup.output:
                self.setup.copy_output()
            elif self.watchers is not None:
                self.watchers.serve(descriptor)
        self._settle_terminal()
        if self.setup is not None and self.setup.is_too_late():
            self._stop(SURVIVOR_GRACE_SECONDS)
        now = time.monotonic()
        if self.go_on_at is not None and now >= self.go_on_at:
            self._go_on()
        if self.kill_at is not None and now >= self.kill_at:
            tree.signal_all(_signal.SIGKILL)
            self.kill_at = now + KILL_AGAIN_SECONDS
            self.give_up_at = self.give_up_at or now + KILL_PATIENCE_SECONDS

    def _settle_terminal(self) -> None:
        if self.terminal is not None and self.watchers is not None:
            self.watchers.listen_while_there_is_room()
            self.terminal.record()

    def _patience_milliseconds(self) -> float | None:
        alarms = [at for at in (self.kill_at, self.go_on_at) if at is not None]
        waits = [max(0.0, at - time.monotonic()) for at in alarms]
        if self.setup is not None and not self.setup.is_over:
            left = self.setup.seconds_left()
            waits += [left] if left < LONGEST_GRACE_SECONDS else []
        if self.ended is not None:  # a survivor's parent may not be us: nothing will wake us
            waits.append(LOOK_AGAIN_SECONDS)
        return min(waits) * 1000 + 1 if waits else None

    def _take_signals(self) -> None:
        if _signal.SIGTERM in os.read(self.wake, READ_BYTES):
            self._stop(SHUTDOWN_GRACE_SECONDS)
        self._reap()

    def _reap(self) -> None:
        """Reap ended orphans; note how the command ended but leave it unreaped."""
        while self.ended is None:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return
            if found.si_pid == self.pid:
                self.ended = found
                return
            if self.setup is not None and found.si_pid == self.setup.pid:
                self._setup_ended(self.setup)
            else:
                os.waitpid(found.si_pid, 0)
        for pid in tree.children():
            if pid != self.pid:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)

    def _take_orders(self) -> None:
        """Carry out one message from the control socket; a malformed one is only noted."""
        try:
            order = self.control.recv(DATAGRAM_BYTES, _socket.MSG_DONTWAIT)
            self._carry_out(plain_json.parse(order.decode()))
        except Exception as error:  # whatever it says, the stream it is about goes on
            print(f"{self.attempt.name}: control message ignored: {error!r}", file=sys.stderr)

    def _carry_out(self, order: dict[str, float]) -> None:
        match order["op"]:
            case "stop":
                self._stop(_bounded(order["grace_seconds"], LONGEST_GRACE_SECONDS))
            case "signal":
                tree.signal_all(int(order["signal"]))
            case "resize" if self.terminal is not None:
                self.terminal.resize(int(order["rows"]), int(order["columns"]))
            case "input" if self.terminal is not None:
                self.terminal.enter(binascii.a2b_base64(str(order["data"])))
            case "line" if self.sent is not None:
                self.sent.type(int(order["number"]), binascii.a2b_base64(str(order["data"])))
            case "enter" if self.sent is not None:
                self.sent.enter(int(order["number"]))
            case "pause":
                self._pause(_bounded(order["seconds"], LONGEST_PAUSE_SECONDS))
            case "go_on":
                self._go_on()

    def _pause(self, seconds: float) -> None:
        """Hold the whole tree still for a moment; it goes on by itself, whoever asked.

        Parents stop before their children and go on after them: none sees the other stopped.
        """
        if self.is_stopping or self.ended is not None:
            return
        self.go_on_at = max(self.go_on_at or 0.0, time.monotonic() + seconds)
        for _ in range(2):  # what was passed from parent to parent during the first look
            moving = [p for p in tree.moving() if p not in self.paused]
            for process in moving:
                tree.send(process, _signal.SIGSTOP)
            self.paused += moving

    def _go_on(self) -> None:
        for process in reversed(self.paused):
            tree.send(process, _signal.SIGCONT)
        self.paused, self.go_on_at = [], None

    def _stop(self, grace_seconds: float) -> None:
        """Ask the whole tree to end, once; what is left after the grace is killed.

        Asking again can shorten the grace and never sends a second SIGTERM, which many programs
        take as an order to drop everything.
        """
        self._go_on()
        kill_at = time.monotonic() + grace_seconds
        self.kill_at = kill_at if self.kill_at is None else min(self.kill_at, kill_at)
        if not self.is_stopping:
            self.is_stopping = True
            for process in tree.signal_all(_signal.SIGTERM):
                tree.send(process, _signal.SIGCONT)  # a stopped process cannot act on it

    def _copy_output(self, most_reads: int) -> None:
        """Copy output to the log and to whoever is attached."""
        shown: list[bytes] = []
        for _ in range(most_reads):
            try:
                output = os.read(self.output, READ_BYTES)
            except OSError:  # nothing more for now
                break
            self._keep(output)
            if self.terminal is not None:
                shown.append(output)
                if len(output) * len(shown) >= SHOWN_AT_ONCE_BYTES:
                    self._show(shown)
        self._show(shown)

    def _keep(self, output: bytes) -> None:
        """Write output to the log, and tell the engine, if there is one, of a flood."""
        if self.log.write(output) and self.log.left_out >= 2 * self.reported_left_out:
            self.reported_left_out = self.log.left_out
            flood: dict[str, records.Value] = {"left_out_bytes": self.log.left_out}
            records.write_passing("flood", self.attempt.folder, flood)
            _notify(self.control, self.attempt)

    def _show(self, outputs: list[bytes]) -> None:
        """Show what was read from the terminal to whoever is attached."""
        if outputs and self.terminal is not None and self.watchers is not None:
            output = b"".join(outputs)
            outputs.clear()
            self.terminal.modes.saw(output)
            self.watchers.show(output)


def _bounded(asked: float, most: float) -> float:
    """Return a time that a message gives, 0 for what is not a number or is negative."""
    seconds = float(asked)
    return min(seconds, most) if seconds > 0.0 else 0.0
