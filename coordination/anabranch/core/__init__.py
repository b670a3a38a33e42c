"""The pure core: what the engine decides, with no clock, disk, process or randomness in it.

One door leads in: :func:`anabranch.core.decide.decide` takes a state, an input and the time and
returns the events that follow and the effects that are now owed, or a refusal with its reason.
:func:`anabranch.core.evolve.evolve` folds events into the state. Everything else in here is a
value, a table or a query that those two use.
"""
