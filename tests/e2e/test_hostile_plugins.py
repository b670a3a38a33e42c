"""Thirty hostile plugins at once: the program starts, names each, and the run converges.

They lie in the host's own path, where no trial before the installation has kept them out. (What is
refused at the door is in ``tests/plugins/test_hostile_wheels.py``.)
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.e2e.program import Program

HEAD = "import sys, os, time, threading\nfrom anabranch.hookspecs import hookimpl\n"
CONVERGENCE = """
from anabranch.core.strategies import Abandon, Checkpoint, Converge, WaitForMore
def sound(view):
    done = Converge(tuple(view.arrived), 'all')
    return WaitForMore('more') if view.outstanding else done
class Evil:
    name = NAME
    def next_step(self, view, now):
{body}
@hookimpl
def anabranch_convergence_types():
    return [Evil()]
"""

ASKED = {
    "raises": "raise ValueError('evil')",
    "exits": "sys.exit(7)",
    "interrupts": "raise KeyboardInterrupt",
    "hangs": "threading.Event().wait()",
    "recurses": "return self.next_step(view, now)",
    "says-nothing": "return None",
    "answers-text": "return 'merge'",
    "answers-a-class": "return Converge",
    "merges-strangers": "return Converge(('stranger',), 'mine')",
    "merges-nobody": "return Converge((), 'nobody')",
    "has-no-reason": "return Converge(tuple(view.arrived), None) if view.arrived else 1",
    "looks-never": "return WaitForMore('later', 'tomorrow')",
    "changes-its-view": "view.departed['x'] = 'y'; return sound(view)",
    "sets-its-view": "view.arrived = (); return sound(view)",
    "forces-its-view": "view.options.clear(); return sound(view)",
    "runs-out": "return [0] * (1 << 62)",
    "raises-oddly": "raise type('Odd', (BaseException,), {'__str__': lambda s: 1 / 0})()",
    "yields": "yield WaitForMore('x')",
    "speaks-escapes": "raise ValueError('\\x1b[2J\\x1b]0;owned\\x07')",
    "goes-elsewhere": "os.chdir('/'); return sound(view)",
    "sets-a-path": "os.environ['PATH'] = '/nowhere'; return sound(view)",
    "prints": "print('a word of mine'); sys.stderr.write('another'); return sound(view)",
}
"""What goes wrong when it is asked; each is a convergence type that a point of the plan uses.

Those that change what they are shown would answer soundly if only they could."""

LOADED = {
    "import-fails": "import no_such_module",
    "import-exits": "sys.exit(3)",
    "import-interrupts": "raise SystemError('odd')",
    "syntax": "def broken(:",
    "no-hook": "@hookimpl\ndef anabranch_flavours():\n    return []",
    "wrong-arguments": "@hookimpl\ndef anabranch_load_balancers(colour):\n    return []",
    "hook-raises": "@hookimpl\ndef anabranch_load_balancers():\n    raise OSError('gone')",
    "hook-returns-a-number": "@hookimpl\ndef anabranch_load_balancers():\n    return 7",
    "without-a-name": "@hookimpl\ndef anabranch_load_balancers():\n    return [object()]",
    "for-later-hooks": "HOOKS_VERSION = 99",
    "takes-a-name": (
        "class B:\n    name = 'barrier'\n"
        "@hookimpl\ndef anabranch_convergence_types():\n    return [B()]"
    ),
    "hangs-at-import": "threading.Event().wait()",
}
"""What goes wrong before it is asked anything."""


def write_plugin(folder: Path, name: str, source: str) -> None:
    """Put a plugin into the host's path, as another tool would have."""
    module = f"evil_{name.replace('-', '_')}"
    (folder / f"{module}.py").write_text(source.replace("NAME", repr(name)))
    facts = folder / f"{module}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: evil-{name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[anabranch]\n{name} = {module}\n")


@pytest.fixture
def hostile(program: Program) -> Path:
    folder = program.scratch / "site"
    folder.mkdir()
    for name, body in ASKED.items():
        source = HEAD + CONVERGENCE.format(body=textwrap.indent(body, " " * 8))
        write_plugin(folder, name, source)
    for name, source in LOADED.items():
        write_plugin(folder, name, HEAD + source)
    return folder


def test_thirty_hostile_plugins_at_once_stop_no_run(program: Program, hostile: Path) -> None:
    """Each is named, the core's own answers instead, and the commands that mend things work."""
    assert len(ASKED) + len(LOADED) >= 30
    program.plan(
        {name: {"command": f"echo > {name}.txt", "converge": name} for name in ASKED},
        max_parallel=8,
        convergence={name: {"type": name} for name in ASKED},
    )
    path = str(hostile)
    ended = program.begin("run", "--headless", PYTHONPATH=path).wait()
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert "\x1b" not in ended.out + ended.err
    assert not any(line.startswith("a word of mine") for line in ended.out.splitlines())
    for name in LOADED:
        assert f"plugin {name} was set aside" in ended.err
    faults = [e for e in program.events() if e["type"] == "strategy_faulted"]
    faulty = {e["strategy"]: e["plugin"] for e in faults if e["plugin"]}
    assert set(faulty) == set(ASKED)
    assert all(plugin.startswith("evil_") for plugin in faulty.values())
    for answer in (program.begin("status").wait(), program.begin("report").wait()):
        assert [name for name in LOADED if f"plugin {name}: " not in answer.out] == []
    states = {s["state"] for s in program.streams().values()}
    assert states == {"succeeded"}
    listed = program.begin("plugins", "list", PYTHONPATH=path).wait()
    assert listed.code == 0
    assert all(f"evil-{name}" in listed.out for name in (*ASKED, *LOADED))
    program.begin("plugins", "disable", "evil-hangs-at-import", PYTHONPATH=path).wait()
    safe = program.begin("--safe-mode", "check", PYTHONPATH=path).wait()
    assert safe.code == 2
    assert "is not installed" in safe.err


