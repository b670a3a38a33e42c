"""What leads streams out of their workspaces into the user's checkout is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anabranch.engine.surroundings import leads_into_checkout
from tests.engine.repositories import write

FINDER = "MAPPING: dict[str, str] = {{'pkg': '{root}/src/pkg'}}\n"


def by_path_file(place: Path, root: Path) -> None:
    write(place, {"__editable__.pkg-1.0.pth": f"{root}/src\n"})


def by_finder(place: Path, root: Path) -> None:
    write(place, {"__editable___pkg_1_0_finder.py": FINDER.format(root=root)})


def by_record(place: Path, root: Path) -> None:
    record = {"url": f"file://{root}", "dir_info": {"editable": True}}
    write(place, {"pkg-1.0.dist-info/direct_url.json": json.dumps(record)})


def by_link(place: Path, root: Path) -> None:
    write(place, {"pkg.egg-link": f"{root}/src\n.\n"})


def packages(root: Path) -> Path:
    return root / ".venv/lib/python3.12/site-packages"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "project", {"src/pkg/__init__.py": ""})
    packages(tmp_path / "project").mkdir(parents=True)
    return tmp_path / "project"


@pytest.mark.parametrize("installed", [by_path_file, by_finder, by_record, by_link])
def test_an_editable_install_is_named(installed: object, root: Path) -> None:
    """However the installer has written it down; the way out is the search path."""
    assert callable(installed)
    installed(packages(root), root)
    (found,) = leads_into_checkout(root, {})
    assert found.startswith("pkg is installed from your checkout")
    assert 'PYTHONPATH = "src"' in found


def test_the_python_that_streams_will_find_is_looked_at(root: Path, tmp_path: Path) -> None:
    """The active environment, and the one on the search path for programs."""
    other = tmp_path / "env"
    by_path_file(other / "lib/python3.12/site-packages", root)
    write(other, {"bin/python3": "#!/bin/sh\n"})
    (other / "bin/python3").chmod(0o755)
    for environment in ({"VIRTUAL_ENV": str(other)}, {"PATH": str(other / "bin")}):
        (found,) = leads_into_checkout(root, environment)
        assert str(other) in found


def test_installs_from_elsewhere_are_nobodys_concern(root: Path, tmp_path: Path) -> None:
    by_path_file(packages(root), tmp_path / "elsewhere")
    by_record(packages(root), tmp_path / "elsewhere")
    write(packages(root), {"broken-1.dist-info/direct_url.json": "[", "x.pth": "import os\n"})
    assert list(leads_into_checkout(root, {"PATH": "/nowhere"})) == []


def test_search_paths_into_the_checkout_are_named(root: Path) -> None:
    """Relative entries are relative to the workspace, so they are fine."""
    environment = {"PYTHONPATH": f"/usr/lib/x:{root}/src", "NODE_PATH": "node_modules", "PATH": ""}
    (found,) = leads_into_checkout(root, environment)
    assert found.startswith(f"PYTHONPATH names {root}/src in your checkout")
