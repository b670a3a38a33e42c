"""Services in real runs: a small HTTP server, those who need it, and a console that is killed."""

from __future__ import annotations

import tomllib
from typing import Any

from anabranch.config import LoadedPlan, parse_plan
from tests.e2e.program import Program, until
from tests.engine.repositories import git, write

API: dict[str, Any] = {
    "command": "echo made > by-the-service.txt; "
    "exec python3 -u -m http.server --bind 127.0.0.1 $ANABRANCH_PORT_WEB",
    "kind": "service",
    "ports": ["web"],
    "ready": {"http": "/", "port": "web"},
}
READY: dict[str, Any] = {"api": {"condition": "ready"}}
FETCH = """exec 3<>/dev/tcp/127.0.0.1/$ANABRANCH_PORT_API_WEB
printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3 > answer.txt"""


def test_a_job_uses_a_service_and_the_run_ends_with_its_jobs(program: Program) -> None:
    """One slot is enough; what the service wrote is kept, and not merged."""
    program.plan(
        {"api": API, "e2e": {"command": ["bash", "-c", FETCH], "depends_on": READY}},
        max_parallel=1,
    )
    program.expect(0, "run", "--headless")
    streams = program.streams()
    assert streams["api"]["state"] == "succeeded"
    assert streams["api"]["reason"] == "nobody needs it any more"
    types = [(e["type"], e.get("stream")) for e in program.events()]
    assert types.index(("service_ready", "api")) < types.index(("stream_started", "e2e"))
    commit, (kept,) = program.status()["commit"], streams["api"]["partial"]
    assert git(program.project, "show", f"{commit}:answer.txt").startswith("HTTP/1.0 200 OK")
    assert "by-the-service" not in git(program.project, "ls-tree", "--name-only", commit)
    assert git(program.project, "show", f"{kept}:by-the-service.txt") == "made\n"
    program.await_quiet()


def test_a_service_outlives_its_console_and_is_known_to_be_ready(program: Program) -> None:
    go = program.scratch / "go"
    waits = f"until test -e {go}; do sleep 0.05; done"
    program.plan({"api": API, "e2e": {"command": waits, "depends_on": READY}})
    console = program.begin("run", "--headless")
    until(lambda: program.run_folders() and program.log("e2e") is not None, "it has begun")
    until(lambda: program.streams()["e2e"]["state"] == "running", "the job is at work")
    before = program.streams()["api"]
    assert before["state"] == "ready"
    assert before["service"]["evidence"] == "GET /: 200 OK"
    console.kill()
    assert program.streams()["api"] == before
    resumed = program.begin("resume", "--headless")
    until(lambda: program.status()["state"] == "running", "it is hosted again")
    go.touch()
    assert resumed.wait().code == 0
    assert program.streams()["api"]["attempt"] == 1
    assert [e["type"] for e in program.events()].count("service_ready") == 1


def test_one_that_is_added_is_there_for_who_is_added_after_it(program: Program) -> None:
    """Beside a host; the plan as it then is says the same again."""
    gate = program.scratch / "gate"
    waits = f"echo ready; until test -e {gate}; do sleep 0.05; done"
    host = program.begin("add", "--name", "first", "--", waits)
    program.await_log("first", "ready")
    ready = ("--ports", "web", "--ready", "port=web", "--ready", "http=/", "--ready", "timeout=20")
    program.asked(0, "add", "--name", "api", "--service", *ready, "--", API["command"])
    program.asked(0, "add", "--name", "e2e", "--after", "api", "--", "bash", "-c", FETCH)
    until(lambda: program.streams()["e2e"]["state"] == "succeeded", "it found the service")
    gate.touch()
    assert host.wait().code == 0
    streams = tomllib.loads(program.asked(0, "plan").out)["streams"]
    assert streams["api"] == {
        "command": API["command"],
        "kind": "service",
        "ports": ["web"],
        "ready": {"port": "web", "http": "/", "timeout": 20},
        "optional": True,
    }
    assert streams["e2e"]["depends_on"] == READY
    for said, why in (
        (("--ready", "port=db"), "it has no port `db`"),
        (("--ready", "http=/"), "needs exactly one of"),
        (("--ready", "web"), "is not KEY=VALUE"),
    ):
        refused = program.asked(2, "add", "--service", "--ports", "web", *said, "--", "true")
        assert why in refused.err
    assert "is of services" in program.asked(2, "add", "--restart", "never", "--", "true").err
    program.expect(0, "close")
    assert program.status()["state"] == "converged"


