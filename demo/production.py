"""The demonstration's second half: what was learnt in staging goes to production."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from demo.intruder import DROPPED, PORT, REVERSE_SHELL, break_in
from demo.life import ordinary_life
from demo.narrator import Narrator
from demo.recorder import Watch, watching
from demo.shop import PRODUCTION, STAGING, open_shop

__all__ = ["export_for_production", "watch_production"]

MAP = Path(__file__).with_name("production-map.yaml")
INVENTORY = "production.json"
DEVIATION = 12
Finding = Mapping[str, Any]


def export_for_production(narrator: Narrator) -> None:
    """Export all three kinds of policy under production's names."""
    narrator.step(
        "Export for production",
        f"Production calls the namespace {PRODUCTION.namespace} and labels its pods otherwise. A\n"
        "map says so; the baselines stay as they were learnt.",
    )
    shutil.copy2(MAP, narrator.directory / "production.yaml")
    narrator.output(MAP.read_text())
    targets = ("--to", "seccomp", "--to", "networkpolicy", "--to", "admission")
    words = ("export", "baselines", *targets, "--map", "production.yaml", "--allow", "thin")
    narrator.run("ethogram", *words, "-o", "production")
    folder = narrator.directory / "production" / PRODUCTION.namespace / "Deployment-checkout"
    network = (folder / "nginx.networkpolicy.yaml").read_text()
    narrator.output(network)
    narrator.claim(
        "checkout's NetworkPolicy is for production's pods, and knows loadgen's",
        is_true=network.count(f"environment: {PRODUCTION.environment}") == 2
        and STAGING.environment not in network,
        but=network,
    )
    index = json.loads((narrator.directory / "production" / "index.json").read_text())
    profiles = [entry["installs_as"] for entry in index if "installs_as" in entry]
    admission = (folder / "nginx.admission.yaml").read_text()
    narrator.claim(
        "its admission policy asks for the seccomp profile, by a name that holds its digest",
        is_true=any(profile in admission for profile in profiles),
        but=profiles,
    )


def watch_production(narrator: Narrator, image: Path) -> None:
    """Watch an ordinary life in production, then somebody who breaks in."""
    narrator.step(
        "Watch production",
        f"The shop opens in {PRODUCTION.namespace}: other pods, another subnet. Nothing is denied\n"
        "there yet; ethogram watches it by what was learnt in staging.",
    )
    inventory = narrator.directory / INVENTORY
    words = ["--baseline", "baselines", "--map", "production.yaml", "--fail-on", "high"]
    words += ["--namespace", PRODUCTION.namespace, "--inventory", INVENTORY]
    with (
        open_shop(image, site=PRODUCTION, revision="6d5c8b7f4d", inventory_file=inventory) as shop,
        watching(narrator, *words, name="watch") as watch,
    ):
        ordinary_life(narrator, shop)
        watch.wait_until_judged()
        narrator.claim(
            "the ordinary life of the shop raised no finding",
            is_true=not watch.findings(),
            but=[(finding["title"], finding["evidence"]) for finding in watch.findings()],
        )
        intruder = shop.network.attach("intruder")
        narrator.say("\nSomebody finds a hole in checkout, and has it open a shell to him:\n")
        attack = ("bash", "-c", REVERSE_SHELL.replace("$INTRUDER", intruder.address))
        victim = shop.replicas[0].container_id
        narrator.prompt(["runc", "exec", victim, *attack])
        narrator.output(break_in(shop.replicas[0], intruder))
        shop.stop()
    for finding in watch.findings():
        narrator.output(_block(finding))
    _judge(narrator, watch, victim, f"{intruder.address}:{PORT}")


def _judge(narrator: Narrator, watch: Watch, victim: str, peer: str) -> None:
    """Claim that everything the intruder did was found, and that nobody else was accused."""
    findings = watch.findings()
    acts: Mapping[str, Callable[[Finding], bool]] = {
        "the shell was reported": lambda one: one["rule"] == "shell-on-socket",
        "reading /etc/shadow was reported": lambda one: "/etc/shadow" in _observed(one),
        f"the connection to port {PORT} was reported": lambda one: peer in _observed(one),
        "the dropped program was reported": lambda one: (
            one["rule"] == "dropped-executable"
            and DROPPED in _observed(one)
            and "bash" in " ".join(_tree(one)[1:])
        ),
    }
    for text, is_it in acts.items():
        narrator.claim(
            f"{text}, with workload, process tree, reason and technique",
            is_true=any(is_it(finding) and _is_whole(finding) for finding in findings),
            but=[(finding["rule"], _observed(finding), _tree(finding)) for finding in findings],
        )
    others = [finding for finding in findings if finding.get("container_id") != victim]
    narrator.claim(
        "nothing was reported of the other replica, of loadgen, or of the way to the end",
        is_true=not others,
        but=[(finding["title"], finding["evidence"]) for finding in others],
    )
    narrator.claim(
        f"`--fail-on high` makes that exit code {DEVIATION}",
        is_true=watch.exit_code == DEVIATION,
        but=watch.exit_code,
    )


def _observed(finding: Finding) -> str:
    return str(finding["evidence"].get("observed", ""))


def _tree(finding: Finding) -> list[str]:
    """Return the process and those above it; who entered from outside has nobody above."""
    process = finding.get("process")
    return [process["exe"], *(one["exe"] for one in process["ancestry"])] if process else []


def _is_whole(finding: Finding) -> bool:
    workload = finding["workload"]
    is_victim = (workload["namespace"], workload["name"]) == (PRODUCTION.namespace, "checkout")
    return bool(is_victim and _tree(finding) and finding["reason"] and finding["attack"])


def _block(finding: Finding) -> str:
    """Return *finding* in a few lines; `--format text` says more of it."""
    workload = finding["workload"]
    techniques = " ".join(one["technique"] for one in finding["attack"])
    return (
        f"{finding['severity'].upper()}  {finding['title']}: {_observed(finding)[:96]}\n"
        f"      {finding['reason']}\n"
        f"      {workload['namespace']}/{workload['kind']}/{workload['name']}"
        f" ({workload['container']}): {' <- '.join(_tree(finding)) or 'process not known'}\n"
        f"      {finding['rule']}, {techniques}"
    )
