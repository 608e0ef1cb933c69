"""Names of execs, from the kernel side's keys."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["ExecIds"]

_DIGITS = 16  # of a key in hex


class ExecIds:
    """Names execs so that the same one has the same name in every recording of this boot.

    The kernel side's key is a hash of process id, start time and count of execs; host and boot
    are put before it here.
    """

    def __init__(self, host_id: str, boot_id: str) -> None:
        digest = hashlib.blake2b(f"{host_id}\0{boot_id}".encode(), digest_size=4)
        self._prefix = digest.hexdigest()

    def of(self, key: int) -> str:
        """Return the `exec_id` of a kernel key."""
        return f"{self._prefix}{key:016x}"

    def maybe(self, key: int) -> str | None:
        """Return the `exec_id` of a kernel key, None for 0, which is no process."""
        return self.of(key) if key else None

    def of_all(self, keys: np.ndarray) -> list[str]:
        """Return the `exec_id` of each kernel key."""
        digits, prefix = keys.astype(">u8").tobytes().hex(), self._prefix
        return [prefix + digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS)]

    def maybe_all(self, keys: np.ndarray) -> list[str | None]:
        """Return the `exec_id` of each kernel key, None for 0, which is no process."""
        ids: list[str | None] = [*self.of_all(keys)]
        for index in (keys == 0).nonzero()[0].tolist():
            ids[index] = None
        return ids
