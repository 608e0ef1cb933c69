"""The shop: two replicas of a web service, `checkout`, and a client that loads it, `loadgen`."""

import json
import secrets
import signal
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from demo.containers import Container
from demo.inventory import PlacedPod, inventory
from demo.network import Attachment, Network
from demo.oci import Pod, Spec

__all__ = ["PRODUCTION", "STAGING", "Shop", "Site", "open_shop"]

SERVE = ("nginx", "-g", "daemon off;")
# Each round asks every replica for two pages that are there and one that is not.
LOAD = """\
round=0
while [ $round -lt $ROUNDS ]; do
    for host in $HOSTS; do
        for page in / /cart.json /sold-out; do
            curl -s -o /dev/null -w '%{http_code}\\n' http://$host$page
        done
    done
    round=$((round + 1))
    sleep 0.1
done
"""
LOOK_AROUND = "id -un; ls /var/www/html; head -n 1 /var/log/nginx/access.log > /tmp/last"
# What Kubernetes makes names of: no vowels, so no words.
NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a shop runs: its namespace, the label that all pods there have, its addresses."""

    namespace: str
    environment: str
    subnet: int
    service_address: str

    def inventory(self, pods: Iterable[PlacedPod]) -> dict[str, Any]:
        """Return what `kubectl get` would print of *pods* here."""
        return inventory(
            self.namespace,
            pods,
            labels={"environment": self.environment},
            node_address=f"10.77.{self.subnet}.1",
            service_address=self.service_address,
        )


STAGING = Site("shop-staging", "staging", subnet=0, service_address="10.96.0.80")
PRODUCTION = Site("shop", "production", subnet=1, service_address="10.97.0.80")


@dataclass(frozen=True)
class Shop:
    """A running shop; `open_shop` opens and closes it."""

    replicas: tuple[Container, ...]
    client: Container
    network: Network
    rounds: int

    def start(self) -> None:
        """Start the replicas; return when every one listens."""
        for replica in self.replicas:
            replica.start(port=80)

    def trade(self) -> Counter[str]:
        """Run the client to its end; return how often each HTTP status was the answer."""
        result = self.client.run(timeout_s=90)
        if result.returncode:
            raise subprocess.CalledProcessError(
                result.returncode, result.args, result.stdout, result.stderr
            )
        return Counter(result.stdout.decode().split())

    def look_around(self) -> subprocess.CompletedProcess[bytes]:
        """Open an exec session in the first replica, as an operator does."""
        return self.replicas[0].exec("sh", "-c", LOOK_AROUND)

    def stop(self) -> None:
        """Ask the replicas to finish what they serve and to end, as Kubernetes does."""
        for replica in self.replicas:
            replica.stop(signal.SIGQUIT)

    def expected_trade(self) -> Counter[str]:
        """What `trade` returns when every request was answered as it should be."""
        visits = self.rounds * len(self.replicas)
        return Counter({"200": 2 * visits, "404": visits})


@contextmanager
def open_shop(
    image: Path,
    *,
    revision: str,
    inventory_file: Path,
    site: Site = STAGING,
    rounds: int = 15,
    profiles: Mapping[str, Path] | None = None,
) -> Iterator[Shop]:
    """Prepare the shop's containers at *site* and write *inventory_file*; nothing runs yet.

    *revision* is the pod template's hash, *rounds* how often the client comes; *profiles* are
    seccomp profiles by app.
    """
    serve = Spec(SERVE, no_new_privileges=False)
    load = Spec(("sh", "-c", LOAD))
    placed: list[PlacedPod] = []
    with ExitStack() as stack:
        network = stack.enter_context(Network(subnet=site.subnet))

        def prepare(app: str, at: Attachment, spec: Spec) -> Container:
            pod = _place(site.namespace, app, revision, at)
            placed.append(pod)
            profile = (profiles or {}).get(app)
            spec = replace(spec, netns=at.path, pod=pod.pod, hostname=pod.pod.name, seccomp=profile)
            return stack.enter_context(Container(image, spec, container_id=pod.container_id))

        *servers, client = map(network.attach, ("checkout-1", "checkout-2", "loadgen"))
        replicas = tuple(prepare("checkout", each, serve) for each in servers)
        hosts = " ".join(each.address for each in servers)
        load = replace(load, env={"HOSTS": hosts, "ROUNDS": str(rounds)})
        shop = Shop(replicas, prepare("loadgen", client, load), network, rounds)
        inventory_file.write_text(json.dumps(site.inventory(placed), indent=2))
        yield shop


def _place(namespace: str, app: str, revision: str, at: Attachment) -> PlacedPod:
    replica_set = f"{app}-{revision}"
    suffix = "".join(secrets.choice(NAME_LETTERS) for _ in range(5))
    pod = Pod(
        namespace=namespace,
        name=f"{replica_set}-{suffix}",
        uid=str(uuid.uuid4()),
        container="nginx" if app == "checkout" else "curl",
        image="registry.example/shop/web:1.22",
    )
    return PlacedPod(pod, app, replica_set, at.address, secrets.token_hex(32))
