"""Building a plugin's folder: by a backend of its own that lies in it, and by none at all."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from anabranch.errors import UsageError
from anabranch.plugin_store.building import build_wheel
from anabranch.plugin_store.generations import current_generation
from anabranch.plugin_store.tools import Index
from tests.plugins.wheels import QUORUM, agree, store_in, write_wheel

CLOSED = Index(is_closed=True)
COPIES = """
import shutil
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return shutil.copy("made/ab_intree-1.0-py3-none-any.whl", wheel_directory).rpartition("/")[2]
"""


def in_tree(folder: Path, backend: str, path: str = "backend") -> Path:
    """Write a folder that is built by a module of its own."""
    write_wheel(folder / "made", "ab-intree")
    (folder / "backend").mkdir()
    (folder / "backend/own_backend.py").write_text(backend)
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = []\nbuild-backend = "own_backend"\nbackend-path = ["{path}"]\n'
    )
    return folder


def test_a_folder_is_built_by_the_backend_that_lies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    store = store_in(tmp_path)
    folder = in_tree(tmp_path / "intree", COPIES)
    store.install(str(folder), agree, index=CLOSED)
    (plugin,) = current_generation(store.places).plugins
    assert (plugin.name, plugin.version) == ("ab-intree", "1.0")


BROKEN_BACKENDS = {
    "raises": ("def build_wheel(*_): raise OSError('no \\x1b[2Joven')", "OSError: no oven"),
    "needs what is not here": ("import no_such_module_anywhere", "no_such_module_anywhere"),
    "has no hook": ("", "build_wheel"),
    "ends at once": ("import os; os._exit(0)", "its backend ended without an answer"),
}


@pytest.mark.parametrize("name", BROKEN_BACKENDS)
def test_a_backend_that_fails_is_told_in_its_own_last_words(tmp_path: Path, name: str) -> None:
    source, words = BROKEN_BACKENDS[name]
    folder = in_tree(tmp_path / "intree", source)
    with pytest.raises(UsageError, match="cannot be built") as refused:
        build_wheel(folder, tmp_path, CLOSED, None)
    assert words in refused.value.hint


@pytest.mark.parametrize("path", ["../elsewhere", "/tmp"])
def test_a_backend_may_not_lie_outside_the_folder(tmp_path: Path, path: str) -> None:
    folder = in_tree(tmp_path / "intree", COPIES, path)
    with pytest.raises(UsageError, match="cannot be built by own_backend") as refused:
        build_wheel(folder, tmp_path, CLOSED, None)
    assert "paths must be" in refused.value.hint


def test_a_plain_folder_needs_no_backend_and_its_record_is_true(tmp_path: Path) -> None:
    """Also of files with commas and quotes in their names."""
    folder = tmp_path / "plain"
    package = folder / "src/ab_plain"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(QUORUM)
    (package / 'a,"b".txt').write_text("x")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["x"]\nbuild-backend = "no_such_backend.anywhere"\n'
        '[project]\nname = "ab-plain"\nversion = "1.0"\n'
        '[project.entry-points.anabranch]\nplain = "ab_plain"\n'
    )
    store = store_in(tmp_path)
    store.install(str(folder), agree, index=CLOSED)
    wheel, built_by = build_wheel(folder, tmp_path, CLOSED, None)
    assert built_by == "anabranch"
    record = zipfile.ZipFile(wheel).read("ab_plain-1.0.dist-info/RECORD").decode()
    assert '"ab_plain/a,""b"".txt",sha256=' in record
