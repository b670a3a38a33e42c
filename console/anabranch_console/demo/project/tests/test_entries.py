import unittest

from ledger.entries import Entry, describe, parse, parse_amount


class EntriesTest(unittest.TestCase):
    def test_amounts_are_cents(self):
        self.assertEqual([parse_amount(t) for t in ("12.50", "3", "0.5")], [1250, 300, 50])

    def test_blank_lines_and_comments_are_left_out(self):
        text = "# a\n\n2026-01-02 food 4.20\n"
        self.assertEqual(parse(text), [Entry("2026-01-02", "food", 420)])

    def test_an_entry_is_described(self):
        self.assertEqual(describe(Entry("2026-01-02", "food", 420)), "2026-01-02: food for 4.20")
