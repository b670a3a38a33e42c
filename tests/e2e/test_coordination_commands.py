"""The commands that show how streams coordinate: beside a running run, and long after it."""

from __future__ import annotations

import re
import shlex
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from anabranch.client import Client
from anabranch.config import LoadedPlan, parse_plan
from anabranch.engine.gateway.addresses import socket_folder
from tests.e2e.program import Program, until

DOCUMENT = Path(__file__).parents[2] / "docs" / "coordination.md"
HOLDER = """set -e
ab-stream heartbeat --status 'holding on' --progress 0.25
ab-stream lock src/a.txt
ab-stream state set build '{"n": 1}'
ab-stream state set notes '"from sh"'
ab-stream send waiter 'take care of a.txt'
ab-stream send holder --deadline 0.05 'too late'
ab-stream request db=1
ab-stream arrive final --state '{"half": true}' || test $? = 75
echo all is set
until ab-stream inbox --wait 40 | grep -q 'go-now'; do :; done
ab-stream unlock src/a.txt
"""
WAITER = """
import anabranch
from anabranch.client import Client

stream = Client()
with anabranch.lock_manager.acquire_file_lock("src/a.txt", timeout_seconds=100) as lock:
    anabranch.AtomicFileOperations.atomic_write("src/a.txt", "by the waiter\\n")
    anabranch.state_manager.create_new_version(
        lambda values: {**values, "build": {"n": values["build"]["n"] + 1}}, "waiter"
    )
for message in stream.inbox()["messages"]:
    stream.ack(message["id"])
anabranch.coordinator.broadcast_message("waiter", {"done": [lock.fence]})
"""
THIRD = "ab-stream lock other.txt --read && ab-stream unlock other.txt"


@pytest.fixture
def run(program: Program) -> Program:
    """Give a project whose plan has streams that coordinate until they are told to go on."""
    waiter = f"until ab-stream state get notes | grep -q 'from sh'; do :; done; {python(WAITER)}"
    program.plan(
        {
            "holder": {"command": HOLDER, "capabilities": ["holding"]},
            "waiter": waiter,
            "third": THIRD,
        },
        resources={"db": 1},
    )
    return program


def python(program: str) -> str:
    """Return the command that runs a program with this Python."""
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


def as_json(program: Program, *arguments: str) -> Any:
    """Return what a command says as JSON, having seen that it names its schema and the run."""
    found = program.asked(0, *arguments, "--json").json()
    assert found["schema"] == 1
    assert found["run"] == program.folder().run
    return found


def is_rfc3339(text: str) -> bool:
    """Say whether a time is written as all times are."""
    return len(text) == 24 and text[10] == "T" and text.endswith("Z")


def test_what_streams_do_is_seen_while_they_do_it_and_afterwards(run: Program) -> None:
    """Locks, state, messages, streams and convergence points, live and after the run."""
    running = run.begin("run", "--headless")
    run.await_log("holder", "all is set")
    until(lambda: any(e["type"] == "lock_queued" for e in run.events()), "somebody waits")
    join_from_outside(run)
    look_at_locks(run)
    look_at_streams(run)
    look_at_points(run)
    look_at_early_messages(run)
    look_at_early_state(run)
    tell_to_go(run)
    ended = running.wait()
    assert ended.code == 0, (ended, run.log("holder"), run.log("waiter"))
    look_back_at_locks(run)
    look_back_at_state(run)
    look_back_at_messages(run)
    look_at_the_proofs(run)
    refuse_a_history_that_was_changed(run)


def operator(run: Program) -> Client:
    """Return a client with the operator's token, as somebody outside of all streams has it."""
    folder = run.folder()
    token = folder.operator_token.read_text("ascii")
    return Client(str(socket_folder(folder) / "socket"), token)


def join_from_outside(run: Program) -> None:
    """Let a stream join that the plan does not know."""
    with operator(run) as outside:
        outside.register("guest", ["analysis"]).expect()


def tell_to_go(run: Program) -> None:
    """Send a message as the operator."""
    with operator(run) as outside:
        outside.send("holder", "go-now").expect()


