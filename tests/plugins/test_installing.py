"""Installing plugins: all or nothing, fitted to the host, and always undone again."""

from __future__ import annotations

import sys
import textwrap
import threading
from pathlib import Path

import pytest

from anabranch.errors import PluginRefused, UsageError, WorldError
from anabranch.plugin_store import tools
from anabranch.plugin_store.generations import current_generation, generation_files
from anabranch.plugin_store.host import Host, survey_host
from anabranch.plugin_store.listing import list_plugins, shared_names
from anabranch.plugin_store.locking import changing
from anabranch.plugin_store.overlay import offered_plugins
from anabranch.plugin_store.store import PluginStore, Proposal
from anabranch.plugin_store.tools import Index
from anabranch.safe_mode import SAFE_MODE_VARIABLE
from tests.plugins.wheels import QUORUM, agree, store_in, write_wheel

CLOSED = Index(is_closed=True)


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test imports from is forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def store(tmp_path: Path) -> PluginStore:
    return store_in(tmp_path)


def installed(store: PluginStore) -> dict[str, str]:
    return {p.name: p.version for p in current_generation(store.places).plugins}


def packages(store: PluginStore) -> set[str]:
    return {p.name for p in current_generation(store.places).packages}


def names(store: PluginStore) -> set[str]:
    return {p.name for p in offered_plugins("anabranch", store.places).entry_points}


def test_a_wheel_is_installed_used_and_removed(store: PluginStore, tmp_path: Path) -> None:
    """Its strategies are known from its trial; what was removed can be had back."""
    steps: list[str] = []
    wheel = write_wheel(tmp_path, "ab-quorum")
    brought = store.install(str(wheel), agree, progress=steps.append)
    assert brought is not None
    assert [s.rpartition(":")[2] for s in brought.strategies["convergence"]] == ["quorum"]
    assert "ab_quorum" in names(store)
    assert any("process of its own" in step for step in steps)
    store.remove("AB_Quorum")
    assert installed(store) == {}
    store.rollback()
    assert installed(store) == {"ab-quorum": "1.0"}


def test_nothing_comes_in_without_agreement(store: PluginStore, tmp_path: Path) -> None:
    """Whoever has to agree sees what would come in, and a no leaves nothing behind."""
    proposals: list[Proposal] = []

    def refuses(proposal: Proposal) -> bool:
        proposals.append(proposal)
        return False

    assert store.install(str(write_wheel(tmp_path, "ab-quorum")), refuses) is None
    assert [(p.plugin.name, p.plugin.summary, p.file_count) for p in proposals] == [
        ("ab-quorum", "a test", 5)
    ]
    assert installed(store) == {}
    assert list(store.places.packages.iterdir()) == []


