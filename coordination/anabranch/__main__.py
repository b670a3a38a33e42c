"""``python -m anabranch``: the program ``anabranch`` of the same installation."""

import sys
from importlib.metadata import entry_points


def main() -> None:
    """Run the program and exit with its code."""
    for program in entry_points(group="console_scripts", name="anabranch"):
        program.load()()
    sys.exit("anabranch: only the library is installed here, without its command line")


if __name__ == "__main__":
    main()
