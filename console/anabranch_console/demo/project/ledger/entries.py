"""Reading entries: one payment a line, `date category amount`."""

from collections import namedtuple

Entry = namedtuple("Entry", "date category cents")


def parse_amount(text):
    """Return an amount such as 12.50 in cents."""
    whole, _, part = text.partition(".")
    return int(whole) * 100 + int((part + "00")[:2])


def parse_line(line):
    """Return the entry on one line."""
    date, category, amount = line.split()
    return Entry(date, category, parse_amount(amount))


def parse(text):
    """Return all entries of a text; blank lines and comments are left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [parse_line(line) for line in lines]


def describe(entry):
    """Return an entry in words."""
    return "%s: %s for %d.%02d" % (entry.date, entry.category, entry.cents // 100, entry.cents % 100)
