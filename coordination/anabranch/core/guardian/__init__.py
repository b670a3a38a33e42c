"""The guardian: evidence becomes a diagnosis, a diagnosis a remedy, on a ladder, with brakes.

Theory of operation. The shell judges how every running stream gets on
(:mod:`anabranch.engine.liveness`) and reports only turns for worse and for better.
:mod:`~.ladder` climbs: a stream that has stalled is asked first (*soft*); if no sign comes within
the grace its process tree is ended, its work kept, and it starts again (*hard*); if that is used
up, the plan's *fallback* follows. Each rung is a strategy (:mod:`~.rungs`).

Three rules keep it from doing harm. Nothing is ended on one signal alone: the clocks must say that
a stream stands still, *and* it must leave a question unanswered. What a person has stopped is left
alone. And :mod:`~.brakes` hold it back when many streams seem to be in trouble at once, for then it
is rather the machine that is; what it does not do is an alert that everybody sees.

:mod:`~.by_hand` is the same ladder for a person, and tells beforehand what would happen.
"""
