"""Is the machine fit for the work? Each finding says what was seen, and how to mend it."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import apsw
import msgspec
import psutil

from anabranch.core.strategies.kinds import KINDS
from anabranch.core.wording import counted
from anabranch.engine import ceilings, git_leftovers
from anabranch.engine.caches import POOL, entries
from anabranch.engine.disk_use import by_kind, bytes_in, in_words, places_of_project
from anabranch.engine.reaching_layers import tried_in_a_namespace
from anabranch.engine.requirements import OLDEST_GIT, git_version, git_version_text
from anabranch.engine.runs import history_faults, project_root, read_run, run_folders
from anabranch.engine.workspaces.layers.mounting import why_not_layers
from anabranch.engine.workspaces.reflink import why_not_reflink
from anabranch.paths import ProjectFolder, project_folder, state_home
from anabranch.plain_files import SMALL_FILE_BYTES, read_plain
from anabranch.plugins import load_plugins
from anabranch.safe_mode import is_safe_mode

LEAST_FREE_BYTES = 1 << 30
LEAST_FILES = 4096
RUNS_PROVED = 3
LOADING_SECONDS = 60.0
LEAST_WATCHES = 32_768
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs"})


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. ``mend`` is empty when nothing has to be done."""

    subject: str
    verdict: Literal["ok", "warning", "fault"]
    message: str
    mend: str = ""


def examine(folder: Path) -> list[Finding]:
    """Look at everything Anabranch depends on, from a project's folder; raises nothing."""
    found: list[Finding] = []
    for look in _LOOKS:
        try:
            found += look(folder)
        except Exception as error:
            subject = look.__name__.strip("_")
            found.append(Finding(subject, "warning", f"could not be looked at: {error}"))
    return found


def _system(folder: Path) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.platform.startswith("linux"):
        yield Finding("system", "ok", f"Linux {os.uname().release}, Python {version}")
    else:
        message = f"{sys.platform} is not supported: streams need Linux's process facilities"
        yield Finding("system", "fault", message, "run it on Linux, or in a Linux container")


def _git(folder: Path) -> Iterator[Finding]:
    if shutil.which("git") is None:
        yield Finding("git", "fault", "git is not installed", "apt-get install git")
        return
    said = git_version_text() or "git does not say its version"
    if git_version(said) < OLDEST_GIT:
        message = f"{said} is too old: merging without a checkout came with 2.38"
        yield Finding("git", "fault", message, "install git 2.38 or newer")
    else:
        yield Finding("git", "ok", said)


def _project(folder: Path) -> Iterator[Finding]:
    root = project_root(folder)
    if (root / ".git").exists():
        yield Finding("project", "ok", f"a git repository: {root}")
    else:
        message = f"no git repository: {root}; an internal store will keep its versions"
        yield Finding("project", "ok", message)
    waiting = [f.folder.run for f in map(read_run, run_folders(folder)) if _is_interrupted(f)]
    if waiting:
        message = f"{len(waiting)} runs were interrupted, the latest: {waiting[0]}"
        yield Finding("runs", "warning", message, f"anabranch resume {waiting[0]}")


def _repository(folder: Path) -> Iterator[Finding]:
    """Look whether the repository and the records of its runs go together."""
    for leftover in git_leftovers.look(folder):
        yield Finding("repository", "warning", leftover.message, leftover.mend)


def _is_interrupted(found: object) -> bool:
    state, is_hosted = getattr(found, "state", None), getattr(found, "is_hosted", False)
    return state is not None and not state.has_ended and not is_hosted


