"""Loading plugins: a broken one is set aside with its reason and harms nobody else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, distribution
from pathlib import Path

import pytest

from anabranch.hookspecs import HOOKS_VERSION
from anabranch.plugins import Loaded, load_plugins
from anabranch.safe_mode import SAFE_MODE_VARIABLE

BUILT_IN = [
    EntryPoint("builtin.convergence", "anabranch_plugins.convergence", "anabranch"),
    EntryPoint("builtin.recovery", "anabranch_plugins.recovery", "anabranch"),
    EntryPoint("builtin.balancing", "anabranch_plugins.balancing", "anabranch"),
]
HEAD = "from anabranch.hookspecs import hookimpl\n"
GOOD = (
    HEAD
    + """
class Quorum:
    name = "quorum"
    def next_step(self, view):
        raise AssertionError("not asked in this test")
@hookimpl
def anabranch_convergence_types():
    return [Quorum()]
"""
)

Plugin = Callable[[str], EntryPoint]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugin:
    """Write a module and return an entry point to it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written: list[str] = []

    def write(source: str) -> EntryPoint:
        name = f"anabranch_test_plugin_{tmp_path.name}_{len(written)}".replace("-", "_")
        written.append(name)
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        return EntryPoint(f"test{len(written)}", name, "anabranch")

    return write


def reasons(loaded: Loaded) -> list[str]:
    return [aside.reason for aside in loaded.set_aside]


def test_the_installed_plugins_bring_a_strategy_of_each_kind() -> None:
    loaded = load_plugins()
    assert {"barrier"} <= loaded.strategies.convergence.keys()
    assert {"longest-first", "plan-order"} <= loaded.strategies.balancers.keys()
    assert {"retry"} <= loaded.strategies.recovery.keys()
    assert loaded.set_aside == ()


def test_a_strangers_plugin_comes_in_by_the_same_door(plugin: Plugin) -> None:
    loaded = load_plugins([*BUILT_IN, plugin(GOOD)])
    assert loaded.strategies.convergence.keys() >= {"barrier", "quorum"}
    assert "test1" in loaded.plugins
    assert loaded.set_aside == ()


BROKEN = [
    pytest.param("import no_such_module_anywhere", "ModuleNotFoundError", id="import error"),
    pytest.param("def broken(:", "SyntaxError", id="syntax error"),
    pytest.param("raise SystemExit(3)", "SystemExit: 3", id="exits"),
    pytest.param("1 / 0", "ZeroDivisionError", id="raises"),
    pytest.param(
        HEAD + "@hookimpl\ndef anabranch_flavours():\n    return []",
        "'anabranch_flavours', which is not a hook of this version",
        id="unknown hook",
    ),
    pytest.param(
        HEAD + "@hookimpl\ndef anabranch_load_balancers(flavour):\n    return []",
        "PluginValidationError",
        id="wrong arguments",
    ),
    pytest.param(
        HEAD + "@hookimpl\ndef anabranch_load_balancers():\n    raise OSError('gone')",
        "OSError: gone",
        id="hook raises",
    ),
    pytest.param(
        HEAD + "@hookimpl\ndef anabranch_load_balancers():\n    raise SystemExit(4)",
        "SystemExit: 4",
        id="hook exits",
    ),
    pytest.param(
        HEAD + "@hookimpl\ndef anabranch_load_balancers():\n    return 7",
        "TypeError",
        id="hook returns no list",
    ),
    pytest.param(
        HEAD + "@hookimpl\ndef anabranch_load_balancers():\n    return None\n",
        "",
        id="hook returns nothing",
    ),
    pytest.param(
        HEAD + "@hookimpl\ndef anabranch_load_balancers():\n    return [object()]",
        "AttributeError",
        id="strategy without a name",
    ),
    pytest.param(
        HEAD
        + "class B:\n    def __init__(self, n):\n        self.name = f'b{n}'\n"
        + "@hookimpl\ndef anabranch_load_balancers():\n    return (B(n) for n in range(9_999))",
        "it brings more than 1000 of a kind",
        id="hook that hardly ends",
    ),
    pytest.param(
        HEAD
        + "class B:\n    name = '\\x1b[2J' + 'b'\n"
        + "@hookimpl\ndef anabranch_load_balancers():\n    return [B()]",
        "is not a name",
        id="strategy with a name that acts on a terminal",
    ),
    pytest.param(
        HEAD
        + "class B:\n    name = 'b'\n"
        + "@hookimpl\ndef anabranch_load_balancers():\n    return [B(), B()]",
        "twice",
        id="the same twice",
    ),
]


