"""Plugins and strategies in words: what there is, what the plan uses, and how it has done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anabranch.core import wording
from anabranch.core.ids import PointId
from anabranch.core.model.state import PointPhase, State
from anabranch.core.strategies.kinds import CHOICES, KINDS
from anabranch_console.glyphs import UNICODE, Glyphs
from anabranch_console.lines import Line, Span, wrap
from anabranch_console.presenters.consequences import Consequences
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.wording import safe

if TYPE_CHECKING:
    from anabranch.core.strategies import Strategies
    from anabranch.engine.guarded_strategies import StrategyUse
    from anabranch.plugin_store.listing import Listed, Listing
    from anabranch.plugin_store.store import Proposal

BUILT_IN = "anabranch"
_LABEL_CELLS = 11


@dataclass(frozen=True, slots=True)
class PluginRow:
    """A strategy, or a plugin of which none is loaded (then without ``strategy``)."""

    plugin: str
    kind: str = ""
    strategy: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.plugin}:{self.strategy}"

    @property
    def can_be_chosen(self) -> bool:
        """Whether a plan names strategies of this kind."""
        return self.kind in CHOICES


@dataclass(slots=True)
class PluginLook:
    """What plugins are shown with; ``doing`` is what the store is about to do."""

    state: State
    use: Mapping[str, StrategyUse] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    listing: Listing | None = None
    glyphs: Glyphs = UNICODE
    doing: str = ""

    def listed(self, plugin: str) -> Listed | None:
        found = self.listing.plugins if self.listing else ()
        return next((one for one in found if one.name == plugin), None)

    def used(self, row: PluginRow) -> StrategyUse | None:
        return self.use.get(row.strategy) or self.use.get(f"{row.plugin}:{row.strategy}")


# --- rows ----------------------------------------------------------------------------------------


def plugin_rows(strategies: Strategies | None, listing: Listing | None) -> list[PluginRow]:
    """Return all strategies, those of plugins first, and the plugins that bring none here."""
    rows = [] if strategies is None else _strategy_rows(strategies)
    shown = {row.plugin for row in rows}
    silent = [p.name for p in listing.plugins if p.name not in shown] if listing else []
    theirs = [row for row in rows if row.plugin != BUILT_IN]
    ours = [row for row in rows if row.plugin == BUILT_IN]
    return [*theirs, *(PluginRow(name) for name in silent if name != BUILT_IN), *ours]


def _strategy_rows(strategies: Strategies) -> list[PluginRow]:
    rows = []
    for kind in KINDS:
        found: Mapping[str, object] = getattr(strategies, kind.field)
        ids = [name for name in found if ":" in name]
        named = {strategy_id.partition(":")[2] for strategy_id in ids}
        for strategy_id in ids:
            plugin, _, name = strategy_id.partition(":")
            rows.append(PluginRow(plugin, kind.word, name))
        rows += [
            PluginRow(_package_of(found[name]), kind.word, name)
            for name in found
            if ":" not in name and name not in named
        ]
    return rows


def _package_of(strategy: object) -> str:
    package = type(strategy).__module__.partition(".")[0].replace("_", "-")
    return BUILT_IN if package.startswith(BUILT_IN) and "plugins" in package else package


def uses(state: State, row: PluginRow) -> list[str]:
    """Return what the plan has this strategy for."""
    names = (row.strategy, f"{row.plugin}:{row.strategy}")
    kind = next((kind for kind in KINDS if kind.word == row.kind), None)
    if kind is None:
        return []
    if kind.is_at_points:
        return [str(point.id) for point in state.plan.points if point.type in names]
    if not kind.choice or getattr(state.plan, kind.choice) in names:
        return [kind.used_for]
    return ["first rungs"] if row.strategy in kind.not_named else []


def plugin_text(look: PluginLook, row: PluginRow) -> str:
    """Return what a filter of the rows looks at."""
    return f"{row.plugin} {row.kind} {row.strategy} {standing_of(look, row)}"


def standing_of(look: PluginLook, row: PluginRow) -> str:
    """Return how a row stands, in a word or two."""
    used, listed = look.used(row), look.listed(row.plugin)
    if used is not None and used.is_set_aside:
        return "set aside"
    if used is not None and used.faults:
        return "faulty"
    if listed is not None and listed.state != "ok":
        return listed.state
    if not row.strategy:
        return "not loaded"
    return "in use" if uses(look.state, row) else "ready"


_STYLES = {
    "set aside": "level.error",
    "broken": "level.error",
    "faulty": "level.warning",
    "in use": "state.running",
}


def plugin_columns(look: Callable[[], PluginLook]) -> list[Column[PluginRow]]:
    """Return the columns of the pane."""
    return [
        Column(
            "STRATEGY", 16, 100, lambda r: Span(safe(r.strategy or r.plugin), "strong"), grows=True
        ),
        Column("KIND", 12, 90, lambda r: Span(r.kind or "plugin", "muted")),
        Column("STATE", 10, 95, lambda r: _standing(look(), r)),
        Column("PLUGIN", 18, 60, lambda r: Span(safe(r.plugin), "muted"), grows=True),
        Column("CALLS", 6, 80, lambda r: _calls(look(), r), "right"),
        Column("TIME", 8, 70, lambda r: _time(look(), r), "right"),
        Column("FAULTS", 6, 75, lambda r: _faults(look(), r), "right"),
        Column("THE PLAN HAS IT FOR", 0, 85, lambda r: _used_for(look(), r)),
    ]


def _standing(look: PluginLook, row: PluginRow) -> Span:
    word = standing_of(look, row)
    return Span(word, _STYLES.get(word, "muted"))


def _calls(look: PluginLook, row: PluginRow) -> Span:
    used = look.used(row)
    return Span(str(used.calls) if used else "", "text")


def _time(look: PluginLook, row: PluginRow) -> Span:
    used = look.used(row)
    return Span(milliseconds(used.seconds) if used else "", "text")


def milliseconds(seconds: float) -> str:
    """Return a time of calls: ``0.31 ms``, ``12 ms``, ``1.4 s``."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.2f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"


