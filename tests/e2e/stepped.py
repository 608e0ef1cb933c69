"""A wall clock that is stepped for one process and its children, and for nobody else."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["stepping"]

# The wall clock of one process and its children, which jumps once a file is there.
_STEPPED = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = syscall(SYS_clock_gettime, clock, now);
	const char *sign = getenv("STEP_FILE");
	if (clock == CLOCK_REALTIME && sign && !access(sign, F_OK))
		now->tv_sec += atol(getenv("STEP_SECONDS"));
	return result;
}
"""


def stepping(place: Path, sign: Path, seconds: int) -> dict[str, str]:
    """Return the environment of a process whose clock jumps by *seconds* once *sign* is there."""
    shim = place / "shim.so"
    (place / "shim.c").write_text(_STEPPED)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, place / "shim.c"], check=True)
    return {"LD_PRELOAD": str(shim), "STEP_FILE": str(sign), "STEP_SECONDS": str(seconds)}
