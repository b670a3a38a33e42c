"""What the user has switched off: a TOML file with a list of names.

A name is a distribution (``anabranch-quorum``) or one plugin of it (``anabranch-quorum:quorum``,
the name of its entry point). Names stay when a plugin is removed and come into force again with it.
"""

from __future__ import annotations

import msgspec
import tomli_w

from anabranch.errors import WorldError
from anabranch.files import replace_whole
from anabranch.plugin_store.names import canonical
from anabranch.plugin_store.offers import OUR_DISTRIBUTION, Point
from anabranch.plugin_store.places import Places
from anabranch.undecodable import UNDECODABLE


class Choices(msgspec.Struct, frozen=True):
    """The names of what is switched off."""

    disabled: tuple[str, ...] = ()

    def allows(self, point: Point) -> bool:
        """Return whether an entry point is to be loaded."""
        if not self.disabled:  # the name of a distribution stands in a file that has to be parsed
            return True
        names = {canonical(name) for name in self.disabled}
        distribution = canonical(point.dist.name) if point.dist else OUR_DISTRIBUTION
        return distribution not in names and f"{distribution}:{point.name}" not in names


def read_choices(places: Places) -> Choices:
    """Return what is switched off. Raises WorldError if the file is there and cannot be read."""
    try:
        with open(places.choices, "rb") as file:
            import tomllib  # here, because most people have switched nothing off

            return msgspec.convert(tomllib.load(file), Choices)
    except FileNotFoundError:
        return Choices()
    except (OSError, *UNDECODABLE) as error:
        hint = "mend the file, or delete it: it only lists what is disabled"
        raise WorldError(f"{places.choices} is unreadable: {error}", hint) from None


def write_choices(places: Places, choices: Choices) -> None:
    """Write what is switched off."""
    head = "# Plugins that are not loaded; anabranch plugins enable NAME takes one out.\n"
    content = head + tomli_w.dumps({"disabled": sorted(set(choices.disabled))})
    replace_whole(places.choices, content.encode(), mode=0o666, durable=True)
