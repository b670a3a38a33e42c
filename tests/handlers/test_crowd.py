"""The program that runs the handlers of a stream: real processes, real signals, a real book."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.engine.performers.fanning import CROWD_PROGRAM
from anabranch.handlers import book, slot

PATIENCE_SECONDS = 60.0
LIMITED = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
FEW_PROCESSES = """
import errno, itertools, os
real, numbers = os.posix_spawn, itertools.count()
def spawn(*args, **more):
    if next(numbers) % 3 == 1:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return real(*args, **more)
os.posix_spawn = spawn
"""


class Fan:
    """A folder to work in, one for what is kept, and the program."""

    def __init__(self, tmp_path: Path) -> None:
        self.work, self.state = tmp_path / "work", tmp_path / "state"
        self.work.mkdir()
        self.state.mkdir()
        self.attempt = 0
        self._started: list[subprocess.Popen[str]] = []

    def start(
        self,
        command: Any,
        items: Any,
        *,
        through: tuple[str, ...] = (),
        flags: tuple[str, ...] = ("-I", "-S"),
        env: dict[str, str] | None = None,
        **more: Any,
    ) -> subprocess.Popen[str]:
        source = items if isinstance(items, dict) else {"items": list(items)}
        self.attempt += 1
        job = {
            "source": source,
            "command": command,
            "folder": str(self.work),
            "attempt": self.attempt,
            "width": 3,
            "trusts_book": True,
            **more,
        }
        (self.state / "job").write_text(json.dumps(job))
        started = subprocess.Popen(
            [*through, sys.executable, *flags, str(CROWD_PROGRAM), str(self.state / "job")],
            env={**os.environ, **(env or {})},
            cwd=self.work,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._started.append(started)
        return started

    def end_everything(self) -> None:
        """Have what a test has left running end its handlers, and itself."""
        for started in self._started:
            if started.poll() is None:
                started.terminate()
                try:
                    started.wait(10)
                except subprocess.TimeoutExpired:
                    started.kill()
                    started.wait()

    def run(self, command: Any, items: Any, **more: Any) -> tuple[int, str]:
        running = self.start(command, items, **more)
        out, _ = running.communicate(timeout=PATIENCE_SECONDS)
        return running.returncode, out

    def ended(self) -> list[book.Ended]:
        lines = book.lines(str(self.state / "book"))
        return [book.ended_of(line) for line in lines if line[0] == book.ENDED]

    def output(self, ended: book.Ended) -> str:
        with (self.state / "output.pack").open("rb") as pack:
            pack.seek(ended.offset)
            return pack.read(ended.length).decode()

    def results(self) -> list[dict[str, Any]]:
        text = (self.state / "results.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def done(self, name: str = "done") -> Counter[str]:
        path = self.work / name
        return Counter(path.read_text().split()) if path.exists() else Counter()


@pytest.fixture
def fan(tmp_path: Path) -> Iterator[Fan]:
    fan = Fan(tmp_path)
    yield fan
    fan.end_everything()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


# --- each once -----------------------------------------------------------------------------------


def test_each_item_is_handled_once_and_its_output_is_its_own(fan: Fan) -> None:
    items = [f"item {i}" for i in range(40)]
    code, out = fan.run("echo one {item}; echo {index} >&2", items)
    assert code == 0
    assert "40 of 40 handlers succeeded, 0 failed" in out
    ended = sorted(fan.ended())
    assert [e.place for e in ended] == list(range(40))
    assert [fan.output(e) for e in ended] == [f"one item {i}\n{i}\n" for i in range(40)]
    assert len(list(fan.state.iterdir())) < 12, "a handful of files, however many handlers"


def test_a_handler_knows_its_item_and_its_number(fan: Fan) -> None:
    code, _ = fan.run('printf "%s=%s\\n" "$ANABRANCH_INDEX" "$ANABRANCH_ITEM"', ["a b", {"k": 1}])
    assert code == 0
    assert [fan.output(e) for e in sorted(fan.ended())] == ["0=a b\n", '1={"k": 1}\n']


def test_a_script_that_does_not_say_for_whom_is_for_the_shell(fan: Fan) -> None:
    """As it is where a shell starts it, though none does here."""
    script = fan.work / "script"
    script.write_text("echo $0 $1 >> done\n")
    script.chmod(0o700)
    assert fan.run("./script {item}", ["a"])[0] == 0
    assert fan.done() == {"./script": 1, "a": 1}


def test_no_more_than_the_width_run_at_a_time(fan: Fan) -> None:
    command = "mkdir now.{index}; ls -d now.* | wc -l >> most; sleep 0.02; rmdir now.{index}"
    fan.run(command, range(30), width=4)
    assert max(map(int, fan.done("most"))) <= 4


def test_results_are_collected_in_the_order_of_the_items(fan: Fan) -> None:
    command = 'test {index} -lt 3 && sleep 0.1; echo "{{\\"n\\": {index}}" > "$ANABRANCH_RESULT"'
    code, _ = fan.run(command, range(12))
    assert code == 0
    assert fan.results() == [{"index": i, "result": {"n": i}} for i in range(12)]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("echo nonsense > $ANABRANCH_RESULT", "not JSON"),
        ("echo 1e999 > $ANABRANCH_RESULT", "not JSON"),
        ("ln -s /etc/passwd $ANABRANCH_RESULT", "cannot be read"),
        ("mkfifo $ANABRANCH_RESULT", "cannot be read"),
        ("mkdir $ANABRANCH_RESULT", "cannot be read"),
        ("yes 1 | head -c 5000000 > $ANABRANCH_RESULT", "more than"),
    ],
)
def test_what_is_not_a_result_fails_its_handler(fan: Fan, command: str, reason: str) -> None:
    code, out = fan.run(command, ["x"])
    assert code == 1
    assert reason in out
    assert fan.results() == []


def test_what_a_handler_leaves_behind_writes_into_no_other_output(fan: Fan) -> None:
    left = "(while :; do echo late; sleep 0.01; done) &"
    fan.run(
        f"test {{index}} != 0 || {left} test {{index}} = 0 || sleep 0.1; echo {{item}}",
        "abc",
        width=1,
    )
    _, *others = sorted(fan.ended())
    assert [fan.output(ended) for ended in others] == ["b\n", "c\n"]


def test_a_source_that_goes_on_for_ever_delays_nobody(fan: Fan) -> None:
    """The second line only comes when the first handler has run."""
    lines = "echo one; until test -e go; do sleep 0.01; done; echo two"
    code, out = fan.run("test {item} = two || touch go", {"lines_of": lines})
    assert code == 0, out
    assert len(fan.ended()) == 2


def test_a_source_that_fails_fails_its_stream(fan: Fan) -> None:
    """Also when it ends while a handler runs, and its pipe is held open by what it left behind."""
    source = (
        "mkfifo started held; echo $$ > source; echo a;"
        " { read _ < held; } & read _ < started; exit 4"
    )
    until_it_ended = "until grep -q Z /proc/$(cat source)/stat || ! test -e /proc/$(cat source)"
    handler = f"echo > started; {until_it_ended}; do :; done; echo > held"
    code, out = fan.run(handler, {"lines_of": source})
    assert code == 1
    assert "stopped: the command of lines_of ended with 4" in out
    assert "1 of 1 handlers succeeded" in out


def test_items_that_are_not_text_are_handled_and_named(fan: Fan) -> None:
    """A file name is bytes: it arrives as it is, and is told with escapes."""
    lines = {"lines_of": "printf 'a\\377b\\n'"}
    code, out = fan.run("printf %s {item} | od -An -tx1; exit 3", lines)
    assert code == 1
    assert "failed: a\\udcffb: exit 3" in out
    assert fan.output(fan.ended()[0]).split() == ["61", "ff", "62"]


def test_a_program_that_is_not_there_is_said(fan: Fan) -> None:
    code, out = fan.run(["no-such-program-anywhere", "{item}"], ["a"])
    assert code == 1
    assert re.search(r"a: it cannot be started: '[^']*': No such file or directory", out)


# --- again ---------------------------------------------------------------------------------------


def test_only_what_failed_is_done_again(fan: Fan) -> None:
    command = "echo {item} >> done; test {item} != 3 -o -e mended"
    code, out = fan.run(command, range(6))
    assert code == 1
    assert "failed: 3: exit 1" in out
    (fan.work / "mended").touch()
    code, out = fan.run(command, range(6))
    assert code == 0
    assert "6 of 6 handlers succeeded (5 of them before), 0 failed" in out
    assert fan.done() == Counter({"3": 2, "0": 1, "1": 1, "2": 1, "4": 1, "5": 1})


def test_what_was_done_elsewhere_counts_for_nothing(fan: Fan) -> None:
    fan.run("echo {item} >> done", range(3))
    fan.run("echo {item} >> done", range(3), trusts_book=False)
    assert set(fan.done().values()) == {2}


def test_another_command_is_another_item(fan: Fan) -> None:
    fan.run("echo a >> done", ["x"])
    fan.run("echo b >> done", ["x"])
    assert fan.done() == Counter("ab")


def test_what_has_other_inputs_is_done_again(fan: Fan) -> None:
    """Those that were declared, as they are when it begins; of one that is not there, too."""
    for name in "abc":
        (fan.work / name).write_text(name)
    job = {"items": ["a", "b", "c", "d"], "inputs": ["{item}", "all"]}
    for changed, done in (("", 4), ("", 4), ("b", 5), ("d", 6), ("all", 10)):
        if changed:
            (fan.work / changed).write_text("other")
        code, _ = fan.run("cat {item}; echo {item} >> done", **job)
        assert code == 0
        assert sum(fan.done().values()) == done, changed


@pytest.mark.parametrize("target", ["/dev/zero", "/", "nothing", "pipe"])
def test_what_is_no_file_holds_nothing_as_an_input(fan: Fan, target: str) -> None:
    os.mkfifo(fan.work / "pipe")
    (fan.work / "a").symlink_to(target)
    for _ in range(2):
        assert fan.run("echo {item} >> done", ["a"], inputs=["{item}"])[0] == 0
    assert fan.done() == {"a": 1}


def test_inputs_of_a_task_are_what_those_before_it_have_left(fan: Fan) -> None:
    tasks = [
        {"id": "a", "command": "cp source middle; echo a >> done"},
        {"id": "b", "command": "echo b >> done", "after": ["a"]},
    ]
    (fan.work / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    (fan.work / "source").write_text("one")
    job = {"items": {"graph": "tasks.json"}, "command": None, "inputs": ["source", "middle"]}
    fan.run(**job)
    assert fan.done() == {"a": 1, "b": 1}
    fan.run(**job)
    assert fan.done() == {"a": 2, "b": 1}, "the first had no middle when it began"
    fan.run(**job)
    assert fan.done() == {"a": 2, "b": 1}


def test_results_of_earlier_attempts_are_kept_and_of_vanished_items_are_not(fan: Fan) -> None:
    command = 'test {item} != b -o -e mended && echo "\\"{item}\\"" > $ANABRANCH_RESULT'
    fan.run(command, ["a", "b", "c"])
    (fan.work / "mended").touch()
    fan.run(command, ["b", "c"])
    assert fan.results() == [{"index": 0, "result": "b"}, {"index": 1, "result": "c"}]


def test_killed_again_and_again_each_item_that_was_done_is_done_once(fan: Fan) -> None:
    """What has no end in the book is in doubt, is named, and is the only thing done again."""
    command = "echo {item} >> done; sleep 0.01"
    items = [f"i{n}" for n in range(60)]
    for kills in range(1, 9):
        before = len(fan.ended())
        running = fan.start(command, items)
        until(lambda b=before, r=running: len(fan.ended()) > b + 3 or r.poll() is not None)  # type: ignore[misc]
        os.kill(running.pid, signal.SIGKILL)
        running.wait(timeout=PATIENCE_SECONDS)
        assert running.stdout is not None
        running.stdout.close()
        assert len(book.in_doubt(str(fan.state / "book"))) <= 3, kills
    code, out = fan.run(command, items)
    assert code == 0, out
    assert set(fan.done()) == set(items)
    proven = Counter(e.key for e in fan.ended() if e.has_succeeded)
    assert set(proven.values()) == {1}, "nothing that was proven done was done again"
    assert sum(fan.done().values()) - len(items) <= 3 * 8


def test_what_was_in_doubt_is_accounted_for_and_leaves_nothing_to_others(fan: Fan) -> None:
    """Its output is kept, and neither that nor its result becomes another handler's."""
    command = "echo said {item}; test -e go || { echo 7 > $ANABRANCH_RESULT; touch up; sleep 60; }"
    running = fan.start(command, ["a"], width=1)
    until(lambda: (fan.work / "up").exists())
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=PATIENCE_SECONDS)
    (fan.work / "go").touch()
    code, _ = fan.run(command, ["b", "a"], width=1)
    assert code == 0
    doubt, *others = fan.ended()
    assert (doubt.has_succeeded, fan.output(doubt)) == (False, "said a\n")
    assert "in doubt" in doubt.why
    assert [fan.output(ended) for ended in others] == ["said b\n", "said a\n"]
    assert fan.results() == []
    assert book.in_doubt(str(fan.state / "book")) == []


