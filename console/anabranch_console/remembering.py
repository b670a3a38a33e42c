"""What whoever sits here has chosen, kept from one console to the next in one small file.

Several consoles may be open. Each writes only what was chosen in it, into the file as it is then,
and the file is replaced as a whole: nobody's choice is lost by another's.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from anabranch.files import replace_whole
from anabranch.hostile_text import escape_for_terminal
from anabranch.plain_files import SMALL_FILE_BYTES, open_plain, read_if_there

Choice = str | bool | list[str]
RUN = "run "
"""What the names of choices begin with that are about one run."""

RUNS_KEPT = 30


class Memory:
    """The file with the choices.

    Args:
        path: the file; it need not exist, nor its folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self) -> tuple[dict[str, Choice], str]:
        """Return what was chosen, and what is wrong with the file, "" if nothing is."""
        try:
            return self._read(), ""
        except (OSError, ValueError, RecursionError) as error:
            reason = escape_for_terminal(str(error))
            return {}, f"{self._path} is passed over, nothing is remembered of before: {reason}"

    def keep(self, chosen: Mapping[str, Choice | None]) -> None:
        """Write choices, None for one that is taken back, and leave all others as they are.

        Where that cannot be done nothing is remembered, as if nobody had chosen.
        """
        with suppress(OSError), self._alone():
            kept, _ = self.recall()
            for name, choice in chosen.items():
                kept.pop(name, None)
                if choice is not None:
                    kept[name] = choice
            data = msgspec.json.format(msgspec.json.encode(_of_few_runs(kept)), indent=1)
            replace_whole(self._path, data)

    def _read(self) -> dict[str, Choice]:
        data = read_if_there(self._path, SMALL_FILE_BYTES)
        return {} if data is None else msgspec.json.decode(data, type=dict[str, Choice])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other consoles out; the system lets them in again if this one is killed."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._path.with_name(f"{self._path.name}.lock")
        descriptor = open_plain(lock, flags=os.O_WRONLY | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _of_few_runs(kept: Mapping[str, Choice]) -> dict[str, Choice]:
    """Return the choices without those about runs that were looked at long ago."""
    runs = list(dict.fromkeys(name.split()[1] for name in kept if name.startswith(RUN)))
    gone = set(runs[:-RUNS_KEPT])
    return {
        name: choice
        for name, choice in kept.items()
        if not (name.startswith(RUN) and name.split()[1] in gone)
    }
