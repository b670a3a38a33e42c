"""Streams that fan out over items, from the plan to the result: real runs, real kills."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from tests.e2e.program import Program, until
from tests.e2e.terminals import on_terminal
from tests.e2e.test_run import content, converged
from tests.engine.repositories import git, write

DOCUMENT = Path(__file__).parents[2] / "docs/handlers.md"


def test_a_codemod_over_files_changes_each_once(program: Program) -> None:
    """The work of all handlers is one result; what failed goes on in the workspace as it was."""
    names = [f"docs/{n}.md" for n in ("a", "b c", "d'e", "deep/f")]
    write(program.project, dict.fromkeys(names, "old\n"))
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "docs")
    command = "sed -i s/old/new/ {item}; echo {name} >> done; test {stem} != 'b c' -o -e again"
    command += " || { touch again; exit 3; }"
    program.plan({"mod": {"each": {"glob": "docs/**/*.md"}, "command": command, "max_parallel": 2}})
    commit = converged(program)
    assert [content(program, commit, name) for name in names] == ["new\n"] * 4
    done = Counter(content(program, commit, "done").splitlines())
    assert done == {"a.md": 1, "b c.md": 2, "d'e.md": 1, "f.md": 1}
    assert "4 of 4 handlers succeeded (3 of them before)" in program.log("mod", 2)
    counts = {"total": 4, "succeeded": 4, "failed": 0, "running": 0, "not_tried_again": 0}
    (stream,) = program.expect(0, "status", "--json").json()["streams"]
    assert stream["handlers"] == counts


def test_all_of_a_large_output_is_printed(program: Program) -> None:
    line = "x" * 100
    command = f"echo first; yes {line} | head -n 200000; printf '\\033[31mlast\\377'"
    program.plan({"fan": {"each": ["a"], "command": command}})
    program.expect(0, "run", "--headless")
    first, *many, last = program.expect(0, "logs", "fan", "--handler", "0").out.splitlines()
    assert (first, last) == ("first", "last\ufffd")
    assert many == [line] * 200_000


def test_a_matrix_runs_each_combination_and_names_those_that_fail(program: Program) -> None:
    program.plan(
        {
            "test": {
                "each": {"matrix": {"os": ["a", "b"], "py": [1, 2]}, "exclude": [{"os": "a"}]},
                "command": ["sh", "-c", "echo $1-$2; test $2 != 2", "x", "{item.os}", "{item.py}"],
                "retries": 0,
            }
        }
    )
    told = program.expect(1, "run", "--headless")
    assert 'failed: {"os": "b", "py": 2}: exit 1' in told.err
    assert program.expect(0, "logs", "test", "--handler", "1").out == "b-2\n"
    program.expect(2, "logs", "test", "--handler", "7")
    program.expect(2, "logs", "--handler", "0")


def test_results_are_read_by_dependents_in_the_order_of_the_items(program: Program) -> None:
    program.plan(
        {
            "map": {
                "each": [3, 1, 2],
                "command": "sleep 0.0{item}; echo {item}0 > $ANABRANCH_RESULT",
            },
            "reduce": {"command": "cp $ANABRANCH_RESULTS sums", "depends_on": ["map"]},
        }
    )
    lines = content(program, converged(program), "sums").splitlines()
    assert [json.loads(line)["result"] for line in lines] == [30, 10, 20]
    (change,) = program.expect(0, "state", "log", "--json").json()["changes"]
    assert (change["key"], change["stream"]) == ("results/map", "map")
    assert change["after"] == [{"index": n, "result": r} for n, r in enumerate((30, 10, 20))]


def test_lines_of_a_command_are_items(program: Program) -> None:
    program.plan({"each": {"each": {"lines_of": "ls src"}, "command": "echo {item} >> names"}})
    commit = converged(program)
    expected = git(program.project, "ls-tree", "--name-only", "HEAD:src").split()
    assert sorted(content(program, commit, "names").split()) == sorted(expected)


def test_a_recorded_workflow_runs_in_its_order(program: Program) -> None:
    tasks = [
        {"id": "fetch", "command": "echo fetch >> order"},
        {"id": "sum", "command": "echo sum >> order", "after": ["fetch"]},
    ]
    write(program.project, {"tasks.json": json.dumps({"tasks": tasks})})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "graph")
    program.plan({"flow": {"each": {"graph": "tasks.json"}}})
    assert content(program, converged(program), "order").split() == ["fetch", "sum"]


def test_items_on_the_command_line(program: Program) -> None:
    commit = converged(program, "--each", "a", "b c", "--", "echo {index} > {item}")
    assert content(program, commit, "b c") == "1\n"
    program.expect(2, "run", "--each", "--", "echo {item}")
    said = program.expect(
        0, "run", "--each", "a", "--each=b", "--headless", "--", "echo {item}"
    ).err
    assert "2 of 2 done" in said
    program.expect(2, "run", "--each", "a", "--each", "-", "--", "echo {item}")
    told = program.expect(2, "run", "--each", "a", "--", "echo {itme}")
    assert "unknown placeholder {itme}" in told.err


def test_items_come_on_stdin_and_the_first_is_handled_while_they_flow(program: Program) -> None:
    """All commands get them, and what has no end of line is an item too."""
    source, sink = os.pipe()
    program.stdin = source
    commands = ("echo {index} > {item}", "test -n {item}")
    running = program.begin("run", "--headless", "--each", "-", "--", *commands)
    os.close(source)
    os.write(sink, b"a\n\n")
    until(lambda: program.run_folders(), "a run")
    book = program.folder().path / "handlers" / "echo" / "book"
    until(lambda: book.exists() and '["e"' in book.read_text(), "the first handler has ended")
    os.write(sink, b"b c")
    os.close(sink)
    assert running.wait().code == 0
    assert content(program, str(program.status()["commit"]), "b c") == "1\n"
    assert "2 of 2 handlers succeeded" in program.log("test")


def test_no_items_on_stdin_is_said(program: Program) -> None:
    told = program.expect(2, "run", "--each", "-", "--", "echo {item}")
    assert "no items on stdin" in told.err
    terminal, other = os.openpty()
    program.stdin = other
    assert "a terminal" in program.expect(2, "run", "--each", "-", "--", "echo {item}").err
    os.close(terminal)
    os.close(other)
    assert not program.run_folders()


def test_items_end_early_with_the_console_that_read_them(program: Program) -> None:
    """What had come is handled, each once; that it was not all is said, and is a failure."""
    source, sink = os.pipe()
    program.stdin = source
    running = program.begin("run", "--headless", "--each", "-", "--", "echo {item} >> done")
    os.close(source)
    os.write(sink, b"a\nb\nc and so")
    until(lambda: program.run_folders(), "a run")
    book = program.folder().path / "handlers" / "echo" / "book"
    until(lambda: book.exists() and book.read_text().count('["e"') == 2, "two handlers")
    running.kill()
    with pytest.raises(BrokenPipeError):  # nobody else has it
        os.write(sink, b" on\n")
    os.close(sink)
    program.stdin = subprocess.DEVNULL
    program.expect(1, "resume", "--headless")
    early = "stopped: the items on stdin ended early"
    assert early in program.log("echo")
    assert "2 and the beginning of one more had come" in program.log("echo")
    counts = {"total": 2, "succeeded": 2, "failed": 0, "running": 0, "not_tried_again": 0}
    (stream,) = program.expect(0, "status", "--json").json()["streams"]
    assert stream["handlers"] == counts
    assert len([line for line in book.read_text().splitlines() if line.startswith('["b"')]) == 2


def test_too_many_failures_stop_a_stream_and_a_hanging_handler_is_ended(program: Program) -> None:
    program.plan(
        {
            "few": {"each": list(range(50)), "command": "exit 1", "max_failures": 2, "retries": 0},
            "share": {
                "each": list(range(50)),
                "command": "exit 1",
                "max_failures": "10%",
                "max_parallel": 1,
                "retries": 0,
            },
            "hang": {
                "each": ["0", "60"],
                "command": "sleep {item}",
                "handler_timeout": 0.5,
                "retries": 0,
            },
        }
    )
    program.expect(1, "run", "--headless", "--keep-going")
    assert "stopped: more than 2 handlers have failed" in program.log("few")
    assert "stopped: more than 5 handlers have failed" in program.log("share")
    assert "failed: 60: it took longer than 0.5 s" in program.log("hang")


def test_a_handler_that_waits_for_a_lock_is_not_ended_for_its_silence(
    program: Program, tmp_path: Path
) -> None:
    """Another stream has the lock for longer than a handler may do nothing."""
    has = f"ab-stream lock src/main.txt -- sh -c 'touch {tmp_path}/has; sleep 5'"
    waits = (
        f"until test -e {tmp_path}/has; do sleep 0.01; done; ab-stream lock src/main.txt -- true"
    )
    heartbeat = {"timeout": 3, "interval": 1}
    program.plan(
        {
            "has": has,
            "fan": {"each": ["a"], "command": waits, "heartbeat": heartbeat, "retries": 0},
        }
    )
    told = program.run("run", "--headless")
    assert told.code == 0, (told, program.log("fan"))


def test_a_person_has_one_handler_ended_and_tried_again(program: Program, tmp_path: Path) -> None:
    """The others go on; what cannot be tried again is refused, with what to do instead."""
    go, first = tmp_path / "go", tmp_path / "first"
    hangs = f"test -e {first} || {{{{ touch {first}; exec sleep 60; }}}}"
    waits = f"until test -e {go}; do sleep 0.01; done"
    command = f"case {{item}} in h) {hangs};; w) {waits};; esac; echo {{item}} >> done"
    program.plan({"fan": {"each": ["h", "w", "a"], "command": command, "max_parallel": 3}})
    running = program.begin("run", "--headless")
    until(first.exists, "the first handler hangs")
    until(lambda: "handler_finished" in str(program.events()), "one has ended")
    assert "has succeeded" in program.asked(2, "recover", "fan", "--handler", "2").err
    assert "has begun no handler 7" in program.asked(2, "recover", "fan", "--handler", "7").err
    assert "for streams" in program.asked(2, "recover", "fan", "hard", "--handler", "0").err
    assert "which remedy" in program.asked(2, "recover", "fan").err
    program.asked(0, "recover", "fan", "--handler", "0")
    until(lambda: "h: ended and tried again, as you asked" in program.log("fan"), "it is done")
    go.touch()
    assert running.wait().code == 0
    assert program.state().streams[StreamId("fan")].attempt == 1
    done = Counter(content(program, str(program.status()["commit"]), "done").split())
    assert done == {"h": 1, "w": 1, "a": 1}
    told = program.asked(2, "recover", "fan", "--handler", "0").err
    assert "fan has succeeded" in told


def test_the_consoles_death_is_nothing_to_handlers(program: Program, tmp_path: Path) -> None:
    """They go on, all by themselves; whoever comes back finds them done, each once."""
    go = tmp_path / "go"
    command = (
        f"test {{index}} != 2 || until test -e {go}; do sleep 0.01; done; echo {{item}} >> done"
    )
    program.plan({"fan": {"each": list(range(12)), "command": command, "max_parallel": 1}})
    console = program.begin("run", "--headless")
    until(lambda: program.run_folders(), "a run")
    book = program.folder().path / "handlers" / "fan" / "book"
    until(lambda: book.exists() and book.read_text().count('["e"') == 2, "two handlers")
    console.send(signal.SIGKILL)
    console.wait()
    go.touch()
    until(lambda: book.read_text().count('["e"') == 12, "the others")
    program.expect(0, "resume", "--headless")
    done = Counter(content(program, str(program.status()["commit"]), "done").split())
    assert done == {str(number): 1 for number in range(12)}


def test_killed_with_all_it_runs_the_next_attempt_goes_on_where_it_was(
    program: Program, tmp_path: Path
) -> None:
    """What was proven done stays done, with its work; what was in doubt is run again."""
    fifth = tmp_path / "fifth"
    hangs = f"{{{{ touch {fifth}; exec sleep 60; }}}}"
    command = f"echo {{item}} >> done; test {{index}} != 4 -o $ANABRANCH_ATTEMPT = 2 || {hangs}"
    program.plan({"fan": {"each": list(range(8)), "command": command, "max_parallel": 1}})
    running = program.begin("run", "--headless")
    until(fifth.exists, "the fifth handler is at work")
    pid = program.state().streams[StreamId("fan")].pid
    assert pid is not None
    program.kill(pid)
    assert running.wait().code == 0
    done = Counter(content(program, str(program.status()["commit"]), "done").split())
    assert done == {**{str(n): 1 for n in range(8)}, "4": 2}
    assert "8 of 8 handlers succeeded (4 of them before)" in program.log("fan", 2)


def test_how_far_handlers_are_is_told_where_no_console_is(program: Program) -> None:
    """In one line that is written anew on a terminal, by milestones elsewhere; what they say of
    themselves each second floods neither, nor the last words of a failure."""
    command = "sleep 0.3; test {item} != 5"
    program.plan(
        {"fan": {"each": list(range(8)), "command": command, "max_parallel": 1, "retries": 0}}
    )
    code, said = on_terminal(program, "run", "--headless", CI="")
    assert code == 1
    assert re.search(r"\r\x1b\[Kfan [1-7]/8, \S+/(s|min), \d+ s left", said)
    assert said.index("\r\x1b[Kfan") < said.index("7 of 8 done, 1 failed")
    told = program.expect(1, "run", "--headless").err
    assert "\x1b" not in told
    assert "\r" not in told
    milestones = re.findall(r"fan +\d of 8 done, 1 running; .* left", told)
    assert 1 <= len(milestones) <= 8
    assert "fan" in told
    assert "exit 1; 7 of 8 done, 1 failed" in told
    assert "| failed: 5: exit 1" in told
    assert "a second" not in told


def test_handlers_that_change_nothing_are_done_too(program: Program) -> None:
    """A retry of a matrix of tests runs only those that failed."""
    command = "test {item} != b -o $ANABRANCH_ATTEMPT = 2"
    program.plan({"fan": {"each": ["a", "b", "c"], "command": command, "retries": 1}})
    converged(program)
    assert "3 of 3 handlers succeeded (2 of them before)" in program.log("fan", 2)


def test_check_counts_handlers_and_shows_the_first(program: Program) -> None:
    program.plan(
        {
            "src": {"each": {"glob": "src/*"}, "command": "wc {item}"},
            "many": {"each": list(range(9)), "command": ["echo", "{item}", "a b"]},
            "some": {"each": {"lines_of": "exit 1"}, "command": "echo {item}"},
            "bad": {"each": {"graph": "no.json"}},
        }
    )
    shown = program.expect(0, "check").out
    assert "many: 9\n    echo 0 'a b'\n    echo 1 'a b'\n    echo 2 'a b'\n    and 6 more" in shown
    assert "some: as many as there are items" in shown
    assert "bad: " in shown
    assert "no.json cannot be read" in shown
    fans = {fan["stream"]: fan for fan in program.expect(0, "check", "--json").json()["handlers"]}
    assert (fans["many"]["handlers"], fans["some"]["handlers"]) == (9, None)
    assert fans["src"]["first"][0].startswith("wc src/")


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        ({"each": ["a"], "command": "echo {itme}"}, "unknown placeholder {itme}"),
        ({"each": ["a"], "command": "echo `{item}`"}, "within backticks"),
        ({"each": ["a"], "command": "x", "inputs": ["{itme}"]}, "unknown placeholder {itme}"),
        ({"each": ["a"], "command": "x", "inputs": ["../x"]}, "must not lead out of the project"),
        ({"each": ["a"]}, "`command` is missing"),
        ({"each": {"glob": "a", "lines_of": "b"}, "command": "x"}, "exactly one of"),
        ({"each": {"exclude": [{"a": 1}], "glob": "b"}, "command": "x"}, "there is none"),
        ({"each": [["a"]], "command": "x"}, "expected a string"),
        ({"each": [{"a b": 1}], "command": "x"}, "cannot stand in a placeholder"),
        ({"each": ["a"], "command": "x", "max_failures": "5"}, "is not a share"),
        ({"each": ["a"], "command": "x", "max_failures": "500%"}, "is not a share"),
        ({"each": ["a"], "command": "x", "max_failures": -1}, "expected a number of handlers"),
        ({"each": ["a"], "command": "x", "tty": True}, "no terminal"),
        ({"each": ["a"], "command": "x", "handler_workspace": "own"}, "is not one of stream, each"),
        ({"each": {"graph": "../x.json"}}, "must not lead out of the project"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    program: Program, stream: dict[str, object], reason: str
) -> None:
    program.plan({"fan": stream})
    assert reason in program.expect(2, "check").err


RECIPES = dict(
    re.findall(r"```toml\n# recipe: ([^\n]*)\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
)


@pytest.mark.parametrize(
    ("recipe", "path", "wanted"),
    [
        ("codemod", "src/main.txt", "goodbye\n"),
        ("matrix", "", ""),
        ("map and reduce", "total", "12\n"),
        ("workflow", "order", "one\ntwo\n"),
    ],
)
def test_the_recipes_do_what_the_page_says(
    program: Program, recipe: str, path: str, wanted: str
) -> None:
    """As they are written there."""
    tasks = [
        {"id": "b", "cmd": "echo two >> order", "after": ["a"]},
        {"id": "a", "cmd": "echo one >> order"},
    ]
    git(program.project, "rm", "-rqf", "src")
    files = {"src/main.txt": "hello\n", "src/other.txt": "hello\n"}
    write(program.project, {**files, "tasks.json": json.dumps({"tasks": tasks})})
    (program.project / "anabranch.toml").write_text(RECIPES[recipe])
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", recipe)
    told = program.expect(0, "run", "--headless")
    if path:
        commit = str(program.expect(0, "status", "--json").json()["commit"])
        assert content(program, commit, path) == wanted
    else:
        assert "3 of 3 handlers succeeded" in program.log("test"), told.err


def test_every_recipe_of_the_page_is_tried() -> None:
    assert set(RECIPES) == {"codemod", "matrix", "map and reduce", "workflow"}


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        ({"each": list(range(9)), "command": "false {item}", "max_failures": 1}, "more than 1 "),
        ({"each": {"lines_of": "echo a; exit 3"}, "command": "true {item}"}, "lines_of ended with"),
        ({"each": {"graph": "tasks.json"}}, "1 task was not started, as what goes before"),
    ],
)
def test_a_stream_that_stopped_early_says_why_wherever_it_stands(
    program: Program, stream: dict[str, object], why: str
) -> None:
    """Not only in its log: in the status, in the events, on the console's lines, in the report."""
    tasks = [
        {"id": "first", "command": "exit 7"},
        {"id": "second", "command": "true", "after": ["first"]},
    ]
    write(program.project, {"tasks.json": json.dumps({"tasks": tasks})})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "graph")
    program.plan({"fan": {**stream, "retries": 0, "max_parallel": 1}})
    said = program.expect(1, "run", "--headless").err
    assert re.search(rf"✗ fan +exit 1: .*{why}", said)
    assert "exit 1: " in program.status()["streams"][0]["reason"]
    assert why in program.status()["streams"][0]["reason"]
    assert why in program.expect(0, "report").out
    lines = map(json.loads, program.expect(0, "events", "--json").out.splitlines())
    (reason,) = [line["reason"] for line in lines if line["type"] == "handlers_stopped"]
    assert why in reason
    if "graph" in str(stream):
        assert "handler 0 (first): exit 7" in said


