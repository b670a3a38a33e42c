"""The program that runs a setup, or puts back what an earlier one made.

If the same command has been run with the same contents of its inputs, its result is used again.
Several workspaces of one project that want the same at a time wait for the first. Whatever is done,
what the setup has made is noted in the end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from anabranch.engine.git import GitError
from anabranch.engine.kept_setups.keeping import added, ignored_in, keep, looked_at
from anabranch.engine.kept_setups.made import Made, made_in, note_made, note_what_was_made
from anabranch.engine.kept_setups.putting_back import parts_of, put_back, remove_all, take_up_shown
from anabranch.engine.kept_setups.results import (
    Kept,
    NotKept,
    is_there,
    is_whole,
    kept_in,
    mark_damaged,
    place_of,
)
from anabranch.engine.kept_setups.wanted import Wanted
from anabranch.files import replace_whole, take_lock
from anabranch.hostile_text import utf8_text
from anabranch.plain_files import SMALL_FILE_BYTES, open_plain, read_plain
from anabranch.undecodable import UNDECODABLE

LONGEST_WAIT_SECONDS = 7 * 86_400.0
LOOK_AGAIN_SECONDS = 0.05
IN_VAIN_SECONDS = 600.0
"""For so long others do not wait for a result that could not be kept."""
FAILED = "it has failed"
NOTHING_DECIDES = "none of its inputs is there"
_UNUSABLE = (NotKept, OSError, subprocess.SubprocessError, *UNDECODABLE)


def main(given: str, *argv: str) -> int:
    """Set the workspace up, by an earlier result or anew; return the exit code of that."""
    wanted = msgspec.json.decode(given, type=Wanted)
    place = _place(wanted, argv)
    shown = made_in(Path(wanted.made)).below if wanted.made else ""
    if shown:
        if str(place) == shown and _is_taken_up(wanted, Path(shown)):
            return 0
        _take_away(wanted, Path(shown))
        place = _place(wanted, argv)
    if place is None:
        return _run_and_note(wanted, argv)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return _set_up(wanted, argv, place)
    except (OSError, GitError) as error:
        _say(f"an earlier result cannot be looked for: {error}")
        return _run_and_note(wanted, argv)


def _place(wanted: Wanted, argv: tuple[str, ...]) -> Path | None:
    """Return where the result lies, or is to lie; None, with the reason said, if nowhere."""
    if not wanted.inputs:
        return None
    why_not, key = wanted.not_reused, None
    try:
        key = None if why_not else wanted.key(argv)
        why_not = why_not or ("" if key else NOTHING_DECIDES)
    except OSError as error:
        why_not = str(error)
    if key is None:
        _say(f"no earlier result is used, nor is this one kept: {why_not}")
        return None
    return place_of(Path(wanted.store), key)


def _set_up(wanted: Wanted, argv: tuple[str, ...], place: Path) -> int:
    """Have one at a time run the setup, while nobody knows that it is in vain for others.

    Any number put a result back at a time. Raises OSError, GitError if nothing has been run.
    """
    while True:
        with _locked(place, LONGEST_WAIT_SECONDS, shared=True):
            if is_there(place):
                if _is_put_back(wanted, place):
                    return 0
                if is_whole(place):
                    return _run_and_note(wanted, argv)
                mark_damaged(place)
                place = place_of(place.parents[1], place.name.partition(".")[0])
                continue
        in_vain = _in_vain(place)
        if in_vain == FAILED:
            return _run_and_keep(wanted, argv, place)  # beside others, who may fail again
        if in_vain:
            _say(f"its result is not kept for others: {in_vain}")
            return _run_and_note(wanted, argv)
        with _locked(place, LOOK_AGAIN_SECONDS) as is_mine:
            if is_mine and not place.is_dir():
                return _run_and_keep(wanted, argv, place)


@contextlib.contextmanager
def _locked(place: Path, patience_seconds: float, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock of one result, and say whether it was to be had. Raises OSError."""
    lock = open_plain(place.with_name(f".{place.name}.lock"), flags=os.O_RDWR | os.O_CREAT)
    waits = _tell_of_wait if shared else None
    try:
        yield take_lock(lock, patience_seconds, shared=shared, waits=waits)
    finally:
        os.close(lock)


