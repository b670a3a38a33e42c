"""Installed plugins: a folder of packages in generations, filled and mended without loading any.

Whoever loads plugins uses :mod:`anabranch.plugin_store.overlay`.
"""
