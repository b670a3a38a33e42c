"""The parts of the documentation that are written by the code they describe.

``python -m tests.contracts.generated_docs`` writes them; a test checks that they are up to date.
"""

from __future__ import annotations

from pathlib import Path

from anabranch.core.events import event_types, wire_name
from anabranch.core.model.lifecycle import Phase, diagram, public_state
from anabranch_console.built_in_verbs import keys_markdown
from tests.contracts import core_map
from tests.contracts.hook_docs import hooks
from tests.contracts.strategy_docs import strategies

DOCS = Path(__file__).parents[2] / "docs"


def lifecycle() -> str:
    """Return docs/lifecycle.md."""
    rows = [f"| `{phase}` | `{public_state(phase)}` |" for phase in Phase]
    return "\n".join(
        [
            "# A stream's life",
            "",
            "Drawn from the table in `anabranch.core.model.lifecycle`; `make docs` writes it.",
            "",
            "```mermaid",
            diagram().rstrip(),
            "```",
            "",
            "| phase | what people and scripts see |",
            "| --- | --- |",
            *rows,
            "",
        ]
    )


def events() -> str:
    """Return docs/events.md."""
    lines = [
        "# Events",
        "",
        "Every type that `anabranch events --json` can show. `make docs` writes this.",
        "",
    ]
    for kind in event_types():
        fields = ", ".join(f"`{name}`" for name in kind.__struct_fields__)
        said = (kind.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        said = "" if said.startswith(f"{kind.__name__}(") else f" {' '.join(said.split())}"
        lines.append(f"- **{wire_name(kind.__name__)}** ({fields or 'no fields'}).{said}")
    return "\n".join(lines) + "\n"


MAP_BEGINS, MAP_ENDS = "<!-- the map: `make docs` writes it -->", "<!-- the map ends -->"


def architecture() -> str:
    """Return docs/architecture.md with its map of the core as it is now."""
    before, _, rest = (DOCS / "architecture.md").read_text("utf-8").partition(MAP_BEGINS)
    after = rest.partition(MAP_ENDS)[2]
    return f"{before}{MAP_BEGINS}\n\n{core_map.table()}\n\n{MAP_ENDS}{after}"


def keys() -> str:
    """Return docs/keys.md."""
    return "\n".join(
        [
            "# Keys and commands of the console",
            "",
            "Every verb, where it can be done, its keys, and its name in the command bar (`:`).",
            "The console goes by the same table; `make docs` writes it. `?` shows the verbs of the",
            "place you are at.",
            "",
            keys_markdown(),
        ]
    )


PARTS = {
    "keys.md": keys,
    "architecture.md": architecture,
    "lifecycle.md": lifecycle,
    "events.md": events,
    "strategies.md": strategies,
    "hooks.md": hooks,
}


def main() -> None:
    """Write all parts."""
    for name, part in PARTS.items():
        (DOCS / name).write_text(part(), "utf-8")


if __name__ == "__main__":
    main()
