import unittest

from ledger.entries import parse
from ledger.totals import by_category, by_month, largest

TEXT = """
2026-01-02 food 4.20
2026-01-09 rent 800
2026-02-01 food 5.80
"""


class TotalsTest(unittest.TestCase):
    def test_categories_add_up(self):
        self.assertEqual(by_category(parse(TEXT)), {"food": 1000, "rent": 80000})

    def test_months_add_up(self):
        self.assertEqual(by_month(parse(TEXT)), {"2026-01": 80420, "2026-02": 580})

    def test_the_largest_come_first(self):
        self.assertEqual([e.category for e in largest(parse(TEXT), 2)], ["rent", "food"])
