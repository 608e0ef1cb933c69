"""The first files that a guest sees: busybox, the modules it needs, and a script that runs it all.

Written as the kernel's own archive (cpio, "newc"), so that no tool is needed.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["initramfs"]

_BUSYBOX = Path("/bin/busybox")
# In the order that they depend on one another.
_MODULES = (
    "drivers/virtio/virtio_ring", "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci", "fs/fuse/fuse", "fs/fuse/virtiofs", "fs/overlayfs/overlay",
)  # fmt: skip
_DIRECTORIES = ("bin", "dev", "proc", "sys", "lower", "upper", "root")
_DIRECTORY, _PROGRAM, _FILE = 0o040755, 0o100755, 0o100644

# The host's files are below, read-only; what is written goes into memory.
_INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in {modules}; do insmod /$module.ko; done
mount -t virtiofs -o ro host /lower
mount -t tmpfs tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t devtmpfs devtmpfs /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t tmpfs tmpfs /root/run
mount -t tmpfs tmpfs /root/tmp
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
mount -t tracefs tracefs /root/sys/kernel/tracing
mount -t securityfs securityfs /root/sys/kernel/security
ifconfig lo 127.0.0.1 up
stty -F /dev/ttyS1 raw -echo
{kept}
cp /main /root/run/main
umount /proc /sys /dev
exec switch_root /root /bin/busybox sh /run/main
"""
# The status is the last thing on the second serial line; the power goes off whatever happened.
_MAIN = """
( /bin/busybox sleep {limit_s}; /bin/busybox poweroff -f ) &
/bin/sh -c {command} < /dev/null
echo "status $?" > /dev/ttyS1
/bin/busybox sync
/bin/busybox poweroff -f
"""


def initramfs(
    modules: Path, command: str, limit_s: int, kept: Sequence[Path], environment: Mapping[str, str]
) -> bytes:
    """Return the archive of a guest that runs *command* in a shell and turns itself off.

    *modules* holds the kernel's. *kept* are directories below /tmp that the guest is to see. The
    power goes off after *limit_s* seconds at the latest.
    """
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    init = _INIT.format(
        modules=" ".join(name.rpartition("/")[2] for name in _MODULES),
        kept="\n".join(_bind(directory) for directory in kept),
    )
    main = _MAIN.format(limit_s=limit_s, command=shlex.quote(f"export {words}; {command}"))
    entries = [(name, _DIRECTORY, b"") for name in _DIRECTORIES]
    entries.append(("bin/busybox", _PROGRAM, _BUSYBOX.read_bytes()))
    entries.append(("init", _PROGRAM, init.encode()))
    entries.append(("main", _FILE, main.encode()))
    for name in _MODULES:
        data = (modules / "kernel" / f"{name}.ko").read_bytes()
        entries.append((f"{name.rpartition('/')[2]}.ko", _FILE, data))
    entries.append(("TRAILER!!!", 0, b""))
    return b"".join(_entry(number, *entry) for number, entry in enumerate(entries, 1))


def _bind(directory: Path) -> str:
    place = shlex.quote(str(directory))
    return f"mkdir -p /root{place}; mount --bind /lower{place} /root{place}"


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    """One member: 13 fields of eight hexadecimal digits, the name, the data, each padded to 4."""
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
