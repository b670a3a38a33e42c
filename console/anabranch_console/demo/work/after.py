"""Wait until another stream has written that it has begun.

usage: after.py STREAM
"""

import sys

from stage import hear_from

if __name__ == "__main__":
    hear_from(sys.argv[1])
