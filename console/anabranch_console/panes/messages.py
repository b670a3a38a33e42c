"""The messages of a run: dead letters, what waits, what was said; and saying something oneself."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core.ids import StreamId
from anabranch.core.model.messages import OPERATOR, Mailboxes, Message
from anabranch_console.lines import Line, Span
from anabranch_console.panes.pane import MenuItem, Pane
from anabranch_console.presenters.message_lines import (
    MessageLook,
    message_columns,
    message_detail,
    message_rows,
    message_text,
    waits_for_operator,
)
from anabranch_console.presenters.wording import count
from anabranch_console.run_model import RunModel
from anabranch_console.verbs import Scope


class MessagesPane(Pane[Message]):
    """One row a message: what waits for the operator, dead letters, what waits, the newest."""

    name_of = "messages"
    title = "Messages"
    scope = Scope.MESSAGES
    told_when_empty = "nobody has written to anybody; m writes"

    def __init__(self, model: RunModel) -> None:
        self.look = MessageLook(model.state, model.now)
        super().__init__(model, message_columns(lambda: self.look), lambda message: message.id)
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
        told = [Span(f"{dot}{waiting} waiting", "text")] if waiting else []
        return (
            (*told, Span(f"{dot}{count(dead, 'dead letter')}", "level.error")) if dead else (*told,)
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

    def menu(self) -> list[MenuItem]:
        row = self.chosen
        told = f"number {row.id}" if row and row.died else ""
        return [
            MenuItem("send", "m", detail=str(self.correspondent)),
            MenuItem("broadcast", "b", detail="every stream that is not over"),
            MenuItem("requeue", "r", detail=told),
            MenuItem(
                "acknowledge",
                "a",
                detail=f"number {row.id}" if row and waits_for_operator(row) else "",
            ),
        ]
