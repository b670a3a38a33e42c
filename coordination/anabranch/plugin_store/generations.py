"""Generations: small files that list the packages in force, swapped by renaming one link.

Package folders never change once they are made, and a generation is a list of them, so going
forward and going back are the same step: another list comes into force. Whatever is interrupted,
the link points to a whole list of whole folders.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import tomli_w

from anabranch.errors import WorldError
from anabranch.files import LEFTOVERS, replace_whole, replacing
from anabranch.plugin_store.places import Places
from anabranch.undecodable import UNDECODABLE

_NUMBERED = re.compile(r"gen-([1-9][0-9]{0,8})\.toml")


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """One unpacked distribution. ``requires`` are its ``Requires-Dist`` lines."""

    name: str
    version: str
    folder: str
    requires: tuple[str, ...] = ()


class InstalledPlugin(msgspec.Struct, frozen=True):
    """A distribution that was asked for, and what it was when it was tried out.

    ``source`` is what the user named; ``strategies`` are ids by kind, as the probe found them.
    """

    name: str
    version: str
    source: str
    installed: str
    summary: str = ""
    author: str = ""
    entry_points: tuple[str, ...] = ()
    strategies: dict[str, tuple[str, ...]] = {}


class Generation(msgspec.Struct, frozen=True):
    """Everything that is installed at one time; ``previous`` is what a rollback goes back to."""

    number: int = 0
    previous: int = 0
    reason: str = "nothing is installed"
    plugins: tuple[InstalledPlugin, ...] = ()
    packages: tuple[Package, ...] = ()

    def plugin(self, name: str) -> InstalledPlugin | None:
        """Return an installed plugin by the name of its distribution."""
        return next((plugin for plugin in self.plugins if plugin.name == name), None)


NOTHING = Generation()


def current_generation(places: Places) -> Generation:
    """Return the generation in force; the empty one if nothing was ever installed.

    Raises WorldError if what the link points to cannot be read.
    """
    try:
        target = os.readlink(places.current)
    except FileNotFoundError:
        return NOTHING
    except OSError as error:
        raise WorldError(f"cannot read {places.current}: {error.strerror}", _MEND) from None
    return read_generation(places.root / target)


def read_generation(path: Path) -> Generation:
    """Return what a generation's file says. Raises WorldError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            import tomllib  # here, because most people have installed no plugin

            return msgspec.convert(tomllib.load(file), Generation, strict=False)
    except (OSError, *UNDECODABLE) as error:
        raise WorldError(f"the list of installed plugins is unreadable: {error}", _MEND) from None


_MEND = (
    "anabranch plugins rollback goes back to an earlier list; --safe-mode starts without plugins"
)


def put_in_force(places: Places, generation: Generation) -> None:
    """Write a generation's file and let the link point to it: the one step that installs."""
    path = places.generation(generation.number)
    replace_whole(path, _encoded(generation), mode=0o666, durable=True)
    point_to(places, generation.number)


def point_to(places: Places, number: int) -> None:
    """Bring a generation that is there into force, by one rename."""
    with replacing(places.current, durable=True) as fresh:
        os.symlink(os.fsencode(places.generation(number).name), fresh)


def current_number(places: Places) -> int:
    """Return the number of the generation in force by the link alone, readable or not."""
    try:
        match = _NUMBERED.fullmatch(os.readlink(places.current))
    except OSError:
        return 0
    return int(match[1]) if match else 0


def latest_readable_before(places: Places, number: int) -> Generation | None:
    """Return the latest generation before a number that can be read, if there is one."""
    for earlier, path in sorted(generation_files(places), reverse=True):
        if earlier < number:
            try:
                return read_generation(path)
            except WorldError:
                continue
    return None


def next_number(places: Places) -> int:
    """Return a number that no generation has had, the interrupted ones included."""
    return max((number for number, _ in generation_files(places)), default=0) + 1


def earlier_generation(places: Places, current: Generation) -> Generation | None:
    """Return the generation before the current one, if it is kept."""
    path = places.generation(current.previous)
    return read_generation(path) if current.previous and path.exists() else None


def generation_files(places: Places) -> Iterator[tuple[int, Path]]:
    """Yield every generation's file there is, by number."""
    for path in sorted(places.root.glob("gen-*.toml")):
        if match := _NUMBERED.fullmatch(path.name):
            yield int(match[1]), path


def clear_leftovers(places: Places) -> None:
    """Remove what nothing needs: generations but the current and the one before, half-made things.

    Only for who holds the lock. A list that cannot be read keeps all that it may refer to.
    """
    for path in (*places.root.glob("staging-*"), *places.root.glob(LEFTOVERS)):
        _remove(path)
    try:
        current = current_generation(places)
        kept = [current, earlier_generation(places, current) or NOTHING]
    except WorldError:
        return
    numbers = {generation.number for generation in kept}
    for number, path in generation_files(places):
        if number not in numbers:
            path.unlink(missing_ok=True)
    used = {package.folder for generation in kept for package in generation.packages}
    for folder in places.packages.iterdir():
        if folder.name not in used:
            _remove(folder)


def _encoded(generation: Generation) -> bytes:
    head = (
        "# Written by anabranch plugins; anabranch plugins rollback goes back to the one before.\n"
    )
    return (head + tomli_w.dumps(msgspec.to_builtins(generation))).encode()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
