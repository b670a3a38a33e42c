"""The console is killed at any moment: no stream runs twice, and nothing of the run is lost.

``ANABRANCH_KILLS`` says how often it is killed in all; the default keeps the suite quick, 50 is the
full bench. ``ANABRANCH_SEED`` repeats a row of moments.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from anabranch.engine.git_calls import MARK
from anabranch.engine.run_lock import holder_of
from anabranch.engine.runs import read_run
from tests.e2e.program import Program, Running, until
from tests.engine.repositories import git, make_repository

KILLS = int(os.environ.get("ANABRANCH_KILLS", "6"))
SEED = int(os.environ.get("ANABRANCH_SEED", "20261121"))
KILLS_A_RUN = 6
STREAMS_AT_ONCE = 40
DEPENDENTS = 6
CODES = (0, 0, 0, 1, 2, 77, 255)
SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGSEGV, signal.SIGHUP)
BUSY_STREAM = Path(__file__).with_name("busy_stream.py")


@dataclass(frozen=True)
class Work:
    """What one stream is to do, and what must be known of it in the end."""

    name: str
    lines: int
    seconds: float
    ending: str
    tty: bool
    depends_on: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """The exit code as a shell tells it."""
        how, number = self.ending.split()
        return int(number) + (128 if how == "signal" else 0)

    def output(self) -> str:
        """Everything it writes."""
        texts = [f"{self.name} {number:05d}" for number in range(self.lines)]
        return "".join(f"{text} {zlib.crc32(text.encode()):08x}\n" for text in texts)

    def table(self, diary: Path) -> dict[str, object]:
        """Return it as the plan's table; a stream that a signal ends is optional."""
        how, number = self.ending.split()
        worker = [sys.executable, "-I", "-S", str(BUSY_STREAM), str(diary)]
        return {
            "command": [*worker, str(self.lines), str(self.seconds), self.ending],
            "tty": self.tty,
            "depends_on": list(self.depends_on),
            "optional": how == "signal",
            "success_exit_codes": [int(number)] if how == "exit" else [0],
            "retries": 0,
        }


def parent_of(pid: int) -> int | None:
    """Return the parent of a process, None if it is gone."""
    try:
        return psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return None


def drawn_work(chance: random.Random) -> list[Work]:
    """Draw forty streams that run at once, and some that wait for two of them each."""

    def draw(name: str, endings: list[str], depends_on: tuple[str, ...] = ()) -> Work:
        lines, seconds = chance.randint(20, 200), round(chance.uniform(0.2, 2.0), 2)
        ending, tty = chance.choice(endings), chance.random() < 0.4
        return Work(name, lines, seconds, ending, tty, depends_on)

    exits = [f"exit {code}" for code in CODES]
    signals = [f"signal {number.value}" for number in SIGNALS]
    roots = [draw(f"s{n:02d}", signals if n % 6 == 5 else exits) for n in range(STREAMS_AT_ONCE)]
    sound = [work.name for work in roots if work.ending.startswith("exit")]
    pairs = [tuple(sorted(chance.sample(sound, 2))) for _ in range(DEPENDENTS)]
    return roots + [draw(f"t{n:02d}", exits, pair) for n, pair in enumerate(pairs)]


