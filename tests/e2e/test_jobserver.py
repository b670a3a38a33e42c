"""Builds inside streams share the machine's slots: real makes, real kills, real hostility.

The jobs count themselves (``counted_job.py``). How many slots there are is the plan's word, so that
these say the same on any machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.engine.run_lock import holder_of
from anabranch.engine.token_ledger import read_ledger
from tests.e2e.program import Program, until
from tests.engine.repositories import make_repository

HERE = Path(__file__).parent
JOB = f"{sys.executable} -I -S {HERE / 'counted_job.py'}"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


class Site:
    """A project whose streams build, and the folder in which their jobs count themselves."""

    def __init__(self, place: Path) -> None:
        self.diary = place / "diary"
        self.diary.mkdir()
        (self.diary / "busy").write_text("0 0 0\n".ljust(40))
        make_repository(place / "project", {"Makefile": self._makefile()})
        self.program = Program(place / "project", place / "state", place / "scratch")

    def _makefile(self) -> str:
        return (
            "N ?= 12\nSECONDS ?= 0.1\n"
            "JOBS := $(foreach n,$(shell seq $(N)),job-$(n))\n"
            "all: $(JOBS)\n"
            f"$(JOBS): ; @{JOB} {self.diary} $(SECONDS) $(NAME)\n"
        )

    @property
    def gate(self) -> Path:
        return self.diary / "gate"

    def when_open(self, command: str) -> str:
        """Return a command that waits, as busy as it can, until its stream may go on."""
        return f"until test -e {self.gate}; do :; done; {command}"

    def plan(self, slots: int, streams: dict[str, Any], **more: Any) -> None:
        """Write a plan with a jobserver for so many slots."""
        resources = {"cpu_cores": slots}
        recovery = {"max_retries": 0}
        self.program.plan(streams, jobserver=True, resources=resources, recovery=recovery, **more)

    def busy(self) -> tuple[int, int, int]:
        """Return how many jobs are at work, were at most, and have begun."""
        now, most, begun = map(int, (self.diary / "busy").read_text().split())
        return now, most, begun

    def lent(self) -> dict[str, int]:
        """Return what each attempt of the run has been lent."""
        ledger = read_ledger(self.program.folder())
        return ledger.loans if ledger else {}

    def report(self) -> dict[str, int]:
        """Return what the report tells of the tokens."""
        told = self.program.expect(0, "report", "--format", "json").json()["jobserver"]
        assert isinstance(told, dict)
        return told

    def fifos(self) -> list[Path]:
        """Return all fifos that there are anywhere in what the program keeps."""
        everything = self.program.state_home.rglob("*")
        return [path for path in everything if stat.S_ISFIFO(path.lstat().st_mode)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.program.end_everything()


def test_makes_in_several_streams_share_one_machine(site: Site) -> None:
    """Never more at once than there are slots, and as many whenever there is work for them."""
    names = ("a", "b", "c")
    streams = {name: site.when_open(f"make NAME={name}") for name in names}
    site.plan(4, {**streams, "last": {"command": "make N=40 NAME=last", "depends_on": list(names)}})
    running = site.program.begin("run", "--headless")
    until(lambda: site.program.run_folders() and sum(site.lent().values()) == 1, "one is lent")
    site.gate.touch()
    assert running.wait().code == 0
    done = [(site.diary / name).read_text().count("done") for name in (*names, "last")]
    assert done == [12, 12, 12, 40]
    now, most, _ = site.busy()
    assert (now, most) == (0, 4)
    told = site.report()
    assert (told["slots"], told["most_in_use"], told["lent"], told["in_use"]) == (4, 3, 0, 0)
    assert "4 slots; tokens: 3 at most" in site.program.expect(0, "status").out
    assert "4 slots; tokens: 3 at most" in site.program.expect(0, "report").out
    assert site.fifos() == []
    assert site.lent() == {}


def test_who_starts_while_all_is_lent_gets_its_share(site: Site) -> None:
    """Also from a build that is never short of work: its tokens are taken as they come back."""
    later = {"command": "make N=60 NAME=b", "after": 1}
    site.plan(4, {"a": "make N=120 NAME=a", "b": later})
    running = site.program.begin("run", "--headless")
    until(lambda: site.program.run_folders() and site.lent() == {"a.1": 3}, "one has it all")
    until(lambda: site.lent() == {"a.1": 1, "b.1": 1}, "each has its share")
    assert running.wait().code == 0
    assert site.busy()[0] == 0
    assert site.busy()[1] <= 5


def test_handlers_of_one_stream_share_it_too(site: Site) -> None:
    """Each handler is one job by itself; what is left of the machine is lent to all of them."""
    fan = {"each": ["x", "y", "z"], "command": "make N=8 NAME={item}", "max_parallel": 2}
    site.plan(4, {"fan": fan})
    site.program.expect(0, "run", "--headless")
    assert [(site.diary / name).read_text().count("done") for name in "xyz"] == [8] * 3
    assert site.busy()[:2] == (0, 4)
    assert site.fifos() == []


def test_a_client_of_the_newer_form_finds_the_fifo(site: Site) -> None:
    """It is given to whoever has a make of that form, or none; here it says that it is one."""
    tools = site.diary / "tools"
    tools.mkdir()
    (tools / "make").write_text("#!/bin/sh\necho GNU Make 4.4.1\n")
    (tools / "make").chmod(0o755)
    client = f"{sys.executable} -I -S {HERE / 'token_client.py'} {site.diary} 12 0.1"
    path = {"PATH": f"{tools}:/usr/bin:/bin"}
    site.plan(3, {"a": {"command": f"sleep 0.5; {client}", "env": path}})
    site.program.expect(0, "run", "--headless")
    assert site.busy() == (0, 3, 12)
    assert site.report()["most_in_use"] == 2


def test_a_plans_own_flags_win(site: Site) -> None:
    """From `env` or a file of variables: whoever names them is given nothing else."""
    (site.program.project / "own.env").write_text("MAKEFLAGS=-s\n")
    say = 'echo "flags=$MAKEFLAGS fifo=${ANABRANCH_JOBSERVER-none}"'
    site.plan(
        4,
        {
            "by-env": {"command": say, "env": {"MAKEFLAGS": "-k"}},
            "by-file": {"command": say, "env_file": "own.env"},
            "served": say,
        },
    )
    inherited = "w -j8 --jobserver-auth=3,4"
    assert site.program.begin("run", "--headless", MAKEFLAGS=inherited).wait().code == 0
    assert site.program.log("by-env") == "flags=-k fifo=none\n"
    assert site.program.log("by-file") == "flags=-s fifo=none\n"
    assert site.program.log("served").startswith("flags=w -j4 --jobserver-auth=")
    assert "3,4" not in site.program.log("served")


def test_without_the_key_nothing_is_there(site: Site) -> None:
    site.program.plan({"a": 'echo "flags=$MAKEFLAGS fifo=${ANABRANCH_JOBSERVER-none}"'})
    site.program.expect(0, "run", "--headless")
    assert site.program.log("a") == "flags= fifo=none\n"
    assert site.program.expect(0, "report", "--format", "json").json()["jobserver"] is None
    assert not site.program.folder().tokens.exists()


def test_tokens_of_a_killed_make_come_back(site: Site) -> None:
    """Within seconds, while its stream lives on: the next make has all the slots again."""
    first = "make SECONDS=2 & pid=$!; until test -e $0.kill; do sleep 0.02; done; kill -9 $pid"
    script = site.diary / "script"
    script.write_text(f"{first}; sleep 2; make N=150 NAME=a\n")
    site.plan(3, {"a": f"sh {script}"})
    running = site.program.begin("run", "--headless")
    until((site.diary / "busy").exists, "it has begun")
    until(lambda: site.busy()[0] == 3, "the first make has all the slots")
    (site.diary / "script.kill").touch()
    until(lambda: site.report()["put_back"] == 2, "both tokens are back", seconds=15)
    until(lambda: site.busy()[0] == 3, "the next make has all the slots")
    assert running.wait().code == 0
    assert site.busy()[:2] == (0, 3)
    assert "2 lost and replaced" in site.program.expect(0, "status").out


def test_builds_go_on_without_the_engine_and_the_next_one_lends_to_them(site: Site) -> None:
    """The engine is killed: what was lent stays in use; what ends meanwhile is lent to others."""
    site.plan(
        3,
        {
            "a": site.when_open("make N=150 NAME=a"),
            "b": site.when_open("make N=10 NAME=b"),
        },
    )
    running = site.program.begin("run", "--headless")
    until(lambda: site.program.run_folders() and sum(site.lent().values()) == 1, "one is lent")
    site.gate.touch()
    until(lambda: site.busy()[0] == 3, "all slots are in use")
    running.kill()
    assert holder_of(site.program.folder().lock) is None
    begun = site.busy()[2]
    b_is_over = site.program.folder().attempts / "b.1" / "exit"
    until(b_is_over.exists, "a stream has ended, and nobody was there")
    assert not site.program.folder().jobs("b.1").exists()
    until(lambda: site.busy()[2] > begun + 5, "the other goes on")
    assert site.busy()[1] == 3
    resumed = site.program.begin("resume", "--headless")
    until(lambda: site.lent() == {"a.1": 2}, "the slot of the one that ended is lent on")
    until(lambda: site.busy()[0] == 3, "all slots are in use again")
    assert resumed.wait().code == 0
    assert (site.diary / "a").read_text().count("done") == 150
    assert site.busy()[:2] == (0, 3)
    assert site.fifos() == []


@pytest.mark.parametrize(
    "attack",
    [
        "head -c 1000000 /dev/zero > $ANABRANCH_JOBSERVER",
        "cat < $ANABRANCH_JOBSERVER > /dev/null",
        "rm $ANABRANCH_JOBSERVER; ln -s /dev/zero $ANABRANCH_JOBSERVER; sleep 60",
        "rm $ANABRANCH_JOBSERVER; mkdir $ANABRANCH_JOBSERVER; sleep 60",
    ],
    ids=["fills", "drains", "links", "replaces"],
)
def test_a_hostile_stream_harms_nobody_else(site: Site, attack: str) -> None:
    """It does what it can to its own fifo, and works all the time: others have their share."""
    busy = "while :; do :; done & sleep 1;"
    site.plan(
        4,
        {
            "bad": {"command": f"{busy} {attack}; sleep 60", "optional": True},
            "good": site.when_open("make N=30 NAME=good"),
        },
    )
    running = site.program.begin("run", "--headless")
    until(lambda: site.program.run_folders() and sum(site.lent().values()) == 2, "some are lent")
    site.gate.touch()
    until(lambda: site.busy()[0] >= 2, "the other has its share", seconds=15)
    until(
        lambda: site.program.streams()["good"]["state"] == "succeeded", "the other ends", seconds=30
    )
    assert site.busy()[1] <= 4
    site.program.expect(0, "stop", site.program.folder().run, "bad")
    assert running.wait(20).code == 0
    assert site.fifos() == []


@pytest.mark.parametrize("engine", ["lives", "is killed first"])
def test_a_fifo_goes_with_its_attempt_even_if_the_holder_is_killed(site: Site, engine: str) -> None:
    site.plan(4, {"a": {"command": "echo up; sleep 60", "optional": True}})
    running = site.program.begin("run", "--headless")
    site.program.await_log("a", "up")
    until(lambda: sum(site.lent().values()) == 3, "tokens are lent")
    assert len(site.fifos()) == 1
    (holder,) = [pid for pid, name in site.program.processes().items() if name == "ab-holder"]
    if engine == "is killed first":
        running.kill()
    site.program.kill(holder, signal.SIGKILL)
    if engine == "is killed first":
        running = site.program.begin("resume", "--headless")
    assert running.wait().code == 0
    assert site.fifos() == []
    assert site.lent() == {}


def test_what_a_killed_engine_and_a_killed_holder_left_is_taken_away(site: Site) -> None:
    """The next engine looks for fifos of all attempts that are over, also long since."""
    site.plan(4, {"early": "true", "late": site.when_open("true")})
    running = site.program.begin("run", "--headless")
    until(site.program.run_folders, "it has begun")
    until(lambda: site.program.streams()["early"]["state"] == "succeeded", "the first has ended")
    running.kill()
    left = site.program.folder().jobs("early.1")
    os.mkfifo(left)
    resumed = site.program.begin("resume", "--headless")
    until(lambda: not left.exists(), "what was left is gone while others go on")
    site.gate.touch()
    assert resumed.wait().code == 0
    assert site.fifos() == []


def test_a_bad_value_is_named(site: Site) -> None:
    site.program.plan({"a": "true"}, jobserver="yes")
    said = site.program.expect(2, "check").err
    assert "jobserver" in said
    site.program.plan({"a": "true"}, job_server=True)
    assert "jobserver" in site.program.expect(2, "check").err


def test_check_warns_of_a_build_that_asks_for_slots_of_its_own(site: Site) -> None:
    site.plan(
        2,
        {
            "a": "cd x && make -kj4 all",
            "b": "make -k && ls -j",
            "c": {"command": ["ninja", "-j", "8"]},
        },
    )
    told = json.loads(site.program.expect(0, "check", "--json").out)["warnings"]
    assert [(w["stream"], w["code"]) for w in told if w["code"] == "own-slots"] == [
        ("a", "own-slots"),
        ("c", "own-slots"),
    ]


@pytest.mark.skipif(shutil.which("cargo") is None, reason="there is no cargo here")
def test_cargo_takes_its_slots_from_the_same_place(site: Site) -> None:
    """With no token it compiles one crate after the other, whatever the machine has."""
    wrapper = site.diary / "rustc"
    wrapper.write_text(f'#!/bin/sh\n{JOB} {site.diary} 0.05\nexec "$@"\n')
    wrapper.chmod(0o755)
    crates = [f"c{n}" for n in range(4)]
    members = site.program.project / "crates"
    for name in crates:
        (members / name / "src").mkdir(parents=True)
        (members / name / "src/lib.rs").write_text("")
        (members / name / "Cargo.toml").write_text(
            f'[package]\nname = "{name}"\nversion = "0.1.0"\n'
        )
    (members / "Cargo.toml").write_text(f"[workspace]\nmembers = {json.dumps(crates)}\n")
    subprocess.run(["git", "add", "-A"], cwd=site.program.project, check=True)
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "crates"],
        cwd=site.program.project,
        check=True,
    )
    cargo = "cd crates && cargo check --offline --quiet"
    site.plan(1, {"a": {"command": cargo, "env": {"RUSTC_WRAPPER": str(wrapper)}}})
    site.program.expect(0, "run", "--headless")
    _, most, begun = site.busy()
    assert most == 1
    assert begun >= len(crates)
