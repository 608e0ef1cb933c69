"""`--runtime auto`: the runtimes of this host, in the place of the word."""

import shutil

import pytest

from ethogram.cli.runtimes import resolved
from ethogram.errors import PreflightError
from profiler.identity import runtimes

pytestmark = pytest.mark.unit


@pytest.fixture
def _bare_host(monkeypatch, tmp_path):
    monkeypatch.setattr(runtimes, "_DIRECTORIES", (str(tmp_path),))
    runtimes.version_of.cache_clear()
    yield
    runtimes.version_of.cache_clear()


@pytest.mark.parametrize("wanted", [None, "runc@1.1.5", "none", "autocrun"])
def test_what_is_named_stays_as_it_is(wanted):
    assert resolved(wanted) == wanted


@pytest.mark.skipif(not shutil.which("runc"), reason="runc is not installed")
def test_auto_is_the_version_that_the_runtime_tells():
    version = runtimes.version_of("runc")
    assert version is not None
    assert f"runc@{version}" in str(resolved("auto")).split(",")
    assert str(resolved("crun@1.26,auto")).startswith("crun@1.26,")


@pytest.mark.usefixtures("_bare_host")
def test_a_host_without_a_runtime_cannot_say():
    with pytest.raises(PreflightError, match="neither") as error:
        resolved("auto")
    assert error.value.exit_code == 3
    assert "runc@1.1.5" in str(error.value.hint)
