"""``python -m anabranch_console``: the same as ``anabranch``."""

from anabranch_console.start import main

if __name__ == "__main__":
    main()
