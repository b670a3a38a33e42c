"""The program ``python -I -S __main__.py RUN``: the zygote of a run folder.

It is a file of its own because Python compiles the one it is given at every start, and no other.
"""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from holder import zygote  # type: ignore[import-not-found]

zygote.main(sys.argv[1])
os._exit(0)
