"""What resolvers say is told in a few lines; both of them fit plugins to the host."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from anabranch.errors import PluginRefused
from anabranch.plugin_store.tools import Index, Pin, Pip, Tool, Uv
from tests.plugins.wheels import write_wheel


@pytest.fixture(params=["pip", "uv"])
def tool(request: pytest.FixtureRequest) -> Tool:
    """Each of the two; uv only where it is."""
    if request.param == "pip":
        return Pip()
    path = shutil.which("uv")
    if path is None:
        pytest.skip("uv is not here")
    return Uv(path)


def test_a_resolver_respects_what_is_here_and_tells_what_stands_against_it(
    tool: Tool, tmp_path: Path
) -> None:
    """Only wheels, only from the folder, only what the constraints allow."""
    write_wheel(tmp_path / "shelf", "ab-maths", "x = 1", group="")
    write_wheel(tmp_path / "shelf", "ab-maths", "x = 2", version="2.0", group="")
    write_wheel(tmp_path / "shelf", "ab-quorum", requires=("ab-maths", "pluggy"))
    write_wheel(tmp_path / "shelf", "ab-unfit", requires=("pluggy<1",))
    shelf = Index(True, (str(tmp_path / "shelf"),))
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("ab-maths==1.0\npluggy==1.6.0\n".replace("1.6.0", _pluggy()))
    pins = tool.resolve(["ab-quorum"], constraints, shelf)
    assert set(pins) == {Pin("ab-quorum", "1.0"), Pin("ab-maths", "1.0")}
    (tmp_path / "came").mkdir()
    came = tool.fetch(Pin("ab-maths", "1.0"), tmp_path / "came", shelf)
    assert came.suffix == ".whl" or (came / "ab_maths.py").exists()
    for spec in ("ab-unfit", "ab-nowhere"):
        with pytest.raises(PluginRefused, match=spec) as refused:
            tool.resolve([spec], constraints, shelf)
        assert refused.value.message.count("\n") < 8


def _pluggy() -> str:
    from importlib.metadata import version

    return version("pluggy")
