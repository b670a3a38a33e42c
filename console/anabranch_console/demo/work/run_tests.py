"""Run the workspace's tests and say of each how it went.

usage: run_tests.py [--flaky] [MODULE...]

With --flaky the first attempt ends before its first test, so that a retry can be seen.
"""

import os
import sys
import unittest

from stage import note, pause

PAUSE_SECONDS = 0.25


class Telling(unittest.TestResult):
    """Tells each test as it ends, at a speed that can be read."""

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        pause(PAUSE_SECONDS)

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        print(f"ok    {test.id()}", flush=True)


def main(arguments: list[str]) -> int:
    sys.path.insert(0, os.getcwd())
    if "--flaky" in arguments and os.environ.get("ANABRANCH_ATTEMPT") == "1":
        pause(0.5)
        print("the exchange rates are not there yet; giving up", flush=True)
        return 1
    modules = [a for a in arguments if not a.startswith("--")]
    loader = unittest.TestLoader()
    suite = (
        loader.loadTestsFromNames(modules)
        if modules
        else loader.discover("tests", top_level_dir=".")
    )
    outcome = Telling()
    suite.run(outcome)
    for test, trouble in [*outcome.failures, *outcome.errors]:
        print(f"FAIL  {test.id()}\n{trouble}", flush=True)
    note("tests/" + "+".join(modules or ["all"]), outcome.testsRun)
    print(f"{outcome.testsRun} tests, {len(outcome.failures + outcome.errors)} failed", flush=True)
    return 0 if outcome.wasSuccessful() and outcome.testsRun else 1


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