def _in_vain(place: Path) -> str:
    """Return why what this setup makes was not kept of late; empty if nobody knows."""
    try:
        note = place.with_name(f".{place.name}.in-vain")
        is_young = time.time() - note.stat().st_mtime < IN_VAIN_SECONDS
        return read_plain(note, SMALL_FILE_BYTES).decode() if is_young else ""
    except (OSError, *UNDECODABLE):
        return ""


def _note_in_vain(place: Path, reason: str) -> None:
    with contextlib.suppress(OSError):
        note = utf8_text(reason).encode()[:1000]
        replace_whole(place.with_name(f".{place.name}.in-vain"), note)


def _tell_of_wait() -> None:
    _say("waits for the same setup in another workspace")


def _say(text: str) -> None:
    print(f"anabranch: {utf8_text(text)}", flush=True)


# --- running it ----------------------------------------------------------------------------------


def _run(argv: tuple[str, ...]) -> int:
    """Run the setup; where a signal ends it, end in the same way."""
    sys.stdout.flush()
    try:
        code = subprocess.run(argv, check=False).returncode
    except OSError as error:
        _say(f"cannot run {argv[0]}: {error.strerror}")
        return 127 if isinstance(error, FileNotFoundError) else 126
    if code < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code if code >= 0 else 128 - code


def _run_and_note(wanted: Wanted, argv: tuple[str, ...]) -> int:
    """Run the setup, and note which of what git ignores it has made."""
    workspace = Path(wanted.workspace)
    before = _ignored(workspace)
    code = _run(argv)
    if code == 0 and before is not None:
        _note(wanted, [name for name in _ignored(workspace) or () if name not in before])
    return code


def _ignored(workspace: Path) -> list[bytes] | None:
    try:
        return ignored_in(workspace)
    except (GitError, OSError):
        return None


def _run_and_keep(wanted: Wanted, argv: tuple[str, ...], place: Path) -> int:
    workspace, began = Path(wanted.workspace), time.monotonic()
    before = looked_at(workspace)
    code = _run(argv)
    if code != 0:
        _note_in_vain(place, FAILED)
        return code
    seconds, after = time.monotonic() - began, looked_at(workspace)
    if not isinstance(before, str) and not isinstance(after, str):
        _note(wanted, [name for name in after.ignored if name not in before.ignored])
    try:
        kept = keep(workspace, added(before, after), place, seconds)
    except (NotKept, GitError, OSError, subprocess.SubprocessError) as error:
        _note_in_vain(place, str(error))
        _say(f"its result is not kept for others: {error}")
    else:
        _say(f"its result is kept for others: {kept}")
    return 0


def _note(wanted: Wanted, names: Iterable[bytes], below: str = "") -> None:
    """Note what was made; if that cannot be, it is taken for work."""
    if wanted.made:
        with contextlib.suppress(OSError):
            note_what_was_made(Path(wanted.made), Path(wanted.workspace), names, below)


# --- using one again -----------------------------------------------------------------------------


def _is_put_back(wanted: Wanted, place: Path) -> bool:
    """Put a kept result into a workspace; false, with nothing of it there, if that fails."""
    began = time.monotonic()
    try:
        kept = kept_in(place)
        how = put_back(place, kept, Path(wanted.workspace))
    except _UNUSABLE as error:
        _say(f"an earlier result cannot be used: {error}")
        return False
    _note(wanted, parts_of(kept))
    _say_used_again(kept, how, began)
    return True


def _is_taken_up(wanted: Wanted, place: Path) -> bool:
    """Use the result that the workspace shows; false if it cannot be."""
    began = time.monotonic()
    try:
        kept = kept_in(place)
        how = take_up_shown(kept, Path(wanted.workspace))
    except _UNUSABLE as error:
        _say(f"an earlier result cannot be used: {error}")
        if not is_whole(place):
            mark_damaged(place)
        return False
    _note(wanted, map(os.fsencode, (*kept.texts, *kept.links)), str(place))
    _say_used_again(kept, how, began)
    return True


def _say_used_again(kept: Kept, how: str, began: float) -> None:
    took = time.monotonic() - began
    _say(
        f"the result of an earlier setup is used again ({how}): "
        f"{took:.1f} s instead of {kept.seconds:.1f} s"
    )


def _take_away(wanted: Wanted, place: Path) -> None:
    """Have nothing be in a workspace of a result that it shows and that is not its own."""
    with contextlib.suppress(OSError):
        note_made(Path(wanted.made), Made())
    with contextlib.suppress(*_UNUSABLE):
        remove_all(Path(wanted.workspace), kept_in(place).entries)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