def test_of_two_items_that_are_the_same_one_may_be_done(fan: Fan) -> None:
    """What one of them has done proves nothing of the other."""
    command = "mkdir {item}.$(ls | wc -l) || exit; test -e go || mkdir once"
    code, out = fan.run(command, ["a", "a"], width=1)
    assert (code, "1 of 2 handlers succeeded, 1 failed" in out) == (1, True), out
    (fan.work / "go").touch()
    code, out = fan.run(command, ["a", "a"], width=1)
    assert (code, "2 of 2 handlers succeeded (1 of them before)" in out) == (0, True), out
    assert sum(e.has_succeeded for e in fan.ended()) == 2
    assert fan.run(command, ["a", "a"], width=1)[0] == 0
    assert len(fan.ended()) == 3, "now both are done"


def test_both_of_two_that_are_the_same_are_in_doubt(fan: Fan) -> None:
    running = fan.start("echo > up.{index}; test -e go || sleep 60", ["a", "a"], width=2)
    until(lambda: all((fan.work / f"up.{i}").exists() for i in range(2)))
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=PATIENCE_SECONDS)
    (fan.work / "go").touch()
    assert fan.run("true {index}", ["b"])[0] == 0
    assert sorted(e.place for e in fan.ended() if "in doubt" in e.why) == [0, 1]


