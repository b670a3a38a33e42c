import unittest

from ledger.budget import left_over, overspent, unplanned

PLANNED = {"food": 1000, "rent": 80000}
SPENT = {"food": 1200, "rent": 80000, "books": 300}


class BudgetTest(unittest.TestCase):
    def test_what_is_left(self):
        self.assertEqual(left_over(PLANNED, SPENT), {"food": -200, "rent": 0})

    def test_what_is_overspent(self):
        self.assertEqual(overspent(PLANNED, SPENT), ["food"])

    def test_what_nobody_planned(self):
        self.assertEqual(unplanned(PLANNED, SPENT), ["books"])
