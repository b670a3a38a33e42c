"""Hostile wheels: refused by name before anything of them is written, or caught in their trial."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from anabranch.errors import PluginRefused, UsageError
from anabranch.plugin_store import store as stores
from anabranch.plugin_store.generations import current_generation
from anabranch.plugin_store.probing import Assignment, Probed, probe
from anabranch.plugin_store.store import PluginStore
from tests.plugins.wheels import QUORUM, agree, store_in, write_wheel

HOOK = "from anabranch.hookspecs import hookimpl\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginStore:
    """A store with a good plugin in it, which has to survive everything."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    store = store_in(tmp_path)
    store.install(str(write_wheel(tmp_path / "good", "ab-good")), agree)
    return store


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


AIMED_ELSEWHERE = [
    ({"files": {"../../escaped.py": "x"}}, "'../../escaped.py' would be written outside"),
    ({"files": {"ab_bad/../../up.py": "x"}}, "would be written outside"),
    ({"files": {"/tmp/ab-absolute.py": "x"}}, "'/tmp/ab-absolute.py' would be written outside"),
    ({"files": {"..\\up.py": "x"}}, "would be written outside"),
    ({"files": {"evil.pth": "import os"}}, "'evil.pth' would be run at every start"),
    ({"files": {"ab_bad-1.0.data/purelib/evil.pth": "x"}}, "evil.pth' would be run at every start"),
    ({"files": {"sitecustomize.py": "x"}}, "'sitecustomize.py' would be run at every start"),
    ({"links": {"ab_link": "/etc"}}, "'ab_link' is a symbolic link"),
    ({"files": {"json.py": "x"}}, "module 'json' has the name of one of Python's own"),
    ({"files": {"ab_bad-1.0.data/platlib/json/__init__.py": "x"}}, "module 'json' has the name"),
    ({"files": {"pluggy/__init__.py": "x"}}, "module 'pluggy' has the name of one that Anabranch"),
    ({"files": {"anabranch/evil.py": "x"}}, "module 'anabranch' has the name of one that"),
    ({"files": {"ab_bad-2.dist-info/METADATA": "x"}}, "2 .dist-info folders, not one"),
]


@pytest.mark.parametrize(("wheel", "words"), AIMED_ELSEWHERE)
def test_a_wheel_that_aims_elsewhere_is_refused_by_name(
    store: PluginStore, tmp_path: Path, wheel: dict[str, object], words: str
) -> None:
    """Nothing of it is written anywhere, and what was installed still is."""
    path = write_wheel(tmp_path / "bad", "ab-bad", **wheel)  # type: ignore[arg-type]
    before = everything_in(tmp_path)
    with pytest.raises((PluginRefused, UsageError)) as refused:
        store.install(str(path), agree)
    assert words in refused.value.message
    assert everything_in(tmp_path) == before
    assert not Path("/tmp/ab-absolute.py").exists()


def test_a_distribution_with_the_hosts_own_name_is_refused(
    store: PluginStore, tmp_path: Path
) -> None:
    path = write_wheel(tmp_path, "anabranch", module="ab_elsewhere", version="99")
    with pytest.raises(PluginRefused, match="the name of what Anabranch runs with"):
        store.install(str(path), agree)


def test_what_is_not_a_wheel_is_told(store: PluginStore, tmp_path: Path) -> None:
    junk = tmp_path / "ab_junk-1.0-py3-none-any.whl"
    junk.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(UsageError, match="is not a wheel, or is damaged"):
        store.install(str(junk), agree)
    with pytest.raises(UsageError, match="no file"):
        store.install(str(tmp_path / "ab_none-1.0-py3-none-any.whl"), agree)
    foreign = write_wheel(tmp_path, "ab-bad").rename(tmp_path / "ab_bad-1.0-cp27-none-win32.whl")
    with pytest.raises(UsageError, match="for another Python or machine"):
        store.install(str(foreign), agree)
    liar = write_wheel(tmp_path, "ab-bad").rename(tmp_path / "ab_liar-1.0-py3-none-any.whl")
    with pytest.raises(PluginRefused, match="holds another distribution: ab-bad"):
        store.install(str(liar), agree)


def test_what_is_not_there_is_told_as_that(store: PluginStore, tmp_path: Path) -> None:
    """A slip in a path is no question of how wheels are named."""
    for name in ("nothing", "anabranch_x-1.0-py3-none-any.whl"):
        missing = tmp_path / name
        with pytest.raises(UsageError, match="there is no file or folder") as refused:
            store.install(str(missing), agree)
        assert "a folder" in refused.value.hint


def test_a_file_that_comes_twice_is_refused(store: PluginStore, tmp_path: Path) -> None:
    path = write_wheel(tmp_path, "ab-bad")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("ab_bad.py", "print('the other one')")
    with pytest.raises(PluginRefused, match=r"it holds 'ab_bad\.py' twice"):
        store.install(str(path), agree)


