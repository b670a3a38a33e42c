"""What can be done with the chosen stream, or with all that are marked."""

from __future__ import annotations

from anabranch.core.ids import StreamId
from anabranch.core.inputs import RetryStream, StopStream
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Stream
from anabranch_console.panes.copying import ask_what_to_copy
from anabranch_console.panes.recovering import recover_streams
from anabranch_console.panes.streams import HOME, StreamsPane
from anabranch_console.presenters import consequences
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb, VerbOwner

_STOPPED = "stopped from the console"
_RETRIED = "tried again from the console"


class StreamActions(VerbOwner):
    """Opens, stops, retries, recovers and copies."""

    name_of = "stream"
    where = "the chosen stream"
    of_pane = HOME

    def __init__(self, model: RunModel, steering: Steering, home: StreamsPane) -> None:
        self._model, self._steering, self._home = model, steering, home

    def _named(self, argument: str) -> list[StreamId]:
        return [StreamId(argument)] if argument else self._steering.chosen_streams()

    def _found(self, argument: str) -> list[Stream]:
        streams = self._model.state.streams
        return [streams[s] for s in self._named(argument) if s in streams]

    # --- looking ---------------------------------------------------------------------------------

    def open_tab(self, tab: str, argument: str) -> None:
        """Show one of the tabs, of a stream that is named or of the chosen one."""
        if not argument or self._home.choose(argument):
            self._home.details.show_tab(tab)
            self._home.open_panel()

    def log(self, argument: str) -> None:
        """Show the log of a stream, or, of several that are marked, all theirs as one."""
        is_of_several = not argument and len(self._home.listed.marked) > 1
        self._home.details.merges_marked = is_of_several
        self.open_tab("log", argument)

    def handlers(self, argument: str) -> None:
        """Show the handlers of a stream that is named, or of the chosen one."""
        self._home.show_handlers(self._named(argument)[0])

    def diff(self, argument: str) -> None:
        """Show what a stream has changed, one that is named or the chosen one."""
        self._home.show_changes(self._named(argument)[0])

    def no_stream(self, argument: str) -> str | None:
        """Say so if there is none of that name, or none is chosen."""
        stream = next(iter(self._named(argument)), None)
        if stream is None or stream in self._model.state.streams:
            return self.none_chosen(argument)
        return f"there is no stream {argument!r} in this run"

    def no_handlers(self, argument: str) -> str | None:
        """Say so if it does not fan out."""
        stream, state = next(iter(self._named(argument)), None), self._model.state
        if stream is None or stream not in state.streams:
            return self.none_chosen(argument) or f"there is no stream {argument!r} in this run"
        return (
            None
            if self._model.has_handlers(stream)
            else f"{stream} has none: its plan has no `each`"
        )

    # --- steering --------------------------------------------------------------------------------

    def stop(self, argument: str) -> None:
        """Stop those that have not ended, after a question."""
        state, now = self._model.state, self._model.now
        living = [s for s in self._steering.meant(argument) if not state.streams[s].has_ended]
        if living:
            asked = consequences.of_stopping(state, living, now)
            commands = [StopStream(stream=s, reason=_STOPPED) for s in living]
            self._steering.steer_after_yes(asked, commands)

    def retry(self, argument: str) -> None:
        """Try again those that can be, after a question."""
        state, meant = self._model.state, self._steering.meant(argument)
        again = [s for s in meant if can_be_retried(state.streams[s])]
        if again:
            asked = consequences.of_retrying(state, again)
            commands = [RetryStream(stream=s, reason=_RETRIED) for s in again]
            self._steering.steer_after_yes(asked, commands)

    def recover(self, argument: str) -> None:
        """Recover a stream, or all that are meant: ``NAME [REMEDY]``, or ask what is missing."""
        name, _, remedy = (part.strip() for part in argument.partition(" "))
        recover_streams(self._model, self._steering, self._steering.meant(name), remedy)

    def copy(self, argument: str) -> None:
        """Copy a name, a path, the command line, the log or the patch, as chosen."""
        ask_what_to_copy(self._model, self._steering, self._found(""), self._home.details.log_path)

    # --- when it cannot be done ------------------------------------------------------------------

    def none_chosen(self, argument: str) -> str | None:
        """Say so if nothing is chosen."""
        return None if self._named(argument) else "no stream is chosen"

    def cannot_stop(self, argument: str) -> str | None:
        """Say so if all have ended."""
        found = self._found(argument)
        has_ended = bool(found) and all(s.has_ended for s in found)
        return self.none_chosen(argument) or ("it has ended" if has_ended else None)

    def cannot_retry(self, argument: str) -> str | None:
        """Say so if none can be tried again."""
        found = self._found(argument)
        if not found or any(can_be_retried(s) for s in found):
            return self.none_chosen(argument)
        has_ended = all(s.has_ended for s in found)
        return "it has succeeded" if has_ended else "it has not ended; stop it first"

    def cannot_recover(self, argument: str) -> str | None:
        """Say so if all have succeeded."""
        found = self._found(argument)
        is_over = bool(found) and not any(not s.has_ended or can_be_retried(s) for s in found)
        return self.none_chosen(argument) or ("it has succeeded" if is_over else None)

    verbs = (
        Verb(
            "log",
            "Its log, or all marked ones as one",
            ("l",),
            log,
            none_chosen,
            args="[STREAM]",
            completes="streams",
            footer="Log",
        ),
        Verb(
            "story",
            "Its story: why is it so?",
            ("e",),
            lambda self, name: self.open_tab("story", name),
            none_chosen,
            aliases=("why",),
            args="[STREAM]",
            completes="streams",
            footer="Why",
        ),
        Verb(
            "plan",
            "What the plan says about it",
            ("p",),
            lambda self, name: self.open_tab("plan", name),
            none_chosen,
            args="[STREAM]",
            completes="streams",
        ),
        Verb(
            "handlers",
            "The handlers of a stream that fans out",
            ("h",),
            handlers,
            no_handlers,
            args="[STREAM]",
            completes="streams",
        ),
        Verb(
            "diff",
            "What it has changed; review it",
            ("d",),
            diff,
            no_stream,
            args="[STREAM]",
            completes="streams",
            footer="Diff",
        ),
        Verb(
            "next-tab",
            "Next tab of the details",
            ("right_square_bracket",),
            lambda self, _: self._home.details.step_tab(1),
            none_chosen,
        ),
        Verb(
            "previous-tab",
            "Previous tab of the details",
            ("left_square_bracket",),
            lambda self, _: self._home.details.step_tab(-1),
            none_chosen,
        ),
        Verb(
            "stop",
            "Stop the stream…",
            ("x s",),
            stop,
            cannot_stop,
            args="[STREAM]",
            completes="streams",
            steers=True,
            shows_its_pane=False,
        ),
        Verb(
            "retry",
            "Try the stream again…",
            ("x r",),
            retry,
            cannot_retry,
            args="[STREAM]",
            completes="streams",
            steers=True,
            shows_its_pane=False,
        ),
        Verb(
            "recover",
            "Recover the stream…",
            ("x g",),
            recover,
            cannot_recover,
            args="[STREAM [REMEDY]]",
            completes="streams",
            steers=True,
            shows_its_pane=False,
        ),
        Verb(
            "copy",
            "Copy its id, a path, the log, the patch…",
            ("y",),
            copy,
            none_chosen,
            footer="Copy",
            shows_its_pane=False,
        ),
    )


def can_be_retried(stream: Stream) -> bool:
    """Return whether a stream may be tried again."""
    has_failed = stream.has_ended and stream.phase is not Phase.SUCCEEDED
    return stream.phase is Phase.BLOCKED or has_failed
