"""Make the recordings that the notebook opens: a shop on a quiet day, and on a strange one.

    python -m tools.make_sample_recording notebooks/data

writes `shop.rec` and `shop-strange.rec`, what `ethogram record` makes of real containers: two
replicas of a web service and the client that loads them. On the strange day the client fetches
pages over one connection as fast as it can, and later a program that never ran before reads every
file of the second replica. Root is needed, and what the demonstration needs.

Nothing in the recordings is edited but the ids of host and boot in `manifest.json`: those are this
machine's own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from demo.containers import Container
from demo.inventory import PlacedPod, inventory
from demo.narrator import Narrator
from demo.network import Network
from demo.oci import Pod, Spec
from demo.recorder import recording
from demo.rootfs import NGINX_CONF, debian_root
from ethogram.contracts.manifest import read_manifest, write_manifest

NAMESPACE = "corner-shop"
ROOT = Path(__file__).parents[1]
# Overlays and bundles lie here, and so does what the container runtime is seen to open.
WORKPLACE = Path("/run/corner-shop")
HOST_ID, BOOT_ID = "sample-host", "00000000-0000-4000-8000-000000000000"
PAGES = 30

# The server, and beside it something that sleeps. What wakes up on the strange day reads all there
# is, as a collector of secrets does, or an inventory of packages.
START = """\
#!/bin/sh
nginx -g 'daemon off;' &
server=$!
trap 'kill -QUIT $server' QUIT
{
    sleep "$SLEEP"
    for pass in 1 2 3; do
        find / -xdev -type f -exec sha256sum {} \\; > /tmp/.list
        sleep 0.7
    done
} &
wait $server
wait $server
"""
# Waves of requests, as days and nights go. A draw decides which page, few of them often and many
# seldom, and which replica; now and then it is a page that nobody has.
LOAD = """\
#!/bin/sh
draw=$SEED
round=0
while :; do
    wave=$((round % 12))
    [ $wave -gt 6 ] && wave=$((12 - wave))
    request=0
    while [ $request -lt $((4 + 2 * wave)) ]; do
        draw=$(((draw * 1103515245 + 12345) % 2147483648))
        dice=$((draw >> 16))
        item=$(((dice % 10) * (dice / 10 % 10) * (dice / 100 % 10) / 25))
        host=${HOSTS% *}
        [ $((dice / 1000 % 2)) -eq 1 ] && host=${HOSTS#* }
        curl -s -o /dev/null "http://$host/item/$item.html"
        request=$((request + 1))
    done
    [ $((round % 9)) -eq 8 ] && curl -s -o /dev/null "http://$host/sold-out"
    round=$((round + 1))
    sleep 0.5
done
"""
SCRAPE = "http://{}/item/[0-9].html?[1-80]"
LOOK_AROUND = "id -un; ls /var/www/html; head -n 1 /var/log/nginx/access.log"


@dataclass(frozen=True, slots=True)
class Day:
    """What happens: times are seconds since the shop opened, None for never."""

    name: str
    seconds: int
    operator_at: int | None = None
    scraper_at: int | None = None
    collector_at: int | None = None


DAYS = (
    Day("shop", 75, operator_at=50),
    Day("shop-strange", 60, scraper_at=20, collector_at=40),
)


@dataclass(frozen=True, slots=True)
class Shop:
    """Two replicas with their addresses, and the client that loads them."""

    replicas: tuple[Container, ...]
    addresses: tuple[str, ...]
    client: Container


def build_image(root: Path) -> Path:
    """Make at *root* the image of the service and of its client; return *root*."""
    programs = ["/usr/sbin/nginx", "/usr/bin/curl", "/usr/bin/find", "/usr/bin/sha256sum"]
    debian_root(root, programs, copies=["/etc/nginx/mime.types"])
    (root / "etc/nginx/nginx.conf").write_text(NGINX_CONF)
    for name in ("var/www/html/item", "var/log/nginx", "var/lib/nginx"):
        (root / name).mkdir(parents=True)
    for number in range(PAGES):
        (root / f"var/www/html/item/{number}.html").write_text(f"<h1>item {number}</h1>\n")
    for name, text in (("serve", START), ("load", LOAD)):
        script = root / "usr/bin" / name
        script.write_text(text)
        script.chmod(0o755)
    return root


@contextmanager
def open_shop(image: Path, day: Day, inventory_file: Path) -> Iterator[Shop]:
    """Prepare the containers of *day* and write *inventory_file*; nothing runs yet."""
    placed: list[PlacedPod] = []
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        servers = [network.attach(name) for name in ("checkout-1", "checkout-2")]
        client = network.attach("loadgen")

        def prepare(app: str, number: int, spec: Spec, address: str) -> Container:
            pod = place(app, number, day, address)
            placed.append(pod)
            spec = replace(spec, pod=pod.pod, hostname=pod.pod.name, no_new_privileges=False)
            return stack.enter_context(Container(image, spec, container_id=pod.container_id))

        replicas = []
        for number, at in enumerate(servers):
            wakes = day.collector_at if number == 1 and day.collector_at else 600
            spec = Spec(("/usr/bin/serve",), netns=at.path, env={"SLEEP": str(wakes)})
            replicas.append(prepare("checkout", number, spec, at.address))
        addresses = tuple(at.address for at in servers)
        load = {"HOSTS": " ".join(addresses), "SEED": str(day.seconds)}
        spec = Spec(("/usr/bin/load",), netns=client.path, env=load)
        shop = Shop(tuple(replicas), addresses, prepare("loadgen", 0, spec, client.address))
        inventory_file.write_text(json.dumps(inventory(NAMESPACE, placed)))
        yield shop


def place(app: str, number: int, day: Day, address: str) -> PlacedPod:
    """Return the pod *number* of *app*; its names and ids are the same in every run."""
    name = f"{app}-7c9d6b5f8d-{'bd'[number]}{day.seconds}xk"
    seed = uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{NAMESPACE}.example")
    container = "nginx" if app == "checkout" else "curl"
    image = "registry.example/corner-shop/web:1.22"
    pod = Pod(NAMESPACE, name, str(seed), container, image)
    return PlacedPod(pod, app, f"{app}-7c9d6b5f8d", address, seed.hex * 2)


def live(shop: Shop, day: Day) -> None:
    """Let *day* pass, from the start of the first container to the stop of the last."""
    for replica in shop.replicas:
        replica.start(port=80)
    opened = time.monotonic()
    shop.client.start()
    events = {
        day.operator_at: lambda: shop.replicas[0].exec("sh", "-c", LOOK_AROUND),
        day.scraper_at: lambda: scrape(shop),
    }
    for moment in sorted(at for at in events if at is not None):
        wait_until(opened + moment)
        result = events[moment]()
        if result.returncode:
            raise SystemExit(f"at {moment} s: {result.stderr.decode(errors='replace')}")
    wait_until(opened + day.seconds)
    shop.client.kill()
    for replica in shop.replicas:
        replica.stop(3)


def scrape(shop: Shop) -> subprocess.CompletedProcess[bytes]:
    """Fetch 800 pages of the first replica by one curl, from the client's container."""
    return shop.client.exec("curl", "-s", "-o", "/dev/null", SCRAPE.format(shop.addresses[0]))


def wait_until(moment: float) -> None:
    """Return at *moment* of the monotonic clock."""
    time.sleep(max(moment - time.monotonic(), 0))


def record(day: Day, image: Path, narrator: Narrator, output: Path) -> None:
    """Record *day* and put it, without this machine's ids, at *output*."""
    with (
        open_shop(image, day, narrator.directory / "inventory.json") as shop,
        recording(narrator, NAMESPACE, day.name),
    ):
        live(shop, day)
    made = narrator.directory / day.name
    manifest = read_manifest(made).model_copy(update={"host_id": HOST_ID, "boot_id": BOOT_ID})
    write_manifest(made, manifest)
    if output.exists():
        shutil.rmtree(output)
    shutil.copytree(made, output)
    output.chmod(0o755)
    for file in output.iterdir():
        file.chmod(0o644)  # nothing in it is secret, and git keeps no other mode


def main() -> None:
    """Record both days."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="directory of the recordings")
    output = parser.parse_args().output.resolve()
    WORKPLACE.mkdir(mode=0o700)
    tempfile.tempdir = str(WORKPLACE)
    try:
        image = build_image(WORKPLACE / "image")
        narrator = Narrator(WORKPLACE, ethogram=ROOT / ".venv/bin/ethogram", steps=len(DAYS))
        for day in DAYS:
            narrator.step(day.name, f"{day.seconds} s")
            record(day, image, narrator, output / f"{day.name}.rec")
    finally:
        shutil.rmtree(WORKPLACE)


if __name__ == "__main__":
    main()
