"""Services in real runs: a small HTTP server, those who need it, and a console that is killed."""

from __future__ import annotations

from tests.e2e.program import Program, until
from tests.engine.repositories import git

API = {
    "command": "echo made > by-the-service.txt; "
    "exec python3 -u -m http.server --bind 127.0.0.1 $ANABRANCH_PORT_WEB",
    "kind": "service",
    "ports": ["web"],
    "ready": {"http": "/", "port": "web"},
}
READY = {"api": {"condition": "ready"}}
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
