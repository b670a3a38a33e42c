"""Look through the project and note what is there, for the streams that follow."""

import ast
from pathlib import Path

from stage import note, pause, tell_guide

PAUSE_SECONDS = 0.25


def main() -> None:
    lines = ["# What is here", ""]
    for path in sorted(Path().glob("[!.]*/*.py")):
        pause(PAUSE_SECONDS)
        tree = ast.parse(path.read_text("utf-8"))
        names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        print(f"read {path}: {len(names)} definitions", flush=True)
        note(f"definitions/{path}", len(names))
        lines.append(f"- `{path}`: {', '.join(names) or 'nothing yet'}")
    Path("NOTES.md").write_text("\n".join(lines) + "\n", "utf-8")
    tell_guide("3: survey has noted in the shared state what it found")
    print("wrote NOTES.md", flush=True)


if __name__ == "__main__":
    main()
