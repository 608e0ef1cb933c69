"""The configuration of the webhook and its baselines, as they change while it runs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ethogram.contracts.baseline_yaml import dump_baseline
from ethogram.errors import EthogramError
from ethogram.webhook.policy import Policy
from ethogram.webhook.policy_files import PolicyFiles
from tests.admission import make_admission_baseline
from tests.reviews import TODAY

pytestmark = pytest.mark.unit

FIRST = "schema: ethogram.webhook/1\ntls: {certificate: tls.crt, key: tls.key}\n"
LEARNT = "learnt: {baselines: [baselines]}\n"


class Files:
    """A directory with a configuration, and what is taken of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.today = TODAY
        (directory / "baselines").mkdir()
        self.read = PolicyFiles(directory / "w.yaml", lambda: self.today)

    def write(self, text: str, name: str = "w.yaml") -> None:
        # As a kubelet does: a new file takes the place of the old one.
        (self.directory / "new").write_text(text)
        (self.directory / "new").rename(self.directory / name)

    def write_baseline(self, namespace: str) -> None:
        subject = {"namespace": namespace}
        text = dump_baseline(make_admission_baseline("CAP_CHOWN", subject=subject))
        self.write(text, f"baselines/{namespace}.baseline.yaml")

    def load(self) -> Policy:
        policy = self.read.load().policy
        assert policy is not None
        return policy

    def look(self) -> Policy | str | None:
        """Return the new policy, what is wrong, or that nothing changed."""
        change = self.read.look()
        return None if change is None else change.policy or change.trouble


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_configuration_that_changes_is_taken_once(files: Files) -> None:
    files.write(FIRST)
    assert files.load().config.mode == "audit"
    assert files.look() is None
    files.write(FIRST + "mode: enforce\n")
    found = files.look()
    assert isinstance(found, Policy)
    assert found.config.mode == "enforce"
    assert files.look() is None


@pytest.mark.parametrize("broken", ["", "mode: [", FIRST + "mood: audit\n", FIRST + LEARNT])
def test_what_is_broken_is_told_until_it_is_mended(files: Files, broken: str) -> None:
    files.write(FIRST)
    files.load()
    files.write(broken)
    assert isinstance(files.look(), str)
    files.write(FIRST)
    assert isinstance(files.look(), Policy)


def test_one_that_is_gone_is_told_and_at_the_start_refused(files: Files) -> None:
    with pytest.raises(EthogramError):
        files.load()
    files.write(FIRST)
    files.load()
    (files.directory / "w.yaml").unlink()
    assert "there is no configuration" in str(files.look())


def test_a_baseline_that_is_new_changed_or_broken_counts(files: Files) -> None:
    files.write(FIRST + LEARNT)
    files.write_baseline("shop")
    assert set(files.load().learnt) == {"shop"}
    files.write_baseline("cart")
    found = files.look()
    assert isinstance(found, Policy)
    assert set(found.learnt) == {"shop", "cart"}
    files.write("schema: nonsense\n", "baselines/cart.baseline.yaml")
    assert "cart.baseline.yaml" in str(files.look())
    assert files.look() is None  # told once, and not read again as it is
    files.write_baseline("cart")
    assert isinstance(files.look(), Policy)


def test_baselines_that_come_after_the_configuration_that_names_them_are_waited_for(
    files: Files,
) -> None:
    files.write(FIRST)
    files.load()
    files.write(FIRST + LEARNT)
    assert isinstance(files.look(), str)
    files.write_baseline("shop")
    found = files.look()
    assert isinstance(found, Policy)
    assert set(found.learnt) == {"shop"}


def test_a_map_that_changes_or_is_broken_counts(files: Files) -> None:
    def carry(namespace: str) -> None:
        text = f"schema: ethogram.map/1\nnamespaces: {{shop: {namespace}}}\n"
        files.write(text, "production.yaml")

    files.write(FIRST + "learnt: {baselines: [baselines], map: production.yaml}\n")
    files.write_baseline("shop")
    carry("store")
    assert set(files.load().learnt) == {"store"}
    assert files.look() is None
    carry("store-2")
    found = files.look()
    assert isinstance(found, Policy)
    assert set(found.learnt) == {"store-2"}
    files.write("schema: nonsense\n", "production.yaml")
    assert "production.yaml" in str(files.look())
    carry("store")
    assert isinstance(files.look(), Policy)


def test_a_new_day_counts_as_overlays_may_end_with_it(files: Files) -> None:
    files.write(FIRST)
    files.load()
    files.today = date(2026, 11, 24)
    assert isinstance(files.look(), Policy)
    assert files.look() is None


def test_what_takes_a_restart_is_said(files: Files) -> None:
    files.write(FIRST)
    files.load()
    files.write(FIRST + 'listen: "127.0.0.1:1"\nmode: warn\n')
    change = files.read.look()
    assert change is not None
    assert change.policy is not None
    assert change.policy.config.mode == "warn"
    assert change.notes == ("`listen` changed: that takes a restart",)
