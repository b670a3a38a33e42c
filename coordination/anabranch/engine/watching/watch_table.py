"""Who watches which folder: the map between the kernel's watches and the workspaces."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from anabranch.engine.watching.inotify import Inotify, OutOfWatches

Owner = TypeVar("Owner", bound=Hashable)

# One workspace may not use up the watches of all the others.
DIRECTORIES_LIMIT = 20_000


class WatchTable(Generic[Owner]):
    """Watches of one notification descriptor, by owner.

    The kernel gives a folder one watch however often it is asked for, so a folder seen by two
    owners (a workspace inside another) belongs to both and is let go by the last.
    """

    def __init__(self, inotify: Inotify) -> None:
        self._inotify = inotify
        self._lock = threading.Lock()
        self._owners: dict[int, dict[Owner, str]] = {}
        self._watches: dict[Owner, dict[str, int]] = {}

    def admit(self, owner: Owner) -> None:
        """Let ``owner`` add watches, until it is dropped."""
        with self._lock:
            self._watches[owner] = {}

    def add(self, owner: Owner, directory: str) -> bool:
        """Watch ``directory`` for ``owner``; False if it is gone, unreadable or owner dropped.

        Raises:
            OutOfWatches: the user's limit, or the owner's share of it, is reached.
        """
        with self._lock:
            watches = self._watches.get(owner)
            if watches is None:
                return False
            if len(watches) >= DIRECTORIES_LIMIT:
                raise OutOfWatches
            watch = self._inotify.watch(directory)
            if watch is None:
                return False
            watches[directory] = watch
            self._owners.setdefault(watch, {})[owner] = directory
            return True

    def owners(self, watch: int) -> list[tuple[Owner, str]]:
        """Return who watches, and under which path each knows the folder."""
        with self._lock:
            return list(self._owners.get(watch, {}).items())

    def all_owners(self) -> list[Owner]:
        """Return everyone who watches anything."""
        with self._lock:
            return list(self._watches)

    def ended(self, watch: int) -> None:
        """Forget a watch that the kernel has ended because its folder is gone."""
        with self._lock:
            for owner, directory in self._owners.pop(watch, {}).items():
                if self._watches[owner].get(directory) == watch:
                    del self._watches[owner][directory]

    def drop_below(self, owner: Owner, directory: str) -> None:
        """Stop watching a folder and everything in it for ``owner``."""
        with self._lock:
            watches = self._watches.get(owner, {})
            below = directory + "/"
            gone = [path for path in watches if path == directory or path.startswith(below)]
            for path in gone:
                self._let_go(owner, watches.pop(path))

    def drop(self, owner: Owner) -> None:
        """Stop watching everything for ``owner``."""
        with self._lock:
            for watch in self._watches.pop(owner, {}).values():
                self._let_go(owner, watch)

    def __len__(self) -> int:
        return len(self._owners)

    def _let_go(self, owner: Owner, watch: int) -> None:
        owners = self._owners.get(watch, {})
        owners.pop(owner, None)
        if not owners:
            self._owners.pop(watch, None)
            self._inotify.unwatch(watch)
