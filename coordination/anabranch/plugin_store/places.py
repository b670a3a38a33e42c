"""Where installed plugins lie: a folder of ours, beside the host's packages and never among them.

The folder is named after the Python it was filled for, as code built for one does not run in
another. Whatever installed the host (pip, uv, pipx, a distribution), this is the same place.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
from platformdirs import user_data_path


def python_tag() -> str:
    """Return what distinguishes the code that this Python can load, as ``cpython-312-x86_64``."""
    tag = sys.implementation.cache_tag or sys.implementation.name
    return f"{tag}{sys.abiflags}-{os.uname().machine}"


def plugins_home() -> Path:
    """Return the folder that holds the installed plugins of every Python."""
    return user_data_path("anabranch") / "plugins"


class Places(msgspec.Struct, frozen=True):
    """The files and folders of one Python's plugins."""

    root: Path

    @classmethod
    def of_this_python(cls) -> Places:
        return cls(plugins_home() / python_tag())

    @property
    def packages(self) -> Path:
        """One folder a package, unpacked and never changed again; generations share them."""
        return self.root / "packages"

    @property
    def current(self) -> Path:
        """The symbolic link to the generation in force; renaming it is what installing means."""
        return self.root / "current"

    @property
    def choices(self) -> Path:
        """What the user has switched off."""
        return self.root / "plugins.toml"

    @property
    def lock(self) -> Path:
        """Held (flock) by the one command that changes anything here."""
        return self.root / "lock"

    def generation(self, number: int) -> Path:
        """Return the file that lists the packages of a generation."""
        return self.root / f"gen-{number}.toml"

    def staging(self) -> Path:
        """Return a folder for what is being made; a later command clears what is left of it."""
        return self.root / f"staging-{os.getpid()}"

    def create(self) -> None:
        """Make the folder, readable and writable by nobody else: its code will be run."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.packages.mkdir(exist_ok=True, mode=0o700)
