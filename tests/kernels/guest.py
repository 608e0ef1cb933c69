"""A guest of another kernel that sees this machine's files: boot it, run a command, read it out.

The kernel is Debian's, unpacked below `build/kernels` by `.ci/second-kernel`; QEMU emulates the
processor, because nested virtualization is nowhere to be relied upon. Nothing is installed, the
host's files cannot be written to, and what was started has ended when `run` returns.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.chosen import MODULES, ROOT, command
from tests.kernels.initramfs import initramfs

__all__ = ["Guest", "NoGuestError", "Outcome", "find_guest"]

KERNELS = ROOT / "build" / "kernels"
QEMU, VIRTIOFSD = "qemu-system-x86_64", "/usr/lib/qemu/virtiofsd"
_MEMORY = "2G"
# The oldest that numpy and Arrow take: emulating wider vectors costs a fifth of all time.
_PROCESSOR = "Nehalem"
# Booting and turning off take some seconds more than the command has.
_MARGIN_S = 30
_SHARE = """
mount --make-rprivate / && mount -o remount,bind,ro / &&
exec {virtiofsd} --fd={fd} -o source=/ -o sandbox=chroot -o cache=always -o xattr -o log_level=err
"""


class NoGuestError(Exception):
    """What a guest needs is not there; the message says what, and what brings it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a guest left: its *console*, what the command wrote to the second line, its *status*.

    *status* is None where the guest was turned off before the command had ended.
    """

    console: str
    results: list[str]
    status: int | None


@dataclass(frozen=True, slots=True)
class Guest:
    """A kernel by its *release*, and where its package is unpacked."""

    release: str
    package: Path

    def run(self, command: str, limit_s: int) -> Outcome:
        """Boot, run *command* in a shell in the root of this tree, and turn off.

        It is turned off after *limit_s* seconds, and killed if that does not work either.
        """
        _compile_sources()
        with tempfile.TemporaryDirectory(prefix="ethogram-guest-") as name:
            scratch = Path(name)
            (scratch / "initramfs").write_bytes(self._initramfs(command, limit_s))
            with _shared_files(scratch / "socket"), (scratch / "console").open("wb") as console:
                process = subprocess.Popen(
                    self._command(scratch), stdin=subprocess.DEVNULL,
                    stdout=console, stderr=subprocess.STDOUT,
                )  # fmt: skip
                try:
                    process.wait(timeout=limit_s + _MARGIN_S)
                except subprocess.TimeoutExpired:
                    pass
                finally:
                    process.kill()
                    process.wait()
            return _outcome(_lines(scratch / "console"), _lines(scratch / "results"))

    def _initramfs(self, command: str, limit_s: int) -> bytes:
        environment = {
            "HOME": "/root",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        modules = self.package / "lib" / "modules" / self.release
        kept = [ROOT] if ROOT.is_relative_to("/tmp") else []
        return initramfs(modules, f"cd '{ROOT}' && {command}", limit_s, kept, environment)

    def _command(self, scratch: Path) -> list[str]:
        kernel = self.package / "boot" / f"vmlinuz-{self.release}"
        return [
            QEMU, "-accel", "tcg,thread=multi", "-smp", "2", "-cpu", _PROCESSOR, "-m", _MEMORY,
            "-nodefaults", "-display", "none", "-no-reboot",
            "-object", f"memory-backend-memfd,id=memory,size={_MEMORY},share=on",
            "-numa", "node,memdev=memory",
            "-chardev", f"socket,id=files,path={scratch / 'socket'}",
            "-device", "vhost-user-fs-pci,chardev=files,tag=host",
            "-kernel", str(kernel), "-initrd", str(scratch / "initramfs"),
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
            "-serial", "stdio", "-serial", f"file:{scratch / 'results'}",
        ]  # fmt: skip


def _compile_sources() -> None:
    """Bring the bytecode of our sources up to date: each process there would compile all.

    pytest keeps its own of tests, whose assertions tell what they compared.
    """
    for package in ("detector", "ethogram", "exporters", "learner", "profiler", "tests"):
        compileall.compile_dir(ROOT / package, quiet=2)
    subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider",
         *MODULES],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def find_guest() -> Guest:
    """Return the guest that was unpacked; `NoGuestError` where something is missing."""
    if shutil.which(QEMU) is None:
        raise NoGuestError(f"no `{QEMU}`: apt-get install qemu-system-x86")
    if not Path(VIRTIOFSD).exists():
        raise NoGuestError(f"no `{VIRTIOFSD}`: apt-get install qemu-system-common")
    found = sorted(KERNELS.glob("*-amd64/boot/vmlinuz-*"))
    if not found:
        raise NoGuestError(f"no kernel below `{KERNELS}`: .ci/second-kernel")
    return Guest(found[-1].name.removeprefix("vmlinuz-"), found[-1].parents[1])


@contextlib.contextmanager
def _shared_files(place: Path) -> Iterator[None]:
    """Serve this machine's files, which cannot be written to, to whoever connects to *place*."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen(1)
        script = _SHARE.format(virtiofsd=VIRTIOFSD, fd=listener.fileno())
        server = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script], pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield
    finally:
        server.kill()  # it ends with its guest; this is for a guest that never came
        server.wait()


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8", "replace").splitlines() if path.exists() else []


def _outcome(console: list[str], results: list[str]) -> Outcome:
    status = None
    if results and results[-1].startswith("status "):
        status = int(results.pop().removeprefix("status "))
    return Outcome("\n".join(console), results, status)


def main() -> int:
    """Run all tests of the kernel side in the guest, or the command that the words are."""
    try:
        guest = find_guest()
    except NoGuestError as error:
        sys.stderr.write(f"error: {error}\n")
        return 3
    words = " ".join(sys.argv[1:]) or command(MODULES, is_all=True)
    outcome = guest.run(words, 3600)
    sys.stdout.write(f"{outcome.console}\n")
    return 1 if outcome.status is None else outcome.status


if __name__ == "__main__":
    sys.exit(main())
