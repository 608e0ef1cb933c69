"""Rows as indicators see them: completed with what other tables say of them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.arrow import enum_dictionary
from ethogram.contracts.syscall_names import name_of
from ethogram.contracts.tables import ENUMS, TABLES
from ethogram.indicators.predicates import once_a_table

__all__ = ["completed", "refused_operations"]

# The bits of `host_namespace_bits`, in their order.
_NAMESPACES = ("mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time")
_MOUNTS_AND_PROCESSES = 0b11
_CONTAINER_ID = r"(?:^|/)[0-9a-f]{64}$"
_NO_SUCH_CALL = 38  # ENOSYS

# What a refused call would have been. A filter that refuses clone() does so for its flags; what
# it answers ENOSYS it does not look at, as Docker's does clone3() to have clone() called instead.
_OPERATION_OF = {
    "unshare": "unshare", "setns": "setns", "clone": "clone_namespace",
    "clone3": "clone_namespace", "mount": "mount", "fsopen": "mount", "fsmount": "mount",
    "fspick": "mount", "mount_setattr": "mount", "umount2": "umount", "move_mount": "move_mount",
    "open_tree": "open_tree", "pivot_root": "pivot_root", "chroot": "chroot", "ptrace": "ptrace",
    "process_vm_writev": "process_vm_write", "bpf": "bpf", "perf_event_open": "perf_event_open",
    "init_module": "load_module", "finit_module": "load_module", "delete_module": "load_module",
    "userfaultfd": "userfaultfd", "kexec_load": "kexec", "kexec_file_load": "kexec",
    "open_by_handle_at": "open_by_handle", "pidfd_getfd": "pidfd_getfd", "reboot": "reboot",
    "swapon": "swap", "swapoff": "swap", "settimeofday": "set_time", "clock_settime": "set_time",
    "add_key": "keyctl", "request_key": "keyctl", "keyctl": "keyctl", "syslog": "syslog",
    "quotactl": "quota", "sethostname": "set_hostname", "setdomainname": "set_hostname",
    "io_uring_setup": "io_uring_setup", "mknod": "mknod", "mknodat": "mknod",
}  # fmt: skip


def completed(
    rows: pa.Table,
    executables: pa.Table,
    instances: pa.Table,
    processes: pa.Table | None = None,
) -> pa.Table:
    """Return *rows* of one table with columns that the other tables have of them.

    | added | type | to tables with | null where |
    |---|---|---|---|
    | `exe_path` | dictionary of bytes | `exe` or `exec_id` | the executable is not known |
    | `exe_memfd`, `exe_upper` | bool | the same | the same, and off overlays |
    | `parent_path` | dictionary of bytes | `parent_exec_id` | the parent is not known |
    | `instance_namespace_bits` | u32 | `instance` | nobody saw which namespaces it has |
    | `instance_is_container` | bool | `instance` | the instance is not known |

    `path` and `asked` of `files` become dictionaries: opens are many, paths few.

    *processes* needs `exec_id` and `exe` of the processes that rows name; without it rows of
    `processes` find their parents among themselves, and those of other tables know none.
    """
    names = rows.column_names
    for name in ("path", "asked"):
        if name in names:
            rows = rows.set_column(names.index(name), name, _encoded(rows.column(name)))
    if processes is None and "exe" in names and "exec_id" in names:
        processes = rows
    exes = rows.column("exe") if "exe" in names else None
    if exes is None and "exec_id" in names:
        exes = _executables_of(rows.column("exec_id"), processes)
    if exes is not None:
        found = _index_of(exes, executables.column("exe"))
        rows = rows.append_column("exe_path", _paths(found, executables))
        for source, target in (("memfd", "exe_memfd"), ("upper", "exe_upper")):
            rows = rows.append_column(target, _whole(executables.column(source)).take(found))
    if "parent_exec_id" in names:
        parents = _executables_of(rows.column("parent_exec_id"), processes)
        found = _index_of(parents, executables.column("exe"))
        rows = rows.append_column("parent_path", _paths(found, executables))
    return _with_instances(rows, instances) if "instance" in names else rows


def refused_operations(denied: pa.Table) -> pa.Table:
    """Return what the calls in rows of `denied` would have done, as rows of `privileges`.

    A filter refuses a call before it is recorded as an operation. Calls that are no operation for
    certain are left out.
    """
    operations = ENUMS["operation"]
    kept = pa.nulls(denied.num_rows, pa.int8())
    for arch in ENUMS["arch"]:
        of_arch = pc.equal(denied.column("arch").cast(pa.string()), arch)
        numbers = pc.unique(denied.column("nr").filter(of_arch))
        words = [_OPERATION_OF.get(name_of(arch, nr) or "") for nr in numbers.to_pylist()]
        codes = pa.array([None if w is None else operations.index(w) for w in words], pa.int8())
        code = codes.take(_index_of(denied.column("nr"), numbers))
        kept = pc.if_else(_whole(of_arch), code, kept)
    looked_at = pc.not_equal(pc.fill_null(denied.column("errno"), 0), _NO_SUCH_CALL)
    keep = pc.and_(pc.is_valid(kept), _whole(looked_at))
    rows, kept = denied.filter(keep), kept.filter(keep)
    count = rows.num_rows
    columns = {name: rows.column(name) for name in rows.column_names}
    columns |= {
        "exec_id": pc.fill_null(rows.column("exec_id"), ""),
        "operation": pa.DictionaryArray.from_arrays(kept, enum_dictionary("operation")),
        "capability": pa.nulls(count, pa.uint8()),
        "target": pa.nulls(count, pa.binary()),
        "granted": pa.repeat(pa.scalar(value=False), count),
        "untrusted_arg": pa.repeat(pa.scalar(value=False), count),
    }
    schema = TABLES["privileges"].arrow_schema()
    return pa.table({field.name: columns[field.name] for field in schema}).cast(schema)


def _with_instances(rows: pa.Table, instances: pa.Table) -> pa.Table:
    found = _index_of(rows.column("instance"), instances.column("instance"))
    bits, are_containers = _what_they_are(instances)
    rows = rows.append_column("instance_namespace_bits", bits.take(found))
    return rows.append_column("instance_is_container", are_containers.take(found))


@once_a_table
def _what_they_are(instances: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Return the bits of the namespaces of *instances*, and which are containers."""
    names = instances.column("host_namespaces").to_pylist()
    bits = pa.array([_namespace_bits(one) for one in names], pa.uint32())
    return bits, _are_containers(instances, bits)