def _faults(look: PluginLook, row: PluginRow) -> Span:
    used = look.used(row)
    return Span(str(used.faults) if used and used.faults else "", "level.error")


def _used_for(look: PluginLook, row: PluginRow) -> Span:
    return Span(safe(wording.listing(uses(look.state, row), 4)), "text")


# --- the panel beside ----------------------------------------------------------------------------


def plugin_detail(look: PluginLook, row: PluginRow | None, cells: int) -> list[Line]:
    """Return what is known about the chosen one, and how the store stands."""
    lines: list[Line] = []
    if look.doing:
        lines += [*_fact("now", f"{look.doing} …", "state.running", cells), ()]
    if row is not None:
        lines += _about(look, row, cells)
    if look.listing is None:
        return [*lines, (), (Span("looking up what is installed …", "muted"),)]
    text = f"generation {look.listing.generation}; changes count for runs begun after them"
    lines += [(), *_fact("store", text, "muted", cells)]
    for fault in look.listing.faults:
        lines += _fact("fault", fault, "level.error", cells)
    return lines


def _about(look: PluginLook, row: PluginRow, cells: int) -> list[Line]:
    lines: list[Line] = [(Span(safe(row.strategy or row.plugin), "title"),)]
    if row.strategy:
        lines += _fact("id", f"{row.plugin}:{row.strategy}", "text", cells)
    lines += _fact("state", standing_of(look, row), "text", cells)
    used = look.used(row)
    if used is not None:
        mean = milliseconds(used.seconds / max(used.calls, 1))
        text = f"{wording.counted(used.calls, 'call')}, {mean} each"
        lines += _fact("asked", text, "text", cells)
        if used.last_fault:
            text = f"{wording.counted(used.faults, 'time')}; the last: {used.last_fault}"
            lines += _fact("faults", text, "level.error", cells)
            if used.is_set_aside:
                text = "not asked any more in this run; the core's own answers instead"
                lines += _fact("", text, "muted", cells)
    if row.kind in ("convergence", "balancer"):
        lines += _options(look, row, cells)
    if row.can_be_chosen:
        lines += _fact("choose", "c uses it for what has not begun", "muted", cells)
    listed = look.listed(row.plugin)
    if listed is None:
        return lines
    lines += [()]
    lines += _fact("plugin", f"{listed.name} {listed.version}, {listed.origin}", "text", cells)
    if listed.summary:
        lines += _fact("", listed.summary, "muted", cells)
    if listed.disabled:
        text = f"{', '.join(listed.disabled)}; E enables it again"
        lines += _fact("disabled", text, "level.warning", cells)
    for fault in listed.faults:
        lines += _fact("fault", fault, "level.error", cells)
    return lines


def _options(look: PluginLook, row: PluginRow, cells: int) -> list[Line]:
    """Return what options it takes, and what they are in the plan that names it."""
    names = (row.strategy, f"{row.plugin}:{row.strategy}")
    name = next((n for n in names if n in look.options), None)
    if name is None:
        return []
    from anabranch.config.options import filled_in  # reading plans takes more than looking at runs

    lines = _fact("options", _in_words(filled_in({}, name, look.options)), "muted", cells)
    for point in look.state.plan.points:
        if point.type in names and point.options:
            options = _in_words(filled_in(point.options, name, look.options))
            lines += _fact(f"at {point.id}", options, "text", cells)
    plan = look.state.plan
    if plan.balancer in names and plan.balancer_options:
        options = _in_words(filled_in(plan.balancer_options, name, look.options))
        lines += _fact("in the plan", options, "text", cells)
    return lines


def _in_words(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in options.items()) or "none"


def _fact(label: str, text: str, style: str, cells: int) -> list[Line]:
    wide = max(10, cells - _LABEL_CELLS)
    lines: list[Line] = []
    for number, part in enumerate(wrap(safe(text), wide)):
        shown = label if number == 0 else ""
        lines.append((Span(f"{shown:<{_LABEL_CELLS}} ", "muted"), Span(part, style)))
    return lines


# --- questions -----------------------------------------------------------------------------------


def open_points(state: State) -> list[PointId]:
    """Return the points whose type can still be chosen."""
    return [
        point.id
        for point in state.points.values()
        if point.phase is PointPhase.OPEN and not point.merged and not point.checkpoint.last
    ]


def of_installing(proposal: Proposal) -> Consequences:
    """Return what installing would bring, for whoever has to agree."""
    facts = proposal.plugin
    rows = [("brings", facts.summary or "no description"), ("by", facts.author or "nobody named")]
    if proposal.replaces:
        rows.append(("replaces", proposal.replaces))
    rows += [("with it", extra) for extra in proposal.extra]
    rows.append(("its code", f"{proposal.file_count} files, run with your permissions"))
    return Consequences(f"Install {facts.name} {facts.version}?", _lines(rows), "install")


def of_changing(title: str, what: Sequence[tuple[str, str]], confirm: str) -> Consequences:
    """Return what a change of the store would do."""
    return Consequences(title, _lines(what), confirm)


def _lines(rows: Sequence[tuple[str, str]]) -> tuple[Line, ...]:
    return tuple(
        (Span(f"{label:<9} ", "muted"), Span(safe(text)[:100], "text")) for label, text in rows
    )