def test_whoever_depends_on_handlers_finds_a_file_of_results_even_if_none_began(
    program: Program,
) -> None:
    """Of two such streams both, in the order of depends_on; and status says how far they came."""
    program.plan(
        {
            "make": "true",
            "bad": {"each": {"graph": "no.json"}, "depends_on": ["make"], "retries": 0},
            "good": {"each": ["a", "b"], "command": "echo {index} > $ANABRANCH_RESULT"},
            "sum": {
                "command": "IFS=:; cat $ANABRANCH_RESULTS > found",
                "depends_on": {s: {"condition": "completed"} for s in ("bad", "good")},
                "retries": 0,
            },
        }
    )
    assert "bad: known when make has ended" in program.expect(0, "check").out
    program.run("run", "--headless", "--keep-going")
    assert program.streams()["sum"]["state"] == "succeeded", program.log("sum")
    shown = program.expect(0, "status").out
    assert "no.json cannot be read" in shown
    assert "2 of 2 handlers done" in shown


def test_the_output_of_one_handler_as_logs_of_streams_are_asked_for(program: Program) -> None:
    """Its last lines, as JSON, and what of it cannot be asked; one that wrote nothing says how."""
    command = "test {item} != mute || exit 4; seq 3; printf half"
    program.plan({"fan": {"each": ["a", "mute"], "command": command, "retries": 0}})
    program.expect(1, "run", "--headless")
    asked = ("logs", "fan", "--handler", "0")
    assert program.expect(0, *asked).out.split() == ["1", "2", "3", "half"]
    assert program.expect(0, *asked, "-n", "2").out.split() == ["3", "half"]
    lines = map(json.loads, program.expect(0, *asked, "--json").out.splitlines())
    assert [(one["handler"], one["line"]) for one in lines][2:] == [(0, "3"), (0, "half")]
    assert "newest" in program.expect(2, *asked, "--attempt", "1").err
    assert "newest" in program.expect(2, *asked, "--all").err
    assert "exit 4" in program.expect(0, "logs", "fan", "--handler", "1").err


