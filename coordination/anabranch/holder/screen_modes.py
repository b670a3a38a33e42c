"""What a program has switched on in its terminal, by what it wrote.

Whoever attaches later has to switch the same on, and off again when leaving. Looked for are private
modes (``CSI ? N h``, ``l``), what keys send (``CSI > N u``, ``CSI < N u``, ``CSI > 4 ; N m``) and
the full reset.
"""

MOST_MODES = 64
MOST_PUSHED = 16
LONGEST = 64
"""No sequence that is looked for is longer; a longer one is none."""

_STARTS = (b"\x1b[?", b"\x1b[>", b"\x1b[<", b"\x1bc")
ALTERNATE = (47, 1047, 1049)
"""The modes of the screen beside the normal one, for full-screen programs."""

USUALLY_ON = (7, 25)
"""Wrapping, and the cursor seen."""


class ScreenModes:
    """The modes that are not as a terminal has them at first, by number, and what keys send."""

    def __init__(self) -> None:
        self.set: dict[int, bool] = {}
        self.keyboard: list[int] = []
        self.other_keys = 0
        self._rest = b""

    @property
    def is_alternate(self) -> bool:
        """Whether a full-screen program has the screen."""
        return any(self.set.get(number) for number in ALTERNATE)

    def as_text(self) -> str:
        """Return all of it as the sequences that switch it on, without their beginning."""
        modes = [f"?{number}{'h' if self.set[number] else 'l'}" for number in self.set]
        keys = [f">4;{self.other_keys}m"] if self.other_keys else []
        return " ".join(modes + keys + [f">{flags}u" for flags in self.keyboard])

    def saw(self, output: bytes) -> None:
        """Take what the program wrote."""
        data = self._rest + output if self._rest else output
        self._rest = b""
        at = data.find(b"\x1b")
        if at < 0 or not (b"\x1b" in data[-2:] or any(start in data for start in _STARTS)):
            return
        while at >= 0:
            end = self._read(data, at)
            if end is None:
                self._rest = data[at:] if len(data) - at < LONGEST else b""
                return
            at = data.find(b"\x1b", end)

    def _read(self, data: bytes, at: int) -> int | None:
        """Take the sequence that begins at a place; return where to go on, None if it goes on."""
        head = data[at : at + 3]
        if head[1:2] == b"c":
            self.set.clear()
            self.keyboard.clear()
            self.other_keys = 0
        if not any(start.startswith(head) or start == head for start in _STARTS[:3]):
            return at + 1
        end = at + 3
        while end < len(data) and data[end] in b"0123456789;":
            end += 1
        if end >= len(data):
            return None
        if end - at > LONGEST:
            return at + 1
        self._apply(head[2:], data[at + 3 : end], data[end : end + 1])
        return end

    def _apply(self, kind: bytes, numbers: bytes, final: bytes) -> None:
        if kind == b"?" and final in (b"h", b"l"):
            for number in numbers.split(b";"):
                self._switch(int(number or b"0"), final == b"h")
        elif kind == b">" and final == b"u":
            self.keyboard = [*self.keyboard, int(numbers.partition(b";")[0] or b"0")][-MOST_PUSHED:]
        elif kind == b">" and final == b"m" and numbers.split(b";")[0] == b"4":
            self.other_keys = int(numbers.partition(b";")[2].partition(b";")[0] or b"0")
        elif kind == b"<" and final == b"u":
            count = int(numbers.partition(b";")[0] or b"1")
            self.keyboard = self.keyboard[:-count] if count else self.keyboard

    def _switch(self, number: int, is_on: bool) -> None:
        if is_on == (number in USUALLY_ON):
            self.set.pop(number, None)
        elif len(self.set) < MOST_MODES or number in self.set:
            self.set[number] = is_on
