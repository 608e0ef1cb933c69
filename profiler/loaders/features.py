"""What of the running kernel decides how the object works, and is not for CO-RE to find out."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from profiler.libbpf import Btf, Object, allows_helper

__all__ = ["KernelFeatures", "has_hook"]

_TYPEDEF, _FUNCTION = 8, 12
_CGROUP_SOCK_ADDR = 18  # enum bpf_prog_type
_TASK_STORAGE_GET = 156  # enum bpf_func_id


def has_hook(kernel: Btf, section: str) -> bool:
    """Say whether *kernel* has what programs of *section* attach to, as far as types tell."""
    kind, _, hook = section.partition("/")
    if kind == "tp_btf":
        return kernel.has(f"btf_trace_{hook}", _TYPEDEF)
    if kind == "fexit":
        return kernel.has(hook, _FUNCTION)
    return kind != "lsm" or kernel.has(f"bpf_lsm_{hook}", _FUNCTION)


@dataclass(frozen=True, slots=True)
class KernelFeatures:
    """*has_task_storage*: in programs of cgroups."""

    has_rdonly_cast: bool
    has_task_storage: bool

    @classmethod
    def of(cls, kernel: Btf) -> KernelFeatures:
        """Look at the kernel's types, and try what they do not tell."""
        return cls(
            has_rdonly_cast=kernel.has("bpf_rdonly_cast", _FUNCTION),
            has_task_storage=allows_helper(_CGROUP_SOCK_ADDR, _TASK_STORAGE_GET),
        )

    def configure(self, opened: Object) -> None:
        """Set up an object that is not loaded yet."""
        opened.configure(
            {
                "has_task_storage": struct.pack("<I", self.has_task_storage),
            }
        )
        if self.has_task_storage:
            opened.maps["callers"].resize(1)
