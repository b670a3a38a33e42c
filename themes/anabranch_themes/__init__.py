"""Palettes of the console, as data."""
