"""The images of the soak: what each service runs, in its first version and the one after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.rootfs import NGINX_CONF
from tests.e2e.real_services import SERVICES, Service, debian_layers

__all__ = ["images", "service_of"]

# So that minutes show what a database does by the clock within a day.
_PACE = {"postgres": ("-c", "checkpoint_timeout=30s", "-c", "autovacuum_naptime=5s")}
# What a second version brings: options, a directive, a module that it reads, a file, a program.
_OPTIONS = {"redis": ("--maxmemory", "64mb"), "postgres": ("-c", "work_mem=8MB")}
_PYTHON = (
    "import http.server, json, os,",
    "import csv, decimal, platform, http.server, json, os,",
)
_NODE = (
    "const zlib = require('node:zlib');",
    "const zlib = require('node:zlib');\n"
    "const host = fs.readFileSync('/etc/hostname', 'utf8') + require('node:os').loadavg();",
)
_NGINX = ("sendfile on;", "sendfile on; gzip on; open_file_cache max=100;")


@contextmanager
def images() -> Iterator[dict[int, Path]]:
    """Yield version -> the layers that a container's root is made of."""
    with debian_layers() as first, TemporaryDirectory(dir="/dev/shm", prefix="soak-") as name:
        layer = Path(name)
        layer.chmod(0o755)
        _changed(first, layer, "opt/service/app.py", _PYTHON)
        _changed(first, layer, "opt/service/app.js", _NODE)
        (layer / "etc/nginx").mkdir(parents=True)
        assert _NGINX[0] in NGINX_CONF
        (layer / "etc/nginx/nginx.conf").write_text(NGINX_CONF.replace(*_NGINX))
        (layer / "etc/hostname").write_text("soak\n")
        yield {1: first, 2: Path(f"{layer}:{first}")}


def _changed(layers: Path, layer: Path, name: str, words: tuple[str, str]) -> None:
    text = Path(str(layers).partition(":")[0], name).read_text()
    assert words[0] in text, name
    (layer / name).parent.mkdir(parents=True, exist_ok=True)
    (layer / name).write_text(text.replace(*words))


def service_of(app: str, version: int) -> Service:
    """Return how *version* of *app* is started and used."""
    service = SERVICES[app]
    service = replace(service, words=(*service.words, *_PACE.get(app, ())))
    if version == 1:
        return service
    return replace(service, words=(*service.words, *_OPTIONS.get(app, ())))
