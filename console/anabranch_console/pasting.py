"""What is pasted is text: no part of it may be taken for keys.

The toolkit's parser takes an escape character inside a paste for the end of it, and what comes
after that for keys, which mean verbs here and enter sends. Some terminals hand such characters on.
"""

from __future__ import annotations

BEGINS, ENDS = "\x1b[200~", "\x1b[201~"
_ESCAPE = "\x1b"


class Pasting:
    """Takes escape characters out of what is pasted, however it comes in parts."""

    def __init__(self) -> None:
        self._is_pasted = False
        self._held = self._before = ""

    def take(self, text: str) -> str:
        """Return what is to be handed on of what a terminal has sent."""
        taken = []
        while text:
            part, text = self._pasted(text) if self._is_pasted else self._typed(text)
            taken.append(part)
        return "".join(taken)

    def _typed(self, text: str) -> tuple[str, str]:
        """Hand on everything up to the beginning of a paste, which may have come in part before."""
        whole = self._before + text
        at = whole.find(BEGINS)
        if at < 0:
            self._before = whole[1 - len(BEGINS) :]
            return text, ""
        self._is_pasted, rest = True, whole[at + len(BEGINS) :]
        self._before = ""
        return text[: len(text) - len(rest)], rest

    def _pasted(self, text: str) -> tuple[str, str]:
        """Hand on text up to the end of the paste; what may be a part of that is held back."""
        whole, self._held = self._held + text, ""
        body, end, rest = whole.partition(ENDS)
        if not end:
            at = body.rfind(_ESCAPE)
            if at >= 0 and ENDS.startswith(body[at:]):
                body, self._held = body[:at], body[at:]
        self._is_pasted = not end
        return body.replace(_ESCAPE, "") + end, rest
