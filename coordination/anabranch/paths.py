"""Where things lie: the folders of the user, of a project and of a run.

State lives under the XDG state folder, one folder a project, one a run. Nothing is ever written
into the user's checkout, and nothing into its ``.git`` but objects and refs.
"""

from __future__ import annotations

import os
import re
import shutil
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import msgspec
from platformdirs import user_config_path, user_state_path

from anabranch.core.ids import Attempt, PointId, RunId, StreamId
from anabranch.core.written_names import in_path, name_of, workspace_name

_RUN_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


def state_home() -> Path:
    """Return the folder that holds all of Anabranch's state."""
    return user_state_path("anabranch")


def run_counter() -> Path:
    """Return the file that holds the number of the run begun last, whatever its project."""
    return state_home() / "runs.count"


def ports_file() -> Path:
    """Return the file that says who has which port on lease, whatever the project."""
    return state_home() / "ports.json"


def themes_folder() -> Path:
    """Return the folder in which a user keeps themes of their own."""
    return user_config_path("anabranch") / "themes"


def templates_file() -> Path:
    """Return the file in which a user keeps templates of their own."""
    return user_config_path("anabranch") / "templates.toml"


def notices_file() -> Path:
    """Return the file in which a user says how notices are made known."""
    return user_config_path("anabranch") / "notices.toml"


def console_file() -> Path:
    """Return the file in which consoles remember what was chosen in them."""
    return state_home() / "console.json"


def projects_folder() -> Path:
    """Return the folder that has a state folder for each project."""
    return state_home() / "projects"


def project_folder(project: Path) -> Path:
    """Return the state folder of a project: its name, and a hash of where it lies."""
    real = os.path.realpath(project)
    digest = blake2b(os.fsencode(real), digest_size=5).hexdigest()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", os.path.basename(real)) or "root"
    return projects_folder() / f"{name}-{digest}"


@lru_cache(maxsize=1024)
def capitals_count(folder: Path) -> bool:
    """Say whether the file system that a folder lies in, or will, keeps ``A`` and ``a`` apart."""
    while folder != folder.parent and not (any(map(str.isalpha, folder.name)) and folder.exists()):
        folder = folder.parent
    try:
        return not os.path.samefile(folder, folder.with_name(folder.name.swapcase()))
    except (OSError, ValueError):
        return True


@lru_cache(maxsize=16_384)
def attempt_of(name: str) -> tuple[StreamId, Attempt] | None:
    """Return whose records a folder holds; None if its name is not an attempt's."""
    written, _, attempt = name.rpartition(".")
    return (StreamId(name_of(written)), int(attempt)) if written and attempt.isdecimal() else None


def new_run_id(now: datetime) -> RunId:
    """Return a run id that can be read out over the phone; nothing is ordered by the time in it."""
    tail = "".join(_RUN_ALPHABET[byte % len(_RUN_ALPHABET)] for byte in os.urandom(3))
    return RunId(f"{now:%Y%m%d-%H%M%S}-{tail}")


class ProjectFolder(msgspec.Struct, frozen=True):
    """The state of one project."""

    path: Path

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def store(self) -> Path:
        """The internal bare repository, for a project that is not a repository itself."""
        return self.path / "store.git"

    @property
    def git_lock(self) -> Path:
        """Serialises what git cannot do twice at once in one repository."""
        return self.path / "git.lock"

    @property
    def durations(self) -> Path:
        """What earlier runs teach about how long works take."""
        return self.path / "durations.json"

    @property
    def trusted(self) -> Path:
        """Which commands of the project a person has said may be run."""
        return self.path / "trusted.json"

    def handler_seconds(self, plan: str, stream: str) -> Path:
        """What earlier runs teach about how long the handlers of a stream take."""
        digest = blake2b(f"{plan}\0{stream}".encode(), digest_size=9).hexdigest()
        return self.path / "handler-seconds" / f"{digest}.json"

    def program(self, name: str) -> Path:
        """Return what is kept of a program's handlers under a name (:mod:`.in_process`)."""
        return self.path / "programs" / in_path(name, capitals_count(self.path))

    def run(self, run: RunId) -> RunFolder:
        return RunFolder(self.runs / run)


