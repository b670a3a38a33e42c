"""Write docs/api.md from the docstrings of the library."""

import ast
import time
from pathlib import Path

PAUSE_SECONDS = 0.3


def main() -> None:
    lines = ["# The library", ""]
    for path in sorted(Path("ledger").glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        lines += [f"## {path.stem}", "", ast.get_docstring(tree) or "", ""]
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                time.sleep(PAUSE_SECONDS)
                arguments = ", ".join(a.arg for a in node.args.args)
                lines += [f"- `{node.name}({arguments})`: {ast.get_docstring(node)}"]
                print(f"documented {path.stem}.{node.name}", flush=True)
        lines.append("")
    Path("docs").mkdir(exist_ok=True)
    Path("docs/api.md").write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
