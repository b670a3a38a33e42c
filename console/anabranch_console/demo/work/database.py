"""Take the database that the tests need, where another stream needs it at the same time.

usage: database.py first|next STREAM (the other one)

Whoever is first keeps it until the next waits for it, so that the waiting can be seen.
"""

import sys

from stage import IS_FIRST_ATTEMPT, call, hear_from

DATABASE = "database=1"


def main(turn: str, other: str) -> int:
    if turn == "next" and IS_FIRST_ATTEMPT:
        hear_from(other)
        if call("request", DATABASE).get("outcome") == "granted":
            return 0
        call("send", other, "I wait for the database")
    taken = call("request", DATABASE, "--wait", "120").get("outcome") == "granted"
    if turn == "first":
        call("send", other, "I have the database")
        hear_from(other)
    return 0 if taken else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
