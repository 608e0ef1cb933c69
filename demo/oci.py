"""The OCI configuration of one container, as an engine such as Docker or containerd writes it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["DOCKER_CAPABILITIES", "Pod", "Spec", "bind"]

DOCKER_CAPABILITIES = tuple(
    "CAP_" + name
    for name in (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
        *("NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
MOUNTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("/proc", "proc", "proc", ()),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666")),
    ("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),
    ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
)
MASKED = (
    *("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"),
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class Pod:
    """What Kubernetes' container runtime interface would say of a container, as annotations."""

    namespace: str
    name: str
    uid: str
    container: str
    image: str

    def annotations(self) -> dict[str, str]:
        """Return the annotations that containerd's CRI plugin writes."""
        cri = "io.kubernetes.cri."
        return {
            cri + "container-type": "container",
            cri + "sandbox-namespace": self.namespace,
            cri + "sandbox-name": self.name,
            cri + "sandbox-uid": self.uid,
            cri + "sandbox-id": self.uid.replace("-", "") * 2,
            cri + "container-name": self.container,
            cri + "image-name": self.image,
        }


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One container, before an id and a runtime are chosen for it.

    *seccomp* is a `linux.seccomp` object or a file that holds one; `None` is unconfined.
    *netns* is a path such as `/run/netns/x`; `None` makes a new one without links.
    *host_namespaces* names those that it shares with the host: pid, ipc, uts, mount, network.
    *mounts* are further OCI mounts.
    """

    args: Sequence[str] = field(kw_only=False)
    netns: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    capabilities: Sequence[str] = DOCKER_CAPABILITIES
    no_new_privileges: bool = True
    seccomp: Mapping[str, Any] | Path | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    pod: Pod | None = None
    read_only: bool = False
    hostname: str = "container"
    host_namespaces: Sequence[str] = ()
    mounts: Sequence[Mapping[str, Any]] = ()
    cgroups_path: str | None = None

    def config(self, root: Path, *, container_id: str, has_cgroups: bool) -> dict[str, Any]:
        """Return the content of `config.json` for a container whose filesystem is at *root*.

        Without *has_cgroups* nothing is asked of the cgroup controllers.
        """
        pod = self.pod.annotations() if self.pod else {}
        config: dict[str, Any] = {
            "ociVersion": "1.0.2",
            "process": self._process(),
            "root": {"path": str(root), "readonly": self.read_only},
            "hostname": self.hostname,
            "mounts": [*map(_mount, MOUNTS), *self.mounts],
            "annotations": {**pod, **self.annotations},
            "linux": {
                "namespaces": self._namespaces(),
                "cgroupsPath": self.cgroups_path or f"/{container_id}",
                "maskedPaths": list(MASKED),
                "readonlyPaths": list(READ_ONLY),
            },
        }
        if has_cgroups:
            config["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
        if "uts" in self.host_namespaces:
            del config["hostname"]
        if self.seccomp is not None:
            config["linux"]["seccomp"] = _profile(self.seccomp)
        return config

    def _process(self) -> dict[str, Any]:
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **self.env}
        granted = list(self.capabilities)
        return {
            "terminal": False,
            "user": {"uid": self.uid, "gid": self.gid},
            "args": list(self.args),
            "env": [f"{name}={value}" for name, value in env.items()],
            "cwd": self.cwd,
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), granted),
            "noNewPrivileges": self.no_new_privileges,
        }

    def _namespaces(self) -> list[dict[str, str]]:
        kinds = ("pid", "mount", "ipc", "uts", "network")
        wanted = [{"type": kind} for kind in kinds if kind not in self.host_namespaces]
        if self.netns and "network" not in self.host_namespaces:
            wanted[-1]["path"] = str(self.netns)
        return wanted


def bind(source: Path, destination: str, *, writable: bool = False) -> dict[str, Any]:
    """Return the mount that shows *source* of the host at *destination* in a container."""
    options = ["bind", "rw" if writable else "ro"]
    return {
        "destination": destination,
        "type": "bind",
        "source": str(source),
        "options": options,
    }


def _mount(entry: tuple[str, str, str, tuple[str, ...]]) -> dict[str, Any]:
    destination, kind, source, options = entry
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _profile(seccomp: Mapping[str, Any] | Path) -> dict[str, Any]:
    if isinstance(seccomp, Path):
        loaded: dict[str, Any] = json.loads(seccomp.read_text())
        return loaded
    return dict(seccomp)
