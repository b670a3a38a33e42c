"""Palettes of the console, as data: one TOML file each, a title and named colours."""