def _disk(folder: Path) -> Iterator[Finding]:
    home = state_home()
    refused = _unwritable(home, folder)
    if refused is not None:
        place, reason = refused
        message = f"{place} cannot be written to: {reason}; what is there can at best be read"
        mend = "correct its owner and permissions, or set XDG_STATE_HOME to a folder of yours"
        yield Finding("state", "fault", message, mend)
        return
    free = shutil.disk_usage(home).free
    kind = _file_system(home)
    if kind in NETWORK_FILE_SYSTEMS:
        message = f"state lies on a network file system ({kind}), where locks are not reliable"
        yield Finding("state", "fault", message, "set XDG_STATE_HOME to a local folder")
    else:
        yield Finding("state", "ok", f"{home} ({kind})")
    words = f"{free / (1 << 30):.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        yield Finding("disk", "warning", words, "anabranch gc gives back what finished runs use")
    else:
        yield Finding("disk", "ok", words)


def _kept(folder: Path) -> Iterator[Finding]:
    """Say how much of the disk is taken by what is kept of the project."""
    home = ProjectFolder(project_folder(project_root(folder)))
    sums = by_kind((place, bytes_in(place.path)) for place in places_of_project(home))
    if sum(sums.values()):
        yield Finding("kept", "ok", f"of this project {in_words(sums)}")


def _unwritable(home: Path, project: Path) -> tuple[Path, str] | None:
    """Return where a project's runs cannot write, and why; sudo leaves folders of that kind."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / f".probe-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        return home, error.strerror or str(error)
    runs = [run.path for run in run_folders(project)]
    for place in (*{run.parent for run in runs}, *runs):
        if not os.access(place, os.W_OK | os.X_OK):
            return place, os.strerror(errno.EACCES)
    return None


def _file_system(path: Path) -> str:
    real = os.path.realpath(path)
    mounts = [p for p in psutil.disk_partitions(all=True) if _lies_in(real, p.mountpoint)]
    return max(mounts, key=lambda p: len(p.mountpoint)).fstype if mounts else "unknown"


def _lies_in(path: str, mount: str) -> bool:
    return path == mount or path.startswith(mount.rstrip("/") + "/")


def _workspaces(folder: Path) -> Iterator[Finding]:
    store = ProjectFolder(project_folder(project_root(folder))).store
    existing = next(path for path in (store, *store.parents) if path.exists())
    why_not = why_not_layers(existing)
    if not why_not:
        yield Finding("workspaces", "ok", "can be made of layers, in milliseconds")
        return
    in_a_namespace = tried_in_a_namespace(existing)
    usually = _of_the_pool(existing) if why_not_reflink(existing) else "cloned (reflink)"
    if in_a_namespace:
        why = why_not if in_a_namespace == why_not else f"{why_not}; {in_a_namespace}"
        yield Finding("workspaces", "ok", f"are {usually}; no layers: {why}")
    else:
        said = 'method = "overlay" makes them of layers in a namespace (sudo does not work inside)'
        yield Finding("workspaces", "ok", f"are {usually}; {said}")


def _of_the_pool(store: Path) -> str:
    whole = [entry for entry in entries(store, POOL) if not entry.name.startswith(".")]
    ready = counted(len(whole), "is ready", "are ready")
    return f"taken from checkouts made ahead ({ready}), or written file by file"


def _limits(folder: Path) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < LEAST_FILES:
        message = f"at most {hard} open files a process"
        yield Finding("files", "warning", message, "raise the hard limit: ulimit -Hn 65536")
    else:
        yield Finding("files", "ok", f"open files: up to {hard} a process")
    watches = int(read_plain("/proc/sys/fs/inotify/max_user_watches", SMALL_FILE_BYTES))
    if watches < LEAST_WATCHES:
        message = f"{watches} file watches; more workspaces are polled instead"
        mend = "sysctl fs.inotify.max_user_watches=262144"
        yield Finding("watches", "warning", message, mend)
    else:
        yield Finding("watches", "ok", f"{watches} file watches a user")


def _machine(folder: Path) -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    gib = 1 << 30
    message = (
        f"{os.cpu_count()} processors, {memory.available / gib:.1f} of "
        f"{memory.total / gib:.1f} GiB memory free"
    )
    yield Finding("machine", "ok", message)


def _ceilings(folder: Path) -> Iterator[Finding]:
    """Say how the plan's ``limits`` are held, and what would hold them better."""
    found = ceilings.probe()
    better = f"; {found.mend}" if found.mend else ""
    yield Finding("ceilings", "ok", f"{found.words}{better}")