def test_an_installed_one_that_turned_evil_is_removed(program: Program) -> None:
    """It passed its trial, and shows its face only in a run."""
    from tests.plugins.wheels import write_wheel

    evil = HEAD + CONVERGENCE.format(
        body="        if 'plugin_store' in ' '.join(sys.orig_argv): "
        "return Converge(tuple(view.arrived), 'all') if not view.outstanding and view.arrived else "
        "(WaitForMore('more') if view.outstanding else Abandon('nobody'))\n"
        "        raise RuntimeError('now you see me')"
    )
    made = write_wheel(program.scratch, "anabranch-turncoat", evil.replace("NAME", "'turncoat'"))
    program.expect(0, "plugins", "install", str(made), "--no-index", "--yes")
    program.plan({"a": "echo > a"}, convergence_type="turncoat")
    program.expect(0, "run", "--headless")
    faults = [e for e in program.events() if e["type"] == "strategy_faulted"]
    assert faults
    assert "now you see me" in faults[0]["fault"]
    program.expect(0, "plugins", "remove", "anabranch-turncoat")
    answer = program.expect(2, "run", "--headless")
    assert "`turncoat` is not installed" in answer.err


def test_a_type_that_gives_results_up_is_overruled_and_one_that_chooses_is_told(
    program: Program,
) -> None:
    """Nothing is lost by an answer: merged all the same, or named, also on the last lines."""
    folder = program.scratch / "site"
    folder.mkdir()
    chooses = (
        "if view.outstanding: return WaitForMore('more')\n"
        "return Converge((min(view.arrived),), 'the best')"
    )
    quits = "return WaitForMore('more') if view.outstanding else Abandon('enough')"
    for name, body in (("quits", quits), ("chooses", chooses)):
        source = HEAD + CONVERGENCE.format(body=textwrap.indent(body, " " * 8))
        write_plugin(folder, name, source)
    for name in ("quits", "chooses"):
        program.plan({s: f"echo > {name}-{s}" for s in "ab"}, convergence_type=name)
        ended = program.begin("run", "--headless", PYTHONPATH=str(folder)).wait()
        assert ended.code == 0, ended.err
        (point,) = program.status()["convergence"]
        if name == "quits":
            assert set(point["merged"]) == {"a", "b"}
            assert "quits (evil_quits): it abandons the point though" in ended.err
            (fault,) = program.status()["plugins"]
            assert (fault["plugin"], fault["instead"]) == ("evil_quits", "the core's own is asked")
            for command in ("status", "report"):
                answer = program.expect(0, command)
                assert "quits (evil_quits): it abandons the point though" in answer.out
        else:
            assert [out["stream"] for out in point["left_out"]] == ["b"]
            assert "b at final: chooses did not choose it: the best" in ended.out


EDGES = """
from anabranch.extending import Imported
PLAN = {"version": 1, "streams": {"a": "true"}}
RING = {}
RING["x"] = RING
class Evil:
    def __init__(self, name, act):
        self.name, self.file_names, self.act = name, ('*.' + name,), act
    def convert(self, text):
        return self.act()
    def render(self, report, events):
        return self.act()
def prints():
    print('a word of mine'); os.write(1, b'and one more'); os.chdir('/'); return ANSWER
ALL = [
    Evil('prints', prints),
    Evil('exits', lambda: sys.exit(0)),
    Evil('ends', lambda: os._exit(0)),
    Evil('interrupts', lambda: (_ for _ in ()).throw(KeyboardInterrupt())),
    Evil('speaks', lambda: Imported(PLAN, 'left out')),
    Evil('nests', lambda: Imported(RING, ())),
    Evil('counts', lambda: Imported(7, ())),
]
"""
IMPORTERS = f"{EDGES}ANSWER = Imported(PLAN, ())\n@hookimpl\ndef anabranch_importers(): return ALL"
FORMATS = f"{EDGES}ANSWER = 'told'\n@hookimpl\ndef anabranch_report_formats(): return ALL"


def test_no_importer_passes_for_a_success_and_none_speaks_for_the_command(program: Program) -> None:
    """What it prints is no part of the plan; one that would end the command has made none."""
    write_plugin(program.scratch, "importers", HEAD + IMPORTERS)
    for name in ("prints", "exits", "ends", "interrupts", "speaks", "nests", "counts"):
        (program.project / f"x.{name}").write_text("x")
        answer = program.begin("import", f"x.{name}", PYTHONPATH=str(program.scratch)).wait()
        if name == "prints":
            assert (answer.code, answer.out.splitlines()[1]) == (0, "version = 1")
            assert "it printed 'and one morea word of mine'" in answer.err
            assert "it changed the current folder" in answer.err
        else:
            assert (answer.code, answer.out) == (2, ""), name
            assert name in answer.err


def test_no_report_format_passes_for_a_success(program: Program) -> None:
    """The same for reports: made and told as it is, or named and refused."""
    write_plugin(program.scratch, "formats", HEAD + FORMATS)
    program.plan({"a": "true"})
    program.expect(0, "run", "--headless")
    for name in ("prints", "exits", "ends", "interrupts", "speaks"):
        path = str(program.scratch)
        answer = program.begin("report", "--format", name, PYTHONPATH=path).wait()
        if name == "prints":
            assert (answer.code, answer.out) == (0, "told")
            assert "a word of mine" in answer.err
        else:
            assert (answer.code, answer.out) == (1, ""), name
            assert f"{name} made no report" in answer.err
