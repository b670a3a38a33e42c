"""The three projects of docs/workspaces.md, as they stand there: eight streams at once, twice."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.e2e.program import Program
from tests.engine.conftest import methods_here
from tests.engine.repositories import git, make_repository

PAGE = Path(__file__).parents[2] / "docs" / "workspaces.md"
AT_ONCE = 8

PYTHON = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n\n[build-system]\n'
    'requires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n',
    "src/shop/__init__.py": "import os\n\n\ndef where():\n    return os.path.realpath(__file__)\n",
    "tests/test_shop.py": "import os\nimport sys\nimport shop\n\n\ndef test_it_is_this_tree():\n"
    "    here = os.path.realpath(os.getcwd()) + os.sep\n    assert shop.where().startswith(here)\n"
    "    assert os.path.realpath(sys.prefix).startswith(here)\n",
    ".gitignore": ".venv/\n__pycache__/\n*.egg-info/\n.pytest_cache/\n",
}
NODE = {
    "package.json": '{"name": "shop", "version": "1.0.0", "scripts": {"test": "node --test"},'
    ' "dependencies": {"ms": "2.1.3", "express": "4.19.2"}}\n',
    "server.js": 'const app = require("express")();\n'
    'app.get("/health", (asked, answer) => answer.send("ok"));\n'
    'app.listen(process.env.ANABRANCH_PORT_WEB, "127.0.0.1");\n',
    "test/a.test.js": 'const test = require("node:test");\nconst assert = require("node:assert");\n'
    'const ms = require("ms");\ntest("a second", () => assert.equal(ms("1s"), 1000));\n'
    'test("of this tree", () => assert.ok(require.resolve("ms").startsWith(process.cwd())));\n',
    ".gitignore": "node_modules/\n",
}
MAKEFILE = """\
check: all
\t./all && cat said.txt
all: one.o two.o three.o
\tcc -o $@ one.o two.o three.o
%.o: ../src/%.c
\tcc -c -o $@ $< && echo $@ >> said.txt
"""
C = {
    "src/one.c": "int two(void), three(void);\nint main(void) { return two() + three(); }\n",
    "src/two.c": "int two(void) { return 0; }\n",
    "src/three.c": "int three(void) { return 0; }\n",
    ".gitignore": "build/\n",
    ".worktreeinclude": "build/\n",
}


def recipe(name: str) -> dict[str, Any]:
    """The plan of that name on the page."""
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    plans = [tomllib.loads(block) for block in blocks if f'name = "{name}"' in block]
    assert len(plans) == 1
    return plans[0]


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    user = make_repository(tmp_path / "project", request.param)
    program = Program(user, tmp_path / "state", tmp_path / "scratch")
    yield program
    program.end_everything()


def runs(program: Program, plan: dict[str, Any], method: str) -> dict[str, dict[str, Any]]:
    """Run a plan by a method of making workspaces; return how its streams ended."""
    plan.setdefault("coordination", {}).setdefault("isolation", {})["method"] = method
    plan["coordination"]["max_parallel"] = AT_ONCE
    (program.project / "anabranch.toml").write_bytes(tomli_w.dumps(plan).encode())
    program.run("run", "--headless")
    return program.streams()


def setups_used_again(program: Program) -> int:
    """How many workspaces of the latest run have got the result of an earlier setup."""
    said = program.folder().logs.glob("*.setup.log")
    return sum("the result of an earlier setup is used again" in log.read_text() for log in said)


@pytest.mark.parametrize("method", methods_here())
@pytest.mark.parametrize("project", [PYTHON], indirect=True)
def test_a_python_package(project: Program, method: str) -> None:
    for _ in range(2):
        streams = runs(project, recipe("python"), method)
        assert [s["state"] for s in streams.values()] == ["succeeded"] * AT_ONCE, streams
    assert setups_used_again(project) == AT_ONCE


@pytest.mark.parametrize("method", methods_here())
@pytest.mark.parametrize("project", [NODE], indirect=True)
def test_a_node_package(project: Program, method: str) -> None:
    locked = ["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"]
    subprocess.run(locked, cwd=project.project, check=True, capture_output=True)
    git(project.project, "add", "-A")
    git(project.project, "commit", "-qm", "locked")
    plan = recipe("node")
    for number in range(AT_ONCE - 2):
        plan["streams"][f"unit-{number}"] = "npm test --silent"
    for _ in range(2):
        streams = runs(project, plan, method)
        assert {s["state"] for s in streams.values()} == {"succeeded"}, streams
    assert setups_used_again(project) == AT_ONCE


@pytest.mark.parametrize("method", methods_here())
@pytest.mark.parametrize("project", [C], indirect=True)
def test_a_c_project(project: Program, method: str) -> None:
    build = project.project / "build"
    build.mkdir()
    (build / "Makefile").write_text(MAKEFILE)
    subprocess.run(["make", "-s", "check"], cwd=build, check=True, capture_output=True)
    (build / "said.txt").write_text("")
    streams = runs(project, recipe("c"), method)
    assert streams["check"]["state"] == "succeeded"
    assert [line for line in project.log("check").splitlines() if line.endswith(".o")] == ["one.o"]
