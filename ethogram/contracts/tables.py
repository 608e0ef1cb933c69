"""The tables of a recording and of a summary: one declaration for Arrow, docs and `schema`.

A column is `(name, type, meaning)`. Types are words, so that importing this module costs nothing;
`Table.arrow_schema()` turns them into Arrow types when a table is written or read:

| word | Arrow |
|---|---|
| `u8 u16 u32 u64 i32 bool str` | the same |
| `bytes` | `binary`, raw as the kernel gave it |
| `ts` | `timestamp[ns, UTC]` |
| `enum:NAME` | `dictionary<int8, string>` over `ENUMS[NAME]` |
| `fixed:N` | `fixed_size_binary[N]` |
| `list:T`, `map` | list of T, map of string to string |
| `ports` | list of struct of port, target, protocol |
| `peers` | list of struct of fd, family, type, local and peer address and port, unix_path |

A trailing `?` allows null, which always means "not known" or "does not apply", never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ENUMS", "RECORDING_SCHEMA", "SUMMARY", "SUMMARY_SCHEMA", "TABLES", "Column", "Table"]

RECORDING_SCHEMA = "ethogram.recording/1"
SUMMARY_SCHEMA = "ethogram.summary/1"

ENUMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # The order is the number that the kernel side uses; members are only ever appended.
        "phase": ("unknown", "runtime", "startup", "steady", "exec", "shutdown"),
        "arch": ("x86_64", "i386", "x32", "aarch64", "arm"),
        "container_kind": ("main", "init", "sidecar", "ephemeral", "none"),
        "source": (
            "cri", "kubelet", "apiserver", "oci", "podman", "docker", "systemd", "command",
            "cgroup", "inventory",
        ),
        "workload_state": ("resolved", "pending", "unresolved"),
        "observed": ("live", "snapshot"),
        "coverage_state": ("complete", "incomplete", "blind"),
        "stdio": ("closed", "file", "pipe", "tty", "socket", "null", "other"),
        "action": ("errno", "kill", "trap", "log"),
        "in_image": ("yes", "no", "unknown"),
        "direction": ("in", "out", "listen", "bind"),
        "name_trust": ("resolver", "untrusted"),
        "address_kind": ("pod", "service", "node", "apiserver", "dns", "external"),
        "operation": (
            "capability", "unshare", "setns", "clone_namespace", "mount", "umount", "move_mount",
            "open_tree", "pivot_root", "chroot", "ptrace", "process_vm_write", "bpf",
            "perf_event_open", "load_module", "memfd_create", "keyctl", "userfaultfd", "kexec",
            "open_by_handle", "pidfd_getfd", "set_user", "set_group", "set_capabilities",
            "chmod_set_id", "set_file_capability", "io_uring_setup", "reboot", "swap",
            "set_hostname", "set_time", "syslog", "quota", "mknod", "seccomp", "no_new_privs",
            "link", "io_uring_request", "executable_memory", "input_socket", "set_name",
        ),
        "loss": (
            "ring_full", "map_full", "quota", "read_fault", "truncated", "recursion", "storage",
            "slots_full", "unresolved", "malformed", "disk", "unseen",
        ),
        "dimension": (
            "syscalls", "execs", "files", "peers", "listens", "dns", "capabilities", "operations",
            "ngrams", "errors", "denied",
            # What a baseline needs to know of the observation; no behaviour.
            "subject", "instance", "observation", "loss", "input", "quarantine", "mark",
            "arguments",
        ),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its *type* is a word of the module's list, `?` at its end allows null."""

    name: str
    type: str
    doc: str

    @property
    def is_nullable(self) -> bool:
        return self.type.endswith("?")

    @property
    def word(self) -> str:
        """The type without its `?`."""
        return self.type.removesuffix("?")


@dataclass(frozen=True, slots=True)
class Table:
    """One table: *key* names the columns that identify a row, empty where every row is its own."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def __hash__(self) -> int:
        """Return what is quick to say: a schema is looked up many times a second."""
        return hash(self.name)

    def arrow_schema(self) -> pa.Schema:
        """Return the Arrow schema, with each column's meaning in its field metadata."""
        from ethogram.contracts.arrow import schema_of  # noqa: PLC0415  pyarrow costs 60 MB

        return schema_of(self)


