"""The demonstration: record a real service, learn it, export policies, live under them, watch."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.containers import ContainerError
from demo.intruder import TOOLS
from demo.kernel_log import KernelLog
from demo.life import INTRUSION, LET_THROUGH, REFUSED, UNSHARE, live
from demo.narrator import FalseClaimError, Narrator
from demo.production import export_for_production, watch_production
from demo.recorder import recording
from demo.rootfs import add_programs, web_root
from demo.shop import STAGING, open_shop
from tests.workloads import build_known

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("runc", "ip", "mount", "nginx", "curl", "gcc")


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the story; return 0 when everything it claims was so, 1 when not, 130 on Ctrl-C."""
    options = _options(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    try:
        with _directory(options.keep) as directory:
            _tell(Narrator(directory, ethogram=_ethogram(), steps=9))
    except (FalseClaimError, ContainerError, subprocess.SubprocessError, OSError) as error:
        _complain(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _complain("\ninterrupted: containers, networks, mounts and files are cleaned up")
        return 130
    seconds = time.monotonic() - began
    print(f"\nAll of it was so, in {seconds:.0f} s; everything is cleaned up.")
    print("Now your own: `ethogram try -- COMMAND`")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo/run", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what was made in DIR")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.exit(3, "error: containers and eBPF need root\n\nhint: `sudo make demo`\n")
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if missing := [tool for tool in NEEDED if not shutil.which(tool)]:
        parser.exit(3, f"error: not installed: {', '.join(missing)}\n\nhint: `make packages`\n")
    return options


def _ethogram() -> Path:
    beside = ROOT / ".venv" / "bin" / "ethogram"
    found = beside if beside.exists() else Path(shutil.which("ethogram") or beside)
    if not found.exists():
        raise FalseClaimError("`ethogram` is not installed\n\nhint: `make install`")
    return found


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="ethogram-demo-") as name:
        yield Path(name)


def _tell(narrator: Narrator) -> None:
    image = _build(narrator)
    _record(narrator, image)
    _learn(narrator)
    _export(narrator, "profiles-log")
    _observe(narrator, image)
    _export(narrator, "profiles", "--enforce")
    _enforce(narrator, image)
    export_for_production(narrator)
    watch_production(narrator, image)


def _build(narrator: Narrator) -> Path:
    narrator.step(
        "A shop",
        "Two replicas of `checkout` (Debian's nginx) and their client `loadgen` (curl): OCI\n"
        "containers under runc, each in a network namespace of its own. Annotations and an\n"
        "inventory, as Kubernetes writes them, make them pods of Deployments in\n"
        f"{STAGING.namespace}.",
    )
    image = web_root(narrator.directory / "image")
    tool = image / INTRUSION[0].lstrip("/")
    tool.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(build_known(), tool)
    add_programs(image, TOOLS)
    (image / "etc" / "shadow").write_text("root:*:20000:0:99999:7:::\n")
    files = sum(1 for path in image.rglob("*") if path.is_file())
    narrator.claim(f"an image of {files} files, made of what this machine has", is_true=files > 20)
    return image


def _record(narrator: Narrator, image: Path) -> None:
    narrator.step(
        "Record",
        "eBPF programs watch the namespace while the shop starts, trades, is looked into by an\n"
        "operator (as with `kubectl exec`) and stops. Nothing in the containers is changed.",
    )
    inventory = narrator.directory / "inventory.json"
    with (
        # What is learnt is worth more than one look: the longest of the four lives.
        open_shop(image, revision="7c9d6b5f8d", inventory_file=inventory, rounds=40) as shop,
        recording(narrator, STAGING.namespace, "rec"),
    ):
        live(narrator, shop)
    narrator.run("ethogram", "show", "rec")


def _learn(narrator: Narrator) -> None:
    narrator.step(
        "Learn",
        "A baseline is one file a workload, for git: what it did, with the evidence, and how much\n"
        "of it there may still be to see.",
    )
    narrator.run("ethogram", "learn", "rec", "-o", "baselines", "--allow", "thin")
    baselines = sorted(path.name for path in (narrator.directory / "baselines").rglob("*.yaml"))
    expected = [
        f"{STAGING.namespace}.Deployment-{name}" for name in ("checkout.nginx", "loadgen.curl")
    ]
    narrator.claim(
        "a baseline for checkout and one for loadgen, and for nobody else",
        is_true=[name.removesuffix(".baseline.yaml") for name in baselines] == expected,
        but=", ".join(baselines),
    )


