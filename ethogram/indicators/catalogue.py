"""The behaviours that detection is held to, and what tells of each: indicators or deviations.

The gate says when a behaviour is told. `always`: whatever was learnt; `baseline`: unless just that
was learnt; `deviation`: it is one, and no indicator is about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["CATALOGUE", "RELATED", "SENSOR", "Behaviour", "markdown"]

# Rules that look at several rows, and those about the sensor: they are no indicators of one row.
RELATED = ("relayed-shell", "port-scan")
SENSOR = "sensor-*"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One of them: *indicators* by id, *deviations* by dimension, *rules* of other kinds."""

    number: int
    title: str
    indicators: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


def _row(
    number: int, title: str, indicators: str = "", deviations: str = "", rules: str = ""
) -> Behaviour:
    return Behaviour(
        number, title, tuple(indicators.split()), tuple(deviations.split()), tuple(rules.split())
    )


_WRITES = (
    "cron-write service-write login-key-write shell-startup-write preload-write sudo-rules-write "
    "login-rules-write accounts-write"
)

CATALOGUE: tuple[Behaviour, ...] = (
    _row(1, "new program or arguments", "", "execs"),
    _row(2, "tools that look around or move data, scans", "recon-tool capture-tool tunnel-tool",
         "execs peers", "port-scan"),
    _row(3, "program that is not the image's", "dropped-executable replaced-executable", "execs"),
    _row(4, "program in shared memory, tmpfs, a volume",
         "shared-memory-program temporary-script loader-program", "execs"),
    _row(5, "program without a file", "fileless-executable deleted-executable", "operations"),
    _row(6, "shell of a server", "server-shell", "execs"),
    _row(7, "decoded or downloaded, and run", "decoded-script downloaded-script encoded-program",
         "execs"),
    _row(8, "false name", "masquerade", "operations"),
    _row(9, "shell whose input is a socket", "shell-on-socket moved-input socket-command",
         "operations"),
    _row(10, "relayed shell", "shell-without-terminal tunnel-tool", "execs", "relayed-shell"),
    _row(11, "new port that is listened on", "", "listens"),
    _row(12, "new peer or name", "", "peers dns"),
    _row(13, "miner", "miner miner-pool miner-port", "peers dns"),
    _row(14, "the cloud's metadata service", "metadata-service", "peers"),
    _row(15, "API of the cluster, its tools", "orchestration-tool", "peers execs"),
    _row(16, "socket of a container runtime", "runtime-socket", "peers files"),
    _row(17, "service account's token, cloud credentials",
         "service-account-token credential-file-read", "files"),
    _row(18, "passwords and private keys read",
         "sensitive-file-read private-key-read secret-linked", "files"),
    _row(19, "environment and memory of others", "process-secrets-read process-memory-write",
         "files"),
    _row(20, "what is executed later, or lets somebody in", _WRITES, "files"),
    _row(21, "programs of the system written", "program-write replaced-executable", "files"),
    _row(22, "logs and histories cleared", "log-clearing", "files"),
    _row(23, "set-id bit, file capability", "privileged-file", "operations"),
    _row(24, "change of user or group", "identity-refused", "operations capabilities"),
    _row(25, "capability that was not used before", "escape-capability raw-socket", "capabilities"),
    _row(26, "new namespace", "namespace-change", "operations"),
    _row(27, "namespace of the host", "host-namespace namespace-change", "operations"),
    _row(28, "mounts, another root", "mount root-change", "operations"),
    _row(29, "release agent of a cgroup", "kernel-interface-write", "files"),
    _row(30, "settings that make the kernel start programs", "kernel-interface-write", "files"),
    _row(31, "the host's files by another process's root, disks", "foreign-root host-device",
         "files"),
    _row(32, "files opened by handle", "file-handle", "operations"),
    _row(33, "other processes traced or written", "process-trace process-write", "operations"),
    _row(34, "memory made executable", "", "operations"),
    _row(35, "kernel module", "kernel-module", "operations"),
    _row(36, "BPF, performance events", "bpf-program performance-event", "operations"),
    _row(37, "userfaultfd, keys, kernel log, kexec", "page-fault-handler kernel-replaced",
         "operations"),
    _row(38, "raw sockets", "raw-socket", "capabilities listens"),
    _row(39, "rings (io_uring)", "", "operations"),
    _row(40, "a person in a container", "entered-session", "execs"),
    _row(41, "a program's own executable, or another's, overwritten", "own-executable-write",
         "files"),
    _row(42, "new system call", "", "syscalls"),
    _row(43, "privileged container", "privileged-container"),
    _row(44, "tampering with the sensor", "", "", SENSOR),
)  # fmt: skip


def markdown() -> Iterator[str]:
    """Yield the lines of the table that `docs/detections.md` has."""
    yield "| | behaviour | indicators | deviations in |"
    yield "|---|---|---|---|"
    for one in CATALOGUE:
        linked = [f"[`{name}`](#{name})" for name in one.indicators]
        told = " ".join([*linked, *(f"`{name}`" for name in one.rules)])
        yield f"| {one.number} | {one.title} | {told} | {' '.join(one.deviations)} |"
