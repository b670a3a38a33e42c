"""Where a run's sockets lie.

The address of a unix socket holds 107 bytes, and the path of a run folder may be longer. The
sockets then lie in a private folder in the temporary folder, with a name made from the run
folder's. It does not depend on who looks or when, so that the streams a console adopts still know
the address.
"""

from __future__ import annotations

import os
import stat
import tempfile
from hashlib import blake2b
from pathlib import Path

from anabranch.errors import WorldError
from anabranch.files import replace_whole
from anabranch.paths import RunFolder
from anabranch.plain_files import read_if_there

LONGEST_FOLDER = 85
LONGEST_NOTE_BYTES = 4096


def socket_folder(run: RunFolder) -> Path:
    """Return the private folder for a run's sockets, having made it. Raises WorldError."""
    own = run.sockets
    try:
        folder = own if len(os.fsencode(own)) <= LONGEST_FOLDER else _short_folder(run)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise WorldError(f"{error.strerror}: {error.filename}", "look at the disk") from error
    _require_private(folder.parent)
    _require_private(folder)
    return folder


def _short_folder(run: RunFolder) -> Path:
    """Return the folder that stands for a long path; the first choice is noted and kept."""
    noted = read_if_there(run.sockets_note, LONGEST_NOTE_BYTES)
    if noted is not None:
        return Path(os.fsdecode(noted))
    name = blake2b(os.fsencode(run.path), digest_size=8).hexdigest()
    folder = Path(_base(), f"anabranch-{os.getuid()}", name)
    replace_whole(run.sockets_note, os.fsencode(folder))
    return folder


def _base() -> str:
    """Return a short folder that outlives logins; the runtime folder of a login does not."""
    base = tempfile.gettempdir()
    return base if len(base) <= 30 else "/tmp"


def _require_private(folder: Path) -> None:
    """Make sure that nobody else can put anything into a folder. Raises WorldError."""
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
        return
    raise WorldError(f"{folder} is not a private folder of yours", "remove it, or set TMPDIR")
