"""Generations of installed plugins: one is in force, whatever is interrupted, and one is kept."""

from __future__ import annotations

import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.files import LEFTOVERS, replace_whole, write_fresh
from anabranch.plugin_store import generations as gens
from anabranch.plugin_store.choices import Choices, read_choices, write_choices
from anabranch.plugin_store.generations import NOTHING, Generation, InstalledPlugin, Package
from anabranch.plugin_store.offers import OwnPoint, points_of
from anabranch.plugin_store.overlay import offered_plugins
from anabranch.plugin_store.places import Places

GROUP = "anabranch.test-of-generations"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setattr(sys, "path", [*sys.path])
    places = Places(tmp_path / "plugins")
    places.create()
    return places


def unpacked(places: Places, name: str, *points: str) -> Package:
    """Put a package with entry points among the packages."""
    facts = places.packages / f"{name}-1" / f"{name}-1.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    lines = "".join(f"{point} = {name}_module\n" for point in points)
    (facts / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")
    return Package(name, "1", f"{name}-1", ("anabranch>=0.1",))


def listed(places: Places) -> list[str]:
    return sorted(point.name for point in offered_plugins(GROUP, places).entry_points)


def test_what_is_written_is_what_is_read(places: Places) -> None:
    plugin = InstalledPlugin("a", "1", "./a", "2026-01-01T00:00:00Z", entry_points=("anabranch:a",))
    plugin = replace(plugin, strategies={"convergence": ("a:one", "a:two")})
    written = Generation(3, 2, "installed a", (plugin,), (Package("a", "1", "a-1", ("b<2",)),))
    gens.put_in_force(places, written)
    assert gens.current_generation(places) == written
    assert gens.current_generation(Places(places.root / "elsewhere")) == NOTHING


def test_the_packages_in_force_are_offered_and_the_others_are_not(places: Places) -> None:
    """Being unpacked means nothing; only the list in force counts."""
    one, _ = unpacked(places, "one", "first"), unpacked(places, "other", "second")
    assert listed(places) == []
    gens.put_in_force(places, Generation(1, packages=(one,)))
    assert listed(places) == ["first"]
    assert sys.path[-1] == str(places.packages / "one-1")


def test_what_is_disabled_is_not_offered(places: Places) -> None:
    """A whole distribution, or one of its plugins; the spelling of a name does not matter."""
    gens.put_in_force(places, Generation(1, packages=(unpacked(places, "some_pack", "x", "y"),)))
    write_choices(places, Choices(("Some-Pack:y",)))
    assert listed(places) == ["x"]
    write_choices(places, Choices(("some.pack",)))
    assert listed(places) == []
    assert read_choices(places) == Choices(("some.pack",))


@pytest.mark.parametrize("content", ["not toml", "number = 'many'", "disabled = 7"])
def test_an_unreadable_store_is_a_fault_and_no_end(places: Places, content: str) -> None:
    """The console starts with what else there is."""
    gens.put_in_force(places, Generation(1))
    places.choices.write_text(content)
    places.generation(1).write_text(content)
    offered = offered_plugins("anabranch", places)
    assert offered.faults
    assert {p.name for p in offered.entry_points} == {
        p.name for p in entry_points(group="anabranch")
    }


def test_what_is_left_over_is_cleared_and_what_is_needed_stays(places: Places) -> None:
    """A command that was killed leaves half-made things; the next one removes them."""
    packages = [unpacked(places, name) for name in ("old", "before", "now", "half")]
    for number, package in enumerate(packages[:3], 1):
        gens.put_in_force(places, Generation(number, number - 1, packages=(package,)))
    replace_whole(places.generation(4), b"number = 4\n")
    (places.root / "staging-123").mkdir()
    write_fresh(places.root / LEFTOVERS.replace("*", "0123456789abcdef"), b"disabled")
    assert gens.next_number(places) == 5
    gens.clear_leftovers(places)
    assert sorted(path.name for path in places.root.iterdir()) == [
        "current",
        "gen-2.toml",
        "gen-3.toml",
        "packages",
    ]
    assert sorted(path.name for path in places.packages.iterdir()) == ["before-1", "now-1"]
    current = gens.current_generation(places)
    assert gens.earlier_generation(places, current) == gens.read_generation(places.generation(2))


def test_nothing_is_cleared_when_the_list_is_unreadable(places: Places) -> None:
    gens.put_in_force(places, Generation(1, packages=(unpacked(places, "kept"),)))
    places.generation(1).write_text("no list")
    gens.clear_leftovers(places)
    assert (places.packages / "kept-1").exists()


def test_our_own_plugins_are_told_without_the_library_only_if_nobody_may_have_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive on the path, or somebody's own way to find packages, is left to the library."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    expected = {(point.name, point.module) for point in entry_points(group="anabranch")}
    alone = points_of("anabranch")
    assert {(point.name, point.module) for point in alone} == expected
    assert all(isinstance(point, OwnPoint) for point in alone)
    archive = tmp_path / "more.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("more-1.dist-info/METADATA", "Name: more\nVersion: 1\n")
        file.writestr("more-1.dist-info/entry_points.txt", "[anabranch]\nmore = more\n")
    sys.path.append(str(archive))
    found = {(point.name, point.module) for point in points_of("anabranch")}
    assert found == expected | {("more", "more")}
