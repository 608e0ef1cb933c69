"""The image of the cases: a small Debian with a compiler and Python, and what the cases ask for."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from demo.commands import run
from demo.rootfs import debian_root

__all__ = ["SERVICE", "build_image", "missing_tools"]

HERE = Path(__file__).resolve().parent
SERVICE = "/opt/app/service.py"

PROGRAMS = (
    # coreutils and what is beside them in every Debian image
    *("bash", "base64", "chmod", "chroot", "cp", "cut", "date", "dd", "echo", "env", "false"),
    *("grep", "head", "ln", "mkdir", "mkfifo", "mktemp", "mv", "printf", "rm", "sed", "seq"),
    *("sort", "stat", "tail", "tar", "tee", "timeout", "touch", "tr", "true", "truncate", "uname"),
    *("uptime", "wc", "whoami", "xargs", "gzip", "find", "hostname"),
    *("mount", "umount", "nsenter", "unshare", "pivot_root", "su"),
    *("pgrep", "ps", "setcap", "getcap", "curl"),
    *("python3", "gcc", "as", "ld"),
)
COMPILER_PARTS = ("cc1", "collect2")
COMPILER_FILES = (
    *("crt1.o", "Scrt1.o", "crti.o", "crtn.o", "crtbegin.o", "crtbeginS.o", "crtend.o"),
    *("crtendS.o", "libgcc.a", "libgcc_s.so", "libgcc_s.so.1", "libc.so", "libc_nonshared.a"),
    *("liblto_plugin.so", "libc.so.6"),
)
COPIES = (
    *("/etc/pam.d", "/etc/login.defs", "/etc/security", "/etc/environment"),
    "/usr/include/stdc-predef.h",  # gcc wants it before every program
)
UNUSED_PYTHON = ("test", "tests", "config-*", "idlelib", "lib2to3", "ensurepip", "pydoc_data")
SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"
SHADOW = "root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n"
PASSWD_LINE = "app:x:1000:1000:app:/var/lib/app:/usr/sbin/nologin\n"
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6Y2FzZXM6YXBwIn0.\n"
STUBS = {"scan": "usr/local/bin/nmap", "uring": "opt/tk/uring", "toctou": "opt/tk/toctou",
         "fdrace": "opt/tk/fdrace", "compat": "opt/tk/compat"}  # fmt: skip


def missing_tools() -> list[str]:
    """Return what the image would need and this machine does not have."""
    return [name for name in (*PROGRAMS, "busybox") if not shutil.which(name, path=SEARCH)]


def build_image(root: Path) -> Path:
    """Make the image at *root* of what this machine has, and return *root*.

    Only ever the lower layer of an overlay, so that "in the image" and "dropped at run time" differ
    in a container as they do in production.
    """
    programs = [_program(name) for name in PROGRAMS]
    programs += [_compiler_says("prog", name) for name in COMPILER_PARTS]
    libraries = _python_library()
    modules = sorted((libraries / "lib-dynload").glob("*.so"))
    security = sorted(Path(f"/usr/lib/{_triple()}/security").glob("pam_*.so"))
    debian_root(root, [*programs, *map(str, modules), *map(str, security)], copies=COPIES)
    _add_python(root, libraries)
    _add_compiler(root)
    _add_stubs(root)
    _add_files(root)
    return root


def _program(name: str) -> str:
    found = shutil.which(name, path=SEARCH)
    if found is None:
        raise FileNotFoundError(f"`{name}` is not installed")
    return found


def _compiler_says(what: str, name: str) -> str:
    return run("gcc", f"-print-{what}-name={name}").stdout.decode().strip()


def _triple() -> str:
    return run("gcc", "-print-multiarch").stdout.decode().strip()


def _python_library() -> Path:
    code = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    return Path(run("/usr/bin/python3", "-I", "-c", code).stdout.decode().strip())


def _add_python(root: Path, libraries: Path) -> None:
    target = root / str(libraries).lstrip("/")
    ignored = shutil.ignore_patterns(*UNUSED_PYTHON)
    shutil.copytree(libraries, target, ignore=ignored, dirs_exist_ok=True)


def _add_compiler(root: Path) -> None:
    """Copy the files that gcc links a program with, under the names that it looks for them."""
    for name in COMPILER_FILES:
        source = Path(_compiler_says("file", name))
        if not source.is_absolute():
            continue  # gcc repeats the name of what it does not have
        target = root / str(Path(source).parent.resolve()).lstrip("/") / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy2(source.resolve(), target)


def _add_stubs(root: Path) -> None:
    for source, name in STUBS.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        code = str(HERE / "src" / f"{source}.c")
        subprocess.run(["gcc", "-O1", "-pthread", "-w", "-o", target, code], check=True)
    web = root / "opt" / "web" / "nginx"
    web.parent.mkdir(parents=True)
    shutil.copy2(Path("/bin/bash").resolve(), web)
    busybox = root / "usr" / "local" / "bin" / "busybox"
    shutil.copy2(Path("/bin/busybox").resolve(), busybox)
    (busybox.parent / "nc").symlink_to("busybox")


def _add_files(root: Path) -> None:
    (root / "etc" / "shadow").write_text(SHADOW)
    (root / "etc" / "shadow").chmod(0o640)
    for name in ("hostname", "profile"):
        (root / "etc" / name).write_text("# cases\n" if name == "profile" else "cases\n")
    with (root / "etc" / "passwd").open("a") as passwd:
        passwd.write(PASSWD_LINE)
    token = root / "run/secrets/kubernetes.io/serviceaccount/token"
    token.parent.mkdir(parents=True)
    token.write_text(TOKEN)
    for name in ("var/log/app", "var/lib/app", "opt/app", "etc/app", "mnt"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("var/log/app", "var/lib/app"):
        (root / name).chmod(0o1777)
    (root / "etc/app/config.json").write_text(json.dumps({"port": 8080, "greeting": "hello"}))
    shutil.copy2(HERE / "service.py", root / SERVICE.lstrip("/"))
