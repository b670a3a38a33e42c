"""``ab-stream`` inside real streams: its answers, its exit codes, its ways in, and its start."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from anabranch.client import ab_stream, stub
from anabranch.client.verbs import Question, Refused
from anabranch.engine.gateway.addresses import socket_folder
from tests.e2e.program import Program, until
from tests.engine.knocking import Bench, plain_socket


def answers(text: str) -> list[dict[str, Any]]:
    """Return the JSON lines of a log."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def run_script(program: Program, script: str) -> str:
    """Run a script as the only stream of a plan, and return what it wrote."""
    program.plan({"one": script})
    answer = program.run("run", "--headless")
    assert answer.code == 0, (answer, program.log("one"))
    return program.log("one")


def test_an_exit_code_is_the_answers_whoever_listens(program: Program) -> None:
    """Done stays done and refused refused, with streams that are full, closed or left."""
    script = """
    for sink in '>/dev/full 2>/dev/full' '>&- 2>&-' '<&- >&- 2>&-' '2>/dev/full | true'; do
        eval "{ ab-stream state set k '\\"x\\"'; echo done \\$? >&3; } 3>>codes $sink"
        eval "{ ab-stream state set k 1 --if-version 99; echo refused \\$? >&3; } 3>>codes $sink"
    done
    cat codes
    """
    lines = run_script(program, script).splitlines()
    assert lines.count("done 0") == 4, lines
    assert lines.count("refused 1") == 4, lines
    assert "Traceback" not in "".join(lines)


def test_an_answer_commands_no_terminal(program: Program) -> None:
    """What others have set is told with escapes: no colour, no title, no other direction."""
    value = "a\u009b31mb\u202ec\u007fd\u2066e \u00e4\u4e2d"
    lines = run_script(
        program, f"ab-stream state set k '{json.dumps(value)}'; ab-stream state get k"
    )
    assert answers(lines)[1]["value"] == value
    assert "\\u009b31mb\\u202ec\\u007fd\\u2066e \u00e4\u4e2d" in lines
    assert not {"\u009b", "\u202e", "\u007f", "\u2066"} & set(lines)


def test_every_command_answers_one_json_line(program: Program) -> None:
    """Each verb prints its answer as one line, and 0 means done or granted."""
    script = """set -e
    ab-stream heartbeat --status 'half "done" \\ ä' --progress 0.5
    ab-stream lock src/a.txt
    ab-stream unlock src/a.txt
    ab-stream state set k '{"a": [1, 2]}'
    ab-stream state update k '{"b": 2}'
    ab-stream state get k
    ab-stream state log --since 1
    ab-stream send one 'hello "you"'
    ab-stream inbox
    ab-stream broadcast --json '{"x": 1}'
    ab-stream request cpu_cores=0.5
    ab-stream release cpu_cores=0.5
    ab-stream locks
    ab-stream streams
    ab-stream checkpoint before it gets risky
    """
    found = answers(run_script(program, script))
    assert len(found) == 15
    assert all(answer["ok"] for answer in found)
    assert found[5]["value"] == {"a": [1, 2], "b": 2}
    assert found[8]["messages"][0]["body"] == 'hello "you"'
    assert found[14]["checkpoint"] == 1
    assert found[14]["ref"].startswith("refs/anabranch/checkpoint/")