def test_an_upgrade_replaces_and_a_rollback_brings_back(store: PluginStore, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        store.install(str(write_wheel(tmp_path, "ab-quorum", version=version)), agree)
    assert installed(store) == {"ab-quorum": "2.0"}
    left, now = store.rollback()
    assert (left, now.number) == (2, 1)
    assert installed(store) == {"ab-quorum": "1.0"}
    store.install(str(write_wheel(tmp_path, "ab-quorum", version="3.0")), agree)
    assert installed(store) == {"ab-quorum": "3.0"}
    assert [number for number, _ in generation_files(store.places)] == [1, 2]
    store.rollback()
    with pytest.raises(UsageError, match="no earlier generation"):
        store.rollback()


def test_what_a_plugin_needs_comes_along_and_goes_with_it(
    store: PluginStore, tmp_path: Path
) -> None:
    """From a folder of wheels, with no index; what the host has is not fetched."""
    shelf = tmp_path / "shelf"
    write_wheel(shelf, "ab-maths", "x = 1", group="")
    needs = ("ab-maths>=1", "pluggy>=1", 'nowhere-to-be-found; python_version < "3"')
    wheel = write_wheel(tmp_path, "ab-quorum", f"import ab_maths\n{QUORUM}", requires=needs)
    with pytest.raises(PluginRefused, match="ab-maths"):
        store.install(str(wheel), agree, index=CLOSED)
    assert packages(store) == set()
    store.install(str(wheel), agree, index=Index(True, (str(shelf),)))
    assert packages(store) == {"ab-quorum", "ab-maths"}
    second = write_wheel(tmp_path, "ab-second", requires=("ab-maths",))
    store.install(str(second), agree, index=CLOSED)
    store.remove("ab-quorum")
    assert packages(store) == {"ab-second", "ab-maths"}
    store.remove("ab-second")
    assert packages(store) == set()


def test_a_package_is_found_by_its_name(store: PluginStore, tmp_path: Path) -> None:
    shelf = Index(True, (str(tmp_path / "shelf"),))
    write_wheel(tmp_path / "shelf", "ab-quorum", requires=("anabranch>=0.1",))
    store.install("ab_quorum>=1,<2", agree, index=shelf)
    assert installed(store) == {"ab-quorum": "1.0"}
    with pytest.raises(PluginRefused, match="ab-nowhere"):
        store.install("ab-nowhere", agree, index=shelf)
    with pytest.raises(UsageError, match=r"pluggy .* is part of the host"):
        store.install("pluggy", agree, index=shelf)
    with pytest.raises(UsageError, match="names no package"):
        store.install("what is this", agree, index=shelf)


UNFIT = [
    ({"requires": ("anabranch>=99",)}, "ab-unfit 1.0 needs anabranch>=99, and 0"),
    ({"requires": ("pluggy<1",)}, "ab-unfit 1.0 needs pluggy<1, and 1"),
    ({"requires_python": ">=4"}, "needs Python >=4; this is 3"),
    ({"group": "somebody.else"}, "brings no plugin"),
    ({"requires": ("!!",)}, "a requirement nobody can read"),
]


@pytest.mark.parametrize(("wheel", "words"), UNFIT)
def test_what_does_not_fit_is_told_before_anything_changes(
    store: PluginStore, tmp_path: Path, wheel: dict[str, object], words: str
) -> None:
    path = write_wheel(tmp_path, "ab-unfit", **wheel)  # type: ignore[arg-type]
    with pytest.raises((PluginRefused, UsageError), match=words.replace("(", r"\(")):
        store.install(str(path), agree, index=CLOSED)
    assert installed(store) == {}


def test_two_plugins_with_one_module_do_not_meet(store: PluginStore, tmp_path: Path) -> None:
    store.install(str(write_wheel(tmp_path, "ab-quorum", module="ab_shared")), agree)
    other = write_wheel(tmp_path, "ab-other", module="ab_shared")
    with pytest.raises(PluginRefused, match="'ab_shared' has the name of one of ab-quorum"):
        store.install(str(other), agree)
    assert installed(store) == {"ab-quorum": "1.0"}


def test_without_uv_and_pip_it_says_how_to_get_one(
    store: PluginStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is here anyway needs neither."""
    monkeypatch.setattr(tools, "find_tool", lambda: None)
    with pytest.raises(WorldError, match="needs uv or pip") as refused:
        store.install("ab-quorum", agree)
    assert "ensurepip" in refused.value.hint
    assert "uv/install.sh" in refused.value.hint
    store.install(str(write_wheel(tmp_path, "ab-quorum", requires=("pluggy",))), agree)
    assert installed(store) == {"ab-quorum": "1.0"}


def test_two_installations_follow_each_other(store: PluginStore, tmp_path: Path) -> None:
    """The second waits for the first, and both are there in the end."""
    waits = threading.Event()

    def second() -> None:
        def hears(step: str) -> None:
            if "waiting" in step:
                waits.set()

        store.install(str(write_wheel(tmp_path, "ab-two")), agree, progress=hears)

    thread = threading.Thread(target=second)
    with changing(store.places, lambda: None):
        thread.start()
        assert waits.wait(20)
    thread.join(60)
    assert installed(store) == {"ab-two": "1.0"}


def test_disabling_keeps_a_plugin_from_being_offered(store: PluginStore, tmp_path: Path) -> None:
    store.install(str(write_wheel(tmp_path, "ab-quorum")), agree)
    assert store.disable("ab_quorum")
    assert not store.disable("ab-quorum")
    assert "ab_quorum" not in names(store)
    listed = {p.name: p.state for p in list_plugins(store.places).plugins}
    assert listed["ab-quorum"] == "disabled"
    assert store.enable("ab-quorum")
    assert "ab_quorum" in names(store)
    assert store.disable("anabranch:builtin.balancing")
    assert "builtin.balancing" not in names(store)
    with pytest.raises(UsageError, match="no plugin 'ab-quorom'") as refused:
        store.disable("ab-quorom")
    assert "ab-quorum" in refused.value.hint


def test_safe_mode_calls_nothing_ok_that_it_does_not_load(
    store: PluginStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is built in is loaded; what is disabled or broken is told as ever."""
    for name in ("ab-one", "ab-two"):
        store.install(str(write_wheel(tmp_path, name)), agree)
    store.disable("ab-two")
    monkeypatch.setenv(SAFE_MODE_VARIABLE, "1")
    listed = {p.name: p.state for p in list_plugins(store.places).plugins}
    assert (listed["ab-one"], listed["ab-two"]) == ("not loaded", "disabled")
    assert listed["anabranch"] == "ok"


def test_a_host_that_changed_underneath_is_told(
    store: PluginStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade of Anabranch a plugin may not fit any more; listing says so."""
    store.install(str(write_wheel(tmp_path, "ab-quorum", requires=("pluggy>=1",))), agree)
    survey = survey_host

    def older(overlay: Path) -> Host:
        host = survey(overlay)
        return Host({**host.versions, "pluggy": "0.13"}, host.path)

    monkeypatch.setattr("anabranch.plugin_store.listing.survey_host", older)
    found = next(p for p in list_plugins(store.places).plugins if p.name == "ab-quorum")
    assert found.state == "broken"
    assert found.faults == ("ab-quorum 1.0 needs pluggy>=1, and 0.13 is here",)


def test_removing_works_when_the_files_are_gone(store: PluginStore, tmp_path: Path) -> None:
    store.install(str(write_wheel(tmp_path, "ab-quorum")), agree)
    for folder in store.places.packages.iterdir():
        folder.rename(tmp_path / "gone")
    assert next(p for p in list_plugins(store.places).plugins if p.faults).name == "ab-quorum"
    store.remove("ab-quorum")
    assert installed(store) == {}


def test_an_unreadable_list_is_rolled_back(store: PluginStore, tmp_path: Path) -> None:
    for name in ("ab-one", "ab-two"):
        store.install(str(write_wheel(tmp_path, name)), agree)
    store.places.generation(2).write_text("???")
    with pytest.raises(WorldError, match="unreadable") as refused:
        store.remove("ab-two")
    assert "rollback" in refused.value.hint
    store.rollback()
    assert installed(store) == {"ab-one": "1.0"}


HOOK = "from anabranch.hookspecs import hookimpl\nfrom anabranch.extending import Imported\n"


def extension(hook: str, body: str) -> str:
    """Return the source of a plugin that brings one thing besides strategies."""
    made = f"class Made:\n    name = 'made'\n{textwrap.indent(body, '    ')}\n"
    return f"{HOOK}{made}@hookimpl\ndef {hook}():\n    return [Made()]\n"


IMPORTS = "file_names = ['x.toml']\ndef convert(self, text):\n    return {}"
BROKEN_EXTENSIONS = {
    "returns no plan": ("anabranch_importers", IMPORTS.format("42"), "convert returned int"),
    "raises": ("anabranch_importers", IMPORTS.format("1 / 0"), "convert raised ZeroDivision"),
    "reads no names": ("anabranch_importers", "def convert(self, text): ...", "its file_names are"),
    "has no method": ("anabranch_importers", "file_names = ['x']", "it has no method convert"),
    "takes too little": (
        "anabranch_report_formats",
        "def render(self, report):\n    return 'x'",
        "render does not take 2 arguments",
    ),
    "renders bytes": (
        "anabranch_report_formats",
        "def render(self, report, events):\n    return b'x'",
        "render returned bytes, not a text",
    ),
    "cannot hear": ("anabranch_observers", "def saw(self):\n    pass", "saw does not take 1 arg"),
    "measures words": (
        "anabranch_resource_probes",
        "def amount(self):\n    return 'many'",
        "amount returned 'many'",
    ),
    "runs a sentence": (
        "anabranch_executors",
        "def command_line(self, launch):\n    return 'docker run'",
        "command_line returned 'docker run'",
    ),
}


@pytest.mark.parametrize("name", BROKEN_EXTENSIONS)
def test_what_a_plugin_brings_besides_strategies_is_tried_too(
    store: PluginStore, tmp_path: Path, name: str
) -> None:
    """By its check and by its trial: names, arguments, and one call of each."""
    hook, body, found = BROKEN_EXTENSIONS[name]
    wheel = write_wheel(tmp_path, "ab-odd", extension(hook, body))
    with pytest.raises(PluginRefused) as refused:
        store.install(str(wheel), agree, index=CLOSED)
    assert found in refused.value.message


def test_what_needs_the_world_may_fail_where_it_is_tried(
    store: PluginStore, tmp_path: Path
) -> None:
    """Its file or its cluster may be elsewhere; whoever asks for a check is told."""
    source = extension("anabranch_observers", "def saw(self, event):\n    open('/no/such/file')")
    wheel = write_wheel(tmp_path, "ab-diary", source)
    (fault,) = store.check(str(wheel), index=CLOSED).faults
    assert "saw raised FileNotFoundError" in fault.message
    assert store.install(str(wheel), agree, index=CLOSED) is not None


def test_what_works_besides_strategies_is_counted(store: PluginStore, tmp_path: Path) -> None:
    good = IMPORTS.format("Imported({'version': 1})")
    wheel = write_wheel(tmp_path, "ab-good", extension("anabranch_importers", good))
    found = store.check(str(wheel), index=CLOSED)
    assert (found.faults, found.checked, found.others) == ((), 0, 1)
    assert list(found.strategies) == ["importer"]


def test_a_plugin_that_brings_nothing_conforms_to_nothing(
    store: PluginStore, tmp_path: Path
) -> None:
    wheel = write_wheel(tmp_path, "ab-empty", "NAME = 'nothing'\n")
    (fault,) = store.check(str(wheel), index=CLOSED).faults
    assert "it brings nothing" in fault.message


def test_what_disturbs_the_process_is_refused_by_its_trial(
    store: PluginStore, tmp_path: Path
) -> None:
    wheel = write_wheel(tmp_path, "ab-loud", f"print('hello')\n{QUORUM}")
    with pytest.raises(PluginRefused, match="when it was loaded, it printed 'hello'"):
        store.install(str(wheel), agree, index=CLOSED)


def test_names_that_two_plugins_share_are_told(store: PluginStore, tmp_path: Path) -> None:
    """Both stay usable, by their full names; the nearest of a wrong name is told too."""
    for name in ("ab-one", "ab-two"):
        store.install(str(write_wheel(tmp_path, name)), agree, index=CLOSED)
    found = shared_names("ab-two", list_plugins(store.places))
    assert any("in a plan write ab-two:quorum" in line for line in found)
    with pytest.raises(UsageError) as refused:
        store.remove("one")
    assert refused.value.hint == "did you mean 'ab-one'?"
