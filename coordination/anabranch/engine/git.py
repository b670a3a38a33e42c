"""The one way Anabranch runs git.

Every call is a fresh `git` process in an environment of our own making: of the caller's ``GIT_*``
variables only those get in by which a user reaches a remote or finds their settings, no hook,
pager, editor, prompt, monitor or maintenance job can start, the language of messages is fixed, and
every call ends by a deadline. A repository's own configuration is another matter: streams run as
the same user and can write to it. The callers therefore choose between two views of a repository.
A *live* view reads the repository's configuration and is used only for commands that run no
configured program (moving refs, listing settings). A *frozen* view has a git directory of the
engine's own, with the configuration as it was when the run began, and borrows only the repository's
objects; everything that reads or writes files goes through it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import msgspec
from msgspec.structs import replace

from anabranch.engine.git_calls import MARK, mark_of_process, under_way
from anabranch.engine.git_patience import SETTING, Patience, limit_seconds
from anabranch.engine.git_variables import OF_THE_USER
from anabranch.errors import WorldError
from anabranch.files import take_lock
from anabranch.plain_files import open_plain

LOCK_TIMEOUT_SECONDS = 120.0
_USUALLY_SECONDS = 1.0

_OVERRIDES: tuple[tuple[str, str], ...] = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("core.pager", "cat"),
    ("core.askPass", "true"),
    ("core.quotePath", "false"),
    ("core.trustctime", "true"),
    ("core.checkStat", "default"),
    ("core.alternateRefsCommand", "true"),
    ("core.warnAmbiguousRefs", "false"),
    ("index.sparse", "false"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("gc.auto", "0"),
    ("gc.worktreePruneExpire", "never"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("diff.ignoreSubmodules", "dirty"),
    ("protocol.ext.allow", "never"),
    ("advice.addEmbeddedRepo", "false"),
    ("user.useConfigOnly", "false"),
)

_LIVE_OVERRIDES: tuple[tuple[str, str], ...] = (("credential.helper", ""),)
"""What a live view leaves alone besides: it has no business with a remote."""

_ENVIRONMENT: Mapping[str, str] = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_EDITOR": ":",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ADVICE": "0",
    "GIT_AUTHOR_NAME": "Anabranch",
    "GIT_AUTHOR_EMAIL": "anabranch@localhost",
    "GIT_COMMITTER_NAME": "Anabranch",
    "GIT_COMMITTER_EMAIL": "anabranch@localhost",
}

_LIVE_ENVIRONMENT: Mapping[str, str] = {"GIT_NO_LAZY_FETCH": "1"}

_FROZEN_ENVIRONMENT: Mapping[str, str] = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


class GitError(WorldError):
    """A git command failed. ``reason`` and ``hint`` are fit for the user's eyes."""

    def __init__(
        self,
        reason: str,
        *,
        command: str = "",
        exit_code: int = 0,
        stderr: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(reason, hint)
        self.command = command
        self.git_exit_code = exit_code
        self.stderr = stderr

    @property
    def reason(self) -> str:
        """What git, or whoever called it, says."""
        return self.message


class Answer(msgspec.Struct, frozen=True):
    """What a git command said."""

    exit_code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output as one line of text, without the line end."""
        return decode(self.out).rstrip("\n")

    @property
    def lines(self) -> list[str]:
        """Standard output by lines; only a line feed ends one, for names may hold the others."""
        return [line for line in decode(self.out).split("\n") if line]

    @property
    def fields(self) -> tuple[str, ...]:
        """Standard output of a ``-z`` command, split at its zero bytes."""
        return tuple(decode(self.out).split("\0")[:-1])


class Git(msgspec.Struct, frozen=True):
    """A view of one repository: which git directory, objects, work tree and index a call uses.

    With ``git_dir`` unset, git finds the repository from ``cwd`` by itself. ``frozen`` says that
    no configuration but the git directory's own is read; ``settings`` are set besides.
    """

    git_dir: Path | None = None
    objects: Path | None = None
    alternates: tuple[Path, ...] = ()
    work_tree: Path | None = None
    index: Path | None = None
    cwd: Path | None = None
    frozen: bool = False
    settings: tuple[tuple[str, str], ...] = ()

    def at(
        self,
        *,
        work_tree: Path | None = None,
        index: Path | None = None,
        alternates: tuple[Path, ...] = (),
    ) -> Git:
        """Return the same view over another work tree or index, or with more objects to read."""
        return replace(
            self,
            work_tree=work_tree or self.work_tree,
            index=index or self.index,
            alternates=self.alternates + alternates,
            cwd=work_tree or self.cwd,
        )

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        accept: tuple[int, ...] = (0,),
        timeout_seconds: float | None = None,
        config: tuple[tuple[str, str], ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> Answer:
        """Run ``git`` with these arguments and return its answer.

        Without ``timeout_seconds`` the call may take as long as it gets on (`git_patience`).
        ``accept`` lists the exit codes that are answers; ``config`` adds settings for this call.
        Raises GitError for any other exit code, for a missing git and when the deadline passes.
        """
        command = "git " + " ".join(arguments)
        limit = _limit(command) if timeout_seconds is None else timeout_seconds
        environment = self.environment(config) | dict(env or {})
        try:
            with _to_be_read(stdin) as source:
                process = subprocess.Popen(
                    ["git", *(os.fsencode(argument) for argument in arguments)],
                    executable=_program(environment.get("PATH")),
                    stdin=source,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=self.cwd or "/",  # the folder of whoever started us may be gone by now
                    env=environment,
                    start_new_session=True,
                )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise _not_started(error, command) from None
        answer = _communicate(process, limit, command, self.work_tree)
        if answer.exit_code not in accept:
            raise _failed(command, answer.exit_code, decode(answer.err))
        return answer

    def environment(self, config: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
        """Return the whole environment of a call in this view."""
        env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("GIT_") or key in OF_THE_USER
        }
        env |= _ENVIRONMENT
        env[MARK] = mark_of_process()
        env |= _FROZEN_ENVIRONMENT if self.frozen else _LIVE_ENVIRONMENT
        paths = {
            "GIT_DIR": self.git_dir,
            "GIT_OBJECT_DIRECTORY": self.objects,
            "GIT_WORK_TREE": self.work_tree,
            "GIT_INDEX_FILE": self.index,
        }
        env |= {name: str(path) for name, path in paths.items() if path is not None}
        if self.alternates:
            quoted = (_quoted_path(path) for path in self.alternates)
            env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = ":".join(quoted)
        settings = _OVERRIDES + (() if self.frozen else _LIVE_OVERRIDES) + self.settings + config
        env["GIT_CONFIG_COUNT"] = str(len(settings))
        for number, (key, value) in enumerate(settings):
            env[f"GIT_CONFIG_KEY_{number}"] = key
            env[f"GIT_CONFIG_VALUE_{number}"] = value
        return env


@lru_cache(maxsize=8)
def _program(path: str | None) -> str:
    """Return where git is, once for all calls: each would try all the folders of the path."""
    found = shutil.which("git", path=path)
    return found if found and os.path.isabs(found) else "git"


@contextmanager
def _to_be_read(content: bytes) -> Iterator[int | IO[bytes]]:
    """Give what a process reads as its input: a file, as nobody has to feed one meanwhile.

    ``Popen.communicate`` does not go on feeding a pipe once its time was over.
    """
    if not content:
        yield subprocess.DEVNULL
        return
    with _file_without_a_disk() as file:
        file.write(content)
        file.seek(0)
        yield file


def _file_without_a_disk() -> IO[bytes]:
    """Return a file in memory, which no full disk stops, or a temporary one. Raises OSError."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("git-input"), "w+b")
    return TemporaryFile()


def _limit(command: str) -> float:
    try:
        return limit_seconds()
    except ValueError as error:
        raise GitError(str(error), command=command, hint="mend it, or unset it") from None


def _as_long_as_it_gets_on(
    process: subprocess.Popen[bytes], timeout_seconds: float
) -> tuple[bytes, bytes]:
    patience = Patience(process.pid, timeout_seconds)
    while True:
        try:
            return process.communicate(timeout=patience.look_seconds)
        except subprocess.TimeoutExpired:
            if patience.is_over():
                raise


def _communicate(
    process: subprocess.Popen[bytes], timeout_seconds: float, command: str, work_tree: Path | None
) -> Answer:
    """Hear git out; past the deadline end git and its helpers together.

    When it takes longer than usual, the files it works on are looked at: a pipe in the place of one
    that git opens would make it wait for ever.
    """
    with process, under_way(process):
        try:
            try:
                out, err = process.communicate(timeout=min(timeout_seconds, _USUALLY_SECONDS))
            except subprocess.TimeoutExpired:
                if work_tree is not None:
                    refuse_pipes(work_tree, command)
                out, err = _as_long_as_it_gets_on(process, timeout_seconds)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise GitError(
                f"git took longer than {timeout_seconds:g} s",
                command=command,
                hint="look for a hanging filter or a slow disk, then try again; "
                f"{SETTING}=SECONDS gives git longer",
            ) from None
    return Answer(process.returncode, out, err)


def refuse_pipes(work_tree: Path, command: str) -> None:
    """Raise GitError if a file that git opens by its name is a pipe or a device."""
    for at, folders, files in os.walk(work_tree):
        is_inside_git = ".git" in Path(at).relative_to(work_tree).parts
        if at == str(work_tree):
            folders[:] = [name for name in folders if name != ".git"]
        for name in files:
            if (is_inside_git or name.startswith(".git")) and _holds_up(os.path.join(at, name)):
                where = os.path.relpath(os.path.join(at, name), work_tree)
                raise GitError(
                    f"{where} is a pipe or a device, and git would wait for it for ever",
                    command=command,
                    hint="remove it",
                )


def _holds_up(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def decode(raw: bytes) -> str:
    """Return text or a path from git; bytes that are not UTF-8 survive the way back by `encode`."""
    return raw.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Return the bytes of a text or path that came from `decode`."""
    return text.encode("utf-8", "surrogateescape")


@contextmanager
def repository_lock(path: Path, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the one git lock of a repository, across threads and processes.

    git's own worktree commands race with each other and with fetches. Raises GitError when
    another holder does not let go in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = open_plain(path, flags=os.O_RDWR | os.O_CREAT)
    try:
        if not take_lock(descriptor, timeout_seconds):
            raise GitError(
                "another Anabranch keeps this repository's git lock",
                hint="wait for it to finish, or end the process that holds it",
            )
        yield
    finally:
        os.close(descriptor)


def _quoted_path(path: Path) -> str:
    text = str(path)
    if ":" not in text and not text.startswith('"'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _not_started(error: OSError, command: str) -> GitError:
    if isinstance(error, FileNotFoundError) and error.filename in ("git", b"git"):
        return GitError("git is not installed", command=command, hint="install git 2.38 or newer")
    return GitError(f"cannot run git: {error.strerror}: {error.filename}", command=command)


_HINTS: tuple[tuple[str, str], ...] = (
    (
        "working-tree-encoding",
        "a file does not match its working-tree-encoding attribute; mend one",
    ),
    ("failed to encode", "a file does not match its working-tree-encoding attribute; mend one"),
    ("dubious ownership", "the folder belongs to someone else; add it to git's safe.directory"),
    ("No space left", "free some disk space, then try again"),
    ("index.lock", "another git works here; wait for it, or remove a stale index.lock"),
    ("not a git repository", "check that the repository still exists"),
    ("clean filter", "a filter program failed; run `git add` there to see why"),
    ("external filter", "a filter program failed; run `git add` there to see why"),
    ("Permission denied", "check the permissions of the folder"),
)


_MISSING_PROGRAM = re.compile(r"(?:^|: )([\w./+-]+): (?:command )?not found$", re.MULTILINE)


def _failed(command: str, exit_code: int, stderr: str) -> GitError:
    if missing := _MISSING_PROGRAM.search(stderr):
        return GitError(
            f"{missing[1]} is not installed, but the repository's git settings name it",
            command=command,
            exit_code=exit_code,
            stderr=stderr,
            hint=f"install {missing[1]}, or take it out of the filters and .gitattributes",
        )
    lines = [line for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    said = "; ".join(line.removeprefix("fatal: ").removeprefix("error: ") for line in telling[:3])
    hint = next((advice for words, advice in _HINTS if words in stderr), "")
    return GitError(
        said or f"git ended with exit code {exit_code}",
        command=command,
        exit_code=exit_code,
        stderr=stderr,
        hint=hint,
    )
