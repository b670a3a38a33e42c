"""Theme files: found, read and checked. Data only, so that anybody can write one.

The console's own come with the package ``anabranch_themes``; a user's lie in the folder ``themes``
of the configuration folder. A file of the user's that is wrong, or that takes a name which is
already taken, is left out with the reason: the console opens all the same.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from anabranch_console.theming import COLOURS, Palette

LARGEST_THEME_BYTES = 64 * 1024
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_KEYS = ("title", "dark", "extends", "colors")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class Themes:
    """The themes that can be chosen, by name, and what is wrong with the files that cannot."""

    palettes: dict[str, Palette]
    problems: tuple[str, ...] = ()


def own_themes() -> dict[str, Palette]:
    """Return the themes that come with the console, by name."""
    palettes: dict[str, Palette] = {}
    for entry in _toml_files(files("anabranch_themes").iterdir()):
        name = entry.name.removesuffix(".toml")
        palettes[name] = parse_palette(name, entry.read_text(encoding="utf-8"))
    return palettes


def load_themes(folders: Iterable[Path]) -> Themes:
    """Return the console's own themes and those in ``folders``; a broken file is a problem."""
    palettes = own_themes()
    problems: list[str] = []
    for folder in folders:
        try:
            found = _toml_files(folder.iterdir())
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{folder}: {error.strerror}")
            continue
        for path in found:
            _add(path, palettes, problems)
    return Themes(palettes, tuple(problems))


def with_texts(themes: Themes, texts: Mapping[str, str]) -> Themes:
    """Return the themes and those in TOML texts; a text that is wrong is a problem."""
    palettes, problems = dict(themes.palettes), list(themes.problems)
    for name, text in texts.items():
        try:
            if not _NAME.fullmatch(name) or name in palettes:
                raise ValueError("its name is taken, or has other than small letters, digits, -, _")
            if len(text) > LARGEST_THEME_BYTES:
                raise ValueError(f"larger than {LARGEST_THEME_BYTES // 1024} KiB")
            palettes[name] = parse_palette(name, text, palettes)
        except ValueError as error:
            problems.append(f"theme {name} of a plugin: {error}")
    return Themes(palettes, tuple(problems))


def _toml_files(entries: Iterable[Any]) -> list[Any]:
    return sorted((e for e in entries if e.name.endswith(".toml")), key=lambda e: e.name)


def _add(path: Traversable, palettes: dict[str, Palette], problems: list[str]) -> None:
    name = path.name.removesuffix(".toml")
    try:
        if not _NAME.fullmatch(name):
            raise ValueError("a theme's file has a name of small letters, digits, - and _")
        if name in palettes:
            raise ValueError(f"there is a theme {name} already; give the file another name")
        palettes[name] = parse_palette(name, _read(path), palettes)
    except (OSError, ValueError) as error:
        problems.append(f"{path}: {error}")


def _read(path: Traversable) -> str:
    with path.open("rb") as file:
        data = file.read(LARGEST_THEME_BYTES + 1)
    if len(data) > LARGEST_THEME_BYTES:
        raise ValueError(
            f"larger than {LARGEST_THEME_BYTES // 1024} KiB, the most that a theme may have"
        )
    return str(data.decode("utf-8"))


def parse_palette(name: str, text: str, known: Mapping[str, Palette] | None = None) -> Palette:
    """Return the palette in a TOML text.

    ``known`` are the themes that ``extends`` may name: what the text leaves out is theirs.

    Raises:
        ValueError: the text is not a theme; says what was expected.
    """
    data = tomllib.loads(text)
    _refuse_unknown(data, _KEYS, "key")
    extends = data.get("extends")
    base = (known or {}).get(extends) if isinstance(extends, str) else None
    if extends is not None and base is None:
        raise ValueError(f"extends {extends!r}, and there is no such theme{_near(extends, known)}")
    own = data.get("colors", {})
    if not isinstance(own, dict):
        raise ValueError("colors is a table of names and colours")
    _refuse_unknown(own, COLOURS, "colour")
    for colour, value in own.items():
        if not (isinstance(value, str) and _COLOUR.fullmatch(value)):
            raise ValueError(f'colors.{colour} is {value!r}; expected a colour like "#62c9c0"')
    colours = {**(base.colours if base else {}), **own}
    missing = [colour for colour in COLOURS if colour not in colours]
    if missing:
        raise ValueError(f'lacks the colours {", ".join(missing)}; or say extends = "delta"')
    title, is_dark = data.get("title", name), data.get("dark", base.is_dark if base else True)
    if not isinstance(title, str) or not isinstance(is_dark, bool):
        raise ValueError("title is a text, dark is true or false")
    return Palette(name, title, is_dark, colours)


def _refuse_unknown(table: Mapping[str, object], known: Iterable[str], what: str) -> None:
    for key in table:
        if key not in known:
            raise ValueError(f"unknown {what} {key!r}{_near(key, known)}")


def _near(word: object, known: Iterable[str] | None) -> str:
    near = get_close_matches(str(word), list(known or ()), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
