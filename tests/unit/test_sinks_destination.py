"""Where findings go, as it is written: understood, or refused with a hint; never with a secret."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, cast

import pytest

from detector.sinks import file
from detector.sinks.destination import Destination
from detector.sinks.registry import GROUP, check, find_sink, sinks
from ethogram.contracts import plugins
from ethogram.errors import UsageError
from tests.sinks import outlet_to

pytestmark = pytest.mark.unit


def test_what_follows_the_hash_is_for_us_alone() -> None:
    parsed = Destination.parse("webhook+https://siem.example/hook?a=b#token-file=/etc/t%20k&ca=/c")
    assert (parsed.sink, parsed.transport) == ("webhook", "https")
    assert parsed.url.geturl() == "https://siem.example/hook?a=b"
    assert dict(parsed.settings) == {"token-file": "/etc/t k", "ca": "/c"}
    assert str(parsed) == "webhook+https://siem.example/hook?a=b"


@pytest.mark.parametrize(
    "text", ["file:/tmp/x.jsonl", "file:///tmp/x.jsonl", "file+file:/tmp/x.jsonl"]
)
def test_a_file_may_be_written_like_a_path_or_a_url(text: str) -> None:
    assert Destination.parse(text).place == "/tmp/x.jsonl"
    assert str(Destination.parse(text)) == "file:/tmp/x.jsonl"


def test_a_place_has_one_spool_whatever_its_settings() -> None:
    keys = {Destination.parse(f"file:/tmp/x#keep={keep}").key for keep in (1, 2)}
    assert len(keys) == 1
    assert Destination.parse("file:/tmp/y").key not in keys


@pytest.mark.parametrize("text", [
    "webhook+https://user:secret@host/", "webhook+https://token@host/",
    "webhook+https://host/?token=secret", "webhook+https://host/?a=b&api_key=secret",
])  # fmt: skip
def test_credentials_do_not_belong_into_it(text: str) -> None:
    with pytest.raises(UsageError) as error:
        Destination.parse(text)
    assert "for everybody on this host" in error.value.message
    assert "secret" not in error.value.message + (error.value.hint or "")


@pytest.mark.parametrize("text", [
    "", "file:", "/var/log/x", "https://host/", "FILE:/x", "file://host/x", "nosuch:/x", "fil:/x",
    "file:/tmp/x#size", "file:/tmp/x#size=", "file:/tmp/x#size=1&size=2", "file:/tmp/x#size=ten",
    "file:/tmp/x#keep=0", "file:/tmp/x#color=red", "file:/tmp/x#severity=grave",
    "file:/tmp/x#spool-size=1KB", "file:/no/such/directory/x", "file:/dev/null", "file:/tmp",
    "file:/tmp/x\n", "webhook+https://[::1/",
])  # fmt: skip
def test_what_means_nothing_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as error:
        outlet_to(text)
    assert "\n" not in error.value.message


def test_a_typo_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as error:
        find_sink("fiel")
    assert (error.value.hint or "").startswith("did you mean `file`?")


def test_every_sink_says_what_it_is() -> None:
    for name, sink in sinks().items():
        assert sink.name == name
        assert sink.summary
        assert all(sink.settings.values())


def test_another_package_adds_one_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("other", f"{__name__}:other", GROUP)]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == GROUP else [])
    assert check(Destination.parse("other+file:/tmp/x")).name == "other"


@pytest.mark.parametrize("value", ["no.such:thing", f"{__name__}:broken", f"{__name__}:GROUP"])
def test_one_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    points = [EntryPoint("other", value, GROUP)]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == GROUP else [])
    assert find_sink("file").name == "file"
    with pytest.raises(UsageError, match="sink `other` does not load"):
        find_sink("other")


def other() -> object:
    return dataclasses.replace(cast(Any, file.sink()), name="other")


def broken() -> object:
    raise RuntimeError("a dependency is missing")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is no plain file"):
        outlet_to(f"file:{tmp_path}/link")
