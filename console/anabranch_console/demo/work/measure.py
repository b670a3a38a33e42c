"""Measure one file of the project, as a handler of many: its result is a line of JSON.

usage: measure.py FILE
"""

import ast
import json
import os
import sys
from pathlib import Path

from stage import pause

PAUSE_SECONDS = 0.3


def main(name: str) -> None:
    pause(PAUSE_SECONDS)
    text = Path(name).read_text("utf-8")
    functions = sum(isinstance(n, ast.FunctionDef) for n in ast.walk(ast.parse(text)))
    found = {"file": name, "functions": functions, "lines": len(text.splitlines())}
    Path(os.environ["ANABRANCH_RESULT"]).write_text(json.dumps(found), "utf-8")
    print(f"{name}: {functions} functions in {found['lines']} lines", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