@pytest.mark.parametrize(("source", "reason"), BROKEN)
def test_a_broken_plugin_is_set_aside_and_the_others_stay(
    plugin: Plugin, source: str, reason: str
) -> None:
    """However it is broken, and wherever it stands in the row."""
    broken = plugin(source)
    for points in ([broken, *BUILT_IN], [*BUILT_IN, broken], [*BUILT_IN, broken, plugin(GOOD)]):
        loaded = load_plugins(points)
        assert "barrier" in loaded.strategies.convergence
        assert {"longest-first", "plan-order"} <= set(loaded.strategies.balancers)
        assert "retry" in loaded.strategies.recovery
        if reason:
            assert any(reason in found for found in reasons(loaded)), reasons(loaded)
            assert {aside.plugin for aside in loaded.set_aside} == {broken.name}


def test_an_entry_point_to_nothing_is_set_aside() -> None:
    missing = EntryPoint("ghost", "anabranch_plugins.balancing:nothing_here", "anabranch")
    assert reasons(load_plugins([missing]))[0].startswith("AttributeError")


def test_a_plugin_that_is_named_twice_is_set_aside_once(plugin: Plugin) -> None:
    loaded = load_plugins([*BUILT_IN, BUILT_IN[0]])
    assert len(loaded.set_aside) == 1
    assert "barrier" in loaded.strategies.convergence


def test_a_name_that_is_taken_is_set_aside_and_the_first_stays(plugin: Plugin) -> None:
    """A built-in strategy cannot be replaced by accident."""
    loaded = load_plugins([*BUILT_IN, plugin(GOOD.replace('"quorum"', '"barrier"'))])
    assert type(loaded.strategies.convergence["barrier"]).__module__.startswith("anabranch_plugins")
    assert reasons(loaded) == ["'barrier' is already taken; it is 'test1:barrier'"]
    theirs = loaded.strategies.convergence["test1:barrier"]
    assert not type(theirs).__module__.startswith("anabranch_plugins")


def test_of_two_with_one_name_neither_hides_the_other(plugin: Plugin) -> None:
    loaded = load_plugins([*BUILT_IN, plugin(GOOD), plugin(GOOD)])
    assert "quorum" not in loaded.strategies.convergence
    assert {"test1:quorum", "test2:quorum"} <= loaded.strategies.convergence.keys()
    assert len(loaded.set_aside) == 2
    assert all("also brought by" in reason for reason in reasons(loaded))


def test_an_id_leads_to_a_strategy_as_its_name_does(plugin: Plugin) -> None:
    found = load_plugins([*BUILT_IN, plugin(GOOD)]).strategies.convergence
    assert found["test1:quorum"] is found["quorum"]
    assert found["anabranch:barrier"] is found["barrier"]


