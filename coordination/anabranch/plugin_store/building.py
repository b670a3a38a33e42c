"""From a folder with a ``pyproject.toml`` to a wheel, without a network where that is possible.

The folder's own build backend is used if it is here. If it is not, a folder with plain metadata and
its packages under ``src/`` needs none: the wheel is written by us. Only then is a tool asked that
fetches the backend. The folder is copied first, as some backends write into what they build.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from installer.records import Hash, RecordEntry
from installer.utils import Scheme, construct_record_file, copyfileobj_with_hashing
from pyproject_hooks import BackendUnavailable, BuildBackendHookCaller, HookMissing

from anabranch.errors import UsageError, WorldError, machine_errors
from anabranch.hostile_text import escape_for_terminal
from anabranch.plugin_store.names import canonical
from anabranch.plugin_store.tools import Index, Tool

BUILD_SECONDS = 300
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "venv", ".tox", "__pycache__", "node_modules", "build", "dist", "*.egg-info"
)


def build_wheel(folder: Path, staging: Path, index: Index, tool: Tool | None) -> tuple[Path, str]:
    """Build a folder's wheel; return it, and by what it was built.

    Raises UsageError if the folder is not a project or its build fails, WorldError if its backend
    is missing and cannot be fetched.
    """
    project = _project(folder)
    source, out = staging / "source", staging / "built"
    with machine_errors():
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(folder, source, symlinks=True, ignore=_LEFT_OUT)
        out.mkdir(exist_ok=True)
    system = project.get("build-system", {})
    backend = str(system.get("build-backend") or "setuptools.build_meta:__legacy__")
    paths = [str(path) for path in system.get("backend-path", ())]
    if paths or _is_here(backend):
        _call_backend(backend, paths, source, out, folder)
        return _built(out, folder), backend.split(".")[0]
    if is_plain(project, source):
        with machine_errors():
            return write_plain_wheel(project, source, out), "anabranch"
    if tool is None or index.is_closed:
        raise WorldError(
            f"{folder} is built by {backend}, which is not here",
            f"install it beside anabranch, or build the wheel elsewhere and install that: "
            f"python -m build {folder}",
        )
    _run(tool.build_command(source, out, index), source, folder)
    return _built(out, folder), backend.split(".")[0]


def _project(folder: Path) -> dict[str, Any]:
    path = folder / "pyproject.toml"
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        hint = "anabranch plugins new NAME writes a package that can be installed"
        raise UsageError(f"{folder} has no pyproject.toml, so it is not a plugin", hint) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _is_here(backend: str) -> bool:
    try:
        return find_spec(backend.partition(":")[0].split(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _call_backend(
    backend: str, paths: Sequence[str], source: Path, out: Path, folder: Path
) -> None:
    """Have a wheel built by a backend that is here, or that lies in the folder itself."""

    def run(
        cmd: Sequence[str],
        cwd: str | None = None,
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        _run(cmd, source, folder, extra_environ)

    with machine_errors():
        try:
            BuildBackendHookCaller(str(source), backend, paths, run).build_wheel(str(out))
        except FileNotFoundError:
            what = f"{folder} cannot be built by {backend}"
            raise UsageError(what, "its backend ended without an answer") from None
        except (BackendUnavailable, HookMissing, ValueError) as error:
            words = _last_lines(getattr(error, "traceback", "") or str(error))
            raise UsageError(f"{folder} cannot be built by {backend}", words) from None


def _run(
    command: Sequence[str], source: Path, folder: Path, extra: Mapping[str, str] | None = None
) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=source,
            env=os.environ | {"PYTHONUTF8": "1"} | dict(extra or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"building {folder} took longer than {BUILD_SECONDS} s") from None
    if done.returncode:
        raise UsageError(f"{folder} cannot be built", _last_lines(done.stdout))


def _last_lines(text: str) -> str:
    return "\n  ".join(escape_for_terminal(line) for line in text.strip().splitlines()[-8:])


def _built(out: Path, folder: Path) -> Path:
    wheels = sorted(out.glob("*.whl"))
    if len(wheels) != 1:
        raise UsageError(f"building {folder} brought {len(wheels)} wheels, not one")
    return wheels[0]


# --- a wheel of our own -----------------------------------------------------------------------


def is_plain(project: dict[str, Any], source: Path) -> bool:
    """Say whether a project can be packed without its backend: static data, packages in ``src``."""
    about = project.get("project", {})
    backends = set(project.get("tool", {})) & {"hatch", "setuptools", "poetry", "flit", "pdm"}
    has_facts = isinstance(about.get("name"), str) and isinstance(about.get("version"), str)
    return has_facts and not about.get("dynamic") and not backends and (source / "src").is_dir()


def write_plain_wheel(project: dict[str, Any], source: Path, out: Path) -> Path:
    """Pack a plain project into a wheel of pure Python."""
    about = project["project"]
    stem = canonical(about["name"]).replace("-", "_") + f"-{about['version']}"
    facts = f"{stem}.dist-info"
    files = {
        path.relative_to(source / "src").as_posix(): path.read_bytes()
        for path in sorted((source / "src").rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    tag = "Wheel-Version: 1.0\nGenerator: anabranch\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{facts}/METADATA"] = _metadata(about).encode()
    files[f"{facts}/WHEEL"] = tag.encode()
    files[f"{facts}/entry_points.txt"] = _entry_points(about).encode()
    files[f"{facts}/RECORD"] = _record(files, f"{facts}/RECORD")
    wheel = out / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def _metadata(about: dict[str, Any]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {about['name']}", f"Version: {about['version']}"]
    if summary := about.get("description"):
        lines.append("Summary: " + " ".join(str(summary).split()))
    if people := ", ".join(str(p.get("name", "")) for p in about.get("authors", ())):
        lines.append(f"Author: {people}")
    if python := about.get("requires-python"):
        lines.append(f"Requires-Python: {python}")
    lines += [f"Requires-Dist: {line}" for line in about.get("dependencies", ())]
    return "\n".join(lines) + "\n"


def _entry_points(about: dict[str, Any]) -> str:
    text = ""
    for group, points in about.get("entry-points", {}).items():
        text += f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in points.items())
    return text


def _record(files: Mapping[str, bytes], path: str) -> bytes:
    entries = [RecordEntry(path, None, None)]
    for name, content in files.items():
        digest, size = copyfileobj_with_hashing(BytesIO(content), BytesIO(), "sha256")
        entries.append(RecordEntry(name, Hash("sha256", digest), size))
    with construct_record_file((Scheme("purelib"), entry) for entry in entries) as record:
        return record.read()
