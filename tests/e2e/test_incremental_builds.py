"""A configured build tree is taken along, and only what a stream changes is built again."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.e2e.program import Program
from tests.engine.conftest import methods_here
from tests.engine.repositories import git, write

MAKEFILE = """\
OBJECTS = build/one.o build/two.o build/three.o
build/all: $(OBJECTS)
\tcat $(OBJECTS) > $@
build/%.o: src/%.c
\tcp $< $@
"""
MAKE = "unset MAKELEVEL MAKEFLAGS MFLAGS; make -n"  # the tests may be run by make
SOURCES = {f"src/{name}.c": f"int {name};\n" for name in ("one", "two", "three")}


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize("method", methods_here())
def test_what_was_built_is_younger_than_its_sources(program: Program, method: str) -> None:
    files = {"Makefile": MAKEFILE, ".gitignore": "build/\n", ".worktreeinclude": "build/\n"}
    write(program.project, {**files, **SOURCES})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "sources")
    (program.project / "build").mkdir()
    subprocess.run(["make", "-s"], cwd=program.project, check=True)
    program.plan(
        {
            "nothing": MAKE,
            "one": f"echo '//' >> src/one.c; {MAKE}",
            "after": {"command": MAKE, "depends_on": ["one"]},
        },
        isolation={"method": method},
    )
    program.expect(0, "run", "--headless")
    said = {name: _said(program, name) for name in ("nothing", "one", "after")}
    assert said["nothing"] == ["make: 'build/all' is up to date."]
    assert (
        said["one"]
        == said["after"]
        == [
            "cp src/one.c build/one.o",
            "cat build/one.o build/two.o build/three.o > build/all",
        ]
    )


def _said(program: Program, stream: str) -> list[str]:
    return program.log(stream).splitlines()
