"""The program as a user has it: started as a process, in a scratch project with a state of its own.

Everything that a test starts bears a mark in its environment, which streams, holders and zygotes
inherit. What is left of a test is found by that mark, and nothing else is ever ended.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from anabranch.core.model.state import State
from anabranch.core.views.projections import event_line, status
from anabranch.engine.journal import Journal
from anabranch.engine.run_numbers import newest_first
from anabranch.engine.runs import read_run
from anabranch.engine.workspaces.layers.mounting import hide_all_below
from anabranch.paths import RunFolder
from anabranch_console.cli.main import main

DEADLINE_SECONDS = 60.0
LOOK_SECONDS = 0.02
MARK = "ANABRANCH_TEST_MARK"
PROGRAM = (sys.executable, "-c", "from anabranch_console.cli.main import main; main()")


def until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until a condition holds; fail, saying what was awaited, when time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(LOOK_SECONDS)


def _readable(folder: RunFolder) -> tuple[State, bool]:
    """Return a run's state, and whether it is hosted; its journal may just have been made."""
    until(lambda: read_run(folder).state is not None, "the run has begun")
    found = read_run(folder)
    assert found.state is not None, found.fault
    return found.state, found.is_hosted


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return the JSON document on stdout."""
        return json.loads(self.out)

    def json_lines(self) -> list[dict[str, Any]]:
        """Return the JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


class Running:
    """A command that has been started, in a session of its own."""

    def __init__(self, process: subprocess.Popen[bytes], place: Path) -> None:
        self._process = process
        self._place = place

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return self._place.with_suffix(".out").read_text("utf-8", "replace")

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._place.with_suffix(".err").read_text("utf-8", "replace")

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Signal it. It is our unreaped child, so its number means it and nobody else."""
        self._process.send_signal(number)

    def wait(self, seconds: float = DEADLINE_SECONDS) -> Answer:
        """Wait for its end and return what it said."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it goes on after {seconds} s:\n{self.out}\n{self.err}") from None
        return Answer(code, self.out, self.err)

    def kill(self) -> None:
        """End it without a word, as ``kill -9`` does."""
        self._process.kill()
        self._process.wait(DEADLINE_SECONDS)


