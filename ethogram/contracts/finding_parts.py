"""What findings and events say of a process, its executable, a file, a peer, a DNS question.

Text that a workload chose is escaped. What is not known, or does not apply, is absent.
"""

from __future__ import annotations

from typing import Literal

from ethogram.contracts.baseline_values import Count, Frozen, Text, Time

__all__ = [
    "Ancestor",
    "EntryType",
    "FindingDns",
    "FindingExecutable",
    "FindingFile",
    "FindingInstance",
    "FindingPeer",
    "FindingProcess",
    "ProcessEntry",
]

EntryType = Literal["service", "exec", "login", "unit", "command"]


class Ancestor(Frozen):
    """One step up the process tree, the nearest first; *is_fork*: it executed nothing itself."""

    exec_id: Text
    exe: str
    pid: Count | None = None
    is_fork: bool | None = None


class ProcessEntry(Frozen):
    """Where the tree of a process came into its instance, and how.

    *service*: from the container's first process. *exec*: through a process that entered a running
    container, as `kubectl exec` does. *login*: through a login that the kernel knows of, with a
    login user. *unit*, *command*: from the first process of a unit of systemd, of a command.
    """

    type: EntryType
    exec_id: Text
    exe: str | None = None
    pid: Count | None = None


class FindingExecutable(Frozen):
    """The file that a process executed; *nlink* 0 is a deleted one."""

    dev: Count | None = None
    ino: Count | None = None
    ctime: Time | None = None
    nlink: Count | None = None
    in_image: bool | None = None
    memfd: bool | None = None
    sha256: Text | None = None


class FindingProcess(Frozen):
    """The process that did it, as it was recorded; *ancestry* ends at the container's first.

    *more_ancestors* are left out between the last of *ancestry* and the entry. Users and groups are
    numbers of the host: no name is looked up in a container. *loginuid* and *sessionid* are the
    login's, absent without one. *session_leader* is the process that *sid* names. *stdio* is what
    file descriptors 0, 1 and 2 are. *candidates*: so many processes ran this executable at that
    time, and which of them did it is not known.
    """

    exec_id: Text
    pid: Count
    exe: str
    argv: tuple[str, ...] = ()
    ancestry: tuple[Ancestor, ...] = ()
    more_ancestors: Count | None = None
    entry: ProcessEntry | None = None
    ns_pid: Count | None = None
    parent_exec_id: Text | None = None
    fork_parent_exec_id: Text | None = None
    is_fork: bool | None = None
    uid: Count | None = None
    euid: Count | None = None
    gid: Count | None = None
    egid: Count | None = None
    loginuid: Count | None = None
    sessionid: Count | None = None
    pgid: Count | None = None
    sid: Count | None = None
    session_leader: Ancestor | None = None
    stdio: tuple[str, ...] | None = None
    has_tty: bool | None = None
    cwd: str | None = None
    script: str | None = None
    interpreter: str | None = None
    file: FindingExecutable | None = None
    started: Time | None = None
    ended: Time | None = None
    exit_code: int | None = None
    signal: Count | None = None
    was_there_before: bool | None = None
    candidates: Count | None = None
    is_argv_cut: bool | None = None


class FindingPeer(Frozen):
    """The other end: *name* is the DNS name that the workload asked for, *workload* whose it is.

    *nat_address* is where the connection went in truth, where another program sent it elsewhere.
    *name_trust*: whether a resolver that the workload is configured for answered.
    """

    direction: Literal["in", "out", "listen", "bind"]
    protocol: Text
    address: Text | None = None
    port: Count | None = None
    local_address: Text | None = None
    local_port: Count | None = None
    nat_address: Text | None = None
    nat_port: Count | None = None
    unix_path: str | None = None
    name: str | None = None
    name_trust: Text | None = None
    kind: Text | None = None
    workload: str | None = None
    container_id: Text | None = None
    exec_id: Text | None = None


class FindingFile(Frozen):
    """A file; *asked* is the string that was asked for where it differs, *access* its letters."""

    path: str
    asked: str | None = None
    dev: Count | None = None
    ino: Count | None = None
    access: Text | None = None
    in_image: bool | None = None
    errno: Count | None = None
    is_truncated: bool | None = None


class FindingDns(Frozen):
    """A DNS question: *rcode* 3 is no such name."""

    name: str
    type: Count
    rcode: Count
    answers: tuple[str, ...] = ()
    resolver: Text | None = None
    is_trusted: bool | None = None


class FindingInstance(Frozen):
    """The container, unit start or command run; *runtime_id* is its id."""

    runtime_id: Text
    pod_uid: Text | None = None
    runtime: Text | None = None
    cgroup_id: Count | None = None
    started: Time | None = None
