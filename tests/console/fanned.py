"""Runs with streams that fan out, and the book that their handlers are written down in."""

from __future__ import annotations

import json
from pathlib import Path

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import FanPlan, StreamPlan
from anabranch.handlers import book
from anabranch.paths import RunFolder
from tests.console.scripted_source import WALL, ScriptedSource, plan_of, stream

FAN = FanPlan(source={"items": []}, command="codemod {item}")


def fanning(name: str, *needs: str, **facts: object) -> StreamPlan:
    """Return the plan of a stream that fans out."""
    return stream(name, *needs, command="codemod {item}", fan=FAN, **facts)


def fanned_source(folder: Path, *others: StreamPlan) -> ScriptedSource:
    """Return a run whose stream ``docs`` fans out, beside others."""
    source = ScriptedSource(plan_of([fanning("docs"), *others], keep_going=True), folder)
    source.pass_time(10.0)
    return source


class Scribe:
    """Writes what a stream's handlers do where their program would write it."""

    def __init__(self, folder: Path, name: str = "docs") -> None:
        self.folder = RunFolder(folder).handlers(StreamId(name))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lines: list[str] = []
        self._packed = 0

    def count(self, **counts: object) -> None:
        """Write down how many have come how far."""
        usual = {"total": 0, "succeeded": 0, "failed": 0, "running": 0, "is_total_known": True}
        (self.folder / "counts").write_text(json.dumps({**usual, "rate": 0.0, **counts}))

    def begin(
        self, place: int, text: str, *, slot: int = 0, at: float = 0.0, try_: int = 1
    ) -> None:
        """Write down that a handler begins, so many seconds after the run has."""
        self._lines.append(book.begun_line(place, f"key{place}", try_, WALL + at, slot, text))

    def end(
        self,
        place: int,
        *,
        seconds: float = 1.0,
        code: int | None = 0,
        why: str = "",
        said: str = "",
    ) -> None:
        """Write down how one has ended, and keep what it has said."""
        data = said.encode("utf-8", "surrogateescape")
        with (self.folder / "output.pack").open("ab") as pack:
            pack.write(data)
        ended = book.Ended(
            place, f"key{place}", 1, seconds, code, None, why, self._packed, len(data), None
        )
        self._packed += len(data)
        self._lines.append(book.ended_line(ended))

    def leave(self, place: int, attempt: int = 2) -> None:
        """Write down that an attempt leaves one as it has failed."""
        self._lines.append(book.left_line(place, f"key{place}", attempt))

    def say(self, slot: int, text: str) -> None:
        """Let the handler in a slot write something."""
        with (self.folder / f"slot.{slot}").open("a", encoding="utf-8") as file:
            file.write(text)

    def write(self) -> None:
        """Put everything that was written down since into the book."""
        with (self.folder / "book").open("a", encoding="utf-8") as file:
            file.writelines(self._lines)
        self._lines.clear()


NAMES = ("intro", "install", "plans", "handlers", "locks", "messages", "recovery", "themes")


def picturesque_source(folder: Path) -> ScriptedSource:
    """Return a run in which a stream has been through half of its handlers."""
    lint = stream("lint", command="ruff check .")
    source = ScriptedSource(plan_of([fanning("docs"), lint], keep_going=True), folder)
    scribe = Scribe(folder)
    for place in range(200):
        name = f"docs/{NAMES[place % len(NAMES)]}/{place:03}.md"
        scribe.begin(place, name, try_=1)
        said = f"$ codemod {name}\n" + "".join(
            f"  line {12 * n + place % 7}: {n + 1} of 6 rewritten\n" for n in range(6)
        )
        match place % 50:
            case 17:
                scribe.end(place, seconds=0.8, code=3, said=f"{said}cannot parse line 40\n")
            case 31:
                scribe.end(place, seconds=60.0, code=None, why="it took longer than 60 s")
            case _:
                scribe.end(place, seconds=0.2 + place % 13 / 7, said=said)
    for slot in range(4):
        scribe.begin(200 + slot, f"docs/{NAMES[slot]}/{200 + slot}.md", slot=slot, at=58.0 + slot)
        scribe.say(slot, "$ codemod\n  line 3: 1 of 6 rewritten\n")
    scribe.write()
    scribe.count(total=400, succeeded=192, failed=8, running=4, rate=3.2)
    source.pass_time(63.0)
    source.speak("docs", "192 of 400 done, 8 failed, 3.2 a second", cpu_percent=180.0)
    source.speak("lint", "checking src", cpu_percent=88.0)
    return source