def _table(name: str, doc: str, *columns: tuple[str, str, str], key: str = "") -> Table:
    return Table(name, doc, tuple(Column(*column) for column in columns), tuple(key.split()))


_KEY = (
    ("window", "u32", "number of the window, from 0"),
    ("workload", "u32", "row of `workloads`"),
    ("instance", "u32", "row of `instances`"),
    ("phase", "enum:phase", "runtime, startup, steady, exec (entered from outside), shutdown"),
)
_K = "window workload instance phase"
_CALL = (
    ("arch", "enum:arch", "the call's own architecture: ia32 and x32 calls keep theirs"),
    ("nr", "u32", "number of the system call in that architecture's table"),
)
_FIRST_LAST = (
    ("first", "ts", "first time seen in the window"),
    ("last", "ts", "last time seen in the window"),
)

_ALL = (
    _table(
        "windows", "One row a window of recording.",
        ("window", "u32", "number of the window, from 0"),
        ("start", "ts", "when it began"),
        ("end", "ts", "when it ended"),
        key="window",
    ),
    _table(
        "workloads", "Who did it, stable across restarts.",
        ("workload", "u32", "number of the workload in this recording"),
        ("cluster", "str?", "name of the cluster, where one is known"),
        ("namespace", "str?", "Kubernetes namespace"),
        ("kind", "str", "Deployment, StatefulSet, DaemonSet, Pod, Container, Unit, Command, Host"),
        ("name", "str", "name of the owner, unit, container or command"),
        ("container", "str?", "name of the container in its pod"),
        ("container_kind", "enum:container_kind", "main, init, sidecar, ephemeral"),
        ("image", "str?", "image reference as the runtime was given it"),
        ("image_digest", "str?", "sha256 digest of the image"),
        ("labels", "map", "labels of the pod"),
        ("selector", "map", "the owner's selector, from the inventory"),
        ("namespace_labels", "map?", "labels of its namespace, where the cluster told of them"),
        ("source", "enum:source", "where the name comes from"),
        ("state", "enum:workload_state", "resolved, pending (a name may still come), unresolved"),
        key="workload",
    ),
    _table(
        "instances", "One container, unit start or command run.",
        ("instance", "u32", "number of the instance in this recording"),
        ("workload", "u32", "row of `workloads`"),
        ("runtime_id", "str", "container id, unit invocation or command's run"),
        ("pod_uid", "str?", "uid of the pod"),
        ("cgroup_id", "u64", "inode of the cgroup in the unified hierarchy"),
        ("mntns", "u32?", "inode of the mount namespace"),
        ("netns", "u32?", "inode of the network namespace"),
        ("started", "ts", "when it was first seen"),
        ("ended", "ts?", "when its cgroup was removed"),
        ("runtime", "str?", "runc, crun, ..."),
        ("runtime_version", "str?", "version of the runtime as it says itself"),
        ("seccomp_mode", "u8?", "0 none, 1 strict, 2 filter, as last seen on its own processes"),
        ("no_new_privs", "bool?", "its processes can gain no privileges by exec"),
        ("caps_bounding", "u64?", "bounding set of capabilities"),
        ("host_namespaces", "list:str?", "namespaces that equal the host's: mnt pid net uts ipc"
         " user cgroup time"),
        ("observed", "enum:observed", "live, or there before recording began"),
        ("host_paths", "list:str?", "paths of the host in its pod's `hostPath` volumes, from the"
         " inventory"),
        ("host_ports", "list:u16?", "ports of the host that lead to it, from the inventory"),
        key="instance",
    ),
    _table(
        "coverage", "How much of it was seen: the denominator of every count.",
        *_KEY,
        ("observed_ns", "u64", "time in this window during which its calls were recorded"),
        ("calls", "u64?", "system calls"),
        ("execs", "u64", "successful execs"),
        ("opens", "u64?", "opened files"),
        ("connects", "u64", "outgoing connections and datagram peers"),
        ("state", "enum:coverage_state", "incomplete where anything of it was lost"),
        key=_K,
    ),
    _table(
        "executables", "What was executed.",
        ("exe", "u32", "number of the executable in this recording; 0 is not known"),
        ("path", "bytes", "resolved path, in the mount namespace of the process"),
        ("dev", "u64?", "device number, as the kernel has it"),
        ("ino", "u64?", "inode"),
        ("ctime", "ts?", "inode change time when first executed"),
        ("nlink", "u32?", "hard links; 0 is a deleted file"),
        ("upper", "bool?", "in the overlay's upper layer: not from the image"),
        ("memfd", "bool?", "an anonymous file in memory"),
        ("sha256", "str?", "digest of the content"),
        ("sha256_missing", "str?", "why there is no digest: gone, changed, not local, unreadable,"
         " too large, too slow, queue full; null where it was not asked for, or not found yet"),
        key="exe",
    ),
    _table(
        "processes", "Processes: one row an exec, one a fork that never executed.",
        *_KEY,
        ("exec_id", "str", "from boot, host, process, its start and its count of execs; also of a"
         " failed exec, and of a fork that had children before it executed"),
        ("parent_exec_id", "str?", "the parent process when this one executed"),
        ("fork_parent_exec_id", "str?", "the process that forked this one"),
        ("session_exec_id", "str?", "first exec of the tree: the entrypoint, or what entered"),
        ("tgid", "u32", "process id in the host's PID namespace"),
        ("ns_tgid", "u32?", "process id in its own PID namespace"),
        ("exe", "u32", "row of `executables`"),
        ("interpreter", "bytes?", "interpreter that the kernel chose for a script"),
        ("script", "bytes?", "the script, where an interpreter runs it; what a failed exec asked"
         " for, with the directory that execveat() was given"),
        ("cwd", "bytes?", "working directory"),
        ("argv", "list:bytes", "arguments, bounded and redacted; none of a failed exec"),
        ("flags", "u32", "bits of `process_flag`"),
        ("uid", "u32", "user id in the host's user namespace"),
        ("euid", "u32?", "effective user id"),
        ("gid", "u32", "group id"),
        ("egid", "u32?", "effective group id"),
        ("loginuid", "u32?", "audit login uid; 4294967295 is unset"),
        ("sessionid", "u32?", "audit session; 4294967295 is unset"),
        ("caps_effective", "u64?", "effective capabilities"),
        ("caps_permitted", "u64?", "permitted capabilities"),
        ("caps_inheritable", "u64?", "inheritable capabilities"),
        ("caps_ambient", "u64?", "ambient capabilities"),
        ("caps_bounding", "u64?", "bounding set: what no exec can give it any more is not in it"),
        ("euid_before", "u32?", "effective user id until it executed; null for forks, failed execs"
         " and what was there before"),
        ("egid_before", "u32?", "effective group id until it executed"),
        ("caps_effective_before", "u64?", "effective capabilities until it executed"),
        ("caps_permitted_before", "u64?", "permitted capabilities until it executed"),
        ("seccomp_mode", "u8?", "0 none, 1 strict, 2 filter"),
        ("seccomp_filters", "u16?", "how many seccomp filters it has"),
        ("pgid", "u32?", "process group in the host's PID namespace"),
        ("sid", "u32?", "session in the host's PID namespace"),
        ("ns_pgid", "u32?", "process group in its own PID namespace; 0 where that has none of it"),
        ("ns_sid", "u32?", "session in its own PID namespace; 0 where that has none of it"),
        ("stdio", "list:enum:stdio?", "kind of file descriptors 0, 1 and 2"),
        ("stdio_peers", "peers?", "those that are sockets: family as in `network`, both ends,"
         " path of a UNIX socket: the other end's where that has one"),
        ("namespaces", "list:u32?", "inodes of its namespaces: mnt pid net uts ipc user cgroup"
         " time"),
        ("host_namespace_bits", "u32?", "namespaces that equal the host's: bit 0 mnt, 1 pid, 2 net,"
         " 3 uts, 4 ipc, 5 user, 6 cgroup, 7 time"),
        ("start", "ts", "when it executed"),
        ("end", "ts?", "when it ended"),
        ("exit_code", "i32?", "exit status, where it exited"),
        ("signal", "i32?", "signal that ended it"),
        ("errno", "u16?", "why a failed exec failed; null where it succeeded"),
        ("observed", "enum:observed", "live, or there before recording began"),
        key="exec_id",
    ),
    _table(
        "syscalls", "System calls, counted when they enter.",
        *_KEY, *_CALL,
        ("name", "str?", "name of the call; null where the table has none"),
        ("calls", "u64", "how often"),
        key=f"{_K} arch nr",
    ),
    _table(
        "errors", "System calls that returned an error.",
        *_KEY, *_CALL,
        ("errno", "u16", "the error"),
        ("calls", "u64", "how often"),
        key=f"{_K} arch nr errno",
    ),
    _table(
        "denied", "System calls that a seccomp filter refused.",
        *_KEY,
        ("exec_id", "str?", "the process that tried"),
        *_CALL,
        ("action", "enum:action", "what the filter did"),
        ("errno", "u16?", "the error it returned"),
        ("calls", "u64", "how often"),
        key=f"{_K} exec_id arch nr action errno",
    ),
    _table(
        "arguments", "What an argument of a few system calls was: those that policy can tell by.",
        *_KEY, *_CALL,
        ("index", "u8", "which argument, from 0"),
        ("value", "u64?", "the bits of it that are told; null where it was not looked at, or took"
         " more values than are told"),
        ("calls", "u64", "how often"),
        key=f"{_K} arch nr index value",
    ),
    _table(
        "ngrams", "Each thread's sequences of six system calls, as a set.",
        *_KEY,
        ("arch", "enum:arch", "architecture of all six"),
        ("gram", "fixed:12", "six little-endian u16, oldest first; 65535 is none yet,"
         " 65534 a number over 1021"),
        ("calls", "u64?", "null: seen, not counted"),
        key=f"{_K} arch gram",
    ),
    _table(
        "files", "Opened files, those that could not be opened, and changes without an open.",
        *_KEY,
        ("exe", "u32", "row of `executables`: who opened it"),
        ("path", "bytes", "resolved path of the open file; else the name as asked, made absolute"),
        ("asked", "bytes?", "the string that was asked for, where it differs"),
        ("dev", "u64", "device number; 0 where nothing was opened"),
        ("ino", "u64", "inode; 0 where nothing was opened"),
        ("access", "u16", "bits of `access`"),
        ("errno", "u16?", "why it failed"),
        ("calls", "u64", "how often"),
        ("in_image", "enum:in_image", "no: the overlay's upper layer; unknown: not an overlay"),
        ("truncated", "bool", "longer than what is kept; begins with `...` then, the leaf is kept"),
        *_FIRST_LAST,
        key=f"{_K} exe path dev ino access errno",
    ),
    _table(
        "network", "Who talked to whom.",
        *_KEY,
        ("exe", "u32", "row of `executables`: who owns the socket"),
        ("direction", "enum:direction", "from TCP's state, never from port numbers; `bind` also"
         " for a socket of another family or protocol, from when it is made"),
        ("family", "u16", "AF_INET 2, AF_INET6 10, AF_UNIX 1, AF_NETLINK 16, AF_PACKET 17"),
        ("type", "u16", "SOCK_STREAM 1, SOCK_DGRAM 2, SOCK_RAW 3, SOCK_SEQPACKET 5"),
        ("protocol", "u16", "IPPROTO number; the family's own for others: NETLINK_ROUTE 0, ..., for"
         " AF_PACKET the EtherType"),
        ("local_addr", "bytes?", "4 or 16 bytes; v4-mapped addresses are folded to 4"),
        ("peer_addr", "bytes?", "4 or 16 bytes"),
        ("local_port", "u16?", "null where it is the kernel's choice"),
        ("peer_port", "u16?", "null where it is the client's ephemeral port"),
        ("nat_addr", "bytes?", "where the socket connects to, where another program has sent it"
         " elsewhere than to the asked `peer_addr`: a service's pod. TCP alone"),
        ("nat_port", "u16?", "its port"),
        ("unix_path", "bytes?", "the address that a UNIX socket was bound to, the peer's for `out`;"
         " as it was asked for where it failed; abstract names begin with a NUL"),
        ("name", "str?", "the DNS name that the workload asked for"),
        ("name_trust", "enum:name_trust?", "resolver: answered by a configured resolver"),
        ("cookie", "u64?", "socket cookie of the first connection, this end's"),
        ("peer_cookie", "u64?", "for `in`: cookie of that connection's other end, which is a row's"
         " `cookie` where the client was recorded on the same host"),
        ("connections", "u64", "connections, or datagrams' first sight"),
        ("tx_bytes", "u64?", "bytes sent, of connections that ended"),
        ("rx_bytes", "u64?", "bytes received, of connections that ended"),
        *_FIRST_LAST,
        key=f"{_K} exe direction family type protocol local_addr peer_addr local_port peer_port"
        " nat_addr nat_port unix_path",
    ),
    _table(
        "dns", "Questions, and what a resolver answered.",
        *_KEY,
        ("exe", "u32", "row of `executables`: who asked"),
        ("qname", "bytes", "the name, lower case, without the last dot"),
        ("qtype", "u16", "A 1, AAAA 28, ..."),
        ("rcode", "u16", "0 answered, 3 no such name"),
        ("answers", "list:bytes", "addresses, 4 or 16 bytes"),
        ("ttl", "u32", "smallest time to live of the answers, in seconds"),
        ("resolver", "bytes", "address that answered"),
        ("trusted", "bool", "it is a resolver that the workload is configured for"),
    ),
    _table(
        "addresses", "Whose an address was, and when.",
        ("addr", "bytes", "4 or 16 bytes"),
        ("netns", "u32?", "network namespace that has it"),
        ("kind", "enum:address_kind", "pod, service, node, apiserver, dns, external"),
        ("workload", "u32?", "row of `workloads`"),
        ("name", "str?", "namespace/name of the pod, service or node"),
        ("labels", "map", "labels of the pod"),
        ("ports", "ports", "a service's ports and their targets"),
        ("namespace", "str?", "Kubernetes namespace of the pod or service"),
        ("owner_kind", "str?", "kind of the pod's owner: Deployment, ...; Pod where it has none"),
        ("owner_name", "str?", "name of the pod's owner"),
        ("selector", "map?", "labels that pick the pods: the owner's or the service's selector"),
        ("valid_from", "ts", "since when"),
        ("valid_to", "ts?", "until when: then the row is given again, and replaces this one"),
        ("source", "enum:source", "where it comes from"),
    ),
    _table(
        "privileges", "Capabilities used, and what needs privilege.",
        *_KEY,
        ("exec_id", "str", "the process"),
        ("operation", "enum:operation", "what it did"),
        ("capability", "u8?", "number of the capability"),
        ("target", "bytes?", "path, request or name, where there is one"),
        ("granted", "bool", "it succeeded"),
        ("errno", "u16?", "why not"),
        ("untrusted_arg", "bool", "the target is a string in user memory, read at exit"),
        ("calls", "u64", "how often"),
        key=f"{_K} exec_id operation capability target granted errno",
    ),
    _table(
        "losses", "What could not be recorded.",
        ("window", "u32", "number of the window"),
        ("workload", "u32?", "whose, where that is known"),
        ("instance", "u32?", "whose, where that is known"),
        ("kind", "enum:loss", "why"),
        ("place", "str", "map, ring or program"),
        ("count", "u64", "how many"),
        key="window workload instance kind place",
    ),
)  # fmt: skip

TABLES: Mapping[str, Table] = MappingProxyType({table.name: table for table in _ALL})

SUMMARY = _table(
    "summary", "What merges: a grow-only set of what was seen. Merge is set union.",
    ("recording_id", "str", "recording that it was seen in"),
    ("instance_key", "str", "stable name of the instance, across recordings"),
    ("workload_key", "str", "stable name of the workload, across recordings"),
    ("phase", "enum:phase", "phase"),
    ("dimension", "enum:dimension", "what kind of behaviour"),
    ("arch", "enum:arch?", "architecture, for system calls and n-grams"),
    ("key", "bytes", "what was seen, in the dimension's own canonical form"),
    ("exe_path", "bytes?", "executable that did it"),
    ("windows", "u32", "in how many windows"),
    ("calls", "u64", "how often in all"),
    ("first", "ts", "first time seen"),
    ("last", "ts", "last time seen"),
    ("exec_id", "str?", "a process that did it; null where the tables name none"),
    ("in_image", "bool?", "of a file: the image's, in any row; null is not known"),
    key="recording_id instance_key workload_key phase dimension arch key exe_path",
)  # fmt: skip
