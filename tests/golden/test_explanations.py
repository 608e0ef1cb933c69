"""What `ethogram explain` says of the rules of a small shop, and of what was decided about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import Quarantined, dump_baseline, load_baseline, rule_id
from ethogram.contracts.baseline_values import FileValue
from tests.recordings import shop_recording

pytestmark = pytest.mark.golden

GOLDEN = Path(__file__).parent / "explanations"
CHECKOUT = "b/shop-staging.Deployment-checkout.nginx.baseline.yaml"
OVERLAY = """schema: ethogram.overlay/1
entries:
- match: {kind: Deployment, name: checkout}
  allow: {dimension: syscalls, value: {arch: x86_64, name: ptrace}}
  author: alice@example.com
  reason: debugs itself
  expires: 2999-12-31
- match: {name: checkout}
  deny: execs:/usr/bin/ls
  author: bob@example.com
  reason: nobody lists files here
  expires: 2999-12-31
"""
RULES = {
    "call": "syscalls:accept4",
    "calls": "openat",
    "file": "files:/var/log/nginx/access.log",
    "executable": "execs:/usr/sbin/nginx",
    "peer": "redis:6379",
    "listen": "listens:80",
    "name": "dns:redis.shop-staging.svc.cluster.local",
    "capability": "net_bind_service",
    "runtime": "operations:mount",
    "overlaid": "syscalls:ptrace",
    "denied": "execs:/usr/bin/ls",
    "left-out": "syscalls:brk",
    "quarantined": "files:/etc/shadow",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shop")
    shop_recording(place / "r")
    (place / "reviewed.yaml").write_text(OVERLAY)
    words = ["learn", "--allow", "thin", "--no-model", str(place / "r"), "-o", str(place / "b")]
    words += ["--without", "syscalls:brk", "--overlay", str(place / "reviewed.yaml")]
    assert run(words) == 0
    _quarantine(place / CHECKOUT)
    return place


def _quarantine(file: Path) -> None:
    """Put the reading of password hashes into quarantine."""
    baseline = load_baseline(file)
    value = FileValue(path="/etc/shadow", access="r")
    read = Quarantined(
        id=rule_id("files", value),
        dimension="files",
        value=value,
        indicators=("reads-secrets",),
        evidence=baseline.rules.files[0].evidence,
    )
    file.write_text(dump_baseline(baseline.model_copy(update={"quarantined": (read,)})))


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_story_is_what_it_was(
    shop: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(shop)
    capsys.readouterr()
    assert run(["explain", "b", RULES[name]]) == 0
    captured = capsys.readouterr()
    told = f"$ ethogram explain b {RULES[name]}\n{captured.out}{captured.err}"
    golden = GOLDEN / f"{name}.txt"
    assert told == golden.read_text(encoding="utf-8")


def test_no_story_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(RULES)
