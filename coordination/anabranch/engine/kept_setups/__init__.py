"""What a setup makes: noted, kept for other workspaces, and used again there.

A holder runs the program of this package (``__main__``) around a plan's setup. It notes which files
the setup has made, so that nobody takes them for work (``made``). Where a plan names the files that
decide what its setup makes (``setup_inputs``), the result is kept (``keeping``), and the next
workspace that wants the same gets it (``putting_back``): a workspace of layers shows it as its
lowest layer, which nobody writes to; any other has a copy of its own.
"""

FOLDER = "setups"
"""The part of a project's store in which results lie."""
