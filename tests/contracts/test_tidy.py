"""Style limits that hold from the first commit on; there is no list of exceptions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = ("coordination", "console", "plugins", "themes")
LONGEST_FUNCTION_LINES = 70
LONGEST_MODULE_LINES = 500
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "misc", "common", "data"}
LEFT_BEHIND = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
SAYS_NOTHING = re.compile(r"(^|_)(told|TOLD)$|[a-z]Told$")
JOURNALLED = {"is_told", "ConflictTold"}
IS_NO = re.compile(
    r"(?<!there )\b(is|are|was|were|be) no "
    r"(?!longer\b|more\b|less\b|older\b|later\b|better\b|other\b)\w+",
    re.IGNORECASE,
)
HOST = re.compile(r"https?://[^\s\"']*/simple\b|https?://\S+\.(whl|tar\.gz)\b")


def own_modules() -> list[Path]:
    """Return the product's Python files; the demonstration's own project is data."""
    demo = ROOT / "console/anabranch_console/demo"
    skipped = (demo / "project", demo / "additions")
    found = [p for root in ROOTS for p in sorted((ROOT / root).rglob("*.py"))]
    return [p for p in found if not any(p.is_relative_to(s) for s in skipped)]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.fixture(scope="module")
def modules() -> dict[Path, tuple[str, ast.Module]]:
    texts = {path: path.read_text("utf-8") for path in own_modules()}
    return {path: (text, ast.parse(text)) for path, text in texts.items()}


Modules = dict[Path, tuple[str, ast.Module]]


def test_no_function_is_longer_than_a_screen(modules: Modules) -> None:
    """A function fits on one screen, its docstring included."""
    long = [
        f"{path.relative_to(ROOT)}:{f.lineno} {f.name}"
        for path, (_, tree) in modules.items()
        for f in functions(tree)
        if (f.end_lineno or f.lineno) - f.lineno + 1 > LONGEST_FUNCTION_LINES
    ]
    assert not long


def test_a_value_is_a_struct(modules: Modules) -> None:
    """In the core and the engine no value is a frozen dataclass: structs are made sooner."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, (_, tree) in modules.items()
        if path.is_relative_to(ROOT / "coordination/anabranch/core")
        or path.is_relative_to(ROOT / "coordination/anabranch/engine")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any("frozen=True" in ast.unparse(d) for d in node.decorator_list)
        and "compare=False" not in ast.unparse(node)
    ]
    assert not found


def test_what_lies_in_a_runs_folder_is_named_in_one_place(modules: Modules) -> None:
    """``paths.RunFolder`` knows it all: nobody else puts a name to the path of a run's folder."""
    of_a_run = re.compile(r"(folder|home|run)\.path$|run_folder$")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}"
        for path, (_, tree) in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and of_a_run.search(ast.unparse(node.left))
    ]
    assert not found


def test_no_module_is_longer_than_its_idea(modules: Modules) -> None:
    """A module holds one idea and fits in 500 lines."""
    long = [
        str(path.relative_to(ROOT))
        for path, (text, _) in modules.items()
        if text.count("\n") > LONGEST_MODULE_LINES
    ]
    assert not long


def test_no_module_has_a_vague_name(modules: Modules) -> None:
    """A name says what is inside."""
    vague = [str(p.relative_to(ROOT)) for p in modules if VAGUE_NAMES & set(p.stem.split("_"))]
    assert not vague


def test_nobody_takes_msgspecs_own_errors_for_all_that_reading_can_end_with(
    modules: Modules,
) -> None:
    """Text that is none and nesting without end raise others: ``UNDECODABLE`` has them all."""
    narrow = [
        f"{path.relative_to(ROOT)}:{handler.lineno}"
        for path, (_, tree) in modules.items()
        for handler in ast.walk(tree)
        if isinstance(handler, ast.ExceptHandler) and handler.type is not None
        for caught in [ast.unparse(handler.type)]
        if re.search(r"msgspec\.(MsgspecError|DecodeError)", caught)
        and "UnicodeDecodeError" not in caught
    ]
    assert not narrow


def test_every_module_says_what_it_is(modules: Modules) -> None:
    """Each module opens with a docstring."""
    silent = [str(p.relative_to(ROOT)) for p, (_, tree) in modules.items() if not _doc(tree)]
    assert not silent


def test_a_name_says_what_it_is_of(modules: Modules) -> None:
    """A text, a reason, a record: ``told`` says none of it. (It stood here 500 times.)"""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {name}"
        for path, (_, tree) in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.arg | ast.Attribute | _DEFINITION)
        for name in [_name(node)]
        if SAYS_NOTHING.search(name) and name not in JOURNALLED
    ]
    assert not found


