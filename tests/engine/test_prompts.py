"""Prompts that stand on terminals: two signs must agree, and in doubt there is none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.engine import prompt_watch
from anabranch.engine.prompt_watch import QUIET_SECONDS, PromptWatch, Signs, prompt_in
from anabranch.engine.terminal_readers import Call, Reading, parse_call
from anabranch.paths import RunFolder
from anabranch.testing import ByHand, plan_of, stream
from tests.core.given import STRATEGIES
from tests.e2e.conftest import Crew

LONG = QUIET_SECONDS + 1


@pytest.mark.parametrize(
    ("line", "reading", "takes_lines", "is_prompt"),
    [
        ("Continue? [y/N]", "reads", True, True),
        ("Password:", "reads", True, True),
        ("Name: ", "reads", True, True),
        (":", "reads", False, True),  # less, at a key
        ("Continue? [y/N]", "", True, False),  # asked, and nobody reads: it was piped in
        ("compiling 12 of 40: ", "", True, False),
        ("", "reads", True, False),  # it reads, and has asked nothing
        ("   ", "reads", True, False),
        ("compiling foo.c [12/40] ", "beside", True, False),
        ("[#####     ] 45%", "beside", True, False),
        ("linking: ", "beside", True, False),
        ("Overwrite? (y/n) ", "beside", True, True),
        ("[vite] ready in 300 ms: ", "polls", False, False),
        ("$ ", "polls", False, False),  # a shell at rest
        ("/src # ", "reads", True, False),
        (">>> ", "polls", False, False),
        ("Ok to proceed? (y) ", "polls", False, False),
        ("Do you want to proceed?", "polls", False, True),
        ("Overwrite [yes/no/all] ", "polls", False, True),
        ("Enter passphrase for key '/home/a/.ssh/id': ", "polls", False, True),
        ("Do you want to proceed?", "polls", True, False),  # it takes lines, and reads none
    ],
)
def test_a_line_is_a_prompt_where_somebody_waits_behind_it(
    line: str, reading: Reading, *, takes_lines: bool, is_prompt: bool
) -> None:
    signs = Signs(line, LONG, reading, takes_lines)
    assert prompt_in(signs) == (line.strip() if is_prompt else "")
    for doubt in ({"quiet_seconds": 1.0}, {"is_full_screen": True}, {"unread": 1}):
        assert prompt_in(replace(signs, **doubt)) == ""


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("0 0x0 0x7f 0x400 0x0 0x0 0x0 0x7ffe 0x7f", Call("read", 0)),
        ("0 0x1f 0x7f 0x400 0x0 0x0 0x0 0x7ffe 0x7f", Call("read", 31)),
        ("232 0x4 0x7f 0x400", Call("poll", -1)),
        ("61 0xffffffff 0x7f", None),  # waits for a child
        ("running", None),
        ("-1 0x7ffe 0x7f", None),
        ("", None),
    ],
)
def test_what_the_kernel_says_of_a_thread(line: str, call: Call | None) -> None:
    assert parse_call(line, "x86_64") == call
    assert parse_call(line, "a machine of the future") is None


# --- real programs -------------------------------------------------------------------------------

NOISE = "import sys,time\nwhile True: print(WORDS, end='', flush=True); time.sleep(0.7)"
PROGRAMS: dict[str, tuple[str, str]] = {
    "sh": ("printf 'Continue? [y/N] '; read x; echo got $x; sleep 60", "Continue? [y/N]"),
    "password": (f"{sys.executable} -c 'import getpass; getpass.getpass()'", "Password:"),
    "input": (f"{sys.executable} -c 'input(\"Name: \")'", "Name:"),
    "silent": ("read x", ""),
    "pipe": ("printf 'Continue? '; sleep 60 | read x", ""),
    "child": ("printf 'compiling: '; sleep 60", ""),
    "told": ("echo 'Continue?'; read x", ""),
    "shell": ("exec sh -i", ""),
}


class Watch:
    """A run whose streams are real programs, and what is seen of their terminals."""

    def __init__(self, crew: Crew, names: list[str]) -> None:
        plan = plan_of(*(stream(n, tty=True) for n in names), max_parallel=len(names))
        self.crew, self.hand = crew, ByHand(plan, STRATEGIES)
        self.watch = PromptWatch(RunFolder(crew.run_folder), lambda: 100.0)
        self.found: dict[str, str] = {}

    async def start(self, name: str, command: str) -> None:
        await self.crew.start(name, "/bin/sh", "-c", command, tty=True)
        began = await self.crew.begun(name)
        self.hand.ready(name)
        self.hand.give(began)

    def look(self) -> None:
        """Look once, and let the engine know."""
        vitals = dict.fromkeys(self.hand.state.streams)
        for seen in self.watch.look(self.hand.state, vitals):  # type: ignore[arg-type]
            assert isinstance(seen, inputs.PromptSeen)
            self.found[seen.stream] = seen.text
            self.hand.give(seen)


@pytest.fixture
async def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crew]:
    """Give a crew whose terminals count as quiet very soon."""
    monkeypatch.setattr(prompt_watch, "QUIET_SECONDS", 0.3)
    crew = Crew(tmp_path / "run")
    await crew.processes.open()
    yield crew
    await crew.close()


async def test_prompts_of_real_programs_are_found_and_nothing_else_is(crew: Crew) -> None:
    """Those that ask and read are found; quiet, noisy and silent ones never are."""
    watch = Watch(crew, list(PROGRAMS))
    await asyncio.gather(*(watch.start(name, command) for name, (command, _) in PROGRAMS.items()))
    expected = {name: text for name, (_, text) in PROGRAMS.items() if text}

    def all_found() -> bool:
        watch.look()
        return watch.found == expected

    await crew.until(all_found, "the prompts are found")
    for _ in range(5):
        await asyncio.sleep(0.1)
        watch.look()
    assert watch.found == expected
    await crew.processes.write_input(StreamId("sh"), 1, b"y\n")

    def is_gone() -> bool:
        watch.look()
        return watch.found["sh"] == ""

    await crew.until(is_gone, "it was answered")
    assert watch.hand.stream("sh").terminal.prompt is None
    assert watch.hand.stream("input").terminal.prompt is not None
