"""The command that makes an inventory is one, wherever it is told."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ethogram.cli.record import command as record
from ethogram.cli.watch import command as watch
from ethogram.contracts.inventory_command import INVENTORY_COMMAND
from profiler.identity.inventory import COMMAND

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("owner", ["replicasets", "deployments", "statefulsets", "daemonsets"])
def test_it_asks_for_the_owners_whose_selectors_pick_the_pods(owner: str) -> None:
    resources = INVENTORY_COMMAND.split()[2].split(",")
    assert owner in resources


@pytest.mark.parametrize("command", [record, watch])
def test_help_has_it_on_one_line_to_paste(command) -> None:
    text = CliRunner().invoke(command, ["--help"]).output
    assert f"{INVENTORY_COMMAND} > inventory.json" in text


def test_errors_and_documents_have_it_too() -> None:
    assert COMMAND == INVENTORY_COMMAND
    text = (ROOT / "docs/identity.md").read_text(encoding="utf-8")
    assert f"{INVENTORY_COMMAND} > inventory.json" in text
