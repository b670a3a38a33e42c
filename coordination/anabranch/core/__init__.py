"""The pure core: what the engine decides, with no clock, disk, process or randomness in it.

One door leads in: :func:`anabranch.core.deciding.decide.decide` takes a state, an input and the
time and returns the events that follow and the effects that are now owed, or a refusal with its
reason. :func:`anabranch.core.folds.evolve.evolve` folds events into the state.

It lies by role, a module a concern, and a concern has the same name in each folder: ``model`` is
what a state is made of, ``folds`` what events change, ``deciding`` what follows from inputs,
``views`` what is shown, ``promises`` what must always be true. Each may use those before it in this
list, and none of those after it.
"""
