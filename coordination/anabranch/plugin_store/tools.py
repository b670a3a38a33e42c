"""The tools that know package indexes: uv if it is here, else pip. Only what is not here needs one.

Both resolve against the host's own versions, given as constraints, so that nothing the host runs
with is ever changed. Only wheels are taken from an index: building a source distribution would run
its code before anybody has agreed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import msgspec

from anabranch.errors import PluginRefused, UsageError, WorldError, machine_errors
from anabranch.hostile_text import escape_for_terminal
from anabranch.plugin_store.names import canonical
from anabranch.plugin_store.wheels import NOTHING_CHANGED

FETCH_SECONDS = 600


class Index(msgspec.Struct, frozen=True):
    """Where packages come from: ``is_closed`` asks no index, only ``find_links`` folders."""

    is_closed: bool = False
    find_links: tuple[str, ...] = ()

    def options(self) -> list[str]:
        links = [word for place in self.find_links for word in ("--find-links", place)]
        return (["--no-index"] if self.is_closed else []) + links


class Pin(msgspec.Struct, frozen=True):
    """One version of one distribution."""

    name: str
    version: str


class Tool(Protocol):
    """What resolves and fetches."""

    name: str

    def resolve(self, specs: Sequence[str], constraints: Path, index: Index) -> list[Pin]:
        """Return what would have to be installed beside the host. Raises PluginRefused."""
        ...

    def fetch(self, pin: Pin, folder: Path, index: Index) -> Path:
        """Fetch one version into a fresh folder; return its wheel, or the folder it is in."""
        ...

    def build_command(self, source: Path, out: Path, index: Index) -> list[str]:
        """Return the command that builds a folder's wheel with a backend it fetches."""
        ...


def find_tool() -> Tool | None:
    """Return uv, or pip, or nothing if neither is here."""
    if path := shutil.which("uv"):
        return Uv(path)
    return Pip() if find_spec("pip") is not None else None


def needed_tool(purpose: str) -> Tool:
    """Return a tool, or raise WorldError with the two commands that bring one."""
    tool = find_tool()
    if tool is None:
        raise WorldError(
            f"{purpose} needs uv or pip, and neither is here",
            f"bring pip: {sys.executable} -m ensurepip --upgrade\n"
            "  or bring uv: curl -LsSf https://astral.sh/uv/install.sh | sh",
        )
    return tool


class Uv:
    """uv, which resolves fast; it unpacks by itself, so what it brings is looked at afterwards."""

    name = "uv"

    def __init__(self, path: str) -> None:
        self._path = path

    def resolve(self, specs: Sequence[str], constraints: Path, index: Index) -> list[Pin]:
        output = _ask([*self._install(index), "--dry-run", "-c", str(constraints), "--", *specs])
        found = re.findall(r"^ \+ (\S+?)==(\S+)", output, re.MULTILINE)
        return [Pin(canonical(name), version) for name, version in found]

    def fetch(self, pin: Pin, folder: Path, index: Index) -> Path:
        target = ["--no-deps", "--target", str(folder), "--link-mode", "copy"]
        _ask([*self._install(index), *target, "--", f"{pin.name}=={pin.version}"])
        for extra in (".lock", "CACHEDIR.TAG", ".gitignore"):
            (folder / extra).unlink(missing_ok=True)
        return folder

    def build_command(self, source: Path, out: Path, index: Index) -> list[str]:
        return [
            self._path,
            "build",
            "--wheel",
            "--out-dir",
            str(out),
            *index.options(),
            str(source),
        ]

    def _install(self, index: Index) -> list[str]:
        start = [self._path, "pip", "install", "--python", sys.executable, "--no-progress"]
        return [*start, "--color", "never", "--no-build", *index.options()]


class Pip:
    """pip, as it comes with Python."""

    name = "pip"

    def resolve(self, specs: Sequence[str], constraints: Path, index: Index) -> list[Pin]:
        report = constraints.with_name("report.json")
        words = ["install", "--dry-run", "--report", str(report), "-c", str(constraints)]
        _ask([*_PIP, *words, *_PIP_TALK, *index.options(), "--", *specs])
        with machine_errors():
            answer = msgspec.json.decode(report.read_bytes())
        found = [item["metadata"] for item in answer["install"]]
        return [Pin(canonical(facts["name"]), facts["version"]) for facts in found]

    def fetch(self, pin: Pin, folder: Path, index: Index) -> Path:
        words = ["download", "--no-deps", "--dest", str(folder)]
        _ask([*_PIP, *words, *_PIP_TALK, *index.options(), "--", f"{pin.name}=={pin.version}"])
        wheels = sorted(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise UsageError(f"{pin.name} {pin.version} did not come as a wheel")
        return wheels[0]

    def build_command(self, source: Path, out: Path, index: Index) -> list[str]:
        words = ["wheel", "--no-deps", "--wheel-dir", str(out), *index.options()]
        return [*_PIP, *words, "--disable-pip-version-check", str(source)]


_PIP = [sys.executable, "-P", "-m", "pip"]
_PIP_TALK = ["--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
_MOST_LINES = 8


def _ask(command: list[str]) -> str:
    """Run a tool; return all it said, or raise PluginRefused with what it says went wrong."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise WorldError(f"{command[0]} took longer than {FETCH_SECONDS} s") from None
    except OSError as error:
        raise WorldError(f"cannot run {command[0]}: {error.strerror}") from None
    if done.returncode:
        raise _refusal(done.stdout)
    return done.stdout


def _refusal(output: str) -> PluginRefused:
    """Return what a resolver says in a few lines, without the advice that is meant for others."""
    lines = [escape_for_terminal(line).strip() for line in output.splitlines()]
    causes = _between(lines, "The conflict is caused by:", "To fix this")
    if not causes:
        wrong = [n for n, line in enumerate(lines) if line.startswith(("ERROR", "error", "×"))]
        causes = lines[wrong[0] :] if wrong else lines[-_MOST_LINES:]
    shown = [re.sub(r"^(ERROR: |error: |cause: |[×╰─▶│ ]+)", "", line) for line in causes]
    kept = [
        line for line in shown if line and not line.startswith(("hint:", "WARNING", "[notice]"))
    ]
    return PluginRefused("it does not fit: " + "\n  ".join(kept[:_MOST_LINES]), NOTHING_CHANGED)


def _between(lines: list[str], start: str, end: str) -> list[str]:
    if start not in lines:
        return []
    rest = lines[lines.index(start) + 1 :]
    return rest[: next((n for n, line in enumerate(rest) if line.startswith(end)), len(rest))]
