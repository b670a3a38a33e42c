"""Handlers: one stream that fans out over items, a command for each.

Theory of operation. The holder of such a stream runs one program, :mod:`.crowd`, in the place of a
command. It takes items from a source one by one, starts a handler for each, so many at a time, and
keeps account of them in a book that outlives it. It needs nobody: when the console is killed it
goes on, and when it is killed itself the next attempt runs what the book does not say is done.

All of this is standard library only, and imports nothing else of ours: the program starts in a few
milliseconds, and what checks a plan reads the same modules.
"""
