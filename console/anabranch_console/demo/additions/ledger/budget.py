"""Comparing what was spent with what was planned."""


def left_over(planned, spent):
    """Return what is left of each planned category, in cents; less than 0 is overspent."""
    return {category: cents - spent.get(category, 0) for category, cents in planned.items()}


def overspent(planned, spent):
    """Return the categories that cost more than planned, in order."""
    return sorted(c for c, rest in left_over(planned, spent).items() if rest < 0)


def unplanned(planned, spent):
    """Return the categories that nobody planned, in order."""
    return sorted(set(spent) - set(planned))
