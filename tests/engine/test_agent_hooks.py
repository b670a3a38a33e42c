"""A coding agent's hooks: what it asks is asked of a person, and what is said to it arrives."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.client import ab_agent, ab_hook
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.questions import open_questions
from anabranch.core.views.attention import attention_of
from tests.engine.knocking import DEADLINE_SECONDS, Bench

A = StreamId("a")
WISH = {"tool_name": "Bash", "tool_input": {"command": "rm -r build", "description": "x"}}


class Agent:
    """An agent that runs as a stream, as far as its hooks go."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    async def begins(self, event: str, **facts: Any) -> asyncio.subprocess.Process:
        """Start a hook, and let it go on."""
        environment = os.environ | self.bench.environment("a") | {"ANABRANCH_STREAM": "a"}
        program = self.bench.folder / "run" / "bin" / "ab-stream"
        process = await asyncio.create_subprocess_exec(
            program,
            "hook",
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps({"hook_event_name": event, **facts}).encode())
        process.stdin.close()
        return process

    async def hears(self, hook: asyncio.subprocess.Process) -> Any:
        """Return what a hook that ends tells the agent; None if that is nothing."""
        assert hook.stdout is not None
        said = await asyncio.wait_for(hook.stdout.read(), DEADLINE_SECONDS)
        assert await hook.wait() == 0
        return json.loads(said) if said else None

    async def tells(self, event: str, **facts: Any) -> Any:
        """Let something happen to the agent, and return what its hook answers."""
        return await self.hears(await self.begins(event, **facts))

    async def wishes(self, **facts: Any) -> asyncio.subprocess.Process:
        """Have it ask for permission, until the question stands."""
        hook = await self.begins("PermissionRequest", **WISH, **facts)
        await self.bench.until(lambda: self.asked)
        return hook

    @property
    def asked(self) -> list[str]:
        """What it asks a person now."""
        return [q.text for q in open_questions(self.bench.state.questions, A)]

    @property
    def why(self) -> str:
        """Why a person is needed; empty if nobody is."""
        found = attention_of(self.bench.state, A)
        return found.why if found.needs_you else ""


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    bench = Bench(tmp_path, "a", "b")
    await bench.open()
    yield Agent(bench)
    await bench.close()


@pytest.mark.parametrize(("answer", "behavior"), [("allow", "allow"), ("deny", "deny")])
async def test_a_wish_for_permission_is_answered_by_a_person(
    agent: Agent, answer: str, behavior: str
) -> None:
    hook = await agent.wishes()
    assert agent.why == "asks: `Bash: rm -r build` (allow, deny)"
    agent.bench.post(inputs.AnswerQuestion(stream=A, answer=answer))
    said = (await agent.hears(hook))["hookSpecificOutput"]
    assert (said["hookEventName"], said["decision"]["behavior"]) == ("PermissionRequest", behavior)
    assert agent.why == ""


async def test_a_wish_that_is_answered_at_the_terminal_is_asked_no_longer(agent: Agent) -> None:
    """Allowed there, the tool is used; refused there, the agent ends its hook."""
    hook = await agent.wishes()
    assert await agent.tells("PostToolUse", tool_name="Bash", tool_input={"command": "ls"}) is None
    assert agent.asked == ["Bash: rm -r build"]
    assert await agent.tells("PostToolUse", **WISH) is None
    assert await agent.hears(hook) is None
    assert agent.asked == []
    hook = await agent.wishes()
    hook.send_signal(signal.SIGTERM)
    assert await agent.hears(hook) is None
    assert agent.asked == []


async def test_a_turn_that_is_over_waits_for_a_person_until_the_next_begins(agent: Agent) -> None:
    assert await agent.tells("Stop") is None
    assert agent.why == "waits for you at its terminal: `its turn is over`"
    assert await agent.tells("UserPromptSubmit", prompt="go on") is None
    assert agent.why == ""


async def test_what_is_said_to_it_arrives_in_the_conversation_once(agent: Agent) -> None:
    """While it works, and where its turn would be over: then it goes on."""
    for event in ("SessionStart", "UserPromptSubmit", "PostToolUse", "Stop"):
        await agent.bench.ask("b", "send", to="a", body={"text": f"mind {event}"})
        said = await agent.tells(event, transcript_path="/t", **WISH)
        told = said.get("reason") or said["hookSpecificOutput"]["additionalContext"]
        assert told == f"A message from stream b of this run:\nmind {event}"
        assert (said.get("decision") == "block") == (event == "Stop")
        assert (await agent.bench.ask("a", "inbox"))["messages"] == []
    assert (await agent.bench.ask("a", "state_get", key="agent/a"))["value"] == "/t"


async def test_a_hook_that_is_not_meant_says_nothing(agent: Agent) -> None:
    for event in ("Notification", "SubagentStop", ""):
        assert await agent.tells(event, tool_name=" ", tool_input=7) is None
    assert agent.why == ""


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"tool_name": "Write", "cwd": "/w", "tool_input": {"file_path": "/w/b.txt"}}, "b.txt"),
        ({"tool_name": "Write", "cwd": "/w", "tool_input": {"file_path": "/x/b.txt"}}, "/x/b.txt"),
        ({"tool_name": "Write", "tool_input": {"n": 1}}, '{"n": 1}'),
        ({"tool_name": "Write", "tool_input": "what"}, "{}"),
        ({"tool_name": "Write", "tool_input": {"command": "x" * 999}}, "x" * 392 + "…"),
    ],
)
def test_a_wish_in_words(facts: dict[str, Any], words: str) -> None:
    assert ab_hook.words_for(facts) == f"Write: {words}"


@pytest.mark.parametrize(
    ("said", "before", "end"),
    [
        ("", "/t", ["--model", "m", "--", "do it"]),
        ("mend it", "/t", ["--resume", "/t", "--model", "m", "--", "mend it"]),
        ("mend it", "", ["--model", "m", "--", "do it\n\nmend it"]),
    ],
)
def test_an_agent_goes_on_with_its_conversation_after_a_review(
    said: str, before: str, end: list[str]
) -> None:
    words = ["/opt/claude", "--model", "m", "do it"]
    command = ab_agent.command_for(words, ab_hook.settings(), said, lambda: before)
    assert (command[0], command[5:]) == ("/opt/claude", end)
    assert "ab-stream hook" in command[2]


@pytest.mark.parametrize("words", [[], ["vim", "x"], ["claude"], ["claude", " "]])
def test_an_agent_that_is_not_known_is_refused(words: list[str]) -> None:
    with pytest.raises(ab_agent.WrongUsage):
        ab_agent.command_for(words, {}, "", str)


@pytest.mark.parametrize(
    ("known", "is_trusted"),
    [
        ({"projects": {"/runs/one": {"hasTrustDialogAccepted": True}}}, True),
        ({"projects": {"/runs": {"hasTrustDialogAccepted": True}}}, True),
        ({"projects": {"/runs": {"hasTrustDialogAccepted": False}, "/": {}}}, False),
        ({"projects": {"/runs/two": {"hasTrustDialogAccepted": True}}}, False),
        ({"projects": 7}, False),
        ({}, False),
    ],
)
def test_a_folder_is_trusted_by_itself_or_by_one_above_it(
    known: object, is_trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    assert not ab_agent.is_trusted("/runs/one")
    (tmp_path / ".claude.json").write_text(json.dumps(known))
    assert ab_agent.is_trusted("/runs/one") == is_trusted