def look_at_locks(run: Program) -> None:
    found = as_json(run, "locks")
    lock = next(lock for lock in found["locks"] if lock["path"] == "src/a.txt")
    (holder,), (waiting,) = lock["holders"], lock["waiting"]
    assert lock["mode"] == "write"
    assert (holder["stream"], holder["attempt"]) == ("holder", 1)
    assert holder["fence"] > 0
    assert (waiting["stream"], waiting["position"]) == ("waiter", 1)
    assert is_rfc3339(holder["since"])
    assert is_rfc3339(waiting["since"])
    assert [(c["stream"], c["outcome"]) for c in found["contentions"]] == [("waiter", "waiting")]
    assert (found["cycles"], found["violations"]) == ([], [])
    text = run.asked(0, "locks").out
    assert "src/a.txt" in text
    assert "#1" in text


def look_at_streams(run: Program) -> None:
    streams = {s["stream"]: s for s in as_json(run, "streams")["streams"]}
    assert streams["holder"]["capabilities"] == ["holding"]
    assert streams["holder"]["liveness"]["status"] == "holding on"
    assert streams["holder"]["liveness"]["progress"] == 0.25
    (wait,) = streams["waiter"]["waits_for"]
    assert (wait["kind"], wait["name"], wait["holder"]) == ("lock", "src/a.txt", "holder")
    assert is_rfc3339(wait["since"])
    assert "waits for the lock of src/a.txt, which holder holds" in run.asked(0, "streams").out
    assert (streams["guest"]["state"], streams["guest"]["capabilities"]) == ("joined", ["analysis"])
    for name in ("streams", "status"):
        lines = run.asked(0, name).out.splitlines()
        assert any("joined" in line and "guest" in line for line in lines)
    assert "waits for the lock of src/a.txt" in run.asked(0, "streams").out


def look_at_points(run: Program) -> None:
    (final,) = as_json(run, "convergence")["convergence"]
    assert (final["point"], final["type"], final["state"]) == ("final", "barrier", "waiting")
    assert {"holder", "waiter"} <= set(final["waiting_for"])
    (arrival,) = final["gathering"]
    assert (arrival["stream"], arrival["waits"]) == ("holder", False)
    assert arrival["state"] == {"half": True}
    for name in ("arrived", "merged", "quarantined", "conflicts"):
        assert isinstance(final[name], list)
    assert "holder has arrived and has gone on" in run.asked(0, "convergence").out


def look_at_early_messages(run: Program) -> None:
    def states() -> dict[str, str]:
        return {m["body"]: m["state"] for m in as_json(run, "messages")["messages"]}

    until(lambda: states().get("too late") in ("dead", "expired"), "its deadline has passed")
    (first, *_) = as_json(run, "messages")["messages"]
    assert (first["from"], first["to"]) == ("holder", "waiter")
    assert first["state"] == "queued"
    assert is_rfc3339(first["sent"])
    dead = as_json(run, "messages", "--dead")["messages"]
    assert [m["body"] for m in dead] == ["too late"]
    assert "take care of a.txt" in run.asked(0, "messages", "--stream", "waiter").out


def look_at_early_state(run: Program) -> None:
    found = as_json(run, "state", "log")
    assert [(c["version"], c["key"]) for c in found["changes"]] == [(1, "build"), (2, "notes")]
    assert (found["head"], found["faults"]) == (2, [])
    assert as_json(run, "state", "restore", "2")["keys"] == [], "it is so already"


def look_back_at_locks(run: Program) -> None:
    found = as_json(run, "locks")
    assert found["locks"] == []
    assert [(c["stream"], c["outcome"]) for c in found["contentions"]] == [("waiter", "granted")]
    assert "no lock is held" in run.asked(0, "locks").out


def look_back_at_state(run: Program) -> None:
    changes = as_json(run, "state", "log", "--key", "build")["changes"]
    assert [(c["before"], c["after"], c["stream"]) for c in changes] == [
        (None, {"n": 1}, "holder"),
        ({"n": 1}, {"n": 2}, "waiter"),
    ]
    assert all(is_rfc3339(c["time"]) for c in changes)
    assert [c["version"] for c in as_json(run, "state", "log", "--since", "2")["changes"]] == [3]
    assert as_json(run, "state", "get", "build")["value"] == {"n": 2}
    assert as_json(run, "state", "get", "build", "--version", "1")["value"] == {"n": 1}
    assert as_json(run, "state", "get", "notes", "--version", "1")["value"] is None
    assert run.asked(1, "state", "get", "nothing").out == ""
    error = run.asked(2, "state", "get", "build", "--version", "9", "--json").json()["error"]
    assert "no version 9" in error["message"]
    assert "holder" in run.asked(0, "state", "log").out


