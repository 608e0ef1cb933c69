"""Root filesystems made of what this Debian machine has installed; nothing is downloaded.

An image root is only ever the lower layer of an overlay, as under a real container engine, so
that "this file is not of the image" means in a test what it means in production.
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.commands import run

__all__ = ["add_programs", "busybox_root", "debian_root", "overlay", "redis_root", "web_root"]

DIRECTORIES = (
    *("proc", "sys", "dev", "etc", "run", "root", "home", "var/log", "var/lib", "var/tmp"),
    *("usr/bin", "usr/sbin", "usr/lib", "usr/lib64"),
)
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
PASSWD = """\
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
redis:x:100:100:redis:/var/lib/redis:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = "root:x:0:\nwww-data:x:33:\nredis:x:100:\nnogroup:x:65534:\n"
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"
SHELL = (
    *("/bin/sh", "/bin/cat", "/bin/ls", "/bin/sleep"),
    *("/usr/bin/id", "/usr/bin/head", "/usr/bin/touch"),
)

NGINX_CONF = """\
user www-data;
worker_processes 2;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log warn;
events { worker_connections 256; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    sendfile on;
    access_log /var/log/nginx/access.log;
    server {
        listen 80 default_server;
        root /var/www/html;
        index index.html;
        location / { try_files $uri $uri/ =404; }
    }
}
"""


def busybox_root(root: Path) -> Path:
    """Make at *root* a filesystem whose every command is the static busybox; return *root*."""
    _skeleton(root)
    busybox = root / "bin" / "busybox"
    shutil.copy2("/bin/busybox", busybox)
    listing = run(busybox, "--list").stdout.decode()
    # A link named busybox would point at itself.
    for name in sorted(set(listing.split()) - {"busybox"}):
        (root / "bin" / name).symlink_to("busybox")
    return root


def debian_root(root: Path, programs: Iterable[str], *, copies: Iterable[str] = ()) -> Path:
    """Make at *root* a filesystem with *programs*, the libraries that they load, and a shell.

    *copies* are files and directories of this machine that come along under the same path.
    """
    _skeleton(root)
    add_programs(root, [*SHELL, *programs])
    for name in copies:
        source = Path(name)
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
    return root


def add_programs(root: Path, programs: Iterable[str]) -> None:
    """Copy *programs* of this machine, with the libraries that they load, to the same paths."""
    for program in programs:
        _copy_program(root, Path(program))


def web_root(root: Path) -> Path:
    """Make at *root* the image of a web service: Debian's nginx, two pages, curl beside it."""
    debian_root(root, ["/usr/sbin/nginx", "/usr/bin/curl"], copies=["/etc/nginx/mime.types"])
    (root / "etc" / "nginx" / "nginx.conf").write_text(NGINX_CONF)
    pages = root / "var" / "www" / "html"
    pages.mkdir(parents=True)
    (pages / "index.html").write_text("<h1>checkout</h1>\n")
    (pages / "cart.json").write_text('{"items": 3}\n')
    for name in ("var/log/nginx", "var/lib/nginx"):
        (root / name).mkdir(parents=True)
    return root


def redis_root(root: Path) -> Path:
    """Make at *root* the image of a store: Debian's redis-server and redis-cli."""
    debian_root(root, ["/usr/bin/redis-server", "/usr/bin/redis-cli"])
    data = root / "var" / "lib" / "redis"
    data.mkdir(parents=True)
    shutil.chown(data, 100, 100)
    return root


@contextmanager
def overlay(image: Path, directory: Path) -> Iterator[Path]:
    """Mount *image* under a writable layer in *directory*; yield the merged root, then unmount.

    What a container writes is in `directory/upper`, so *image* stays as it was.
    """
    upper, work, merged = (directory / name for name in ("upper", "work", "merged"))
    for path in (upper, work, merged):
        path.mkdir(parents=True)
    layers = f"lowerdir={image},upperdir={upper},workdir={work}"
    run("mount", "-t", "overlay", "overlay", "-o", layers, merged)
    try:
        yield merged
    finally:
        run("umount", "--lazy", merged)


def _skeleton(root: Path) -> None:
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    for name, target in MERGED.items():
        (root / name).symlink_to(target)
    etc = root / "etc"
    (etc / "passwd").write_text(PASSWD)
    (etc / "group").write_text(GROUP)
    (etc / "nsswitch.conf").write_text(NSSWITCH)
    (etc / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (etc / "resolv.conf").write_text("")


def _copy_program(root: Path, program: Path) -> None:
    for source in [program, *_libraries(program.resolve(strict=True))]:
        target = root / str(source).lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source.resolve(strict=True), target)


def _libraries(program: Path) -> list[Path]:
    """Return what the dynamic loader would map for *program*, itself included."""
    listing = run("ldd", program, check=False).stdout.decode()
    return [Path(name) for name in re.findall(r"(/\S+) \(0x", listing)]
