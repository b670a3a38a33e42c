"""What an attempt finds of the review after which its stream goes on."""

from __future__ import annotations

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.reviews import review_as_text
from anabranch.core.model.state import State
from anabranch.files import replace_whole
from anabranch.handlers.placeholders import blanks_in
from anabranch.paths import RunFolder

LONGEST_SAID_BYTES = 60_000
"""Of notes so many go into a command: the kernel takes no word of more than 128 KiB."""

TOO_LONG = "Your work was looked at; read the file that ANABRANCH_REVIEW names."


def review_in_env(
    state: State, stream: StreamId, attempt: Attempt, run: RunFolder
) -> dict[str, str]:
    """Write down what was said of the work that was handed back, and name the file. Raises OSError.

    The file lies in the run's folder, so that it is nobody's change.
    """
    given = state.streams[stream].handed_back
    if given is None or not given.goes_on:
        return {}
    path = run.review(stream, attempt)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = review_as_text(given.note, given.notes)
    replace_whole(path, f"{text}\n".encode("utf-8", "surrogateescape"))
    return {"ANABRANCH_REVIEW": str(path)}


def command_after_review(state: State, stream: StreamId) -> tuple[str, ...]:
    """Return the command of a stream; its template is filled anew with what was said of its work.

    What it was given to do comes first, then the notes.
    """
    plan, given = state.stream_plan(stream), state.streams[stream].handed_back
    if not plan.outline or given is None or not given.goes_on:
        return plan.command
    said = review_as_text(given.note, given.notes).replace("\0", "")
    if len(said.encode("utf-8", "replace")) > LONGEST_SAID_BYTES:
        said = TOO_LONG
    outline = blanks_in(plan.outline)
    words = outline.filled(lambda _: f"{plan.prompt}\n\n{said}")
    return ("/bin/sh", "-c", *words) if outline.is_shell else tuple(words)