def look_back_at_messages(run: Program) -> None:
    messages = {str(m["body"]): m for m in as_json(run, "messages")["messages"]}
    assert messages["take care of a.txt"]["state"] == "acked"
    assert messages["go-now"]["from"] == "operator"
    assert any(m["to"] == "*" for m in messages.values())
    assert all({"id", "from", "to", "body", "sent", "state"} <= set(m) for m in messages.values())


def look_at_the_proofs(run: Program) -> None:
    integrity = run.asked(0, "report", "--json").json()["integrity"]
    assert (integrity["journal"], integrity["state"]) == ("ok", "ok")
    assert history_findings(run) == ["ok"]


def history_findings(run: Program) -> list[str]:
    """Return what ``doctor`` finds about histories."""
    found = run.ask("doctor", "--json").json()["findings"]
    return [f["verdict"] for f in found if f["subject"] == "history"]


def refuse_a_history_that_was_changed(run: Program) -> None:
    """One altered value in the journal, and every proof says so."""
    _alter(run.folder().journal)
    said = run.ask("state", "log", "--json")
    assert said.code == 3
    assert said.json()["faults"]
    assert "not whole" in said.err
    assert history_findings(run) == ["fault"]
    integrity = run.ask("report", "--json").json()["integrity"]
    assert "is not what was written" in integrity["state"], "the report is proved anew"
    for form in ("text", "md"):
        assert "is not what was written" in run.ask("report", "--format", form).out


def _alter(journal: Path) -> None:
    with sqlite3.connect(journal) as db:
        rows = db.execute("SELECT seq, body FROM event").fetchall()
        seq, body = next((s, b) for s, b in rows if b'"from sh"' in b and b"state_changed" in b)
        db.execute(
            "UPDATE event SET body = ? WHERE seq = ?", (body.replace(b"from sh", b"from xx"), seq)
        )
    db.close()


def test_a_run_in_which_nobody_coordinated_has_nothing_to_tell(program: Program) -> None:
    """Empty answers keep their shape, and people are told so in words."""
    program.plan({"one": "true"})
    program.expect(0, "run", "--headless")
    found = as_json(program, "locks")
    assert {name: found[name] for name in ("locks", "contentions", "cycles", "violations")} == {
        "locks": [],
        "contentions": [],
        "cycles": [],
        "violations": [],
    }
    log = as_json(program, "state", "log")
    assert (log["changes"], log["head"]) == ([], 0)
    assert as_json(program, "messages")["messages"] == []
    assert "no message" in program.asked(0, "messages").err
    assert "no change" in program.asked(0, "state", "log").err
    for name in (("locks",), ("messages",), ("convergence",), ("state", "log")):
        error = program.asked(2, *name, "no-such-run", "--json").json()["error"]
        assert error["code"] == "usage"
        assert error["hint"]


def test_the_examples_of_the_documentation_run(program: Program) -> None:
    """What people copy from the page works as it stands."""
    text = DOCUMENT.read_text("utf-8")
    plan, shell, code = (
        "\n".join(re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL))
        for kind in ("toml", "sh", "python")
    )
    assert isinstance(parse_plan(plan), LoadedPlan)
    program.plan({"unit": f"set -e\n{shell}", "docs": python(code)}, resources={"db": 1})
    done = program.run("run", "--headless")
    assert done.code == 0, (done, program.log("unit"), program.log("docs"))
    assert "I hold it, fence " in program.log("unit")
    assert "docs None 1" in program.log("docs")
    assert "docs 1 2" in program.log("docs")


def test_a_write_against_a_lock_right_before_the_end_is_no_secret(program: Program) -> None:
    """Nobody had time to watch: it is held against the locks when the work is captured."""
    flag, done = program.project.parent / "held", program.project.parent / "done"
    wait = "while [ ! -e {} ]; do sleep 0.01; done"
    program.plan({
        "holder": f"ab-stream lock src/a.txt --write; touch {flag}; {wait.format(done)}",
        "writer": f"{wait.format(flag)}; echo mine > src/a.txt",
        "after": {"command": f"touch {done}", "depends_on": ["writer"]},
    })  # fmt: skip
    program.expect(4, "run", "--headless", "--max-parallel", "3")
    (violation,) = as_json(program, "locks")["violations"]
    assert (violation["stream"], violation["path"]) == ("writer", "src/a.txt")
    program.expect(0, "allow", "writer")
