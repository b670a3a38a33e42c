"""The installed strategies, for commands that host a run without reading a plan."""

from __future__ import annotations

from anabranch.plugins import Loaded, load_plugins
from anabranch.safe_mode import is_safe_mode
from anabranch_console.cli.output import say, shown


def installed() -> Loaded:
    """Load the plugins and name those that were set aside."""
    loaded = load_plugins()
    if is_safe_mode():
        say("safe mode: only what is built in is loaded")
    for plugin in loaded.set_aside:
        say(f"plugin {plugin.plugin} was set aside: {plugin.reason}")
    for note in loaded.notes:
        say(f"plugin {note.plugin}, when it was loaded: {shown(note.did)}")
    return loaded
