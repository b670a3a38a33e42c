"""The plan's resolver: settles a conflict on the README's line of modules by naming them all.

It runs in a workspace with the conflicted files; what each side wrote lies in the folders that
ANABRANCH_OURS and ANABRANCH_THEIRS name. A file that it leaves with markers is asked about.
"""

import json
import os
import sys
from pathlib import Path

from stage import pause

LIST = "Modules: "


def main() -> int:
    facts = json.loads(Path(os.environ["ANABRANCH_CONFLICT"]).read_text("utf-8"))
    pause(1.0)
    for path in facts["paths"]:
        if path["path"] != "README.md" or not (path["ours"] and path["theirs"]):
            print(f"{path['path']}: not for this program", flush=True)
            continue
        ours, theirs = (Path(path[side]).read_text("utf-8") for side in ("ours", "theirs"))
        both = sorted({*modules(ours), *modules(theirs)})
        named = LIST + ", ".join(both)
        lines = [named if line.startswith(LIST) else line for line in ours.splitlines()]
        Path("README.md").write_text("\n".join(lines) + "\n", "utf-8")
        print(f"README.md: {' and '.join(facts['streams'])} agree on {', '.join(both)}", flush=True)
    return 0


def modules(text: str) -> list[str]:
    """Return what the line of modules lists."""
    (line,) = [line for line in text.splitlines() if line.startswith(LIST)]
    return line.removeprefix(LIST).split(", ")


if __name__ == "__main__":
    sys.exit(main())
