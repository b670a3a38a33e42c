"""Claude Code as streams on terminals: asked, attached to, reviewed, three at once, and kills."""

from __future__ import annotations

import time
from typing import Any

from tests.agents.conftest import TURN_IS_OVER, Agents
from tests.agents.scripted_model import Turn
from tests.e2e.program import until
from tests.e2e.terminals import OnTerminal
from tests.engine.repositories import git


def sh(command: str) -> Turn:
    """Have the agent run a command."""
    return {"tool": "Bash", "input": {"command": command, "description": "a step"}}


def ours(verb: str, **arguments: Any) -> Turn:
    """Have the agent call a verb of the run."""
    return {"tool": f"mcp__anabranch__{verb}", "input": arguments}


def test_what_it_wants_is_asked_and_answered_from_the_list(agents: Agents) -> None:
    """Allowed, refused, and allowed at its own terminal, over a kill of who hosts the run."""
    agents.says({"make it": [sh("echo 1 > 1.txt"), sh("echo 2 > 2.txt"), sh("echo 3 > 3.txt")]})
    host = agents.agent("one", "make it")
    agents.needed("one", "asks: `Bash: echo 1 > 1.txt` (allow, deny)")
    assert agents.asked(0, "attention", "--json").json()["counts"]["needs_you"] == 1
    host = agents.dies_and_comes_back(host)
    agents.needed("one", "asks: `Bash: echo 1 > 1.txt`")
    agents.expect(0, "answer", "one", "--yes")
    agents.needed("one", "asks: `Bash: echo 2 > 2.txt`")
    console = OnTerminal(agents, "console")
    try:
        console.until(b"blocked")
        console.types(b"v")
        console.until(b"esc back")
        time.sleep(1.0)  # a key that comes with the question answers nothing
        console.types(b"n")
        agents.needed("one", "asks: `Bash: echo 3 > 3.txt`")
        console.types(b"q")
        assert console.code() == 0
    finally:
        console.close()
    agents.needed("one", "asks: `Bash: echo 3 > 3.txt`")
    person = OnTerminal(agents, "attach", "one")
    try:
        person.until(b"proceed?")
        person.types(b"\r")
        agents.needed("one", TURN_IS_OVER)
        person.types(b"\x1d")
        assert person.code() == 0
    finally:
        person.close()
    assert any("refused" in result for result in agents.model.results)
    agents.leaves("one")
    agents.expect(0, "close")
    host.wait()
    agents.expect(0, "approve")
    assert git(agents.project, "ls-files", "[123].txt").split() == ["1.txt", "3.txt"]


def test_who_attaches_types_a_line_and_leaves_it_going_on(agents: Agents) -> None:
    """The host is killed while somebody is attached; what is typed then is heard."""
    agents.says({"begin": [], "and then this": [ours("state_set", key="heard", value=1)]})
    host = agents.agent("one", "begin")
    agents.needed("one", TURN_IS_OVER)
    person = OnTerminal(agents, "attach", "one")
    try:
        person.until(b"begin")
        host = agents.dies_and_comes_back(host)
        person.types(b"and then this")
        person.until(b"this")
        refused = agents.expect(1, "send", "one", "something else")
        assert "half-typed" in refused.out + refused.err
        person.types(b"\r")
        until(lambda: ("begin", "and then this") in agents.model.heard, "it is heard")
        person.types(b"\x1d")
        assert person.code() == 0
    finally:
        person.close()
    agents.needed("one", TURN_IS_OVER)
    assert agents.asked(0, "state", "get", "heard", "--json").json()["value"] == 1
    agents.leaves("one")
    agents.expect(0, "close")
    assert host.wait().code == 0
    assert agents.streams()["one"]["attempt"] == 1


