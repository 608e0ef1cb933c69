"""Services of this Debian in containers: how each starts, is used, is entered and is stopped."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pwd import getpwnam

from demo.commands import run
from demo.network import Attachment
from demo.rootfs import NGINX_CONF

__all__ = ["SERVICES", "Client", "Service", "debian_layers", "missing_programs"]

_POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), Path("/nowhere"))
_DATA = "/var/lib/ethogram-test/postgres"
_LARGE_BYTES = 300_000
# The resolver of this machine is out of their reach.
_NO_DNS = "passwd: files\ngroup: files\nhosts: files\n"

_PYTHON = """\
import http.server, json, os, signal, sqlite3, subprocess, threading

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with sqlite3.connect("/tmp/visits.db", timeout=20) as database:
            database.execute("create table if not exists visits (path text)")
            database.execute("insert into visits values (?)", (self.path,))
        if self.path == "/child":
            said = subprocess.run(["/usr/bin/id", "-u"], capture_output=True, check=True).stdout
        else:
            said = json.dumps({"path": self.path, "pid": os.getpid()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

# The first process of a container ignores a signal that it has no handler for.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
signal.sigwait([signal.SIGTERM])
server.shutdown()
"""
_NODE = """\
const crypto = require('node:crypto');
const fs = require('node:fs');
const zlib = require('node:zlib');
const server = require('node:http').createServer((request, response) => {
  if (request.method === 'POST') {
    request.resume().on('end', () => response.writeHead(204).end());
    return;
  }
  fs.readFile('/etc/os-release', (error, text) => {
    fs.appendFile('/tmp/node.log', request.url + '\\n', () => {});
    crypto.pbkdf2('secret', 'salt', 1000, 32, 'sha512', () =>
      zlib.gzip(text, () => response.end(text)));
  });
});
server.listen(8000, '0.0.0.0');
process.on('SIGTERM', () => server.close(() => process.exit(0)));
"""
_TABLES = """\
create table if not exists carts (id serial primary key, item text);
insert into carts (item) select 'item ' || n from generate_series(1, 500) n;
create index if not exists carts_item on carts (item);
select 'found ' || (count(*) > 0) from carts where item like 'item 4%';
"""


@dataclass(frozen=True, slots=True)
class Client:
    """Programs of this machine in the network namespace that *at* describes."""

    at: Attachment

    def says(self, *words: str, is_text: str) -> None:
        """Run *words*; raise AssertionError unless what they print holds *is_text*."""
        # `ip netns exec` would make a mount namespace, with the number of one that is gone.
        inside = ("nsenter", f"--net={self.at.path}", "--")
        done = run(*inside, *words, check=False, timeout_s=60)
        text = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode == 0, (words, text)
        assert is_text in text, (words, text)


# Uses the service at an address as somebody in its network; raises where an answer is wrong.
Use = Callable[[Client, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service: *words* start it, *session* is what an operator runs inside.

    *user* is who it runs as. *stop* is the signal that asks it to end. *ready* and *done* are what
    it logs once it may be used, and once it has done all that use began.
    """

    name: str
    needs: tuple[str, ...]
    words: tuple[str, ...]
    port: int
    use: Use
    session: tuple[str, ...]
    answer: str
    user: str = "root"
    stop: signal.Signals = signal.SIGTERM
    ready: str = ""
    done: str = ""

    @property
    def ids(self) -> tuple[int, int]:
        """The numbers of the user and of its group."""
        entry = getpwnam(self.user)
        return entry.pw_uid, entry.pw_gid


def _use_nginx(client: Client, address: str) -> None:
    code = "%{http_code} %{size_download}"
    ask = ("curl", "-s", "-o", "/dev/null", "-w", code)
    client.says(*ask, f"http://{address}/", is_text="200 18")
    client.says(*ask, f"http://{address}/large", is_text=f"200 {_LARGE_BYTES}")
    client.says(*ask, "-r", "0-99", f"http://{address}/large", is_text="206 100")
    client.says(*ask, f"http://{address}/missing", is_text="404")


def _use_redis(client: Client, address: str) -> None:
    ask = ("redis-cli", "-h", address)
    client.says(*ask, "set", "cart", "3", is_text="OK")
    client.says(*ask, "incr", "cart", is_text="4")
    client.says(*ask, "bgsave", is_text="Background saving started")
    client.says(*ask, "lpush", "list", "a", "b", is_text="")


def _use_postgres(client: Client, address: str) -> None:
    ask = (
        str(_POSTGRES / "psql"),
        "-h",
        address,
        "-U",
        "postgres",
        "-Atq",
        "-v",
        "ON_ERROR_STOP=1",
    )
    client.says(*ask, "-c", _TABLES, is_text="found true")
    client.says(*ask, "-c", "checkpoint", is_text="")
    client.says(*ask, "-c", "vacuum analyze carts", is_text="")


def _use_web(*paths: str) -> Use:
    def use(client: Client, address: str) -> None:
        ask = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}")
        for path in paths:
            client.says(*ask, f"http://{address}:8000{path}", is_text="200")
        client.says(*ask, "-d", "item=3", f"http://{address}:8000/", is_text="204")

    return use


SERVICES: Mapping[str, Service] = {
    each.name: each
    for each in (
        Service(
            name="nginx", needs=("/usr/sbin/nginx",), port=80, stop=signal.SIGQUIT,
            words=("nginx", "-g", "daemon off;"), use=_use_nginx,
            session=("sh", "-c", "id -un; ls /var/www/html/large"),
            answer="root\n/var/www/html/large\n",
        ),
        Service(
            name="redis", needs=("/usr/bin/redis-server",), port=6379, user="redis",
            words=("redis-server", "--protected-mode", "no", "--dir", "/tmp",
                   "--appendonly", "yes"),
            use=_use_redis, done="Background saving terminated with success",
            session=("redis-cli", "ping"), answer="PONG\n",
        ),
        Service(
            name="postgres", needs=(str(_POSTGRES / "initdb"),), port=5432, user="postgres",
            words=(str(_POSTGRES / "postgres"), "-D", _DATA, "-c", "listen_addresses=*",
                   "-c", "unix_socket_directories=/tmp"),
            use=_use_postgres, stop=signal.SIGINT,
            session=(str(_POSTGRES / "psql"), "-h", "/tmp", "-U", "postgres", "-Atc",
                     "select 6 * 7"),
            answer="42\n", ready="database system is ready to accept connections",
        ),
        Service(
            name="python", needs=("/usr/bin/python3",), port=8000, user="www-data",
            words=("/usr/bin/python3", "-I", "/opt/service/app.py"),
            use=_use_web("/", "/cart", "/child"),
            session=("/usr/bin/python3", "-Ic", "import os; print(os.getpid() > 1)"),
            answer="True\n",
        ),
        Service(
            name="node", needs=("/usr/bin/node",), port=8000, user="www-data",
            words=("/usr/bin/node", "/opt/service/app.js"), use=_use_web("/", "/cart"),
            session=("/usr/bin/node", "-p", "6 * 7"), answer="42\n",
        ),
    )
}  # fmt: skip


def missing_programs() -> list[str]:
    """Return what the services need and this machine does not have."""
    return [need for each in SERVICES.values() for need in each.needs if not Path(need).exists()]


@contextmanager
def debian_layers() -> Iterator[Path]:
    """Yield an image, for `Container`: this machine's own root below what the services need.

    Neither is written to: a container has a layer of its own above.
    """
    with tempfile.TemporaryDirectory(prefix="ethogram-services-") as name, _in_memory(name):
        directory, layer = Path(name), Path(name, "layer")
        pages = layer / "var/www/html"
        for path in (pages, layer / "etc/nginx", layer / "opt/service"):
            path.mkdir(parents=True)
        (layer / "etc/nginx/nginx.conf").write_text(NGINX_CONF)
        (layer / "etc/nsswitch.conf").write_text(_NO_DNS)
        (pages / "index.html").write_text("<h1>checkout</h1>\n")
        (pages / "large").write_bytes(b"x" * _LARGE_BYTES)
        (layer / "opt/service/app.py").write_text(_PYTHON)
        (layer / "opt/service/app.js").write_text(_NODE)
        _make_database(layer / _DATA.lstrip("/"))
        # `lowerdir` is a list between colons; a link names the root without a slash at its end.
        root = directory / "root"
        root.symlink_to("/")
        yield Path(f"{layer}:{root}")


@contextmanager
def _in_memory(name: str) -> Iterator[None]:
    """Mount a file system of its own at *name*: one layer of an overlay cannot be inside another.

    Every user may enter it: the database is made by its own.
    """
    run("mount", "-t", "tmpfs", "-o", "mode=711,size=256m", "tmpfs", name)
    try:
        yield
    finally:
        run("umount", "--lazy", name)


def _make_database(data: Path) -> None:
    data.mkdir(mode=0o700, parents=True)
    shutil.chown(data, "postgres", "postgres")
    options = ("--auth=trust", "--no-sync", "--no-instructions", "--no-locale")
    ids = ("--reuid=postgres", "--regid=postgres", "--init-groups")
    run("setpriv", *ids, _POSTGRES / "initdb", "-D", data, *options, timeout_s=120)
    with (data / "pg_hba.conf").open("a") as access:
        access.write("host all all 0.0.0.0/0 trust\n")
