"""What is done to the fleet while it is watched, besides using it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path

from demo.containers import Container
from demo.oci import Spec
from tests.e2e.real_services import SERVICES
from tests.e2e.sessions import enter
from tests.soak.cluster import CRON, Cluster, Placed
from tests.soak.fleet import TMP, Fleet, Replica

__all__ = ["CRON_SCRIPT", "UPKEEP", "Event", "Events", "schedule"]

CRON_SCRIPT = """\
set -e
file=/tmp/backup-$(date +%s).sql.gz
pg_dump -h "$1" -U postgres --no-owner postgres | gzip > "$file"
curl -s -o /tmp/answer "http://$2/"
find /tmp -name 'backup-*' -size -1 -delete
wc -c "$file" | cut -d' ' -f1
"""
_ROTATES = ("nginx", "redis", "node")
_RELOADS = ("nginx", "postgres", "redis")
# What is done to a service without changing it, turn by turn: staging has seen it, too.
UPKEEP: tuple[tuple[tuple[str, tuple[str, ...]], ...], ...] = (
    (("log rotation", _ROTATES), ("config reload", _RELOADS)),
    (("restart", tuple(SERVICES)),),
)
# What people look at when they debug; each is another.
DEBUG = (
    "ps aux; ls -la /; env | sort; cat /etc/os-release",
    "ss -ltnp; cat /proc/1/status; df -h; id",
    "top -bn1 | head; ls -la /tmp; cat /proc/meminfo | head -3",
    "find /etc -name '*.conf' | head; tail -n 2 /etc/passwd; uname -a",
    "curl -s -o /dev/null http://127.0.0.1:80/ || true; getent hosts localhost; free -m",
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was done to workload *app*, in seconds of the wall clock."""

    kind: str
    app: str
    began: float
    ended: float


@dataclass
class Events:
    """Does what is asked for, and notes what was done and when."""

    cluster: Cluster
    fleet: Fleet
    jobs: Iterator[Placed]
    spare: dict[tuple[str, int], list[Placed]]
    done: list[Event] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    _turn: Iterator[int] = field(default_factory=count)

    def do(self, kind: str, app: str) -> None:
        """Do it, and note it."""
        began = time.time()
        action: Callable[[str], None] = getattr(self, f"_{kind.replace(' ', '_')}")
        try:
            action(app)
        except Exception as error:
            self.trouble.append(f"{kind} of {app}: {error!r}"[:300])
        self.done.append(Event(kind, app, began, time.time()))

    def _one_of(self, app: str) -> Replica:
        replicas = self.fleet.replicas[app]
        return replicas[next(self._turn) % len(replicas)]

    def _restart(self, app: str) -> None:
        replica = self._one_of(app)
        with replica.lock:
            replica.stop()
            replica.start()

    def _rollout(self, app: str) -> None:
        """One by one, as a Deployment does: the new one first."""
        for old in list(self.fleet.replicas[app]):
            self.fleet.add(self.spare[app, 2].pop())
            self.fleet.remove(old)

    def _scale_up(self, app: str) -> None:
        version = self.fleet.replicas[app][0].placed.version
        self.fleet.add(self.spare[app, version].pop())

    def _scale_down(self, app: str) -> None:
        self.fleet.remove(self.fleet.replicas[app][-1])

    def _cron_job(self, _: str) -> None:
        placed = next(self.jobs)
        addresses = [self.fleet.replicas[app][0].placed.at.address for app in ("postgres", "nginx")]
        uid, gid = SERVICES["postgres"].ids
        spec = Spec(
            ["sh", "-c", CRON_SCRIPT, CRON, *addresses], netns=placed.at.path, pod=placed.pod,
            uid=uid, gid=gid, hostname=placed.pod.name, mounts=[TMP],
        )  # fmt: skip
        with Container(self.fleet.images[1], spec) as container:
            ended = container.run()
        assert ended.returncode == 0, ended.stderr

    def _log_rotation(self, app: str) -> None:
        for replica in self.fleet.replicas[app]:
            with replica.lock:
                _rotate(replica, self.fleet)

    def _config_reload(self, app: str) -> None:
        for replica in self.fleet.replicas[app]:
            with replica.lock:
                _reload(replica, self.fleet)

    def _debug_session(self, app: str) -> None:
        replica = self._one_of(app)
        with replica.lock:
            enter(replica.container, "sh", "-c", DEBUG[next(self._turn) % len(DEBUG)])


def _inside(replica: Replica, path: str) -> Path:
    return Path(f"/proc/{replica.container.pid}/root{path}")


def _ask_redis(replica: Replica, fleet: Fleet, *words: str) -> None:
    fleet.client.says("redis-cli", "-h", replica.placed.at.address, *words, is_text="")


def _rotate(replica: Replica, fleet: Fleet) -> None:
    match replica.placed.app:
        case "nginx":
            log = _inside(replica, "/var/log/nginx/access.log")
            log.rename(log.with_suffix(".log.1"))
            replica.container.kill(signal.SIGUSR1)
        case "redis":
            _ask_redis(replica, fleet, "bgrewriteaof")
        case "node":
            log = _inside(replica, "/tmp/node.log")
            log.rename(log.with_suffix(".log.1"))


def _reload(replica: Replica, fleet: Fleet) -> None:
    match replica.placed.app:
        case "nginx":
            conf = _inside(replica, "/etc/nginx/nginx.conf")
            conf.write_text(conf.read_text() + "# changed\n")
            replica.container.kill(signal.SIGHUP)
        case "postgres":
            replica.container.kill(signal.SIGHUP)
        case "redis":
            _ask_redis(replica, fleet, "config", "set", "maxmemory-samples", "7")


def schedule(seconds: float) -> Iterator[tuple[float, str, str]]:
    """Yield when, what and to whom, in the order of time; cycles go through all services."""
    apps = tuple(SERVICES)
    every: tuple[tuple[str, float, float, tuple[str, ...]], ...] = (
        ("cron job", 8, 60, (CRON,)),
        ("restart", 20, 75, apps),
        ("log rotation", 35, 95, _ROTATES),
        ("config reload", 50, 110, _RELOADS),
        ("debug session", 65, 130, apps),
        ("scale up", 15, 150, apps),
        ("scale down", 70, 150, apps),
    )
    found = [
        (first + number * pause, kind, app)
        for kind, first, pause, who in every
        for number, app in zip(range(int((seconds - first) // pause) + 1), cycle(who), strict=False)
    ]
    found += [(seconds * (0.4 + 0.1 * n), "rollout", app) for n, app in enumerate(apps)]
    return iter(sorted(found))
