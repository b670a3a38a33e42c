"""The asyncio shell around the core: the only ring that touches the world.

:mod:`engine` is the single writer: inputs in, events to the journal, effects out. :mod:`host` runs
it on a thread of its own; :mod:`performers` do what it owes; :mod:`watching` and :mod:`vitals` look
at what is never journalled.
"""