def test_results_of_items_that_are_the_same_stay_apart(fan: Fan) -> None:
    command = "echo {item} >> n; wc -l < n > $ANABRANCH_RESULT; test $(wc -l < n) != 3"
    fan.run(command, ["a", "a", "a"], width=1)
    assert fan.run(command, ["a", "a", "a"], width=1)[0] == 0
    assert [found["result"] for found in fan.results()] == [1, 2, 4]


def test_what_was_done_in_a_workspace_that_is_gone_is_not_done_in_a_later_one(fan: Fan) -> None:
    """Nor does it come back when a third attempt goes on where the second one was."""
    command = "test {item} = a -a -e bad && exit 1; echo {item} >> done"
    assert fan.run(command, ["a", "b"])[0] == 0
    (fan.work / "done").unlink()
    (fan.work / "bad").touch()
    assert fan.run(command, ["a", "b"], trusts_book=False)[0] == 1
    (fan.work / "bad").unlink()
    assert fan.run(command, ["a", "b"])[0] == 0
    assert fan.done() == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    "line",
    [
        '["e"]',
        '["e",{},[],1,1,0,null,"",0,0,null]',
        '["e",0,"k",1,1,0,null,"",0,0,7]',
        '["e",0,"k",1,1,0,null,"",0,0,[1]]',
        '["e",0,"k",1,NaN,0,null,"",0,0,null]',
        '["b",0,["k"],1,1,"../x","t"]',
        '["b",0,"k",1,1,"../x","t"]',
        '["n"]',
        pytest.param("[" * 100_000, id="deep"),
        "7",
        pytest.param("x" * 2_000_000, id="long"),
    ],
)
def test_lines_that_handlers_have_put_into_the_book_are_passed_over(fan: Fan, line: str) -> None:
    assert fan.run("echo {item} >> done", ["a"])[0] == 0
    with open(fan.state / "book", "a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    code, out = fan.run("echo {item} >> done", ["a", "b"])
    assert (code, "(1 of them before)" in out) == (0, True), out
    assert fan.done() == {"a": 1, "b": 1}


def test_half_a_line_does_not_count(fan: Fan) -> None:
    fan.run("echo {item} >> done", ["a", "b"])
    path = fan.state / "book"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    code, _ = fan.run("echo {item} >> done", ["a", "b"])
    assert code == 0
    assert sorted(fan.done().values()) == [1, 2]
    assert all(line.endswith(b"]") for line in path.read_bytes().splitlines())


# --- what handlers leave running, and write ------------------------------------------------------


def test_what_a_handler_leaves_running_writes_into_nobody_elses_output_or_result(fan: Fan) -> None:
    daemon = "touch up; until test -e go; do sleep 0.01; done; echo x; echo 6 > $ANABRANCH_RESULT"
    starts = f"(setsid sh -c '{daemon}; touch said') & until test -e up; do sleep 0.01; done"
    other = "touch go; until test -e said; do sleep 0.01; done; echo y; echo 7 > $ANABRANCH_RESULT"
    code, out = fan.run(f"if test {{index}} = 0; then {starts}; else {other}; fi", [0, 1], width=1)
    assert code == 0, out
    assert [fan.output(ended) for ended in fan.ended()] == ["", "y\n"]
    assert fan.results() == [{"index": 1, "result": 7}]


PACKS = ("output.pack", "results.pack", "results.new", "results.jsonl")


@pytest.mark.parametrize("swap", ["mkfifo", "ln -s /dev/null", "mkdir"])
@pytest.mark.parametrize("name", ["book", *PACKS, "asked", "counts.new"])
def test_whatever_is_in_the_place_of_a_file_holds_nobody_up(fan: Fan, swap: str, name: str) -> None:
    """A handler has found where its account is kept: that it cannot be is said, and all ends."""
    swaps = f"cd $(dirname $ANABRANCH_RESULT) && rm -rf {name} && {swap} {name}"
    for _ in range(2):
        code, out = fan.run(f"{swaps}; echo 1 > $ANABRANCH_RESULT", ["a"])
        assert code in (0, 1)
        assert (code == 0) == ("stopped:" not in out), out
        assert "Traceback" not in out


WRITTEN = 300_000_000 + len("first\nlast\n")
NO_TAKING_OUT = """
import ctypes
class CDLL(ctypes.CDLL):
    def __getattr__(self, name):
        if name == "fallocate64":
            raise AttributeError(name)
        return super().__getattr__(name)
ctypes.CDLL = CDLL
"""
"""A disk that can take nothing out of a file."""


def flood_told(text: str) -> int:
    """How many bytes are accounted for: those that are there, and those said to be left out."""
    assert len(text) < 130_000_000
    assert (text[:6], text[-5:]) == ("first\n", "last\n")
    told = re.search(r"\n\[anabranch: +(\d+) bytes of output are left out here\]\n", text)
    assert told is not None
    return len(text) - len(told[0]) + int(told[1])


def can_take_out(folder: Path) -> bool:
    """Whether the disk of a folder can take a range out of a file."""
    with (folder / "probe").open("wb") as file:
        file.write(bytes(3 * slot.BLOCK_BYTES))
        file.flush()
        return slot.take_out(file.fileno(), slot.BLOCK_BYTES, slot.BLOCK_BYTES)


def test_a_flood_of_output_is_cut_to_its_beginning_and_its_end(fan: Fan) -> None:
    """While it floods, so that it fills no disk; and what was left out is said."""
    flood = "echo first; yes flood | head -c 300000000; echo last"
    code, out = fan.run(flood, ["a"])
    assert code == 0, out
    (ended,) = fan.ended()
    counted = flood_told(fan.output(ended))
    if can_take_out(fan.state):
        assert counted == WRITTEN, "whatever came at the moment of a cut is there"
    assert counted <= WRITTEN


def test_a_flood_is_cut_where_the_disk_takes_nothing_out_of_a_file(
    fan: Fan, tmp_path: Path
) -> None:
    """It is copied down; nothing is missing of a writer that writes nothing at that moment."""
    (tmp_path / "sitecustomize.py").write_text(NO_TAKING_OUT)
    flood = (
        "echo first; for i in 1 2 3; do yes flood | head -c 30000000;"
        " truncate -s +40000000 /proc/self/fd/1;"  # too large, all at once
        " until [ $(stat -Lc %s /proc/self/fd/1) -lt 64000000 ]; do sleep 0.01; done; done;"
        " echo last"
    )
    code, out = fan.run(flood, ["a"], flags=(), env={"PYTHONPATH": str(tmp_path)})
    assert code == 0, out
    (ended,) = fan.ended()
    assert flood_told(fan.output(ended)) == 3 * 70_000_000 + len("first\nlast\n")


def test_a_folder_in_the_place_of_a_result_is_nobody_elses(fan: Fan) -> None:
    command = "test {index} = 0 && exec mkdir $ANABRANCH_RESULT; echo 1 > $ANABRANCH_RESULT"
    fan.run(command, [0, 1], width=1)
    assert fan.results() == [{"index": 1, "result": 1}]


# --- shortage ------------------------------------------------------------------------------------


def test_fewer_run_at_a_time_where_descriptors_are_few(fan: Fan) -> None:
    code, out = fan.run("true {item}", range(100), width=100, through=LIMITED)
    assert code == 0, out
    assert re.search(r"only \d+ handlers run at a time: Too many open files", out)
    assert "100 of 100 handlers succeeded" in out


def test_what_cannot_be_started_now_is_started_later(fan: Fan, tmp_path: Path) -> None:
    """A machine that can start no process just now says nothing about an item."""
    (tmp_path / "sitecustomize.py").write_text(FEW_PROCESSES)
    code, out = fan.run("true {item}", range(6), flags=(), env={"PYTHONPATH": str(tmp_path)})
    assert code == 0, out
    assert "waits: no handler can be started" in out
    assert "6 of 6 handlers succeeded" in out


# --- failures ------------------------------------------------------------------------------------


def test_all_are_run_and_all_failures_told(fan: Fan) -> None:
    code, out = fan.run("exit {item}", [0, 1, 0, 2])
    assert code == 1
    assert "2 of 4 handlers succeeded, 2 failed" in out
    assert "failed: 1: exit 1" in out
    assert "failed: 2: exit 2" in out


def test_too_many_failures_stop_it(fan: Fan) -> None:
    code, out = fan.run("exit 1", range(100), most_failures=4, width=1)
    assert code == 1
    assert "stopped: more than 4 handlers have failed" in out
    assert len(fan.ended()) == 5


def test_a_share_of_failures_may_stop_it_too(fan: Fan) -> None:
    command = "case {index} in *0) exit 1;; esac"
    code, out = fan.run(command, range(100), most_failed_share=0.2, width=1)
    assert code == 1
    assert "stopped" not in out
    code, out = fan.run("exit 1", range(100), most_failed_share=0.2, width=1)
    assert "stopped: more than" in out


def test_exit_codes_of_success_are_the_plans(fan: Fan) -> None:
    assert fan.run("exit {item}", [0, 7], success_exit_codes=[0, 7])[0] == 0


def test_one_that_hangs_is_ended_with_all_it_started_and_the_others_go_on(fan: Fan) -> None:
    command = (
        "test {item} != hangs && exit; trap '' TERM; sleep 60 & echo $! > child; wait; sleep 60"
    )
    code, out = fan.run(command, ["a", "hangs", "b"], timeout_seconds=0.3)
    assert code == 1
    assert "failed: hangs: it took longer than 0.3 s" in out
    assert "2 of 3 handlers succeeded" in out
    child = int((fan.work / "child").read_text())
    until(lambda: not Path(f"/proc/{child}").exists())


def test_told_to_stop_it_ends_what_runs_and_writes_down_what_was_done(fan: Fan) -> None:
    running = fan.start("echo {item} >> done; test {item} = 0 || sleep 60", range(9))
    until(lambda: any(e.place == 0 for e in fan.ended()) and len(fan.done()) >= 3)
    running.terminate()
    out, _ = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 1
    assert "stopped: it was asked to stop" in out
    assert {e.place for e in fan.ended() if e.has_succeeded} == {0}


def test_it_tells_how_far_it_is_and_is_silent_while_nothing_ends(fan: Fan) -> None:
    """A handler that hangs makes the stream silent, so that the guardian notices."""
    code, out = fan.run("sleep {item}", ["0", "0", "3.2"])
    assert code == 0
    told = [line for line in out.splitlines() if " done" in line]
    assert len(told) == 1
    assert told[0].startswith("2 of 3 done, ")
    assert told[0].endswith(" s left")


# --- graphs --------------------------------------------------------------------------------------


def graph(fan: Fan, *tasks: dict[str, Any]) -> dict[str, str]:
    (fan.work / "tasks.json").write_text(json.dumps({"tasks": list(tasks)}))
    return {"graph": "tasks.json"}


def test_tasks_wait_for_each_other_and_the_longest_way_goes_first(fan: Fan) -> None:
    source = graph(
        fan,
        {"id": "short", "command": "echo short >> order"},
        {"id": "first", "command": "echo first >> order", "seconds": 1},
        {"id": "last", "command": ["sh", "-c", "echo last >> order"], "after": ["first", "mid"]},
        {"id": "mid", "command": "echo mid >> order", "after": ["first"], "seconds": 5},
    )
    code, _ = fan.run(None, source, width=1)
    assert code == 0
    assert (fan.work / "order").read_text().split() == ["first", "mid", "short", "last"]


def test_what_comes_after_a_failure_is_not_started_until_it_is_mended(fan: Fan) -> None:
    source = graph(
        fan,
        {"id": "a", "command": "echo a >> done; test -e mended"},
        {"id": "b", "command": "echo b >> done", "after": ["a"]},
        {"id": "c", "command": "echo c >> done"},
    )
    code, out = fan.run(None, source)
    assert code == 1
    assert "1 task was not started" in out
    assert fan.done() == Counter("ac")
    (fan.work / "mended").touch()
    code, _ = fan.run(None, source)
    assert code == 0
    assert fan.done() == Counter("aacb")


def test_a_command_beside_a_graph_gets_its_tasks(fan: Fan) -> None:
    source = graph(fan, {"id": "a", "command": "echo", "seconds": 2})
    fan.run(["echo", "{item.id}", "{item.command}", "{item.seconds}"], source)
    assert fan.output(fan.ended()[0]) == "a echo 2.0\n"


def test_a_graph_that_makes_no_sense_is_said_and_nothing_is_run(fan: Fan) -> None:
    code, out = fan.run(None, graph(fan, {"id": "a", "command": "x", "after": ["a"]}))
    assert code == 1
    assert "circle" in out
    assert fan.ended() == []


def test_no_more_are_started_in_a_window_than_the_rate_says(fan: Fan) -> None:
    """Also by the attempt after one that was killed, and of a graph, of which all is ready."""
    stamp = [sys.executable, "-ISc", "import time; print(time.monotonic())", "{item}"]
    killed = fan.start(stamp, range(9), rate=(2, 1.0))
    until(lambda: len(fan.ended()) >= 3)
    killed.kill()
    killed.communicate()
    code, _ = fan.run(stamp, range(9), rate=(2, 1.0))
    assert code == 0
    ended = fan.ended()
    assert {e.place for e in ended if e.has_succeeded} == set(range(9))
    begun = [line[4] for line in book.lines(str(fan.state / "book")) if line[0] == book.BEGUN]
    assert most_together(begun, 0.98) <= 2
    printed = sorted(float(text) for e in ended for text in fan.output(e).split())
    assert most_together(printed, 0.8) <= 2  # how long a process takes to come up varies


def test_tasks_of_a_graph_keep_to_the_rate(fan: Fan) -> None:
    tasks = [{"id": f"t{n}", "command": ["true"], "after": ["t0"] if n else []} for n in range(5)]
    (fan.work / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    code, out = fan.run(None, {"graph": "tasks.json"}, rate=(2, 0.5))
    assert code == 0, out
    begun = [line[4] for line in book.lines(str(fan.state / "book")) if line[0] == book.BEGUN]
    assert len(begun) == 5
    assert most_together(begun, 0.49) <= 2


def test_who_waits_for_the_rate_is_stopped_at_once(fan: Fan) -> None:
    running = fan.start("true", range(3), rate=(1, 3600.0))
    until(lambda: len(fan.ended()) == 1)
    running.terminate()
    out, _ = running.communicate(timeout=PATIENCE_SECONDS)
    assert "it was asked to stop" in out
    assert len(fan.ended()) == 1


def most_together(moments: list[float], seconds: float) -> int:
    """Return how many of some moments lie in one window of so many seconds at most."""
    return max(sum(0 <= late - one < seconds for one in moments) for late in moments)