def test_exit_codes_say_what_happened(program: Program) -> None:
    """0 done, 1 refused, 75 still waiting, 69 no engine, 2 usage; a command's own under a lock."""
    script = """
    say() { echo "$1=$2"; }
    ab-stream heartbeat >/dev/null; say done $?
    ab-stream unlock nothing >/dev/null; say refused $?
    ab-stream nonsense 2>/dev/null; say usage $?
    ab-stream lock 2>/dev/null; say missing $?
    ab-stream heartbeat --progress many 2>/dev/null; say number $?
    ab-stream state set k '{bad' 2>/dev/null; say json $?
    ab-stream heartbeat extra 2>/dev/null; say extra $?
    ab-stream 2>/dev/null >&2; say nothing $?
    ab-stream --help >/dev/null; say help $?
    ab-stream state set k 1 >/dev/null
    ab-stream state set k 2 --if-version 9 >/dev/null; say stale $?
    ab-stream arrive final --wait 0.1 >/dev/null; say arrived $?
    ab-stream lock x -- sh -c 'echo fence=$ANABRANCH_FENCE; exit 7'; say command $?
    ab-stream lock x -- no-such-program 2>/dev/null; say unknown $?
    ab-stream lock x -- sh -c 'kill -TERM $$'; say signal $?
    ab-stream locks | grep -c '"locks":\\[\\]'
    ANABRANCH_SOCKET=/nowhere ANABRANCH_SPOOL= ab-stream heartbeat >/dev/null; say alone $?
    """
    said = dict(
        line.split("=", 1) for line in run_script(program, script).splitlines() if "=" in line
    )
    expected = {"done": 0, "refused": 1, "usage": 2, "missing": 2, "number": 2, "json": 2}
    expected |= {"extra": 2, "nothing": 2, "help": 0, "stale": 1, "command": 7}
    expected |= {"unknown": 127, "signal": 143, "alone": 69}
    assert {name: int(said[name]) for name in expected} == expected
    assert int(said["fence"]) > 0
    assert "1" in program.log("one").splitlines()


def test_a_lock_inside_a_lock_is_given_back_by_the_outer_one(program: Program) -> None:
    """The inner command leaves it, so that the outer one holds it to its end."""
    script = """
    ab-stream lock x -- sh -c 'ab-stream lock x -- true; ab-stream locks | grep -c fence' >out
    echo inside=$(tail -n 1 out)
    echo after=$(ab-stream locks | grep -c fence)
    """
    said = run_script(program, script).splitlines()
    assert ("inside=1" in said, "after=0" in said) == (True, True)


def test_two_streams_count_under_a_lock(program: Program) -> None:
    """What several processes do under one lock happens one after the other."""
    body = "n=$(cat $C); n=$((n + 1)); echo $n > $C"
    counter = program.scratch / "counter"
    counter.write_text("0")
    loop = f"for i in 1 2 3 4 5 6; do ab-stream lock counter -- sh -c '{body}' || exit 1; done"
    env = {"C": str(counter)}
    program.plan({name: {"command": loop, "env": env} for name in ("a", "b", "c")})
    answer = program.run("run", "--headless")
    assert answer.code == 0, answer
    assert counter.read_text().strip() == "18"


def test_still_waiting_is_75_and_the_same_words_go_on(program: Program) -> None:
    """A wait whose time is up tells so, and asking again keeps the place in the queue."""
    script = (
        "ab-stream lock x --wait 20 >/dev/null; ab-stream state set held 1 >/dev/null;"
        "until ab-stream state get go | grep -q '\"value\":1'; do :; done; ab-stream unlock x"
    )
    other = (
        "until ab-stream state get held | grep -q '\"value\":1'; do :; done;"
        "ab-stream lock x; echo first=$?; ab-stream lock x --wait 0.2; echo second=$?;"
        "ab-stream state set go 1; ab-stream lock x --wait 40; echo third=$?"
    )
    program.plan({"a": script, "b": other})
    assert program.run("run", "--headless").code == 0
    log = program.log("b")
    assert "first=1\n" in log
    assert "second=75\n" in log
    assert "third=0\n" in log


def test_where_sockets_are_forbidden_the_spool_serves(program: Program) -> None:
    """Without a socket the same command goes through files, and none of them is ever committed."""
    script = """set -e
    ANABRANCH_SOCKET=/nowhere/at/all; export ANABRANCH_SOCKET
    ab-stream lock y; ab-stream state set k 1; ab-stream checkpoint
    ab-stream lock y -- touch made
    git add -A; git -c user.name=a -c user.email=a@b commit -qm mine; echo more > more
    """
    found = answers(run_script(program, script))
    assert [answer["outcome"] for answer in found] == ["granted", "done", "done"]
    report = subprocess.run(
        ["git", "-C", str(program.project), "log", "--all", "--name-only", "--format="],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"made", "more"} <= set(report.stdout.split())
    assert ".anabranch" not in report.stdout


