"""The machine that is measured on: a scratch folder, our own command, and which peers are there."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.measuring import BenchmarkFailed, timed

MANY_HANDLERS = 20_000
_NOT_INHERITED = ("GIT_", "MAKE", "XDG_", "PYTHON")
_PACKAGES = {"ninja": "ninja-build", "cc": "gcc"}
_SPIN = """
#include <stdlib.h>
#include <time.h>
int main(int count, char **words) {
    double wanted = count > 1 ? atof(words[1]) : 0.0;
    struct timespec used;
    do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    while (used.tv_sec + used.tv_nsec / 1e9 < wanted);
    return 0;
}
"""


@dataclass(frozen=True)
class Machine:
    """Where benchmarks work and what they can use.

    ``workloads`` are task graphs given by path; ``handlers`` is how many a large run has.
    """

    scratch: Path
    workloads: tuple[Path, ...] = ()
    handlers: int = MANY_HANDLERS

    def folder(self, name: str) -> Path:
        """Return an empty folder of that name in the scratch folder."""
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The environment of every contestant: the user's, with state of its own.

        Bytecode is kept in the scratch folder, as an installed package keeps it beside itself.
        """
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
        names = {f"GIT_{role}_NAME": "Bench" for role in ("AUTHOR", "COMMITTER")}
        mails = {f"GIT_{role}_EMAIL": "bench@localhost" for role in ("AUTHOR", "COMMITTER")}
        state = {
            "XDG_STATE_HOME": str(self.scratch / "state"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PYTHONPYCACHEPREFIX": str(self.scratch / "bytecode"),
        }
        return {**kept, **names, **mails, **state}

    @cached_property
    def anabranch(self) -> tuple[str, ...]:
        """How to start the product, which has run once: its bytecode is there."""
        installed = Path(sys.executable).with_name("anabranch")
        from_source = (sys.executable, "-m", "anabranch_console.cli.main")
        argv = (str(installed),) if installed.exists() else from_source
        folder = self.repository("warm-up", 1)
        for words in (("run", "--headless", "--", "true"), ("status",), ("--help",)):
            timed((*argv, *words), folder, self.environment)
        return argv

    def whole_run(self, folder: Path, says: str, *words: str) -> float:
        """Run a folder's plan without a terminal, from exec to exit, and return the seconds.

        Args:
            folder: the project.
            says: what must stand in what it says.
            words: what stands behind ``run --headless``.

        Raises BenchmarkFailed.
        """
        argv = (*self.anabranch, "run", "--headless", *words)
        elapsed = timed(argv, folder, self.environment)
        said = (folder / "output.txt").read_text(errors="replace")
        if says not in said:
            raise BenchmarkFailed(f"the run did not say {says!r}: {said[-600:]}")
        return elapsed

    @cached_property
    def true(self) -> str:
        """The program that does nothing."""
        return shutil.which("true") or "/bin/true"

    @cached_property
    def spin(self) -> str | None:
        """A program that burns as many processor seconds as it is told; None without a compiler."""
        return self.compiled("spin", _SPIN)

    def program(self, name: str) -> str | None:
        """Return where a peer is, or None after saying that it is missing and how to get it."""
        found = shutil.which(name)
        if found is None:
            package = _PACKAGES.get(name, name)
            print(f"  {name} is missing and left out (apt-get install {package})", flush=True)
        return found

    def compiled(self, name: str, source: str) -> str | None:
        """Return a program compiled from C, or None if there is no compiler."""
        compiler = self.program("cc")
        if compiler is None:
            return None
        target = self.scratch / name
        if not target.exists():
            text = target.with_suffix(".c")
            text.write_text(source)
            subprocess.run([compiler, "-O2", "-pthread", "-o", str(target), str(text)], check=True)
        return str(target)

    def git(self, folder: Path, *arguments: str, stdin: bytes = b"") -> str:
        """Run git as a user would and return what it said; raises CalledProcessError."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=dict(self.environment),
            input=stdin,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def repository(self, name: str, files: int) -> Path:
        """Return a new repository with that many small files in one commit."""
        folder = self.folder(name)
        for number in range(files):
            path = folder / f"part{number % 20}" / f"file{number}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"file {number}\n" * 40)
        (folder / "README").write_text("A repository to measure on.\n")
        self.git(folder, "init", "-q", "-b", "main")
        self.git(folder, "add", "-A")
        self.git(folder, "commit", "-q", "-m", "base")
        return folder


def described() -> str:
    """Return the machine and the versions in one line, with how busy it is."""
    versions = [f"Python {platform.python_version()}"]
    for argv in (["git", "--version"], ["make", "--version"], ["ninja", "--version"]):
        if shutil.which(argv[0]):
            said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
            words = said.splitlines()[0].split() if said else ["?"]
            versions.append(f"{argv[0]} {words[-1]}")
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return f"{os.cpu_count()} processors, {system}, {', '.join(versions)}; load {load}"
