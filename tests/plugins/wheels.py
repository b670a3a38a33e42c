"""Wheels written by hand, the hostile ones included, and a store of plugins to put them in."""

from __future__ import annotations

import base64
import hashlib
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from anabranch.plugin_store.places import Places
from anabranch.plugin_store.store import PluginStore, Proposal

QUORUM = """
from anabranch.core.strategies import Abandon, Converge, WaitForMore
from anabranch.hookspecs import hookimpl

class Quorum:
    name = "quorum"
    def next_step(self, view, now):
        if view.outstanding and len(view.arrived) < 2:
            return WaitForMore("two are needed")
        if not view.arrived:
            return Abandon("nobody came")
        return Converge(tuple(view.arrived), "enough arrived")

@hookimpl
def anabranch_convergence_types():
    return [Quorum()]
"""


def agree(proposal: Proposal) -> bool:
    return True


def store_in(folder: Path) -> PluginStore:
    """Return a store of plugins in a folder of its own."""
    return PluginStore(Places(folder / "plugins"))


def write_wheel(
    folder: Path,
    name: str,
    source: str = QUORUM,
    *,
    version: str = "1.0",
    requires: tuple[str, ...] = (),
    requires_python: str = "",
    files: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    module: str = "",
    group: str = "anabranch",
    record: str | None = None,
) -> Path:
    """Write a wheel with one module, an entry point to it, and whatever else is asked for.

    Its RECORD lists all files but the links, unless ``record`` takes its place.
    """
    stem, module = name.replace("-", "_"), module or name.replace("-", "_")
    facts = f"{stem}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: a test\n"
    metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    metadata += f"Requires-Python: {requires_python}\n" if requires_python else ""
    content = {
        f"{module}.py": source,
        f"{facts}/METADATA": metadata,
        f"{facts}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **({f"{facts}/entry_points.txt": f"[{group}]\n{stem} = {module}\n"} if group else {}),
        **(files or {}),
    }
    content[f"{facts}/RECORD"] = record_of(content, facts) if record is None else record
    wheel = folder / f"{stem}-{version}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
        for path, target in (links or {}).items():
            info = zipfile.ZipInfo(path)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return wheel


def record_of(content: Mapping[str, str], facts: str) -> str:
    """Return the RECORD of files, each with its hash and length."""
    rows = [f'"{path}",{hash_of(text)},{len(text.encode())}\n' for path, text in content.items()]
    return "".join(rows) + f"{facts}/RECORD,,\n"


def hash_of(text: str) -> str:
    """Return a text's hash as RECORD has it."""
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