def test_a_run_is_written_back_with_all_that_a_service_is(program: Program) -> None:
    write(program.project, {".env": "A=1\n", "sub/x": "x\n"})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "parts")
    more = {
        "ready": API["ready"] | {"interval": 2, "failures": 5},
        "restart": "always",
        "retries": 4,
        "paths": ["sub"],
        "env_file": [".env"],
        "setup": "true",
        "teardown": ["true"],
    }
    program.plan(
        {"api": API | more, "e2e": {"command": "true", "depends_on": READY, "setup": False}},
        isolation={"setup": "echo all", "setup_inputs": ["sub/x"], "teardown": "echo over"},
    )
    before = (program.project / "anabranch.toml").read_text()
    program.expect(0, "run", "--headless")
    written = program.asked(0, "plan").out
    told = tomllib.loads(written)["streams"]["api"]
    assert {key: told[key] for key in more} == more | {"ready": more["ready"] | {"timeout": 30}}
    plans = [parse_plan(text) for text in (before, written)]
    assert all(isinstance(p, LoadedPlan) for p in plans), plans
    first, second = [p.plan for p in plans if isinstance(p, LoadedPlan)]
    assert first.streams == second.streams
    assert (first.setup, first.teardown) == (second.setup, second.teardown)


SERVER = """import http.server, os, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if os.path.exists(sys.argv[1]) else 200)
        self.end_headers()

port = int(os.environ["ANABRANCH_PORT_WEB"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


def test_one_that_answers_no_more_is_started_again(program: Program) -> None:
    """Its process is still there. Who has not begun waits; what is never restarted has failed."""
    write(program.project, {"server.py": SERVER})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "a server")
    sick, worse = program.scratch / "sick", program.scratch / "worse"
    watched = {"ready": API["ready"] | {"interval": 0.05, "failures": 2}}
    serve = f"rm -f {sick}; exec python3 server.py "
    breaks = f"touch {sick} {worse}; while test -e {sick}; do sleep 0.05; done"
    program.plan(
        {
            "api": API | watched | {"command": serve + str(sick)},
            "cache": API
            | watched
            | {"restart": "never", "optional": True}
            | {"command": f"exec python3 server.py {worse}"},
            "breaks": {
                "command": breaks,
                "depends_on": READY | {"cache": {"condition": "ready"}},
            },
            "late": {"command": "true", "depends_on": READY | {"breaks": {}}},
        }
    )
    program.expect(0, "run", "--headless")
    events = [(e["type"], e.get("stream"), e.get("attempt")) for e in program.events()]
    unhealthy = events.index(("service_unhealthy", "api", 1))
    again = events.index(("service_ready", "api", 2))
    assert unhealthy < again < events.index(("stream_started", "late", 1))
    streams = program.streams()
    assert (streams["api"]["state"], streams["api"]["service"]["restarts"]) == ("succeeded", 1)
    assert streams["api"]["service"]["unhealthy"] is None
    assert streams["cache"]["state"] == "failed"
    found = streams["cache"]["service"]["unhealthy"]
    assert found["evidence"] == "GET /: 503 Service Unavailable, 2 looks in a row"
    assert streams["cache"]["started"] <= found["since"] <= streams["cache"]["ended"]
    assert "it was ready, and answers no more: GET /: 503" in streams["cache"]["reason"]


def test_one_that_is_never_ready_fails_with_what_was_seen(program: Program) -> None:
    never = {"ready": {"log": "listening", "timeout": 0.2}, "restart": "never"}
    program.plan(
        {
            "api": {"command": "echo starting; sleep 60", "kind": "service", **never},
            "e2e": {"command": "true", "depends_on": READY},
        }
    )
    program.expect(1, "run", "--headless")
    streams = program.streams()
    assert streams["api"]["state"] == "failed"
    reason = "it was not ready within 0.2 s: no line of its log fits listening"
    assert reason in streams["api"]["reason"]
    assert streams["e2e"]["state"] == "skipped"