def test_an_import_without_end_is_given_up(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anabranch.plugins.LOAD_SECONDS", 0.05)
    endless = plugin("import threading\nthreading.Event().wait(30)")
    loaded = load_plugins([endless, *BUILT_IN, plugin(GOOD)])
    assert reasons(loaded) == ["its import did not end within 0.05 s"]
    assert {"barrier", "quorum"} <= loaded.strategies.convergence.keys()


def test_one_that_calls_itself_built_in_is_none(plugin: Plugin) -> None:
    """Neither its place in the row nor the trust that ours have can be had by a name."""
    taker = plugin(GOOD.replace('"quorum"', '"barrier"'))
    taker = EntryPoint("builtin.aaa", taker.value, "anabranch")
    loaded = load_plugins([*BUILT_IN, taker])
    assert type(loaded.strategies.convergence["barrier"]).__module__.startswith("anabranch_plugins")


def test_one_for_later_hooks_is_set_aside(plugin: Plugin) -> None:
    loaded = load_plugins([*BUILT_IN, plugin("HOOKS_VERSION = 99\n" + GOOD)])
    assert reasons(loaded) == [
        f"it was written for hooks version 99, and this Anabranch has {HOOKS_VERSION}"
    ]


@pytest.mark.parametrize("needs", ["anabranch>=99", "anabranch<0.0.1"])
def test_one_for_another_host_is_set_aside_by_name(
    needs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / "other_host-1.0.dist-info"
    facts.mkdir()
    head = f"Metadata-Version: 2.1\nName: other-host\nVersion: 1.0\nRequires-Dist: {needs}\n"
    (facts / "METADATA").write_text(head)
    (facts / "entry_points.txt").write_text("[anabranch]\nother = no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (point,) = distribution("other-host").entry_points
    (aside,) = load_plugins([point, *BUILT_IN]).set_aside
    assert f"it needs {needs}, and this is" in aside.reason


def test_with_all_plugins_off_there_is_a_strategy_of_each_kind() -> None:
    strategies = load_plugins([]).strategies
    assert strategies.convergence_type("quorum").name
    assert strategies.balancer("anything").name
    assert strategies.recovery_strategy("anything").name


def test_safe_mode_loads_what_is_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SAFE_MODE_VARIABLE, "1")
    found = load_plugins()
    assert set(found.brought["convergence"].values()) <= {
        f"anabranch:{name}" for name in found.strategies.convergence
    }
    assert "barrier" in found.strategies.convergence


DISTURBING = {
    "print('hello')": "it printed 'hello'",
    "import os; os.write(1, b'raw')": "it printed 'raw'",
    "import sys; print('x', file=sys.stderr)": "it printed 'x'",
    "import os; os.chdir('/')": "it changed the current folder",
    "import os; os.umask(0)": "it changed the umask",
    "import os; os.environ['ANABRANCH_ODD'] = '1'": "it changed the environment",
    "import os; os.environ.pop('PATH')": "it changed the environment",
    "import locale; locale.setlocale(locale.LC_ALL, 'C.UTF-8')": "it changed the locale",
    "import sys; sys.setrecursionlimit(123_456)": "it changed the recursion limit",
    "import sys; sys.stdout = None": "it changed sys.stdout",
    "import sys; sys.argv.append('x')": "it changed sys.argv",
    "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [2])": "it changed the signal mask",
}


@pytest.mark.parametrize("line", DISTURBING)
@pytest.mark.parametrize("where", ["at import", "when it is asked"])
def test_what_a_plugin_does_to_the_process_is_undone_and_told(
    plugin: Plugin, line: str, where: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is loaded all the same, and nobody else sees anything of it."""
    import locale
    import os
    import signal

    def seen() -> tuple[object, ...]:
        mask = os.umask(0o22)
        os.umask(mask)
        streams = (sys.stdin, sys.stdout, sys.stderr, list(sys.argv))
        process = (os.getcwd(), mask, dict(os.environ), locale.setlocale(locale.LC_ALL))
        return (*streams, *process, sys.getrecursionlimit(), signal.pthread_sigmask(1, ()))

    asked = GOOD.replace("    return [Quorum()]", f"    {line}\n    return [Quorum()]")
    source = f"{line}\n{GOOD}" if where == "at import" else asked
    before = seen()
    loaded = load_plugins([*BUILT_IN, plugin(source)])
    assert seen() == before
    assert "quorum" in loaded.strategies.convergence
    (note,) = loaded.notes
    assert note.plugin == "test1"
    assert note.did.startswith(DISTURBING[line])
    assert capfd.readouterr() == ("", "")


def test_a_plugin_cannot_end_the_process(plugin: Plugin) -> None:
    """A run that never began would look like one that ended well."""
    loaded = load_plugins([*BUILT_IN, plugin("import os\nos._exit(0)")])
    assert reasons(loaded) == ["EndedPython: it would have ended Python itself (exit 0)"]


def test_two_packages_may_give_a_plugin_the_same_name(plugin: Plugin) -> None:
    """Both are loaded; each is told of by its package, and its strategies by theirs."""

    class Dist:
        requires = None

        def __init__(self, name: str) -> None:
            self.name = name

    one, other = plugin(GOOD), plugin(GOOD.replace('"quorum"', '"majority"'))
    points = []
    for point, name in ((one, "anabranch-one"), (other, "anabranch_other")):
        same = EntryPoint("strategies", point.value, "anabranch")
        points.append(same._for(Dist(name)))  # type: ignore[attr-defined]
    loaded = load_plugins([*BUILT_IN, *points])
    assert loaded.set_aside == ()
    assert {"anabranch-one:quorum", "anabranch-other:majority"} <= set(
        loaded.strategies.convergence
    )
    assert {"anabranch-one:strategies", "anabranch-other:strategies"} <= set(loaded.plugins)