def test_a_folder_that_is_new_to_it_is_asked_about_at_its_terminal(agents: Agents) -> None:
    """Its hooks do not run yet; who needs a person is known all the same."""
    agents.trusts()
    agents.says({"begin": [sh("echo 1 > 1.txt")]})
    host = agents.agent("one", "begin")
    agents.needed("one", "waits for you at its terminal: `whether it may work in this folder`")
    person = OnTerminal(agents, "attach", "one")
    try:
        person.until(b"trust")
        person.types(b"\r")
        agents.needed("one", "asks: `Bash: echo 1 > 1.txt`")
        person.types(b"\x1d")
        assert person.code() == 0
    finally:
        person.close()
    agents.expect(0, "stop")
    host.wait()


def test_its_work_is_handed_back_into_the_conversation_and_then_taken(agents: Agents) -> None:
    """The next attempt goes on with the conversation of the one before, and hears the note."""
    agents.says(
        {"make it": [sh("echo 1 > 1.txt")], "mend the end": [sh("cat 1.txt; echo 2 > 2.txt")]}
    )
    host = agents.agent("one", "make it", "--review")
    agents.needed("one", "1.txt")
    agents.expect(0, "answer", "one", "--yes")
    agents.leaves("one")
    agents.needed("one", "waits for your review: 1 changed file")
    assert host.wait().code == 0
    host = agents.begin("review", "one", "--hand-back", "-m", "mend the end")
    until(lambda: agents.streams()["one"]["attempt"] == 2, "its next attempt begins")
    host = agents.dies_and_comes_back(host)
    agents.needed("one", "asks: `Bash: cat 1.txt; echo 2 > 2.txt`")
    assert ("make it", "mend the end") in agents.model.heard
    agents.expect(0, "answer", "one", "--yes")
    agents.needed("one", TURN_IS_OVER)
    assert '"1' in agents.model.results[-1]
    agents.leaves("one")
    agents.needed("one", "waits for your review: 2 changed files")
    agents.expect(0, "review", "one", "--take")
    agents.expect(0, "close")
    host.wait()
    agents.expect(0, "approve")
    assert git(agents.project, "ls-files", "[12].txt").split() == ["1.txt", "2.txt"]


def test_three_at_once_take_turns_under_a_lock(agents: Agents) -> None:
    """By the run's tools; the host is killed while one has the lock and others wait for it."""
    shared = agents.scratch / "turns"
    turns = [
        ours("lock", path="notes/", wait_seconds=45),
        sh(f"echo $ANABRANCH_STREAM >> {shared}"),
        ours("unlock", path="notes/"),
    ]
    agents.says({"take turns": turns})
    names = ("one", "two", "three")
    host = agents.agent(names[0], "take turns")
    agents.is_hosted()
    for name in names[1:]:
        agents.expect(0, "add", "--name", name, "--template", "claude", "--prompt", "take turns")
    first = next(iter(until_some(agents, names)))
    until(lambda: _count(agents, "lock_queued") == 2, "the others wait")
    host = agents.dies_and_comes_back(host)
    agents.expect(0, "answer", first, "--yes")
    for _ in names[1:]:
        agents.needed(first, TURN_IS_OVER)
        first = next(iter(until_some(agents, names)))
        agents.expect(0, "answer", first, "--yes")
    for name in names:
        agents.leaves(name)
    held = [e["type"] for e in agents.events() if e["type"] in ("lock_granted", "lock_released")]
    assert held == ["lock_granted", "lock_released"] * 3
    agents.expect(0, "close")
    assert host.wait().code == 0
    assert sorted(shared.read_text().split()) == sorted(names)


def until_some(agents: Agents, names: tuple[str, ...]) -> list[str]:
    """Wait until one of some streams asks something, and return who does."""
    found: list[str] = []

    def look() -> bool:
        found[:] = [name for name in names if "asks: `Bash" in agents.why(name)]
        return bool(found)

    until(look, "somebody asks")
    return found


def _count(agents: Agents, kind: str) -> int:
    return sum(event["type"] == kind for event in agents.events())
