"""A look at a stream without leaving the list: its last output, what it asks, and an answer.

What is typed goes where it is wanted: as the answer to its question, else into its terminal, else
to it as a message. The dialog only says what was meant; whoever opened it does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Key, Paste

from anabranch.core.ids import Seq
from anabranch.core.model.questions import Question
from anabranch_console.lines import Line, Span, cut_left
from anabranch_console.presenters.wording import safe
from anabranch_console.screens.dialogs import Dialog

REFRESH_SECONDS = 0.5
LONGEST_TYPED = 2_000
OTHERWISE = "not sent: it waits for something else than when you began; enter sends it all the same"

Way = Literal["answer", "input", "message"]
"""How a text reaches a stream."""

_LABELS: dict[Way, str] = {"answer": "answer", "input": "type and enter", "message": "message"}


class Meant(NamedTuple):
    """What whoever looked wants done: a text brought to the stream, a verb, or a message noted."""

    way: Way | Literal["verb", "acknowledged"]
    text: str
    question: Question | None = None
    """The one that was shown as it was answered."""


class WaitsFor(NamedTuple):
    """What a stream waits for: a text that is typed for one thing must not reach another."""

    way: Way
    question: Seq | None = None
    prompt: tuple[str, float] | None = None
    """The text that stands on its terminal, and since when."""
    newest_input: Seq = Seq(0)

    def has_gone(self, now: WaitsFor) -> bool:
        """Say whether it is over with; a prompt that is found late stood there before."""
        prompt_has_gone = self.prompt is not None and self.prompt != now.prompt
        same = (self.way, self.question, self.newest_input)
        return prompt_has_gone or same != (now.way, now.question, now.newest_input)


class Glance(NamedTuple):
    """What there is to see of a stream now."""

    title: str
    lines: list[Line]
    question: Question | None
    has_written: bool
    waits_for: WaitsFor
    is_over: bool


class Peek(Dialog):
    """Shows a stream, kept up, and takes one answer.

    Args:
        look: returns what there is to see, for a width in cells and a number of lines.
        answered: called with what is meant, once the dialog has gone.
        kept: called with what was typed and not sent; a text that is typed begins with ``draft``.
        is_typing: whether an answer is typed from the start on.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False, priority=True),
        Binding("enter", "enter", show=False, priority=True),
        Binding("backspace", "erase", show=False, priority=True),
    ]

    def __init__(
        self,
        look: Callable[[int, int], Glance],
        answered: Callable[[Meant], None],
        kept: Callable[[str], None],
        *,
        is_typing: bool = False,
        draft: str = "",
    ) -> None:
        super().__init__("", "esc back")
        self._look, self._answered, self._kept = look, answered, kept
        self._glance: Glance | None = None
        self._draft = draft
        self._typed: str | None = draft if is_typing else None
        self._typed_for: WaitsFor | None = None

    def on_mount(self) -> None:
        self.set_interval(REFRESH_SECONDS, self.draw)
        self.draw()

    def draw(self) -> None:
        before = self._glance
        self._glance = glance = self._look(self._room, self._most_lines - 2)
        if before is not None and before.waits_for.has_gone(glance.waits_for):
            self.freshen()
        if glance.is_over and self._typed is not None:
            self._stop_typing()
        self._title, self._hint = glance.title, self._keys(glance)
        box = self.query_one(Container)
        box.border_title, box.border_subtitle = Content(self._title), Content(self._hint)
        asked: list[Line] = []
        if self._typed is not None:
            label = f"{_LABELS[glance.waits_for.way]}: "
            room = max(8, self._room - len(label) - 1)
            asked = [
                (Span(""),),
                (
                    Span(label, "muted"),
                    Span(cut_left(self._typed, room), "strong"),
                    Span("_", "key"),
                ),
            ]
        self.show([*glance.lines, *asked])

    def _stop_typing(self) -> None:
        """Say that nobody is there any more who could be told, and what was not sent."""
        unsent = f": {cut_left(safe(self._typed or ''), 60)}" if self._typed else ""
        self._keep()
        self.notify(f"it is over; nothing was sent{unsent}", severity="warning", markup=False)

    def _keys(self, glance: Glance) -> str:
        if self._typed is not None:
            return "enter send  esc back"
        keys = []
        if glance.question is not None:
            if glance.question.choices:
                keys.append(f"1-{min(9, len(glance.question.choices))} choose")
            if glance.question.meant_by(True) is not None:
                keys.append("y yes")
            if glance.question.meant_by(False) is not None:
                keys.append("n no")
        elif glance.has_written:
            keys.append("y acknowledge")
        if not glance.is_over:
            keys.append(f"enter {_LABELS[glance.waits_for.way]}")
        return "  ".join([*keys, "l log", "! next", "esc back"])

    # --- keys ------------------------------------------------------------------------------------

    def on_key(self, event: Key) -> None:
        if not event.character or not event.is_printable or self._glance is None:
            return
        event.stop()
        if self._typed is not None:
            self._type(event.character)
        else:
            self._press(event.character, self._glance)

    def on_paste(self, event: Paste) -> None:
        if self._typed is not None:
            event.stop()
            self._type(" ".join(event.text.split()))

    def _type(self, text: str) -> None:
        """Add to what is typed, which is for what the stream waits for as it is begun."""
        if not self._typed and self._glance is not None:
            self._typed_for = self._glance.waits_for
        self._typed = ((self._typed or "") + text)[:LONGEST_TYPED]
        self.draw()

    def _press(self, key: str, glance: Glance) -> None:
        question = glance.question
        if key in "l!a":
            self._mean(Meant("verb", {"l": "log", "!": "next-attention", "a": "attach"}[key]))
        elif key == "q":
            self.dismiss(None)
        elif self.is_fresh:
            return
        elif question is None:
            if key == "y" and glance.has_written:
                self._mean(Meant("acknowledged", ""))
        elif key.isdecimal() and 1 <= int(key) <= min(9, len(question.choices)):
            self._mean(Meant("answer", question.choices[int(key) - 1], question))
        elif key in "yn":
            answer = question.meant_by(key == "y")
            if answer is None:
                word = "yes" if key == "y" else "no"
                self.notify(f"none of its choices is a {word}", severity="warning")
            else:
                self._mean(Meant("answer", answer, question))

    def action_enter(self) -> None:
        """Begin to type, or send what was typed: to what it was typed for, or after a look."""
        self.draw()
        glance = self._glance
        if glance is None or glance.is_over:
            return
        if self._typed is None:
            self._typed, self._typed_for = self._draft, glance.waits_for
            self.draw()
        elif self._typed and self._typed_for and self._typed_for.has_gone(glance.waits_for):
            self._typed_for = glance.waits_for
            self.notify(OTHERWISE, severity="warning", markup=False)
        elif not self.is_fresh:
            self._mean(Meant(glance.waits_for.way, self._typed, glance.question))

    def action_erase(self) -> None:
        """Take the last character back."""
        if self._typed:
            self._typed = self._typed[:-1]
            self.draw()

    def action_back(self) -> None:
        """Stop typing, or leave."""
        if self._typed is None:
            self.dismiss(None)
        else:
            self._keep()
            self.draw()

    def _keep(self) -> None:
        """Stop typing; what was typed is there again when the next text is begun."""
        self._draft, self._typed = self._typed or "", None
        self._kept(self._draft)

    def _mean(self, meant: Meant) -> None:
        self.dismiss(None)
        self._answered(meant)
