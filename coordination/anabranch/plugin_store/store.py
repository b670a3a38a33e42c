"""What can be done about plugins: install, remove, enable, disable, roll back, check.

Nothing here loads a plugin into this process, so all of it works while plugins are broken. It has
no user interface: its caller hears of progress, and is asked before code of others comes in.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anabranch.errors import PluginRefused, UsageError, machine_errors
from anabranch.hookspecs import PROJECT
from anabranch.plugin_store import generations as gens
from anabranch.plugin_store.choices import Choices, read_choices, write_choices
from anabranch.plugin_store.facts import Facts
from anabranch.plugin_store.generations import Generation, InstalledPlugin, Package
from anabranch.plugin_store.host import survey_host
from anabranch.plugin_store.listing import known_names
from anabranch.plugin_store.locking import changing
from anabranch.plugin_store.names import canonical
from anabranch.plugin_store.places import Places
from anabranch.plugin_store.probing import Assignment, Fault, Probed, probe
from anabranch.plugin_store.requirements import still_needed
from anabranch.plugin_store.staging import Filling, Progress, Stage, Staged, is_local
from anabranch.plugin_store.tools import Index
from anabranch.plugin_store.wheels import (
    NOTHING_CHANGED,
    entries_of,
    fingerprint,
    refuse,
    whole_modules,
)

CHECK_SECONDS = 120.0
HASH_SEEDS = (1, 2)
GROUPS = (PROJECT, f"{PROJECT}.console")


class Proposal(msgspec.Struct, frozen=True):
    """What an installation would bring, for whoever has to agree.

    ``extra`` are other distributions that come with it, ``replaces`` the version it takes the place
    of, ``built_by`` what built it if it came as a folder.
    """

    plugin: Facts
    extra: tuple[str, ...]
    replaces: str
    file_count: int
    built_by: str


Agree = Callable[[Proposal], bool]
"""Asked before code of others comes in: whether to go on."""


def _silent(step: str) -> None:
    """Tell nobody."""


class PluginStore:
    """The installed plugins of this Python; ``places`` is where, by default in the data folder."""

    def __init__(self, places: Places | None = None, console_checks: str = "") -> None:
        self.places = places or Places.of_this_python()
        self._console_checks = console_checks

    # --- bringing in, taking out -----------------------------------------------------------------

    def install(
        self,
        source: str,
        agree: Agree,
        *,
        index: Index | None = None,
        progress: Progress = _silent,
    ) -> InstalledPlugin | None:
        """Install a package, a wheel or a folder; return it, or None if ``agree`` said no.

        It is built, looked into, fitted to what is here and tried out in a process of its own
        before one rename brings it into force. If anything goes wrong, nothing has changed.

        Raises:
            UsageError: there is no such thing.
            PluginRefused: it may not come in, does not fit, or fails its trial.
            WorldError: the machine cannot do it (no room, no tool, no network).
        """
        with self._changing(progress) as current, self._staging() as folder:
            filled = self._stage(folder, current, index or Index(), progress).fill(source)
            self._refuse_unsuitable(filled, current)
            if not agree(_proposal(filled, current)):
                return None
            progress(f"trying out {filled.main.facts.name} in a process of its own")
            plugin = _record(filled.main, source, self._try_out(filled, current, folder))
            progress("bringing it into force")
            with machine_errors():
                kept = [p for p in current.packages if p.name in filled.kept]
                fresh = [self._keep(staged) for staged in filled.all]
                self._put_in_force(current, plugin, [*kept, *fresh])
            return plugin

    def remove(self, name: str, *, progress: Progress = _silent) -> InstalledPlugin:
        """Take out a plugin and what nothing else needs. Raises UsageError if it is not here."""
        with self._changing(progress) as current:
            plugin = current.plugin(canonical(name))
            if plugin is None:
                raise self._not_installed(name, current)
            rest = tuple(p for p in current.plugins if p is not plugin)
            needed = still_needed((p.name for p in rest), current.packages)
            packages = tuple(p for p in current.packages if p.name in needed)
            with machine_errors():
                gens.put_in_force(
                    self.places,
                    self._next(current, f"removed {plugin.name} {plugin.version}", rest, packages),
                )
                self._forget_choices(plugin.name)
            return plugin

    def rollback(self, *, progress: Progress = _silent) -> tuple[int, Generation]:
        """Go back to the generation before; return the number that was left, and that generation.

        Works also if the list in force cannot be read. Raises UsageError if there is none before.
        """
        with self._locked(progress):
            number = gens.current_number(self.places)
            earlier = gens.latest_readable_before(self.places, number)
            if earlier is None:
                raise UsageError("there is no earlier generation of plugins to go back to")
            with machine_errors():
                gens.point_to(self.places, earlier.number)
            return number, earlier

    # --- on and off ------------------------------------------------------------------------------

    def disable(self, name: str, *, progress: Progress = _silent) -> bool:
        """Keep a distribution, or one plugin of it, from being loaded; return whether it was so.

        Raises UsageError if nothing here has this name.
        """
        name = canonical(name)
        known = known_names(self.places)
        if name not in known:
            raise UsageError(f"there is no plugin {name!r}", suggestion(name, known))
        with self._locked(progress):
            choices = read_choices(self.places)
            with machine_errors():
                write_choices(self.places, Choices((*choices.disabled, name)))
            return name not in choices.disabled

    def enable(self, name: str, *, progress: Progress = _silent) -> bool:
        """Let it be loaded again; return whether it was disabled. Raises UsageError if unknown."""
        name = canonical(name)
        with self._locked(progress):
            choices = read_choices(self.places)
            kept = tuple(other for other in choices.disabled if canonical(other) != name)
            if len(kept) < len(choices.disabled):
                with machine_errors():
                    write_choices(self.places, Choices(kept))
                return True
        known = known_names(self.places)
        if name not in known:
            raise UsageError(f"there is no plugin {name!r}", suggestion(name, known))
        return False

    # --- looking closer --------------------------------------------------------------------------

    def check(
        self, target: str, *, index: Index | None = None, progress: Progress = _silent
    ) -> Probed:
        """Run the whole conformance suite on a plugin's folder, a wheel, or an installed plugin.

        It runs twice, with strings hashed differently, so that decisions which depend on the order
        of a set show up. Raises UsageError if there is no such plugin.
        """
        with tempfile.TemporaryDirectory(prefix="anabranch-check-") as place:
            folder = Path(place)
            assignment = self._assignment(target, folder, index or Index(), progress)
            progress(f"checking {assignment.distribution} in a process of its own")
            first, second = (
                probe(assignment, folder / f"run-{seed}", seconds=CHECK_SECONDS, hash_seed=seed)
                for seed in HASH_SEEDS
            )
        if first.faults or second.faults or first.decisions == second.decisions:
            return second if second.faults and not first.faults else first
        message = "it decides differently when Python hashes strings differently (sets, hash())"
        return replace(first, faults=(Fault(assignment.distribution, message),))

    def _assignment(
        self, target: str, folder: Path, index: Index, progress: Progress
    ) -> Assignment:
        if not is_local(target):
            name, known = canonical(target), known_names(self.places)
            if name not in known:
                raise UsageError(f"there is no plugin {name!r}", suggestion(name, known))
            current = gens.current_generation(self.places)
            folders = tuple(self._folder(package) for package in current.packages)
            return self._trial_of(name.partition(":")[0], folders, is_thorough=True)
        current = gens.current_generation(self.places)
        stage = self._stage(folder, current, index, progress)
        if not Path(target).exists():
            raise UsageError(f"there is no file or folder {target!r}")
        staged = stage.local(Path(target))
        _refuse_without_plugins(staged.facts)
        others = (self._folder(p) for p in current.packages if p.name != staged.facts.name)
        folders = (str(staged.folder), *others)
        return self._trial_of(staged.facts.name, folders, is_thorough=True)

    def _trial_of(
        self, name: str, folders: tuple[str, ...], *, is_thorough: bool = False
    ) -> Assignment:
        return Assignment(name, folders, is_thorough, console_checks=self._console_checks)

    # --- parts of installing ---------------------------------------------------------------------

    def _stage(self, folder: Path, current: Generation, index: Index, progress: Progress) -> Stage:
        def kept_beside(name: str) -> dict[str, str]:
            """What only a plugin itself needs does not bind its next version."""
            others = [plugin.name for plugin in current.plugins if plugin.name != name]
            needed = still_needed(others, current.packages)
            return {p.name: p.version for p in current.packages if p.name in needed}

        return Stage(folder, survey_host(self.places.root), kept_beside, index, progress)

    def _refuse_unsuitable(self, filled: Filling, current: Generation) -> None:
        _refuse_without_plugins(filled.main.facts)
        taken: dict[str, str] = {}
        for package in current.packages:
            if package.name in filled.kept:
                tops = whole_modules(entries_of(Path(self._folder(package))))
                taken |= dict.fromkeys(tops, package.name)
        for staged in filled.all:
            tops = whole_modules(entries_of(staged.folder))
            clashes = sorted(top for top in tops if top in taken)
            faults = [f"its module {top!r} has the name of one of {taken[top]}" for top in clashes]
            refuse(f"{staged.facts.name} {staged.facts.version}", faults)
            taken |= dict.fromkeys(tops, staged.facts.name)

    def _try_out(self, filled: Filling, current: Generation, folder: Path) -> Probed:
        facts = filled.main.facts
        others = [self._folder(p) for p in current.packages if p.name in filled.kept]
        folders = (*(str(staged.folder) for staged in filled.all), *others)
        found = probe(self._trial_of(facts.name, folders), folder / "probe")
        if found.faults:
            faults = "\n  ".join(fault_in_words(fault) for fault in found.faults)
            head = f"{facts.name} {facts.version} failed its trial"
            raise PluginRefused(f"{head}:\n  {faults}", NOTHING_CHANGED)
        return found

    def _keep(self, staged: Staged) -> Package:
        """Move what is staged to the packages, where it stays as it is."""
        facts = staged.facts
        name = f"{facts.name}-{facts.version}-{fingerprint(staged.folder)}"
        target = self.places.packages / name
        if not target.exists():
            os.rename(staged.folder, target)
        return Package(facts.name, facts.version, name, facts.requires)

    def _put_in_force(
        self, current: Generation, plugin: InstalledPlugin, packages: list[Package]
    ) -> None:
        others = tuple(p for p in current.plugins if p.name != plugin.name)
        plugins = tuple(sorted((*others, plugin), key=lambda p: p.name))
        needed = still_needed((p.name for p in plugins), packages)
        kept = tuple(sorted((p for p in packages if p.name in needed), key=lambda p: p.name))
        reason = f"installed {plugin.name} {plugin.version}"
        gens.put_in_force(self.places, self._next(current, reason, plugins, kept))

    def _next(
        self,
        current: Generation,
        reason: str,
        plugins: tuple[InstalledPlugin, ...],
        packages: tuple[Package, ...],
    ) -> Generation:
        number = gens.next_number(self.places)
        return Generation(number, current.number, reason, plugins, packages)

    def _folder(self, package: Package) -> str:
        return str(self.places.packages / package.folder)

    def _forget_choices(self, name: str) -> None:
        choices = read_choices(self.places)
        kept = tuple(n for n in choices.disabled if canonical(n).partition(":")[0] != name)
        if kept != choices.disabled:
            write_choices(self.places, Choices(kept))

    def _not_installed(self, name: str, current: Generation) -> UsageError:
        if canonical(name) in survey_host(self.places.root).versions:
            hint = (
                "remove it with the tool that installed it, or: anabranch plugins disable " + name
            )
            return UsageError(f"{name!r} was not installed by anabranch plugins install", hint)
        names = [plugin.name for plugin in current.plugins]
        return UsageError(f"there is no installed plugin {name!r}", suggestion(name, names))

    # --- one at a time ---------------------------------------------------------------------------

    @contextmanager
    def _locked(self, progress: Progress) -> Iterator[None]:
        with changing(self.places, lambda: progress("waiting for another command")):
            yield

    @contextmanager
    def _changing(self, progress: Progress) -> Iterator[Generation]:
        with self._locked(progress):
            yield gens.current_generation(self.places)
            with machine_errors():
                gens.clear_leftovers(self.places)

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        folder = self.places.staging()
        with machine_errors():
            folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def fault_in_words(fault: Fault) -> str:
    """Return a fault in words, its example on a line of its own."""
    example = f"\n    asked: {fault.example}" if fault.example else ""
    return f"{fault.about}: {fault.message}{example}"


def _refuse_without_plugins(facts: Facts) -> None:
    if not any(point.partition(":")[0] in GROUPS for point in facts.entry_points):
        what = f"{facts.name} {facts.version} brings no plugin"
        raise PluginRefused(f"{what} (no entry point in the group {PROJECT!r})", NOTHING_CHANGED)


def _proposal(filled: Filling, current: Generation) -> Proposal:
    before = current.plugin(filled.main.facts.name)
    return Proposal(
        plugin=filled.main.facts,
        extra=tuple(f"{staged.facts.name} {staged.facts.version}" for staged in filled.extra),
        replaces=before.version if before else "",
        file_count=sum(len(entries_of(staged.folder)) for staged in filled.all),
        built_by=filled.main.built_by,
    )


def _record(main: Staged, source: str, found: Probed) -> InstalledPlugin:
    facts = main.facts
    return InstalledPlugin(
        name=facts.name,
        version=facts.version,
        source=str(Path(source).resolve()) if is_local(source) else source,
        installed=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        summary=facts.summary,
        author=facts.author,
        entry_points=tuple(p for p in facts.entry_points if p.partition(":")[0] in GROUPS),
        strategies=found.strategies,
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """Name the nearest: by its spelling, or because it is that with more before or after it."""
    names, wanted = list(known), canonical(name)
    near = get_close_matches(wanted, names, n=1) or [n for n in names if wanted and wanted in n]
    return f"did you mean {near[0]!r}?" if near else "anabranch plugins list tells what is here"
