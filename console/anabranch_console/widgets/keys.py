"""Verbs as key bindings."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from anabranch_console.verbs import VERBS, Scope


def bindings_for(*scopes: Scope) -> list[BindingType]:
    """Return the bindings of all verbs with these scopes; each asks the screen to do the verb."""
    return [
        Binding(
            ",".join(verb.direct_keys),
            f"screen.verb('{verb.id}')",
            verb.title,
            show=False,
            id=verb.id,
        )
        for verb in VERBS
        if verb.scope in scopes and verb.direct_keys
    ]