def test_what_is_not_a_number_is_not_called_no_number(modules: Modules) -> None:
    """Sentences say that something is not a number, as people do, not that it "is no" number."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {match[0]}"
        for path, (_, tree) in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for match in IS_NO.finditer(node.value)
    ]
    assert not found


def test_a_docstring_says_what_to_do(modules: Modules) -> None:
    """A function is asked to return something; only a property is described."""
    other_moods = re.compile(r"(Whether|Returns|Gives|Takes|Makes|Says|Tells|Yields|Raises)\b")
    found = [
        f"{path.relative_to(ROOT)}:{f.lineno} {f.name}"
        for path, (_, tree) in modules.items()
        for f in functions(tree)
        if not any("property" in ast.unparse(d) for d in f.decorator_list)
        and other_moods.match(ast.get_docstring(f) or "")
    ]
    assert not found


def test_the_glossary_holds_words_that_are_used(modules: Modules) -> None:
    """A word that no module uses any more is taken out."""
    rows = re.findall(r"^\| (\*\*.+?) \|", (ROOT / "docs/glossary.md").read_text("utf-8"), re.M)
    terms = {t for row in rows for b in re.findall(r"\*\*(.+?)\*\*", row) for t in b.split(" / ")}
    everything = re.sub(r"[\s_]+", " ", " ".join(text for text, _ in modules.values()).lower())
    assert len(terms) > 40
    assert not [term for term in terms if term not in everything]


def test_every_function_is_annotated(modules: Modules) -> None:
    """Each function says what it takes and returns."""
    bare = [
        f"{path.relative_to(ROOT)}:{f.lineno} {f.name}"
        for path, (_, tree) in modules.items()
        for f in functions(tree)
        if f.returns is None and f.name != "__init__" and not _is_script(path)
    ]
    assert not bare


def test_nothing_is_left_behind(modules: Modules) -> None:
    """No unfinished places, no download addresses."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path, (text, _) in modules.items()
        for number, line in enumerate(text.splitlines(), 1)
        if LEFT_BEHIND.search(line) or HOST.search(line)
    ]
    assert not found


def test_every_module_is_used(modules: Modules) -> None:
    """A module that nobody imports, names or registers is dead."""
    everything = "\n".join(text for text, _ in modules.values())
    everything += (ROOT / "pyproject.toml").read_text("utf-8")
    words = {*re.findall(r"[.\s](\w+)", everything), *re.findall(r"[\w-]+\.py", everything)}
    dead = [
        str(path.relative_to(ROOT))
        for path in modules
        if path.name not in ("__init__.py", "__main__.py")
        and not _is_script(path)
        and not _is_named(path, everything, words)
    ]
    assert not dead


def test_the_command_line_speaks_by_one_way(modules: Modules) -> None:
    """Everything that is printed goes through the sinks that fail nobody."""
    around = re.compile(
        r"(?<![\w.])print\(|sys\.__?std(out|err)__?\.(write|buffer)|os\.write\([12],"
    )
    ways = [
        f"{path.relative_to(ROOT)}:{number}"
        for path, (text, _) in modules.items()
        if path.parent.name == "cli" and path.name != "sinks.py"
        for number, line in enumerate(text.splitlines(), 1)
        if around.search(line)
    ]
    assert not ways, "use click.echo, and say and print_json of cli/output.py"


_DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _name(node: ast.Name | ast.arg | ast.Attribute | _DEFINITION) -> str:
    match node:
        case ast.Name():
            return node.id
        case ast.arg():
            return node.arg
        case ast.Attribute():
            return node.attr
        case _:
            return node.name


def _doc(tree: ast.Module) -> bool:
    return bool(ast.get_docstring(tree)) or not tree.body


def _is_script(path: Path) -> bool:
    is_a_plugins_test = "plugins" in path.parts and path.name.startswith("test_")
    return "demo/work" in path.as_posix() or is_a_plugins_test


def _is_named(path: Path, everything: str, words: set[str]) -> bool:
    if path.parent.name == "cli":
        ways = (f'"{path.stem}"', f".{path.stem} import", f"cli import {path.stem}")
        return any(way in everything for way in ways)
    return path.stem in words or path.name in words


def test_no_class_is_continued_in_a_subclass(modules: Modules) -> None:
    """A class is not cut in two to fit a page: what is inherited once only belongs together.

    A class of ours that has a single subclass and is used for nothing else is the lower half of
    a tower. (A screen of seven storeys stood here.)
    """
    subclasses: dict[str, list[str]] = {}
    used: set[str] = set()
    for _, tree in modules.values():
        bases = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            for base in node.bases
            for part in ast.walk(base)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for base in node.bases:
                    name = base.value if isinstance(base, ast.Subscript) else base
                    subclasses.setdefault(ast.unparse(name), []).append(node.name)
            elif isinstance(node, ast.Name) and id(node) not in bases:
                used.add(node.id)
    own = {
        node.name
        for _, tree in modules.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and "Protocol" not in map(ast.unparse, node.bases)
    }
    halves = {b: s for b, s in subclasses.items() if len(s) == 1 and b in own - used}
    assert not halves
