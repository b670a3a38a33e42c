"""What runs handlers is killed at any moment: what was reported done is not done again, nothing is
lost, and what was begun and not ended is named.

``ANABRANCH_HANDLER_KILLS`` says how often something is killed in all, a hundred handlers for each;
the default keeps the suite quick, 100 is the full bench. ``ANABRANCH_SEED`` repeats a row of
moments.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.core.model.state import Stream
from anabranch.engine.run_lock import holder_of
from anabranch.engine.runs import read_run
from anabranch.handlers import book
from tests.e2e.program import Program, Running, until
from tests.e2e.test_faults import start_of
from tests.e2e.test_resume_after_kill import tree_of
from tests.engine.repositories import git, make_repository

KILLS = int(os.environ.get("ANABRANCH_HANDLER_KILLS", "10"))
SEED = int(os.environ.get("ANABRANCH_SEED", "20261121"))
HANDLERS_A_KILL = 100
KILLS_A_STREAM = 5
CONSOLE, HOLDER, CROWD = "console", "holder", "crowd"
VICTIMS = (CONSOLE, HOLDER, CROWD)
PATIENCE_SECONDS = 120.0

HANDLER = """
read limit < {limit}
until test {{index}} -lt $limit; do sleep 0.2; read limit < {limit}; done
echo begin {{item}} >> {diary}
echo says {{item}}
mkdir -p made/{name}
echo made by {{item}} > made/{name}/{{item}}
echo '{{{{"item": "{{item}}", "index": {{index}}}}}}' > $ANABRANCH_RESULT
echo end {{item}} >> {diary}
"""
"""A handler waits until as many as it may run, and says what it does in a diary, the workspace, and
its result."""


class Fans:
    """One run of streams with many handlers, and one that takes all their results."""

    def __init__(self, place: Path, kills: int) -> None:
        project = make_repository(place / "project", {"README.md": "a project\n"})
        self.program = Program(project, place / "state", place / "scratch")
        self.names = [f"fan{n:02d}" for n in range(max(2, kills // KILLS_A_STREAM))]
        self.size = kills * HANDLERS_A_KILL // len(self.names)
        self.items = [f"i{n:05d}" for n in range(self.size)]
        tables = {name: self._table(name) for name in self.names}
        take = "mkdir -p made; cat $(echo $ANABRANCH_RESULTS | tr : ' ') > made/results"
        take_all = {"take": {"command": take, "depends_on": self.names}}
        self.program.plan({**tables, **take_all}, max_parallel=len(self.names))
        self.allow(0)

    def _table(self, name: str) -> dict[str, object]:
        command = HANDLER.format(name=name, limit=self._limit(name), diary=self._diary(name))
        numbers = self.size - 1
        source = {"lines_of": f"seq -f i%05.0f 0 {numbers}"}
        return {"each": source, "command": command, "max_parallel": 2, "retries": KILLS}

    def _limit(self, name: str) -> Path:
        return self.program.scratch / f"{name}.limit"

    def _diary(self, name: str) -> Path:
        return self.program.scratch / f"{name}.diary"

    def allow(self, share: float) -> None:
        """Let that share of each stream's handlers go on; those behind wait."""
        for name in self.names:
            beside = self._limit(name).with_suffix(".new")
            beside.write_text(f"{int(self.size * share)}\n")
            beside.replace(self._limit(name))

    def book(self, name: str) -> list[list[object]]:
        """Return the lines of a stream's book."""
        return list(book.lines(str(self.program.folder().handlers(StreamId(name)) / "book")))

    # --- what must be true in the end -----------------------------------------------------------

    def verify(self) -> int:
        """Check all handlers against their books and diaries; return how many were in doubt."""
        self.program.await_quiet()
        return sum(self._verify(name) for name in self.names)

    def _verify(self, name: str) -> int:
        told: dict[str, list[str]] = {item: [] for item in self.items}
        pack = (self.program.folder().handlers(StreamId(name)) / "output.pack").read_bytes()
        for line in self.book(name):
            item = self.items[int(str(line[1]))]
            if line[0] == book.BEGUN:
                told[item].append("begun")
            elif line[0] == book.ENDED:
                ended = book.ended_of(line)
                told[item].append("done" if ended.has_succeeded else ended.why or "failed")
                if ended.has_succeeded:
                    output = pack[ended.offset : ended.offset + ended.length]
                    assert output == f"says {item}\n".encode(), (name, item, output)
        began, finished = self._diaries(name)
        for item, story in told.items():
            doubts = story.count(book.IN_DOUBT)
            assert story == ["begun", book.IN_DOUBT] * doubts + ["begun", "done"], (
                name,
                item,
                story,
            )
            assert 1 <= finished[item] <= began[item] <= doubts + 1, (name, item, story)
        return sum(book.IN_DOUBT in story for story in told.values())

    def _diaries(self, name: str) -> tuple[Counter[str], Counter[str]]:
        counted: dict[str, Counter[str]] = {"begin": Counter(), "end": Counter()}
        for line in self._diary(name).read_text().splitlines():
            word, item = line.split()
            counted[word][item] += 1
        return counted["begin"], counted["end"]

    def brought(self) -> dict[str, str]:
        """Return the files of the result, the taken results among them."""
        return tree_of(self.program.project, str(self.program.status()["commit"]))


