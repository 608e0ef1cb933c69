"""Recorded in staging, exported for production, enforced on real packets: the shop goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.network import Attachment
from demo.shop import PRODUCTION, STAGING, Shop, open_shop
from tests.e2e.command_line import ethogram, running
from tests.e2e.nftables_policy import PlacedPod, enforce
from tests.e2e.reaching import echoing, reach

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
MAP = ROOT / "demo" / "production-map.yaml"
STRANGE_PORT = 8081
THIN = ("--allow", "thin")


def test_the_shop_trades_under_the_policies_that_it_was_recorded_for(
    web_image: Path, tmp_path: Path
) -> None:
    recording, baselines, policies = tmp_path / "rec", tmp_path / "baselines", tmp_path / "policies"
    _record(web_image, tmp_path / "staging.json", recording)
    for words in (
        ("learn", recording, "-o", baselines, *THIN),
        ("export", baselines, "--to", "networkpolicy", "--map", MAP, "-o", policies, *THIN),
    ):
        done = ethogram(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    documents = [yaml.safe_load(path.read_text()) for path in policies.rglob("*.yaml")]
    assert {document["metadata"]["namespace"] for document in documents} == {PRODUCTION.namespace}
    assert len(documents) == 2

    inventory = tmp_path / "production.json"
    with open_shop(
        web_image, site=PRODUCTION, revision="6d5c8b7f4d", inventory_file=inventory
    ) as shop:
        stranger = shop.network.attach("stranger")
        pods = _pods(shop, json.loads(inventory.read_text()))
        assert len(pods) == 3
        for pod in pods:
            enforce(documents, pod, pods)
        shop.start()
        assert shop.trade() == shop.expected_trade()
        _nobody_else_gets_through(pods, stranger)
        shop.stop()


def _record(image: Path, inventory: Path, recording: Path) -> None:
    with open_shop(image, revision="7c9d6b5f8d", inventory_file=inventory) as shop:
        words = ("--namespace", STAGING.namespace, "--inventory", inventory, "--window", "1s")
        ready = recording.with_suffix(".ready")
        with running("record", *words, "-o", recording, ready=ready) as recorder:
            shop.start()
            assert shop.trade() == shop.expected_trade()
            shop.stop()
            recorder.terminate()
            _, errors = recorder.communicate(timeout=60)
            assert recorder.returncode == 0, errors


def _pods(shop: Shop, inventory: dict[str, Any]) -> list[PlacedPod]:
    netns = {
        container.container_id: container.spec.netns for container in (*shop.replicas, shop.client)
    }
    return [
        PlacedPod(
            item["metadata"]["namespace"],
            item["metadata"]["labels"],
            (item["status"]["podIP"],),
            netns[item["status"]["containerStatuses"][0]["containerID"].partition("//")[2]],
        )
        for item in inventory["items"]
        if item["kind"] == "Pod"
    ]


def _nobody_else_gets_through(pods: list[PlacedPod], stranger: Attachment) -> None:
    """Try what was never seen; with servers everywhere only the policies can refuse it."""
    checkout, sibling, loadgen = pods
    port = ("tcp", STRANGE_PORT)
    outside = ("tcp", stranger.address, STRANGE_PORT)
    with echoing(stranger.path, [port]), echoing(checkout.netns, [port]):
        to_checkout = [("tcp", checkout.addresses[0], number) for number in (80, STRANGE_PORT)]
        assert reach(checkout.netns, [("tcp", "127.0.0.1", STRANGE_PORT)]) == [True]
        assert reach(stranger.path, [outside]) == [True]
        assert reach(loadgen.netns, to_checkout) == [True, False]
        assert reach(stranger.path, to_checkout) == [False, False]
        assert reach(sibling.netns, to_checkout) == [False, False]
        assert reach(loadgen.netns, [outside]) == [False]
        assert reach(checkout.netns, [outside]) == [False]