class Program:
    """The program, used in one project."""

    def __init__(self, project: Path, state_home: Path, scratch: Path) -> None:
        self.project = project
        self.state_home = state_home
        self.scratch = scratch
        self.mark = f"{MARK}={secrets.token_hex(8)}"
        self._begun: list[Running] = []
        self.through: tuple[str, ...] = ()
        self.stdin = subprocess.DEVNULL
        scratch.mkdir(parents=True, exist_ok=True)

    # --- using it --------------------------------------------------------------------------------

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment that commands get: the machine's, without what would colour it."""
        left_out = ("GIT_", "ANABRANCH_", "XDG_", "NO_COLOR", "TERM", "CI")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        name, _, value = self.mark.partition("=")
        own = {
            "XDG_STATE_HOME": str(self.state_home),
            "XDG_CONFIG_HOME": str(self.scratch / "config"),
            "XDG_DATA_HOME": str(self.scratch / "data-home"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
            name: value,
        }
        return kept | own | more

    def begin(self, *arguments: str, cwd: str = "", **env: str) -> Running:
        """Start a command and let it run."""
        place = self.scratch / f"command-{len(self._begun)}"
        with (
            open(place.with_suffix(".out"), "wb") as out,
            open(place.with_suffix(".err"), "wb") as err,
        ):
            process = subprocess.Popen(
                [*self.through, *PROGRAM, *arguments],
                cwd=self.project / cwd,
                env=self.environment(**env),
                stdin=self.stdin,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        running = Running(process, place)
        self._begun.append(running)
        return running

    def run(self, *arguments: str, cwd: str = "") -> Answer:
        """Run a command to its end, in the project or in another folder."""
        return self.begin(*arguments, cwd=cwd).wait()

    def expect(self, code: int, *arguments: str, cwd: str = "") -> Answer:
        """Run a command to its end, which must be this exit code and never a traceback."""
        answer = self.run(*arguments, cwd=cwd)
        assert "Traceback" not in answer.out + answer.err, answer.err
        assert "should not have happened" not in answer.out + answer.err, answer.err
        assert answer.code == code, f"{arguments}: {answer}"
        return answer

    def ask(self, *arguments: str) -> Answer:
        """Run a command inside this process, which is quicker; for those that host nothing."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
        before, place = dict(os.environ), Path.cwd()
        os.environ.clear()
        os.environ.update(self.environment())
        os.chdir(self.project)
        try:
            with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
                main(list(arguments))
        finally:
            os.chdir(place)
            os.environ.clear()
            os.environ.update(before)
        said = []
        for stream in (out, err):
            stream.flush()
            stream.seek(0)
            said.append(stream.read())
        return Answer(int(ended.value.code or 0), *said)

    def asked(self, code: int, *arguments: str) -> Answer:
        """The same, and it must end with this exit code and never with a traceback."""
        answer = self.ask(*arguments)
        assert "Traceback" not in answer.out + answer.err, answer.err
        assert "should not have happened" not in answer.out + answer.err, answer.err
        assert answer.code == code, f"{arguments}: {answer}"
        return answer

    def plan(self, streams: Mapping[str, Any], *, name: str = "plan", **coordination: Any) -> Path:
        """Write the project's plan. ``convergence`` and ``templates`` go to their own tables."""
        points, templates = (coordination.pop(key, {}) for key in ("convergence", "templates"))
        content: dict[str, Any] = {"version": 1, "name": name, "templates": templates}
        content |= {"coordination": coordination, "streams": streams, "convergence": points}
        path = self.project / "anabranch.toml"
        path.write_bytes(tomli_w.dumps(content).encode())
        return path

    # --- looking at it ---------------------------------------------------------------------------

    def run_folders(self) -> list[RunFolder]:
        """Return the runs' folders, oldest first."""
        found = self.state_home.glob("anabranch/projects/*/runs/*")
        return newest_first(RunFolder(path) for path in found)[::-1]

    def folder(self) -> RunFolder:
        """Return the folder of the latest run."""
        return self.run_folders()[-1]

    def state(self) -> State:
        """Return the state that the latest run's journal adds up to."""
        return _readable(self.folder())[0]

    def status(self) -> dict[str, Any]:
        """Return how the latest run stands, as ``status --json`` tells it."""
        state, is_hosted = _readable(self.folder())
        return status(state, is_hosted, None)

    def streams(self) -> dict[str, dict[str, Any]]:
        """Return the streams of the latest run by name."""
        return {stream["stream"]: stream for stream in self.status()["streams"]}

    def events(self) -> list[dict[str, Any]]:
        """Return the events of the latest run, having checked that no number is missing."""
        state, journal = self.state(), Journal.open(self.folder().journal, "read")
        try:
            lines = [json.dumps(event_line(state, record)) for record in journal.read()]
        finally:
            journal.close()
        events = [json.loads(line) for line in lines]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        return events

    def log(self, stream: str, attempt: int = 1) -> str:
        """Return what an attempt has written so far."""
        path = self.folder().path / "logs" / f"{stream}.{attempt}.log"
        return path.read_bytes().decode("utf-8", "replace") if path.exists() else ""

    def await_log(self, stream: str, text: str, attempt: int = 1) -> None:
        """Wait until a stream of the latest run has written a text."""
        until(
            lambda: self.run_folders() and text in self.log(stream, attempt),
            f"{stream} has written {text!r}",
        )

    # --- what is left of it ----------------------------------------------------------------------

    def processes(self) -> dict[int, str]:
        """Return the living processes that bear the mark, by number, with their names."""
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdecimal() and self.mark.encode() in _read(f"/proc/{entry}/environ"):
                status = _read(f"/proc/{entry}/stat").decode("utf-8", "replace")
                name, _, rest = status.partition("(")[2].rpartition(")")
                if rest and rest.split()[0] not in "ZX":
                    found[int(entry)] = name
        return found

    def await_quiet(self) -> None:
        """Wait until nothing that was started here lives any more."""
        until(lambda: not self.processes(), f"nothing is left: {self.processes()}")

    def end_everything(self) -> None:
        """Kill all that bears the mark, holders first: they would only note what we do."""
        for running in self._begun:
            if not running.has_ended:
                running.kill()
        for _ in range(20):
            found = self.processes()
            if not found:
                break
            for pid in sorted(found, key=lambda pid: found[pid] != "ab-holder"):
                self.kill(pid)
        hide_all_below(self.state_home)

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal one process, if it is one of ours: it is pinned first, then recognised."""
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return
        try:
            if self.mark.encode() in _read(f"/proc/{pid}/environ"):
                signal.pidfd_send_signal(handle, number)
        except OSError:
            return
        finally:
            os.close(handle)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