def test_the_output_of_a_handler_is_followed_until_it_is_done(program: Program) -> None:
    """What it wrote before, what it writes while it is looked at, and no line of another."""
    go = program.project.parent / "go"
    command = f"echo begun {{item}}; until test -e {go}; do sleep 0.05; done; echo done {{item}}"
    program.plan({"fan": {"each": ["a", "b", "c"], "command": command, "max_parallel": 1}})
    running = program.begin("run", "--headless")
    asked = ("logs", "fan", "--handler")
    until(lambda: "begun a" in program.run(*asked, "0").out, "the first handler to begin")
    first, second = (program.begin(*asked, place, "-f") for place in ("0", "1"))
    until(lambda: "begun a" in first.out, "what is there already")
    go.touch()
    assert running.wait().code == 0
    assert first.wait().out.splitlines() == ["begun a", "done a"]
    assert second.wait().out.splitlines() == ["begun b", "done b"]


def test_a_stream_that_has_ended_is_recovered_by_what_failed_alone(
    program: Program, tmp_path: Path
) -> None:
    """As a look ahead says; its files are as its handlers have left them."""
    command = f"echo {{item}} >> done; test {{item}} != b -o -e {tmp_path}/mended"
    program.plan({"fan": {"each": ["a", "b", "c"], "command": command, "retries": 0}})
    program.expect(1, "run", "--headless")
    asked = ("recover", "fan", "hard")
    assert "only those are run that are not done" in program.expect(0, *asked, "--dry-run").out
    (tmp_path / "mended").touch()
    program.expect(0, *asked)
    done = Counter(content(program, str(program.status()["commit"]), "done").split())
    assert done == {"a": 1, "b": 2, "c": 1}
