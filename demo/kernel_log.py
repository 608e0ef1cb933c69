"""What seccomp's log action wrote to the kernel's log."""

import os
import re
from types import TracebackType
from typing import Self

__all__ = ["KernelLog"]

RECORD_BYTES = 8192
# A name with a space or a bracket in it stands there in hexadecimal, without quotes.
SECCOMP = re.compile(r'audit: type=1326 .* exe=(?:"([^"]*)"|([0-9A-F]+)) .* syscall=(\d+)')


class KernelLog:
    """The kernel's log from the moment that its block begins."""

    def __enter__(self) -> Self:
        self._descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._descriptor, 0, os.SEEK_END)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def seccomp_records(self) -> list[tuple[str, int]]:
        """Return (executable, call number) of each record of seccomp that came since."""
        found: list[tuple[str, int]] = []
        while True:
            try:
                line = os.read(self._descriptor, RECORD_BYTES).decode(errors="replace")
            except BlockingIOError:
                return found
            except BrokenPipeError:  # records were overwritten; the next read goes on
                continue
            if match := SECCOMP.search(line):
                plain, encoded, number = match.groups()
                name = plain if encoded is None else os.fsdecode(bytes.fromhex(encoded))
                found.append((name, int(number)))
