"""Nothing in the engine opens files but through the one module that cannot be made to wait."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ENGINE = Path(__file__).parents[2] / "coordination/anabranch/engine"
WHOLE_FILES = {"read_bytes", "read_text", "copyfile", "copy2", "copytree"}
SAFE_FLAGS = ("O_DIRECTORY", "O_EXCL", "_FOLDER", "_CREATE", "_WRITE")
"""A folder cannot make an open wait, and what is made anew is nobody else's."""
REGULAR_BY_NATURE = {
    "terminal_end.py": "a terminal of ours, through the process that has it open; never waited for",
    "process_table.py": "the kernel's own files, by the thousand, relative to an open /proc",
    "namespace.py": "the kernel's own files, which stand for namespaces",
}


def opens(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls by which a module reads or opens files by themselves."""
    return (n for n in ast.walk(tree) if isinstance(n, ast.Call) and opens_by_itself(n))


def opens_by_itself(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if name == "os.open":
        return not any(flag in ast.unparse(call) for flag in SAFE_FLAGS)
    if name in ("open", "aiofiles.open"):
        return not is_safe(call)
    short = name.rpartition(".")[2]
    is_path_open = short == "open" and bool(call.args) and is_mode(call.args[0])
    return short in WHOLE_FILES or is_path_open


def is_safe(call: ast.Call) -> bool:
    """Whether ``open`` gets a descriptor, or a way to open of ours."""
    first = call.args[0]
    by_us = any(keyword.arg == "opener" for keyword in call.keywords)
    is_descriptor = isinstance(first, ast.Call) or ast.unparse(first) in (
        "descriptor",
        "file",
        "place",
    )
    return by_us or is_descriptor


def is_mode(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in ("rb", "r", "wb", "w", "ab", "a")


LOCKS_BY_ITSELF = dict.fromkeys(
    ("holder/zygote.py", "handlers/kept_items.py", "handlers/slot.py"),
    "it imports nothing that is not in the standard library",
)


def test_locks_are_taken_in_one_place() -> None:
    """``anabranch.files`` waits for them with a deadline; nobody else asks the kernel for one."""
    package = ENGINE.parent
    found = [
        f"{name}:{call.lineno}"
        for path in sorted(package.rglob("*.py"))
        if (name := str(path.relative_to(package))) not in {*LOCKS_BY_ITSELF, "files.py"}
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(("flock", "lockf"))
    ]
    assert not found


def test_no_module_of_the_engine_opens_what_a_stream_could_swap() -> None:
    """Files are opened by ``anabranch.plain_files``: no link, no wait, plain, bounded."""
    found = [
        f"{path.relative_to(ENGINE)}:{call.lineno} {ast.unparse(call)[:80]}"
        for path in sorted(ENGINE.rglob("*.py"))
        if path.name not in REGULAR_BY_NATURE
        for call in opens(ast.parse(path.read_text("utf-8")))
    ]
    assert not found
