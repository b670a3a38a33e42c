"""Write docs/api.md from the docstrings of the library, with what another stream has measured."""

import ast
import json
import os
from pathlib import Path

from stage import pause, tell_guide

PAUSE_SECONDS = 0.2


def main() -> None:
    sizes = measured()
    lines = ["# The library", ""]
    for path in sorted(Path("ledger").glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        lines += [f"## {path.stem}", "", ast.get_docstring(tree) or "", ""]
        lines += [f"Lines: {sizes[str(path)]}", ""]
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                pause(PAUSE_SECONDS)
                arguments = ", ".join(a.arg for a in node.args.args)
                lines += [f"- `{node.name}({arguments})`: {ast.get_docstring(node)}"]
                print(f"documented {path.stem}.{node.name}", flush=True)
        lines.append("")
    tell_guide("! docs is written: d on it shows what it changed, T there takes it")
    Path("docs").mkdir(exist_ok=True)
    Path("docs/api.md").write_text("\n".join(lines), "utf-8")


def measured() -> dict[str, int]:
    """Return how many lines each file has: the results of the handlers before this stream."""
    results = Path(os.environ["ANABRANCH_RESULTS"]).read_text("utf-8").splitlines()
    found = [json.loads(line)["result"] for line in results]
    return {one["file"]: one["lines"] for one in found}


if __name__ == "__main__":
    main()
