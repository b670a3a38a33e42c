"""The messages of a run: dead letters, what waits, what was said; and saying something oneself."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core.ids import StreamId
from anabranch.core.model.messages import OPERATOR, Mailboxes, Message
from anabranch.core.wording import counted
from anabranch_console import operator_calls
from anabranch_console.lines import Line, Span
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.presenters.message_lines import (
    MessageLook,
    message_columns,
    message_detail,
    message_rows,
    message_text,
    waits_for_operator,
)
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering
from anabranch_console.typed_numbers import whole_number
from anabranch_console.verbs import Verb


class MessagesPane(GridPane[Message]):
    """One row a message: what waits for the operator, dead letters, what waits, the newest."""

    name_of = where = of_pane = "messages"
    title = "Messages"
    full_title = "Messages"
    when_empty = "nobody has written to anybody; m writes"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        self.look = MessageLook(model.state, model.now)
        super().__init__(
            model, steering, message_columns(lambda: self.look), lambda message: message.id
        )
        self._counts = (0, 0)
        self._detail: tuple[object, object, int, list[Line]] | None = None

    def before_update(self) -> None:
        self.look = MessageLook(self.model.state, self.model.now, self.glyphs)

    def source_of_rows(self) -> Mailboxes:
        return self.model.state.messages

    def all_rows(self) -> Sequence[Message]:
        rows = message_rows(self.model.state)
        dead = sum(bool(m.died) for m in rows)
        self._counts = (dead, sum(bool(m.open) for m in rows))
        return rows

    def text_of(self, row: Message) -> str:
        return message_text(row)

    def standing(self) -> Line:
        dead, waiting = self._counts
        dot = f" {self.glyphs.separator} "
        parts = [Span(f"{dot}{waiting} waiting", "text")] if waiting else []
        return (
            (*parts, Span(f"{dot}{counted(dead, 'dead letter')}", "level.error"))
            if dead
            else (*parts,)
        )

    def detail_title(self, row: Message | None) -> Line:
        return (Span("Message and thread", "title"),)

    def detail_lines(self, row: Message | None, cells: int) -> list[Line]:
        if row is None:
            return [(Span("m sends a message, b one to all", "muted"),)]
        mail, known = self.model.state.messages, self._detail
        if known and known[0] is row and known[1] is mail and known[2] == cells:
            return known[3]
        lines = message_detail(self.look, row, cells)
        self._detail = (row, mail, cells, lines)
        return lines

    @property
    def correspondent(self) -> StreamId:
        """Whom a message is most likely to be for: who the chosen one is from, or to."""
        row = self.chosen
        if row is None:
            return OPERATOR
        return row.sender if row.sender != OPERATOR else row.to or OPERATOR

    # --- verbs -----------------------------------------------------------------------------------

    def menu(self) -> list[MenuItem]:
        row = self.chosen
        text = f"number {row.id}" if row and row.died else ""
        return [
            MenuItem("send", "m", detail=str(self.correspondent)),
            MenuItem("broadcast", "b", detail="every stream that is not over"),
            MenuItem("requeue", "r", detail=text),
            MenuItem(
                "acknowledge",
                "a",
                detail=f"number {row.id}" if row and waits_for_operator(row) else "",
            ),
        ]

    def send(self, argument: str) -> None:
        """Send a message: ``STREAM TEXT``, or have typed what is missing."""
        name, _, text = argument.strip().partition(" ")
        state = self.model.state
        if not text.strip():
            self.steering.ask_in_bar(f"send {name or self._addressee()} ".lstrip())
        elif name in state.streams or name in state.registry.joined:
            self.steering.steer(operator_calls.send(StreamId(name), text))
        else:
            self.steering.tell("warning", f"there is no stream {name!r} in this run")

    def _addressee(self) -> str:
        if self.is_in_sight:
            return str(self.correspondent)
        chosen = self.steering.chosen_streams()
        return str(chosen[0]) if len(chosen) == 1 else ""

    def broadcast(self, argument: str) -> None:
        """Send a message to all, or have it typed."""
        if argument.strip():
            self.steering.steer(operator_calls.broadcast(argument))
        else:
            self.steering.ask_in_bar("broadcast ")

    def requeue(self, argument: str) -> None:
        """Send a dead letter on its way again."""
        number = self._number(argument)
        if number is not None:
            self.steering.steer(operator_calls.requeue(number))

    def cannot_requeue(self, argument: str) -> str | None:
        """Say so if what is chosen is not a dead letter."""
        is_dead = bool(argument) or bool(self.chosen and self.chosen.died)
        return None if is_dead else "no dead letter is chosen"

    def acknowledge(self, argument: str) -> None:
        """Say that a message to the operator was dealt with."""
        number = self._number(argument)
        if number is not None:
            self.steering.steer(operator_calls.acknowledge(number))

    def cannot_acknowledge(self, argument: str) -> str | None:
        """Say so if what is chosen waits for nobody here."""
        waits = bool(argument) or bool(self.chosen and waits_for_operator(self.chosen))
        return None if waits else "no message that waits for you is chosen"

    def _number(self, argument: str) -> int | None:
        """Return the number that was given, or the chosen message's; say so if it is not one."""
        row = self.chosen
        given = argument.strip() or (str(row.id) if row else "")
        number = whole_number(given)
        if number is None:
            refusal = f"{given!r} is not the number of a message; :messages lists them"
            self.steering.tell("warning", refusal)
        return number

    verbs = (
        Verb(
            "send",
            "Send a message",
            ("m",),
            send,
            args="STREAM TEXT",
            completes="streams",
            footer="Send",
            steers=True,
            shows_its_pane=False,
        ),
        Verb(
            "broadcast",
            "Send a message to all",
            ("b",),
            broadcast,
            args="TEXT",
            footer="Broadcast",
            steers=True,
            shows_its_pane=False,
        ),
        Verb(
            "requeue",
            "Send a dead letter again",
            ("r",),
            requeue,
            cannot_requeue,
            args="[NUMBER]",
            footer="Requeue",
            steers=True,
            shows_its_pane=False,
        ),
        Verb(
            "acknowledge",
            "Acknowledge a message to you",
            ("a",),
            acknowledge,
            cannot_acknowledge,
            args="[NUMBER]",
            footer="Acknowledge",
            steers=True,
        ),
    )
