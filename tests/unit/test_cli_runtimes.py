"""`--runtime auto`: what the baseline was observed under, else the runtimes of this host."""

import shutil

import pytest

from ethogram.cli.runtimes import host_runtimes, portable, settled
from ethogram.errors import PreflightError
from exporters.protocol import Options
from profiler.identity import runtimes
from tests.baselines import make_baseline

pytestmark = pytest.mark.unit


def observed_under(*names):
    baseline = make_baseline("read")
    seen = baseline.observation.model_copy(update={"runtimes": names or None})
    return baseline.model_copy(update={"observation": seen})


@pytest.fixture
def _bare_host(monkeypatch, tmp_path):
    monkeypatch.setattr(runtimes, "_DIRECTORIES", (str(tmp_path),))
    runtimes.version_of.cache_clear()
    yield
    runtimes.version_of.cache_clear()


@pytest.mark.usefixtures("_bare_host")
@pytest.mark.parametrize("wanted", ["runc@1.1.5", "none", "autocrun"])
def test_what_is_named_stays_as_it_is(wanted):
    options = Options(settings={"runtime": wanted})
    assert settled(options, observed_under()) == (options, [])
    assert settled(Options(), observed_under()) == (Options(), [])


@pytest.mark.usefixtures("_bare_host")
def test_what_the_baseline_knows_is_not_asked_of_the_host():
    options = Options(settings={"runtime": "auto"})
    known = observed_under("runc 1.1.5")
    assert settled(options, known) == (options, [])
    assert portable(["runtime=auto"], [known]) == ["runtime=auto"]


@pytest.mark.skipif(not shutil.which("runc"), reason="runc is not installed")
def test_of_what_it_does_not_know_the_host_is_asked_and_that_is_said():
    version = runtimes.version_of("runc")
    assert version is not None
    options, findings = settled(Options(settings={"runtime": "auto"}), observed_under())
    assert f"runc@{version}" in options.settings["runtime"].split(",")
    assert [(one.severity, one.subject) for one in findings] == [
        ("info", options.settings["runtime"])
    ]
    assert host_runtimes("crun@1.26,auto").startswith("crun@1.26,")


@pytest.mark.skipif(not shutil.which("runc"), reason="runc is not installed")
def test_the_next_command_names_them_where_no_baseline_does():
    here = host_runtimes("auto")
    pairs = ["tolerance=yes", "runtime=auto"]
    assert portable(pairs, [observed_under()]) == ["tolerance=yes", f"runtime={here}"]
    assert portable(pairs, [observed_under(), observed_under("crun 1.8.1")]) == pairs


@pytest.mark.usefixtures("_bare_host")
def test_a_host_without_a_runtime_cannot_say():
    with pytest.raises(PreflightError, match="neither") as error:
        settled(Options(settings={"runtime": "auto"}), observed_under())
    assert error.value.exit_code == 3
    assert "runc@1.1.5" in str(error.value.hint)
