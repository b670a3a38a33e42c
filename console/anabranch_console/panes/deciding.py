"""Making the decisions about a conflict: by a side, by an edited text, or by a command.

Git has a part in each, so they are made in a thread: a :data:`Making` is called there.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App, SuspendNotSupported

from anabranch.core.events import Conflict, ConflictedPath, Resolution
from anabranch.core.model.state import State
from anabranch.errors import AnabranchError, NotSettled
from anabranch.paths import RunFolder
from anabranch_console.attached.editing import editor

if TYPE_CHECKING:
    from anabranch.engine.settling import PlainChoice

Making = Callable[[], list[Resolution]]


def decided(make: Making) -> tuple[Resolution, ...] | str:
    """Return what was decided, or why nothing was."""
    try:
        return tuple(make())
    except AnabranchError as error:
        return f"{error.message}; {error.hint}"
    except OSError as error:
        return f"nothing was decided: {error}"


def by_choice(
    state: State, conflict: Conflict, path: ConflictedPath, choice: PlainChoice
) -> Making:
    """Decide a path by a side, or by the lines of both."""

    def make() -> list[Resolution]:
        from anabranch.engine import settling  # it brings what the first picture does not need

        repo = settling.repository_of(state)
        return [settling.settled_by_choice(repo, state.run, conflict, path, choice)]

    return make


def by_text(state: State, path: ConflictedPath, text: bytes) -> Making:
    """Decide a path by a text."""

    def make() -> list[Resolution]:
        from anabranch.engine import settling

        repo = settling.repository_of(state)
        return [settling.settled_by_text(repo, state.run, path, text)]

    return make


def by_command(state: State, home: RunFolder, conflict: Conflict, command: str) -> Making:
    """Decide all paths that are left by what a command makes of them."""

    def make() -> list[Resolution]:
        from anabranch.engine import settling

        repo, env = settling.repository_of(state), dict(os.environ, ANABRANCH_RUN=state.run)
        work = settling.settled_by_command(repo, home, conflict, command, env)
        settled, ended = asyncio.run(work)
        if not settled:
            log = home.resolver_log(None)
            raise NotSettled(f"the command has settled nothing: {ended.reason}", f"see {log}")
        return settled

    return make


def text_to_edit(state: State, conflict: Conflict, path: ConflictedPath) -> bytes:
    """Return the text with its markers, or the only side there is.

    Raises:
        AnabranchError: the sides cannot be read, or are not text.
    """
    from anabranch.engine import settling

    try:
        texts = settling.texts_of(settling.repository_of(state), state.run, conflict, path)
    except AnabranchError as error:
        raise NotSettled(f"the sides cannot be read: {error}") from error
    text = texts.marked if texts.marked is not None else texts.ours or texts.theirs
    if text is None or b"\0" in text:
        raise NotSettled(f"{path.path} is not a text that could be edited")
    return text


def edited(app: App[Any], name: str, text: bytes) -> bytes:
    """Let the user edit a text, the console stepping aside, and return what it is then.

    Raises:
        AnabranchError: the editor could not be started, or has failed.
    """
    command = editor()
    with tempfile.TemporaryDirectory(prefix="anabranch-edit-") as folder:
        file = Path(folder) / (Path(name).name or "conflict")
        file.write_bytes(text)
        try:
            with app.suspend():
                ended = subprocess.run([*shlex.split(command), str(file)], check=False)
            after = file.read_bytes()
        except SuspendNotSupported as error:
            raise NotSettled("this terminal cannot be given to an editor") from error
        except (OSError, ValueError) as error:
            raise NotSettled(f"{command!r} cannot be started ({error}); set EDITOR") from error
    app.refresh()
    if ended.returncode != 0:
        raise NotSettled(f"{command} ended with {ended.returncode}: nothing was decided")
    return after
