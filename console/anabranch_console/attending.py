"""Going to who needs a person, having a look, and answering: from the list, without attaching."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from uuid import uuid4

from anabranch.core.events import InputSent
from anabranch.core.ids import Seq, StreamId
from anabranch.core.inputs import AnswerQuestion, LookAt, SendInput
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import Refusal
from anabranch.core.views.attention import attention_of, is_unseen, letters_of, text_of_message
from anabranch.core.views.questions import Question, meant, open_questions
from anabranch.engine.masking import masked_tail
from anabranch_console import operator_calls
from anabranch_console.panes.stream_details import why_empty
from anabranch_console.panes.streams import HOME, StreamsPane
from anabranch_console.presenters.attention_lines import peek_lines
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.screens.peek import Glance, Meant, Peek, WaitsFor, Way
from anabranch_console.steering import Level, Steering
from anabranch_console.verbs import Verb, VerbOwner

LAST_LINES = 40
OUTSIDE = "who started it has its output"
_LEVELS: Mapping[str, Level] = {"delivered": "info"}


class Attending(VerbOwner):
    """Goes to the next one, peeks, answers and types.

    Args:
        model: the run.
        steering: sends commands and says what came of them.
        home: the list of streams.
        do: does another verb for a stream.
    """

    name_of = "attention"
    where = "anywhere"

    def __init__(
        self,
        model: RunModel,
        steering: Steering,
        home: StreamsPane,
        do: Callable[[str, str], None],
    ) -> None:
        self._model, self._steering, self._home, self._do = model, steering, home, do
        self._sent: dict[str, str] = {}
        self._unsent: dict[StreamId, str] = {}
        self._seen: set[tuple[StreamId, int]] = set()
        self._visited: tuple[StreamId | None, StreamId] | None = None

    # --- keeping up ------------------------------------------------------------------------------

    def apply(self, changes: Changes) -> None:
        """Say what became of what was typed from here."""
        for record in changes.events:
            if isinstance(record.event, InputSent):
                self._tell_verdict(record.event)

    def _tell_verdict(self, event: InputSent) -> None:
        stream = self._model.live_state.streams.get(event.stream)
        known = stream.terminal.inputs if stream else ()
        sent = next((i for i in known if i.number == event.input), None)
        if sent is None or sent.request not in self._sent:
            return
        text = self._sent.pop(sent.request)
        if event.verdict == "refused":
            self._keep(event.stream, text)
        hint = f"; {event.hint}" if event.hint else ""
        words = f"{event.verdict}: {event.evidence} ({event.stream}){hint}"
        self._steering.tell(_LEVELS.get(event.verdict, "warning"), words)

    def looked_at(self, stream: StreamId | None) -> None:
        """Note that somebody looks at a stream's details; one that is over counts as looked at."""
        state = self._model.live_state
        if stream is None or stream not in state.streams:
            return
        if self._model.time.past is not None or not is_unseen(state, stream):
            return
        key = (stream, state.streams[stream].attempt)
        if self._model.source.hosting == "nobody" or key in self._seen:
            return
        self._seen.add(key)
        self._model.source.submit(LookAt(streams=(stream,)))

    # --- the next one ----------------------------------------------------------------------------

    def go_to_next(self, argument: str) -> None:
        """Go to the next stream that needs a person; at last say that none is left.

        One that joined from outside has no row to go to: it is looked at.
        """
        here = self._home.cursor
        if self._visited is not None and self._visited[0] == here:
            here = self._visited[1]
        found = self._model.attentions.next_after(here)
        self._visited = None
        if found is None:
            is_here = here in self._model.attentions.in_turn
            only = "nobody else needs you" if is_here else "nobody needs you"
            self._steering.tell("info", only)
            return
        self._do("streams", "")
        if found in self._model.state.streams:
            self._home.choose(found)
            self.looked_at(found)
        else:
            self._visited = (self._home.cursor, found)
            self._open(found, is_typing=False)

    # --- a look ----------------------------------------------------------------------------------

    def peek(self, argument: str) -> None:
        """Show the last of a stream, and take an answer."""
        stream = self._named(argument)
        if stream is not None:
            self._open(stream, is_typing=False)

    def _open(self, stream: StreamId, *, is_typing: bool) -> None:
        self.looked_at(stream)
        look, mean = partial(self._glance, stream), partial(self._mean, stream)
        draft = self._unsent.get(stream, "")
        peek = Peek(look, mean, partial(self._keep, stream), is_typing=is_typing, draft=draft)
        self._steering.ask(peek, lambda _: None)

    def _keep(self, stream: StreamId, unsent: str) -> None:
        """Keep what was typed for a stream and did not reach it: it is there for the next try."""
        self._unsent[stream] = unsent

    def _glance(self, name: StreamId, cells: int, most_lines: int) -> Glance:
        state, now = self._model.live_state, self._model.source.now()
        stream = state.streams.get(name)
        question = self._question(name)
        log = self._home.details.log_path(stream) if stream is not None else None
        output = masked_tail(log, LAST_LINES) if log is not None else []
        if not any(map(str.strip, output)):
            output = [OUTSIDE if stream is None else why_empty(stream, log)]
        attention = attention_of(state, name, is_hosted=self._model.source.hosting != "nobody")
        letters = [text_of_message(m) for m in letters_of(state, name)]
        lines = peek_lines(attention, question, letters, output, now, cells, most_lines)
        title = safe(name) if stream is not None else f"{safe(name)} (joined from outside)"
        waits_for, is_over = self._waits_for(name), self._is_over(name)
        return Glance(title, lines, question, bool(letters), waits_for, is_over)

    def _is_over(self, name: StreamId) -> bool:
        stream = self._model.live_state.streams.get(name)
        joined = self._model.live_state.registry.live(name)
        return joined is None if stream is None else stream.has_ended

    def _way(self, name: StreamId) -> Way:
        state = self._model.live_state
        if open_questions(state.questions, name):
            return "answer"
        stream = state.streams.get(name)
        is_at_terminal = (
            stream is not None and state.stream_plan(name).tty and stream.phase is Phase.RUNNING
        )
        return "input" if is_at_terminal else "message"

    def _waits_for(self, name: StreamId) -> WaitsFor:
        way, question = self._way(name), self._question(name)
        stream = self._model.live_state.streams.get(name)
        if stream is None or way != "input":
            return WaitsFor(way, question.ticket if question else None)
        prompt, inputs = stream.terminal.prompt, stream.terminal.inputs
        stands = (prompt.text, prompt.since) if prompt else None
        return WaitsFor(way, None, stands, inputs[-1].number if inputs else Seq(0))

    def _mean(self, stream: StreamId, wanted: Meant) -> None:
        if wanted.way != "verb":
            self._unsent.pop(stream, None)
        if wanted.way == "verb" and wanted.text == "next-attention":
            self.go_to_next("")
        elif wanted.way == "verb" and stream not in self._model.live_state.streams:
            self._steering.tell("info", f"{stream} joined from outside: {OUTSIDE}")
        elif wanted.way == "verb":
            self._do(wanted.text, stream)
        elif wanted.way == "answer":
            self._answer(stream, wanted.text, wanted.question or self._question(stream))
        elif wanted.way == "input":
            self._type(stream, wanted.text)
        elif wanted.way == "acknowledged":
            self._acknowledge(stream)
        elif wanted.text.strip():
            self._steering.steer(operator_calls.send(stream, wanted.text))
            self._acknowledge(stream)

    def _acknowledge(self, stream: StreamId) -> None:
        """Note that what a stream has written was dealt with."""
        letters = letters_of(self._model.live_state, stream)
        self._steering.steer(*(operator_calls.acknowledge(letter.id) for letter in letters))

    # --- answers and input -----------------------------------------------------------------------

    def reply(self, argument: str) -> None:
        """Give a stream a text, ``STREAM TEXT``, in the way that it wants one; or have it typed."""
        name, _, text = argument.strip().partition(" ")
        stream = self._named(name)
        if stream is None:
            return
        if text:
            self._mean(stream, Meant(self._way(stream), text))
        else:
            self._open(stream, is_typing=not self._is_over(stream))

    def _answer(self, stream: StreamId, text: str, question: Question | None) -> None:
        if question is None:
            self._steering.tell("warning", f"{stream} asks nothing any more")
            self._keep(stream, text)
            return
        found = meant(question, text, None)
        if isinstance(found, Refusal):
            self._steering.tell("warning", f"{found.reason}; {found.hint}")
            self._keep(stream, text)
            return
        asked = AnswerQuestion(stream=question.stream, answer=found, question=question.ticket)
        self._steering.steer(asked)

    def _question(self, stream: StreamId) -> Question | None:
        asked = open_questions(self._model.live_state.questions, stream)
        return asked[0] if asked else None

    def _type(self, stream: StreamId, text: str) -> None:
        request = f"console-{uuid4().hex}"
        self._sent[request] = text
        self._steering.steer(SendInput(stream=stream, text=text, request=request))

    def cannot_reply(self, words: str) -> str | None:
        """Say so if no stream is meant, or it is over."""
        name = words.strip().partition(" ")[0]
        missing = self.nothing_chosen(name)
        if missing:
            return missing
        stream = StreamId(name) if name else self._steering.chosen_streams()[0]
        is_known = stream in self._model.live_state.streams
        return f"{stream} is over; v looks at it" if is_known and self._is_over(stream) else None

    # --- whom ------------------------------------------------------------------------------------

    def _named(self, name: str) -> StreamId | None:
        found = [StreamId(name)] if name else self._steering.chosen_streams()
        state = self._model.live_state
        known = [s for s in found if s in state.streams or s in state.registry.joined]
        if not known:
            self._steering.tell("warning", f"there is no stream {name!r} in this run")
        return known[0] if known else None

    def nothing_chosen(self, argument: str) -> str | None:
        """Say so if no stream is meant."""
        return None if argument or self._steering.chosen_streams() else "no stream is chosen"

    verbs = (
        Verb(
            "next-attention",
            "Next stream that needs you",
            ("exclamation_mark",),
            go_to_next,
            footer="Next",
            shows_its_pane=False,
        ),
    )


class Peeking(VerbOwner):
    """The look at the chosen stream, by the key of the list.

    Args:
        attending: does it.
    """

    name_of = "peek"
    where = "the chosen stream"
    of_pane = HOME

    def __init__(self, attending: Attending) -> None:
        self._attending = attending

    verbs = (
        Verb(
            "peek",
            "Peek: its last output, its question, an answer",
            ("v",),
            lambda self, name: self._attending.peek(name),
            lambda self, name: self._attending.nothing_chosen(name),
            args="[STREAM]",
            completes="streams",
            footer="Peek",
            shows_its_pane=False,
        ),
        Verb(
            "reply",
            "Reply: an answer, a line into its terminal, a message",
            ("r",),
            lambda self, words: self._attending.reply(words),
            lambda self, words: self._attending.cannot_reply(words),
            args="[STREAM TEXT]",
            completes="streams",
            footer="Reply",
            steers=True,
            shows_its_pane=False,
        ),
    )