class Killing:
    """Kills what runs the handlers, and sees to it that there is a console again."""

    def __init__(self, fans: Fans, chance: random.Random) -> None:
        self.fans, self.chance = fans, chance
        self.killed: Counter[str] = Counter()
        self._console = fans.program.begin("run", "--headless")
        self._await_host()

    def kill_once(self) -> None:
        """Kill one of the programs while handlers run."""
        victim = self.chance.choice(VICTIMS)
        name = self.chance.choice(self.fans.names)
        until(lambda: self._runs(name), f"{name} runs", PATIENCE_SECONDS)
        self._await_moment(name)
        if victim == CONSOLE:
            self._console.kill()
            self._console = self.fans.program.begin("resume", "--headless")
            self._await_host()
        else:
            stream = self._stream(name)
            holder = start_of(self.fans.program, name, stream.attempt).holder_pid
            pid = holder if victim == HOLDER else stream.pid
            assert pid is not None
            self.fans.program.kill(pid)
        self.killed[victim] += 1

    def _await_moment(self, name: str) -> None:
        """Let a few handlers end, or none: the moment is drawn."""
        before, wanted = len(self.fans.book(name)), self.chance.randrange(40)
        try:
            until(lambda: len(self.fans.book(name)) >= before + wanted, "", 0.5)
        except AssertionError:
            return  # they wait for being allowed to go on, which is a moment too

    def _stream(self, name: str) -> Stream:
        return self.fans.program.state().streams[StreamId(name)]

    def _runs(self, name: str) -> bool:
        assert not self._console.has_ended, self._console.err
        stream = self._stream(name)
        return stream.pid in self.fans.program.processes() and bool(self.fans.book(name))

    def _await_host(self) -> None:
        def is_hosted() -> bool:
            folders = self.fans.program.run_folders()
            is_there = bool(folders) and read_run(folders[-1]).state is not None
            return is_there and holder_of(folders[-1].lock) == self._console.pid

        until(lambda: is_hosted() or self._console.has_ended, "the run is hosted")
        assert not self._console.has_ended, self._console.err

    @property
    def console(self) -> Running:
        """The console that is left."""
        return self._console


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Fans, Fans]]:
    """Give the same work twice, and end what is left of it."""
    both = Fans(tmp_path / "killed", KILLS), Fans(tmp_path / "undisturbed", KILLS)
    yield both
    for fans in both:
        fans.program.end_everything()


@pytest.mark.timeout(180 + 15 * KILLS)
def test_what_runs_handlers_is_killed_again_and_again(places: tuple[Fans, Fans]) -> None:
    """What was reported done is done once; what was in doubt is named and done; results agree."""
    killed, undisturbed = places
    killing = Killing(killed, random.Random(SEED))
    for number in range(KILLS):
        killed.allow((number + 0.9) / KILLS)
        killing.kill_once()
    killed.allow(1)
    answer = killing.console.wait(PATIENCE_SECONDS + KILLS)
    assert answer.code == 0, answer
    doubts = killed.verify()
    undisturbed.allow(1)
    undisturbed.program.expect(0, "run", "--headless")
    assert undisturbed.verify() == 0
    assert killed.brought() == undisturbed.brought()
    print(json.dumps({"killed": killing.killed, "handlers in doubt": doubts}))
    assert killing.killed.total() == KILLS
    results = git(
        killed.program.project, "show", f"{killed.program.status()['commit']}:made/results"
    )
    assert len(results.splitlines()) == killed.size * len(killed.names)
