"""Adding entries up."""

from collections import Counter


def by_category(entries):
    """Return the cents spent in each category."""
    total = Counter()
    for entry in entries:
        total[entry.category] += entry.cents
    return dict(total)


def by_month(entries):
    """Return the cents spent in each month, as 2026-01."""
    total = Counter()
    for entry in entries:
        total[entry.date[:7]] += entry.cents
    return dict(total)


def largest(entries, count=3):
    """Return the largest entries, the largest first."""
    return sorted(entries, key=lambda entry: -entry.cents)[:count]