class Bench:
    """One run of forty streams whose console is killed again and again."""

    def __init__(self, program: Program, chance: random.Random) -> None:
        self.program = program
        self.chance = chance
        self.work = drawn_work(chance)
        self.diary = program.scratch / "diary"
        self.diary.mkdir()
        tables = {work.name: work.table(self.diary) for work in self.work}
        program.plan(tables, max_parallel=STREAMS_AT_ONCE)

    def has_begun(self) -> bool:
        """Whether the run exists: its first events are in the journal."""
        folders = self.program.run_folders()
        return bool(folders) and read_run(folders[-1]).state is not None

    def is_over(self) -> bool:
        """Whether the run has ended, as its report says."""
        return self.program.folder().report.exists()

    def kill_once(self) -> bool:
        """Host the run and kill the host, sometimes its zygote too; false if it was over before."""
        host = self._host()
        until(lambda: self._is_hosted_by(host) or host.has_ended, "the run is hosted")
        is_early = self.chance.random() < 0.7
        delay = self.chance.uniform(0, 0.3) if is_early else self.chance.uniform(0.3, 2.0)
        try:
            answer = host.wait(delay)
        except AssertionError:
            if self.chance.random() < 0.25:
                self._kill_zygotes()
            host.kill()
            return True
        assert answer.code == 0, answer
        return False

    def _kill_zygotes(self) -> None:
        """Kill zygotes only: what one has just forked has its name for a moment, and is none."""
        found = {p for p, name in self.program.processes().items() if name == "ab-zygote"}
        for pid in found:
            if parent_of(pid) not in found:
                self.program.kill(pid)

    def _host(self) -> Running:
        if self.has_begun():
            return self.program.begin("resume", "--headless")
        assert not any(self.diary.iterdir()), "a stream ran before its run was journalled"
        return self.program.begin("run", "--headless")

    def _is_hosted_by(self, host: Running) -> bool:
        folders = self.program.run_folders()
        return bool(folders) and holder_of(folders[-1].lock) == host.pid

    def verify(self) -> None:
        """Compare everything that is known of the run with what its streams were to do."""
        self.program.await_quiet()
        streams = self.program.streams()
        for work in self.work:
            answer = streams[work.name]
            state = "failed" if work.ending.startswith("signal") else "succeeded"
            assert (answer["state"], answer["attempt"]) == (state, 1), answer
            assert answer["exit_code"] == work.exit_code, answer
            words = [line.split()[:2] for line in self._diary(work)]
            assert words == [["begin", "1"], ["end", "1"]], (work.name, words)
            assert self.program.log(work.name).replace("\r\n", "\n") == work.output()
        self._verify_events()
        assert self.tree() == self.expected_tree()

    def _diary(self, work: Work) -> list[str]:
        return (self.diary / work.name).read_text().splitlines()

    def _verify_events(self) -> None:
        events = self.program.events()
        started = [event["stream"] for event in events if event["type"] == "stream_started"]
        assert sorted(started) == sorted(work.name for work in self.work)
        assert [event["type"] for event in events].count("run_converged") == 1

    def tree(self) -> dict[str, str]:
        """Return the result's files and their contents' names."""
        return tree_of(self.program.project, self.program.status()["commit"])

    def expected_tree(self) -> dict[str, str]:
        """Return what an undisturbed run brings: the base and a file of each that succeeded."""
        expected = tree_of(self.program.project, "HEAD")
        for work in self.work:
            if work.ending.startswith("exit"):
                content = f"{work.name} wrote {work.lines} lines\n" * work.lines
                blob = git(self.program.project, "hash-object", "--stdin", stdin=content).strip()
                expected[f"out/{work.name}.txt"] = blob
        return expected


def tree_of(project: Path, commit: str) -> dict[str, str]:
    """Return the paths of a commit with their blobs."""
    lines = git(project, "ls-tree", "-r", commit).splitlines()
    return {line.split("\t")[1]: line.split()[2] for line in lines}


@pytest.fixture
def benches(tmp_path: Path) -> Iterator[list[Bench]]:
    """Give as many benches as the kills need, and end what they have started."""
    made = []
    for number in range(-(-KILLS // KILLS_A_RUN)):
        place = tmp_path / f"bench-{number}"
        project = make_repository(place / "project", {"README.md": "a project\n"})
        program = Program(project, place / "state", place / "scratch")
        made.append(Bench(program, random.Random(SEED + number)))
    yield made
    for bench in made:
        bench.program.end_everything()


@pytest.mark.timeout(120 + 30 * KILLS)
def test_a_console_that_is_killed_again_and_again_loses_nothing(benches: list[Bench]) -> None:
    """Forty streams live; each runs once, writes each line once, and ends as it ended."""
    kills = 0
    for bench in benches:
        for _ in range(KILLS_A_RUN):
            kills += bench.kill_once()
        answer = bench.program.run(*(("resume",) if bench.has_begun() else ("run",)), "--headless")
        assert answer.code == 0, answer
        bench.verify()
    assert kills >= KILLS * 0.6, f"only {kills} of {KILLS} kills met a run that was not over"


def test_an_undisturbed_run_of_forty_streams_brings_the_expected_tree(
    benches: list[Bench],
) -> None:
    """What the other test compares with is what a run without any kill brings."""
    assert benches[0].program.run("run", "--headless").code == 0
    benches[0].verify()


def test_who_takes_over_ends_what_git_still_does_for_the_one_before(program: Program) -> None:
    """A long file is being kept as the console is killed: two do not write in one place."""
    program.plan({"long": "truncate -s 2G long.img"})
    host = program.begin("run", "--headless")
    until(lambda: adds_of(host), "git keeps its work")
    host.kill()
    assert adds_of(host), "nobody has ended it"
    after = program.begin("resume", "--headless")
    until(lambda: not adds_of(host), "it has ended")
    after.send(signal.SIGTERM)
    after.wait()


def adds_of(host: Running) -> list[dict[str, object]]:
    """Return the calls of ``git add`` that a console began, also once it is gone."""
    mark = f"{host.pid}."
    known = (p.info for p in psutil.process_iter(["cmdline", "environ"]))
    return [
        one
        for one in known
        if "add" in (one["cmdline"] or ()) and (one["environ"] or {}).get(MARK, "").startswith(mark)
    ]