def _are_containers(instances: pa.Table, bits: pa.Array) -> pa.Array:
    """Return which instances are containers: by their runtime, their id, or what they share.

    A service of systemd may have mounts of its own, hardly ever processes of its own as well.
    """
    by_runtime = pc.is_valid(instances.column("runtime"))
    by_id = pc.match_substring_regex(instances.column("runtime_id"), _CONTAINER_ID)
    shared = pc.bit_wise_and(bits, pa.scalar(_MOUNTS_AND_PROCESSES, pa.uint32()))
    by_namespaces = pc.fill_null(pc.equal(shared, 0), fill_value=False)
    return pc.or_(_whole(pc.or_(by_runtime, by_id)), by_namespaces)


def _namespace_bits(names: list[str] | None) -> int | None:
    """Return the bits of the namespaces *names*, None where none is known.

    No instance shares nothing at all: hardly any has a time namespace of its own.
    """
    if not names:
        return None
    return sum(1 << bit for bit, name in enumerate(_NAMESPACES) if name in names)


def _executables_of(exec_ids: pa.ChunkedArray, processes: pa.Table | None) -> pa.Array:
    """Return the number of the executable of each process, null where it is not known."""
    if processes is None:
        return pa.nulls(len(exec_ids), pa.uint32())
    found = _index_of(exec_ids, processes.column("exec_id"))
    return _whole(processes.column("exe")).take(found)


def _index_of(values: pa.ChunkedArray | pa.Array, known: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return the position of each value among those that are *known*, null where it is not."""
    return _whole(pc.index_in(values, value_set=_whole(known), skip_nulls=True))


def _paths(found: pa.Array, executables: pa.Table) -> pa.DictionaryArray:
    """Return the path of each of the executables at the positions *found*.

    The dictionary has no more than they need: rules ask about each path in it.
    """
    paths = _whole(executables.column("path"))
    if len(found) < len(paths):
        return paths.take(found).dictionary_encode()
    return pa.DictionaryArray.from_arrays(found, paths)


def _encoded(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return column.dictionary_encode().unify_dictionaries().combine_chunks()


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