class RunFolder(msgspec.Struct, frozen=True):
    """The state of one run."""

    path: Path

    @property
    def run(self) -> RunId:
        return RunId(self.path.name)

    @property
    def project(self) -> ProjectFolder:
        """The project that it is a run of."""
        return ProjectFolder(self.path.parent.parent)

    @property
    def journal(self) -> Path:
        return self.path / "journal.db"

    @property
    def removing(self) -> Path:
        """Says that the run is being removed, and what may go."""
        return self.path / "removing.json"

    @property
    def number(self) -> Path:
        """Where the run stands in the order in which runs were begun."""
        return self.path / "number"

    @property
    def masks(self) -> Path:
        """What must not be repeated of what streams write: secrets of files they were given."""
        return self.path / "masks"

    @property
    def lock(self) -> Path:
        """Held (flock) by the one engine that may write."""
        return self.path / "engine.lock"

    @property
    def engine_log(self) -> Path:
        """What the engine notes for its maintainers; usually not there at all."""
        return self.path / "engine.log"

    @property
    def zygote_log(self) -> Path:
        """What the program that starts holders has said; usually nothing."""
        return self.path / "zygote.log"

    @property
    def notices(self) -> Path:
        """The socket on which holders say that they wrote a record."""
        return self.path / "notify.sock"

    @property
    def requests(self) -> Path:
        """Where other commands leave requests for the engine that hosts the run."""
        return self.path / "requests"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def workspaces(self) -> Path:
        return self.path / "workspaces"

    @property
    def commands(self) -> Path:
        """The commands that streams find first in their PATH."""
        return self.path / "bin"

    @property
    def sockets(self) -> Path:
        """Where the run's sockets lie, if their addresses are not too long then."""
        return self.path / "doors"

    @property
    def sockets_note(self) -> Path:
        """Says where they lie instead."""
        return self.path / "doors.path"

    @property
    def secret(self) -> Path:
        """What the tokens of the run are made with."""
        return self.path / "secret"

    @property
    def operator_token(self) -> Path:
        return self.path / "operator.token"

    @property
    def joined(self) -> Path:
        """Where streams that joined from outside have a folder each."""
        return self.path / "joined"

    @property
    def items(self) -> Path:
        """The items that came on stdin, for all streams of the run."""
        return self.path / "items"

    @property
    def of_handlers(self) -> Path:
        """Where streams with handlers have a folder each."""
        return self.path / "handlers"

    def handlers(self, stream: StreamId) -> Path:
        """What is kept of a stream's handlers, over all its attempts."""
        return self.of_handlers / self._written(stream)

    @property
    def attempts(self) -> Path:
        return self.path / "attempts"

    def jobs(self, name: str) -> Path:
        """Return the fifo of an attempt, by its name: the jobserver that it and no other has."""
        return self.attempts / name / "jobs"

    @property
    def tokens(self) -> Path:
        """What the jobservers of the run have been given, and how much of that was used."""
        return self.path / "tokens"

    @property
    def has_begun(self) -> bool:
        """Whether a stream was ever started in it; a run that is killed at once leaves nothing."""
        return self.attempts.is_dir()

    @property
    def verifying(self) -> Path:
        """Where merged results are checked."""
        return self.path / "verifying"

    @property
    def resolving(self) -> Path:
        """Where resolver commands work."""
        return self.path / "resolving"

    @property
    def result(self) -> Path:
        """The merged result, for a project that is not a repository."""
        return self.path / "result"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    def attempt_name(self, stream: StreamId, attempt: Attempt) -> str:
        """Name an attempt as its folder and its log are named; `attempt_of` reads it back."""
        return f"{self._written(stream)}.{attempt}"

    def log(self, stream: StreamId, attempt: Attempt) -> Path:
        return self.logs / f"{self.attempt_name(stream, attempt)}.log"

    def setup_log(self, stream: StreamId, attempt: Attempt) -> Path:
        """Return what the setup of an attempt's workspace has written."""
        return self.logs / f"{self.attempt_name(stream, attempt)}.setup.log"

    def teardown_log(self, stream: StreamId, attempt: Attempt) -> Path:
        """Return what the teardown of an attempt's workspace has written."""
        return self.logs / f"{self.attempt_name(stream, attempt)}.teardown.log"

    def teardown_record(self, stream: StreamId, attempt: Attempt) -> Path:
        """Return where it is noted that the teardown of an attempt has begun, and how it ended."""
        return self.path / "teardowns" / f"{self.attempt_name(stream, attempt)}.json"

    def review(self, stream: StreamId, attempt: Attempt) -> Path:
        """Return the file that says why an attempt goes on from work that was handed back."""
        return self.path / "reviews" / f"{self.attempt_name(stream, attempt)}.md"

    def verify_log(self, point: PointId, trial_of: StreamId | None = None) -> Path:
        """Return the log of a point's verify command, or of one stream's trial by it.

        It is never a stream's own.
        """
        whose = f".{self._written(trial_of)}" if trial_of else ""
        return self.logs / f"@verify.{self._written(point)}{whose}.log"

    def resolver_log(self, point: PointId | None) -> Path:
        """Return the log of a point's resolver, or of one that a person started."""
        return self.logs / (
            f"@resolver.{self._written(point)}.log" if point else "@resolver-by-hand.log"
        )

    def workspace(self, stream: StreamId, attempt: Attempt) -> Path:
        """Return where an attempt works."""
        return self.workspaces / workspace_name(stream, attempt, capitals_count(self.path))

    def room(self, kind: Path, point: PointId) -> Path:
        """Return the folder for a point's rooms among those to verify or to resolve in."""
        return kind / self._written(point)

    def _written(self, name: str) -> str:
        return in_path(name, capitals_count(self.path))

    def create(self) -> None:
        """Make the folder and its parts, readable by nobody else; all of them or none."""
        self.path.mkdir(parents=True, mode=0o700)
        try:
            for part in (self.requests, self.logs, self.workspaces):
                part.mkdir(mode=0o700)
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise
