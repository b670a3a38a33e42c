"""Wheel and sdist hold what they should, and what is installed from them runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("anabranch", "anabranch_console", "anabranch_plugins", "anabranch_themes")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdist, and the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=170,
    )
    return folder


def test_the_wheel_holds_the_four_packages_and_their_data(built: Path) -> None:
    """Code, type markers, style sheets, themes, and the demonstration are in the wheel."""
    names = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    tops = {name.split("/")[0] for name in names if not name.startswith("anabranch-")}
    assert tops == set(PACKAGES)
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
    assert "anabranch_console/demo/plan.toml" in names
    assert "anabranch_console/demo/project/ledger/entries.py" in names
    assert any(name.endswith(".tcss") for name in names)
    assert any(name.startswith("anabranch_themes/") and name.endswith(".toml") for name in names)


def test_the_sdist_holds_the_tests_and_the_licence(built: Path) -> None:
    """Whoever builds from source can also test."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    ends = {name.split("/", 1)[1] for name in names if "/" in name}
    assert {"LICENSE", "README.md", "pyproject.toml", "tests/contracts/test_packaging.py"} <= ends


def test_what_is_installed_from_the_wheel_runs(built: Path, tmp_path: Path) -> None:
    """The wheel alone, away from the source, knows its version and its built-in strategies."""
    target = tmp_path / "site"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    wheel = str(next(built.glob("*.whl")))
    subprocess.run([sys.executable, *install, str(target), wheel], check=True, timeout=120)
    environment = {**os.environ, "PYTHONPATH": str(target), "XDG_STATE_HOME": str(tmp_path)}
    program = (
        "import anabranch, anabranch.plugins as p; loaded = p.load_plugins();"
        "print(anabranch.__file__, sorted(loaded.strategies.convergence))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert str(target) in done.stdout
    assert "barrier" in done.stdout


def test_a_class_is_one_class_however_it_is_imported() -> None:
    """The source layout gives each module one name, so that types do not split in two."""
    from anabranch.core.plans.plan import Plan
    from anabranch.testing import plan_of, stream

    assert type(plan_of(stream("a"))) is Plan
    assert Plan.__module__ == "anabranch.core.plans.plan"
    assert not [name for name in sys.modules if name.startswith(("coordination", "console."))]