def rewritten(wheel: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Write a wheel's files anew, each as changed, without touching its RECORD; None leaves out."""
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in content.items():
            if (changed := change(name, text)) is not None:
                archive.writestr(name, changed)
    return wheel


def falsified(name: str, content: bytes) -> bytes | None:
    return content.replace(b"two are needed", b"2 were awaited") if name == "ab_bad.py" else content


def without_record(name: str, content: bytes) -> bytes | None:
    return None if name.endswith("/RECORD") else content


def hashed_freely(name: str, content: bytes) -> bytes | None:
    return content.replace(b"sha256", b"shake_128") if name.endswith("/RECORD") else content


def unlisted(name: str, content: bytes) -> bytes | None:
    lines = content.splitlines(keepends=True)
    return b"".join(lines[1:]) if name.endswith("/RECORD") else content


UNTRUE_RECORDS = [
    (falsified, "is not what its RECORD says: hash / size of ab_bad.py didn't match RECORD"),
    (unlisted, "is not what its RECORD says: ab_bad.py is not mentioned in RECORD"),
    (without_record, "has no RECORD"),
    (hashed_freely, "has a RECORD that cannot be checked"),
]


@pytest.mark.parametrize(("change", "words"), UNTRUE_RECORDS)
def test_a_wheel_that_is_not_what_its_record_says_is_refused(
    store: PluginStore,
    tmp_path: Path,
    change: Callable[[str, bytes], bytes | None],
    words: str,
) -> None:
    """It was damaged, or changed after it was built: usage, and nothing of it is left behind."""
    path = rewritten(write_wheel(tmp_path / "bad", "ab-bad"), change)
    before = everything_in(tmp_path)
    with pytest.raises(UsageError) as refused:
        store.install(str(path), agree)
    assert words in refused.value.message
    assert str(tmp_path) not in refused.value.message
    assert everything_in(tmp_path) == before


def test_the_first_of_many_untrue_files_are_named(store: PluginStore, tmp_path: Path) -> None:
    files = {f"ab_bad_{number}.py": "x" for number in range(9)}
    path = write_wheel(tmp_path, "ab-bad", files=files, record="ab_bad.py,,\n")
    with pytest.raises(UsageError, match="; and 11 more"):
        store.install(str(path), agree)


def test_damage_inside_a_file_is_told(store: PluginStore, tmp_path: Path) -> None:
    """What is compressed may be damaged where only unpacking notices."""
    path = write_wheel(tmp_path, "ab-bad")
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
        start = archive.infolist()[0].header_offset + 30 + len("ab_bad.py")
    damaged = bytearray(path.read_bytes())
    damaged[start : start + 8] = b"\xff" * 8
    path.write_bytes(damaged)
    with pytest.raises(UsageError, match="is not a wheel, or is damaged"):
        store.install(str(path), agree)


ENDLESS = "did not end within"
FAIL_THEIR_TRIAL = {
    "import error": ("import no_such_module_anywhere", "no_such_module_anywhere"),
    "syntax error": ("def broken(:", "SyntaxError"),
    "raises": ("1 / 0", "ZeroDivisionError"),
    "exits": ("raise SystemExit(3)", "SystemExit"),
    "ends Python": ("import os; os._exit(7)", "ended Python itself (exit 7)"),
    "crashes": ("import os; os.kill(os.getpid(), 11)", "was ended by signal 11"),
    "endless import": ("while True: pass", ENDLESS),
    "sleeps at import": ("import time; time.sleep(999)", ENDLESS),
    "unknown hook": (f"{HOOK}@hookimpl\ndef anabranch_flavours(): return []", "anabranch_flavours"),
    "wrong arguments": (
        f"{HOOK}@hookimpl\ndef anabranch_load_balancers(flavour): return []",
        "flavour",
    ),
    "hook raises": (
        f"{HOOK}@hookimpl\ndef anabranch_load_balancers(): raise OSError('gone')",
        "OSError: gone",
    ),
    "decides nonsense": (
        f"{HOOK}class Bad:\n    name = 'bad'\n    def rank(self, view): return (float('nan'),)\n"
        "@hookimpl\ndef anabranch_load_balancers(): return [Bad()]",
        "the rank holds nan",
    ),
    "reads the clock": (
        f"import time\n{HOOK}class Bad:\n    name = 'bad'\n"
        "    def rank(self, view): return (time.time(),)\n"
        "@hookimpl\ndef anabranch_load_balancers(): return [Bad()]",
        "it reads the clock (time.time)",
    ),
    "never answers": (
        f"{HOOK}class Bad:\n    name = 'bad'\n    def rank(self, view):\n        while True: pass\n"
        "@hookimpl\ndef anabranch_load_balancers(): return [Bad()]",
        "did not come back",
    ),
}


@pytest.mark.parametrize("name", FAIL_THEIR_TRIAL)
def test_a_plugin_that_fails_its_trial_is_not_installed(
    store: PluginStore, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it does happens in another process; the culprit is named, nothing has changed."""
    source, found = FAIL_THEIR_TRIAL[name]

    def briefly(assignment: Assignment, staging: Path) -> Probed:
        return probe(assignment, staging, seconds=2.5 if found == ENDLESS else 20.0)

    monkeypatch.setattr(stores, "probe", briefly)
    path = write_wheel(tmp_path, "ab-bad", source)
    before = current_generation(store.places)
    with pytest.raises(PluginRefused) as refused:
        store.install(str(path), agree)
    assert found in refused.value.message
    assert "ab-bad 1.0 failed its trial" in refused.value.message
    assert current_generation(store.places) == before
    assert not list(store.places.root.glob("staging-*"))


def test_what_a_trial_leaves_running_is_ended(store: PluginStore, tmp_path: Path) -> None:
    """A plugin that starts a process at import does not leave it behind."""
    note = tmp_path / "pid"
    source = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(999)'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n{QUORUM}"
    )
    store.install(str(write_wheel(tmp_path, "ab-bad", source)), agree)
    status = Path(f"/proc/{note.read_text()}/stat")
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_text_from_a_wheel_is_harmless(store: PluginStore, tmp_path: Path) -> None:
    """A trial's last words may hold terminal commands; they are shown as text."""
    source = "print('\\x1b]0;owned\\x07 end', flush=True); import os; os._exit(1)"
    with pytest.raises(PluginRefused) as refused:
        store.install(str(write_wheel(tmp_path, "ab-bad", source)), agree)
    assert " end" in refused.value.message
    assert "\x1b" not in refused.value.message
