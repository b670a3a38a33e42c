"""What every test has: a machine on which no plugin is installed, whoever runs the tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

from anabranch.engine.workspaces.layers.mounting import hide_all_below

# How long an example takes says how busy the machine is, and nothing about what it tests.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")


@pytest.fixture(scope="session", autouse=True)
def nothing_installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Look for plugins and settings in empty folders instead of the developer's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data-home")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config-home")))
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take away what is mounted in folders of tests: nobody could remove them.

    What is left of tests that were killed is garbage, and is being removed when the next begin.
    """
    place = tmp_path_factory.getbasetemp()
    for garbage in place.parents[1].glob("garbage-*"):
        hide_all_below(garbage)
    yield
    hide_all_below(place)


def pytest_configure() -> None:
    """The same while tests are collected: some modules load the plugins when they are imported."""
    os.environ["XDG_DATA_HOME"] = os.devnull
    _heed_signals()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that nobody waits for it alone in the end."""
    items.sort(key=lambda item: "simulation" not in item.path.parts)


def _heed_signals() -> None:
    """Let programs that tests start hear of interruptions, also where the tests run in the
    background or under nohup: what is ignored here would be ignored there."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if find_spec("re2") is None:
        pytest.exit("google-re2 is not installed here: .ci/bootstrap .venv dev", returncode=3)
