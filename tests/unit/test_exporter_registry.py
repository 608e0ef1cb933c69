"""Finding exporters: ours, those of other packages, and names that are neither."""

from importlib.metadata import EntryPoint

import pytest

from ethogram.contracts import plugins
from ethogram.errors import ExportError, UsageError
from exporters.registry import GROUP, exporters, find_exporter, parse_options
from exporters.seccomp import exporter

pytestmark = pytest.mark.unit


def with_points(monkeypatch, **points):
    """Install entry points for one test, as a package on the path would."""
    made = [EntryPoint(name, value, GROUP) for name, value in points.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: made if group == GROUP else [])


def second():
    return type(exporter())(bases=(), known_names={}, name="second")


def broken():
    raise RuntimeError("a dependency is missing")


def test_seccomp_is_built_in():
    assert list(exporters()) == sorted(exporters())
    assert exporters()["seccomp"].name == "seccomp"
    assert find_exporter("seccomp").summary


def test_a_typo_gets_a_suggestion_and_the_list():
    with pytest.raises(UsageError) as error:
        find_exporter("secomp")
    assert error.value.exit_code == 2
    assert error.value.hint.startswith("did you mean `seccomp`?")
    assert "known: " in error.value.hint
    assert "`seccomp`" in error.value.hint


def test_another_package_adds_one_by_an_entry_point(monkeypatch):
    with_points(monkeypatch, second=f"{__name__}:second")
    assert list(exporters()) == sorted(exporters())
    assert {"seccomp", "second"} <= set(exporters())
    assert find_exporter("second").name == "second"


def test_an_entry_point_does_not_replace_ours(monkeypatch):
    with_points(monkeypatch, seccomp=f"{__name__}:second")
    with pytest.raises(ExportError, match="two exporters are called `seccomp`"):
        find_exporter("seccomp")


@pytest.mark.parametrize("value", ["no.such:thing", f"{__name__}:broken", f"{__name__}:GROUP"])
def test_one_that_does_not_load_is_named_and_does_not_hinder_others(monkeypatch, value):
    with_points(monkeypatch, other=value)
    with pytest.raises(ExportError, match="exporter `other` does not load"):
        find_exporter("other")
    assert find_exporter("seccomp").name == "seccomp"


@pytest.mark.parametrize("value", ["builtins:dict", f"{__name__}:second"])
def test_one_that_is_no_exporter_of_its_name_is_refused(monkeypatch, value):
    with_points(monkeypatch, other=value)
    with pytest.raises(ExportError, match="exporter `other` is none"):
        find_exporter("other")


def test_settings_are_read_as_pairs():
    options = parse_options(exporter(), ["runtime=runc=1.1.5", "tolerance=yes"], enforce=True)
    assert options.enforce
    assert dict(options.settings) == {"runtime": "runc=1.1.5", "tolerance": "yes"}


@pytest.mark.parametrize("pairs", [["tolerance"], ["tolerence=yes"], ["eperm=a", "eperm=b"]])
def test_a_setting_that_means_nothing_is_refused(pairs):
    with pytest.raises(UsageError) as error:
        parse_options(exporter(), pairs)
    if pairs == ["tolerence=yes"]:
        assert "did you mean `tolerance`?" in error.value.hint