def _journal(folder: Path) -> Iterator[Finding]:
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) < (3, 51, 3):
        message = f"SQLite {version} can corrupt a journal that two processes use"
        yield Finding("journal", "fault", message, "pip install --upgrade apsw")
    else:
        yield Finding("journal", "ok", f"SQLite {version}")


def _history(folder: Path) -> Iterator[Finding]:
    """Prove for the latest runs that the history of their shared state is whole."""
    looked = 0
    for home in run_folders(folder)[:RUNS_PROVED]:
        found = read_run(home)
        if found.state is None and not home.has_begun:
            continue
        if found.state is None:
            message = f"run {home.run} cannot be read: {found.fault or 'it has no events'}"
            mend = "anabranch doctor --repair saves what is whole of a damaged journal"
            yield Finding("history", "fault", message, mend)
            continue
        faults = history_faults(home, found.state)
        if faults:
            message = f"the state's history in run {home.run} is not whole: {'; '.join(faults)}"
            yield Finding("history", "fault", message, "somebody has changed its journal")
        looked += not faults
    if looked:
        yield Finding("history", "ok", f"the state's history is whole in the latest {looked} runs")


def _terminal(folder: Path) -> Iterator[Finding]:
    term = os.environ.get("TERM", "")
    encoding = sys.stdout.encoding or "unknown"
    if encoding.lower().replace("-", "") != "utf8":
        message = f"output is {encoding}: the console falls back to plain characters"
        yield Finding("terminal", "warning", message, "export LC_ALL=C.UTF-8")
    elif term in ("", "dumb"):
        yield Finding("terminal", "ok", f"TERM={term or 'unset'}: text only, no console")
    else:
        yield Finding("terminal", "ok", f"TERM={term}, {encoding}")


_LOAD_EACH = """
from anabranch.plugin_store.overlay import offered_plugins
from anabranch.plugins import load_plugins, source_of
for point in offered_plugins("anabranch").entry_points:
    print(f"{source_of(point)}:{point.name}", flush=True)
    load_plugins([point])
"""


def _culprit() -> str | None:
    """Return the plugin whose import ends Python, whatever is done against it; None if none does.

    They are loaded in a process of their own, so that it is not this one that ends.
    """
    command = [sys.executable, "-P", "-c", _LOAD_EACH]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LOADING_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # what takes long is set aside below
    names = done.stdout.decode("utf-8", "replace").split()
    return names[-1] if done.returncode and names else None


def _plugins(folder: Path) -> Iterator[Finding]:
    culprit = None if is_safe_mode() else _culprit()
    if culprit is not None:
        message = f"{culprit} ends Python when it is loaded: no command can start with it"
        yield Finding("plugins", "fault", message, f"anabranch plugins disable {culprit}")
        return
    loaded = load_plugins()
    names = [
        name
        for kind in KINDS
        if kind.plan_keys
        for name in getattr(loaded.strategies, kind.field)
        if ":" not in name and name not in kind.not_named
    ]
    yield Finding("plugins", "ok", f"{len(loaded.plugins)} loaded; strategies: {', '.join(names)}")
    for plugin in loaded.set_aside:
        message = f"{plugin.plugin} was set aside: {plugin.reason}"
        yield Finding("plugins", "warning", message, "update or uninstall the package")
    for note in loaded.notes:
        message = f"{note.plugin}, when it is loaded: {note.did}"
        yield Finding("plugins", "warning", message, "tell its author; nothing of it stays")


_LOOKS: tuple[Callable[[Path], Iterator[Finding]], ...] = (
    _system,
    _git,
    _project,
    _repository,
    _disk,
    _kept,
    _workspaces,
    _limits,
    _machine,
    _ceilings,
    _journal,
    _history,
    _terminal,
    _plugins,
)