def _export(narrator: Narrator, directory: str, *flags: str) -> None:
    if flags:
        narrator.step(
            "Export, to enforce", "Nothing was logged that belongs there: now it may deny."
        )
    else:
        narrator.step(
            "Export",
            "The seccomp profile allows what was seen, and what runc needs to start a container.\n"
            "At first it only logs the rest.",
        )
    words = ("export", "baselines", "--to", "seccomp", "--allow", "thin", *flags, "-o", directory)
    narrator.run("ethogram", *words)
    profiles = _profiles(narrator, directory)
    default = json.loads(profiles["checkout"].read_text())["defaultAction"]
    narrator.claim(
        f"what is not in checkout's profile gets {default}",
        is_true=default == ("SCMP_ACT_ERRNO" if flags else "SCMP_ACT_LOG"),
    )


def _observe(narrator: Narrator, image: Path) -> None:
    narrator.step(
        "Live under the profile that logs",
        "The same life, from start to stop, and one call that checkout never made: the first step\n"
        "of somebody who broke in and wants a user namespace of his own.",
    )
    profiles = _profiles(narrator, "profiles-log")
    inventory = narrator.directory / "inventory.json"
    with (
        KernelLog() as log,
        open_shop(
            image, revision="5b8c7d9f66", inventory_file=inventory, profiles=profiles
        ) as shop,
    ):
        live(narrator, shop, intruder=LET_THROUGH)
        records = [record for record in log.seccomp_records() if _is_of_shop(record[0], image)]
    intruder = INTRUSION[0]
    others = [record for record in records if record[0] != intruder]
    narrator.claim(
        "the kernel logged no call of checkout, loadgen, the session or the runtime",
        is_true=not others,
        but=others,
    )
    if not records:
        narrator.say("(The intruder's is not there either: an audit daemon keeps that log here.)")
        return
    narrator.claim(
        f"the kernel logged the intruder's unshare, system call {UNSHARE}",
        is_true=(intruder, UNSHARE) in records,
        but=records,
    )


def _is_of_shop(executable: str, image: Path) -> bool:
    return (image / executable.lstrip("/")).is_file() or "runc" in executable


def _enforce(narrator: Narrator, image: Path) -> None:
    narrator.step(
        "Live under the profile that denies",
        "The same life again, and the same intruder; and ethogram records what is refused.",
    )
    profiles = _profiles(narrator, "profiles")
    inventory = narrator.directory / "inventory.json"
    with (
        open_shop(
            image, revision="86f5d7c94b", inventory_file=inventory, profiles=profiles
        ) as shop,
        recording(narrator, STAGING.namespace, "rec-enforced"),
    ):
        live(narrator, shop, intruder=REFUSED)
    narrator.run("ethogram", "show", "rec-enforced")
    document = json.loads(narrator.ask("ethogram", "show", "rec-enforced", "--format", "json"))
    denied = [
        (workload["workload_key"], seen["value"], seen["calls"])
        for workload in document["workloads"]
        for seen in workload["seen"].get("denied", [])
    ]
    narrator.claim(
        "ethogram saw one call refused: checkout's unshare, with ENOSYS",
        is_true=[entry[1:] for entry in denied] == [("unshare: errno ENOSYS", 1)]
        and "checkout" in denied[0][0],
        but=denied,
    )


def _profiles(narrator: Narrator, directory: str) -> dict[str, Path]:
    """Return the seccomp profile of each app, by the index that `ethogram export` wrote."""
    base = narrator.directory / directory
    index = json.loads((base / "index.json").read_text())
    profiles = [base / entry["path"] for entry in index if entry["target"] == "seccomp"]
    return {
        app: path for app in ("checkout", "loadgen") for path in profiles if app in path.parts[-2]
    }


def _complain(text: str) -> None:
    sys.stdout.flush()
    print(text, file=sys.stderr)
