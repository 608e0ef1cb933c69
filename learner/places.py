"""Where names of files may be widened: never what an image, a package or a secret is made of."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["holds_ids", "is_kept", "is_log", "is_state"]

# What is installed, and what is configured.
_SYSTEM = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "boot"})
_CODE = frozenset(
    {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "site-packages",
     "dist-packages", "node_modules"}
)  # fmt: skip
_SECRET = frozenset(
    {"secret", "secrets", "credential", "credentials", "private", "pki", "certs", "ssl", "tls",
     "keys", "keyrings", "vault", ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker"}
)  # fmt: skip
# Where a host keeps what changes, and volumes are: no package puts names of such forms there.
_STATE = frozenset({"run", "var", "tmp", "data", "srv", "mnt", "sys", "proc"})
_ENGINES = ("containerd", "containers", "docker", "moby", "runc", "crun", "crio", "kubelet",
            "kubepods", "libpod", "podman", "buildkit", "overlay", "cgroup", "cni")  # fmt: skip


def is_kept(directories: Sequence[str]) -> bool:
    """Return whether nothing in a file's *directories*, from the root, may be widened."""
    if not directories:
        return False
    if directories[0] in _SYSTEM:
        return True
    for number, name in enumerate(directories):
        if name in _SECRET:
            return True
        # `/var/lib` is no place of libraries but of state.
        if name in _CODE and not (name == "lib" and number == 1 and directories[0] == "var"):
            return True
    return False


def is_state(directories: Sequence[str]) -> bool:
    """Return whether files there are no package's: those of a running system, or volumes."""
    return bool(directories) and (
        directories[0] in _STATE or list(directories[:2]) == ["dev", "shm"]
    )


def is_log(directories: Sequence[str]) -> bool:
    """Return whether a name there may be that of a log by the day."""
    return any(name in {"log", "logs", "journal"} for name in directories)


def holds_ids(directories: Sequence[str]) -> bool:
    """Return whether an engine, or the kernel for it, keeps what it calls by an id there."""
    return any(word in name for name in directories for word in _ENGINES)
