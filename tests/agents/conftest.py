"""A real coding agent, driven by a script on loopback; only where ``make test-agents`` wants it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.engine.runs import read_run
from tests.agents.scripted_model import Script, ScriptedModel
from tests.e2e.program import Program, Running, until
from tests.engine.repositories import make_repository

AGENT = "ANABRANCH_AGENT"
"""Names the agent's program; without it nothing here is collected."""
NOWHERE = "http://127.0.0.1:9"
"""Where requests for anywhere but loopback go: nobody listens there."""
TURN_IS_OVER = "waits for you at its terminal: `its turn is over`"

PLACE = Path(os.environ.get(AGENT, ""))
if AGENT not in os.environ:
    collect_ignore_glob = ["test_*.py"]


class Agents(Program):
    """The program in a project, with agents that hear one model."""

    def __init__(self, folder: Path) -> None:
        project, state = folder / "project", folder / "state"
        make_repository(project, {"a.txt": "a\n"})
        super().__init__(project, state, folder / "scratch")
        self.model = ScriptedModel({})
        self.home = folder / "home"
        self.home.mkdir()
        self.trusts(state)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment that commands get, and by them the agents."""
        found = super().environment(**more)
        return found | {
            "PATH": f"{PLACE.parent}:{found.get('PATH', os.defpath)}",
            "HOME": str(self.home),
            "ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_API_KEY": "any",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "IS_SANDBOX": "1",
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1",
        }

    def says(self, script: Script) -> None:
        """Have the model follow a script."""
        self.model.script = script

    def trusts(self, *folders: Path) -> None:
        """Have a person who has used the agent before, and lets it work in some folders."""
        known = {
            "hasCompletedOnboarding": True,
            "theme": "dark",
            "customApiKeyResponses": {"approved": ["any"], "rejected": []},
            "projects": {str(path.resolve()): {"hasTrustDialogAccepted": True} for path in folders},
        }
        (self.home / ".claude.json").write_text(json.dumps(known))

    def agent(self, name: str, prompt: str, *options: str) -> Running:
        """Add a stream of the template; it begins an open run, or hosts one that nobody does."""
        made = ("--template", "claude", "--prompt", prompt)
        return self.begin("add", "--name", name, *made, *options)

    def dies_and_comes_back(self, host: Running) -> Running:
        """Kill who hosts the run without a word, and have another one go on with it."""
        host.send(signal.SIGKILL)
        host.wait()
        again = self.begin("resume", "--headless")
        self.is_hosted()
        return again

    def is_hosted(self) -> None:
        """Wait until somebody hosts the run."""
        until(lambda: self.run_folders() and read_run(self.folder()).is_hosted, "it is hosted")

    def why(self, stream: str) -> str:
        """Return why a stream needs a person; empty if it does not."""
        if not self.run_folders():
            return ""
        found = self.streams().get(stream, {}).get("attention", {})
        return str(found["why"]) if found.get("needs_you") else ""

    def needed(self, stream: str, why: str) -> None:
        """Wait until a stream needs a person for a reason."""
        until(lambda: why in self.why(stream), f"{stream} needs a person: {why}")

    def leaves(self, stream: str) -> None:
        """Have an agent whose turn is over leave, and its stream end."""
        self.needed(stream, TURN_IS_OVER)
        self.expect(0, "send", stream, "/exit")
        until(lambda: self.streams()[stream]["state"] == "succeeded", f"{stream} ends")


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Agents]:
    agents = Agents(tmp_path)
    try:
        yield agents
    finally:
        agents.end_everything()
        agents.model.close()