def test_adopted_streams_keep_their_ways_in(program: Program) -> None:
    """After the console was killed and the run resumed, the same token and socket still serve."""
    script = (
        "ab-stream heartbeat; echo begun; while [ ! -e $GO ]; do sleep 0.05; done;"
        "ab-stream state set k 1 && ab-stream lock x && echo served"
    )
    go = program.scratch / "go"
    program.plan({"one": {"command": script, "env": {"GO": str(go)}}})
    running = program.begin("run", "--headless")
    program.await_log("one", "begun")
    running.kill()
    resumed = program.begin("resume", "--headless")
    program.await_log("one", "begun")
    until(lambda: _is_open(program), "the run's socket is open again")
    go.touch()
    assert resumed.wait().code == 0
    assert "served" in program.log("one")


def _is_open(program: Program) -> bool:
    """Whether the host listens: it is one a moment before it does."""
    try:
        plain_socket(str(socket_folder(program.folder()) / "socket")).close()
    except OSError:
        return False
    return True


async def test_it_starts_fast(tmp_path: Path) -> None:
    """A heartbeat, process and all, costs a few times what a bare interpreter does."""
    bench = Bench(tmp_path, "a")
    await bench.open()
    env = {**os.environ, **bench.environment("a")}
    heartbeat = (str(tmp_path / "run" / "bin" / "ab-stream"), "heartbeat")
    pairs = [
        (await _seconds(heartbeat, env), await _seconds(BARE_INTERPRETER, env)) for _ in range(9)
    ]
    await bench.close()
    assert median(one / other for one, other in pairs) < 5, pairs


BARE_INTERPRETER = (sys.executable, "-I", "-S", "-c", "pass")


async def _seconds(command: tuple[str, ...], env: dict[str, str]) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=subprocess.DEVNULL)
    assert await process.wait() == 0
    return time.perf_counter() - began


def test_it_imports_next_to_nothing() -> None:
    """What makes it fast: only what an interpreter has anyway, and a socket."""
    source = Path(stub.__file__).with_name("ab_stream.py")
    program = (
        "import sys; before = set(sys.modules); import runpy; runpy_modules = set(sys.modules);"
        f"exec(compile(open({str(source)!r}).read(), 'x', 'exec'), {{'__name__': 'x'}});"
        "print(sorted(set(sys.modules) - runpy_modules))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("['_socket']", "[]")


def test_stubs_are_private(tmp_path: Path) -> None:
    """The folder of commands is the user's alone, and a rewritten stub is whole at any time."""
    folder = tmp_path / "bin"
    for _ in range(2):
        stub.write_stubs(folder)
    assert folder.stat().st_mode & 0o077 == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "ab-stream",
        "ab_agent.pyc",
        "ab_hook.pyc",
        "ab_locked.pyc",
        "ab_spool.pyc",
        "ab_stream.pyc",
        "ab_words.pyc",
        "anabranch-mcp",
        "mcp.pyc",
        "mcp_tools.pyc",
    ]


@pytest.mark.parametrize("words", [["ask", "--help"], ["state", "get", "-h"], ["--help"]])
def test_help_is_no_argument_of_a_verb(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is asked of anybody; in a longer text it is a word like others."""
    assert ab_stream.main(words) == 0
    assert capfd.readouterr().out.startswith("usage: ab-stream")


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b'{"fence":1,"ok":true,"outcome":"granted"}', 0),
        (b'{"offer":{"db":1.0},"ok":true,"outcome":"offer"}', 1),
        (b'{"position":1,"ok":true,"outcome":"queued"}', 75),
        (b'{"ticket":"7","ok":true,"outcome":"waiting"}', 75),
        (b'{"reason":"no","ok":false,"outcome":"refused"}', 1),
        (b'{"error":"bad_arguments","ok":false,"outcome":"refused"}', 2),
    ],
)
def test_an_answer_has_its_exit_code(reply: bytes, code: int) -> None:
    """What is only offered is not granted, so a script must not go on with it."""
    assert ab_stream.exit_code(reply) == code


def test_what_no_engine_would_take_is_refused_before_it_is_sent() -> None:
    """Too much, or nested too deeply: said at once, with the next step."""
    nested: list[object] = []
    for _ in range(5000):
        nested = [nested]
    for value in ("y" * 2_000_000, nested):
        with pytest.raises(Refused, match=r"holds at most|too deeply"):
            Question(1, "token", "state_set", {"key": "k", "value": value})
